// Random products, convolutions, factorizations, transforms and random bits.
#include <algorithm>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::Attr;
using stablehlo::ConvDims;
using stablehlo::DotDims;
using stablehlo::FftType;
using stablehlo::Precision;
using stablehlo::PrecisionType;
using stablehlo::RngAlgorithm;
using stablehlo::TransposeA;
using stablehlo::Window;

// Wider element types a product of this one may be accumulated in.
DType ProductDType(Rng& rng, DType dtype) {
  if (!OneIn(rng, 4)) return dtype;
  if (tensor::IsFloat(dtype) && tensor::BitWidth(dtype) < 32) return DType::kF32;
  if (tensor::IsInteger(dtype) && tensor::BitWidth(dtype) < 32) return DType::kI32;
  return dtype;
}

void Shuffle(Rng& rng, std::vector<int64_t>* v) {
  for (size_t i = v->size(); i > 1; --i) std::swap((*v)[i - 1], (*v)[rng.Below(i)]);
}

bool Has(const Dims& dims, size_t d) {
  return std::find(dims.begin(), dims.end(), static_cast<int64_t>(d)) != dims.end();
}

// One side's dimensions in any order: batch, contracting and free ones.
struct Side {
  Shape shape;
  Dims batch, contract;
};
Side ArrangeSide(Rng& rng, const Shape& batch, const Shape& contract, const Shape& free) {
  std::vector<int64_t> sizes;
  for (const Shape* part : {&batch, &contract, &free}) {
    for (const int64_t n : *part) sizes.push_back(n);
  }
  std::vector<int64_t> order(sizes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  if (OneIn(rng, 2)) Shuffle(rng, &order);
  Side side;
  std::vector<int64_t> place(sizes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    side.shape.push_back(sizes[static_cast<size_t>(order[i])]);
    place[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  }
  for (size_t i = 0; i < batch.size(); ++i) side.batch.push_back(place[i]);
  for (size_t i = 0; i < contract.size(); ++i) side.contract.push_back(place[batch.size() + i]);
  return side;
}

// What attributes of a product may ask for.
stablehlo::AttrDict ProductAttrs(Rng& rng, const DotDims& dims, DType dtype) {
  stablehlo::AttrDict attrs;
  SetAttr(&attrs, "dot_dimension_numbers", Attr::Of(dims));
  if (OneIn(rng, 6)) {
    const Attr precision = Attr::Of(PickOf(
        rng, (const Precision[]){Precision::kDefault, Precision::kHigh, Precision::kHighest}));
    SetAttr(&attrs, "precision_config", Attr::List({precision, precision}));
  }
  if (dtype == DType::kF32 && OneIn(rng, 8)) {
    const PrecisionType part{PickOf(rng, (const DType[]){DType::kBF16, DType::kF16, DType::kF32})};
    stablehlo::DotAlgorithm algorithm{part, part, {DType::kF32}};
    if (part.dtype == DType::kBF16 && OneIn(rng, 3)) {  // bf16_bf16_f32_x3
      algorithm.primitive_operations = 3;
    }
    SetAttr(&attrs, "algorithm", Attr::Of(algorithm));
  }
  return attrs;
}

void EmitDot(Generator& g) {
  Rng& rng = g.rng();
  const int64_t cap = std::min<int64_t>(g.max_elements() / 2, OneIn(rng, 8) ? 20'000 : 3000);
  const Shape batch = OneIn(rng, 3) ? RandomShape(rng, 1, 4) : Shape{};
  const Shape contract = RandomShape(rng, OneIn(rng, 6) ? 2 : OneIn(rng, 12) ? 0 : 1, 40);
  const Shape free_x = RandomShape(rng, rng.Below(3), std::max<int64_t>(cap / 100, 4));
  const Shape free_y = RandomShape(rng, rng.Below(3), std::max<int64_t>(cap / 100, 4));
  const Side x = ArrangeSide(rng, batch, contract, free_x);
  const Side y = ArrangeSide(rng, batch, contract, free_y);
  const DType dtype = g.type(g.Any()).dtype;
  const ValueId a = g.OfType({dtype, x.shape});
  const ValueId c = g.OfType({dtype, y.shape});
  TensorType out{ProductDType(rng, dtype), batch};
  for (const Side* side : {&x, &y}) {
    for (size_t i = 0; i < side->shape.size(); ++i) {
      if (!Has(side->batch, i) && !Has(side->contract, i)) out.shape.push_back(side->shape[i]);
    }
  }
  const DotDims dims{x.batch, y.batch, x.contract, y.contract};
  g.Keep(g.b().Emit("stablehlo.dot_general", {a, c}, ProductAttrs(rng, dims, dtype), {out}));
}

// A product of a value in scope with a matrix, and something after it that a kernel may take in.
void EmitDense(Generator& g) {
  Rng& rng = g.rng();
  const ValueId x = g.OfClass(stablehlo::kFloatOk, 1);
  const TensorType t = g.type(x);
  const int64_t columns = Between(rng, 1, 24);
  if (g.elements(x) * columns > 30 * g.max_elements()) return;
  DotDims d;
  d.lhs_contract = {static_cast<int64_t>(t.rank()) - 1};
  d.rhs_contract = {0};
  FuncBuilder& b = g.b();
  const ValueId w = g.Constant({t.dtype, {t.shape.back(), columns}}, Mood::kTame);
  ValueId y = b.DotGeneral(x, w, d, t.dtype);
  const Shape out = g.type(y).shape;
  if (OneIn(rng, 2)) {
    const ValueId bias = g.OfType({t.dtype, {columns}});
    y = b.Add(y, b.BroadcastInDim(bias, out, {static_cast<int64_t>(out.size()) - 1}));
  }
  if (OneIn(rng, 2)) y = b.Max(y, b.Splat(g.type(y), 0.0));
  if (OneIn(rng, 3)) y = b.Unary("stablehlo.tanh", y);
  g.Keep(y);
}

// [batch, features, space...] in any order of dimensions, for input, kernel and output.
Shape Placed(const std::vector<int64_t>& order, const std::vector<int64_t>& sizes) {
  Shape shape(order.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) shape[static_cast<size_t>(order[i])] = sizes[i];
  return shape;
}

// Sizes of a convolution, [batch, features, space...] and [features, outputs, space...].
struct ConvSizes {
  int64_t groups = 1, batch_groups = 1;
  std::vector<int64_t> in, kernel;
  Window window;
};

ConvSizes RandomConvolution(Generator& g) {
  Rng& rng = g.rng();
  ConvSizes c;
  const size_t spatial = PickOf(rng, (const size_t[]){0, 1, 1, 1, 2, 2, 2, 2, 3});
  c.groups = OneIn(rng, 3) ? Between(rng, 2, 6) : 1;
  c.batch_groups = c.groups == 1 && OneIn(rng, 6) ? Between(rng, 2, 3) : 1;
  const bool large = g.max_elements() > 1000 && OneIn(rng, 4);
  const bool depthwise = c.groups > 1 && OneIn(rng, 2);
  const int64_t features = depthwise ? 1 : Between(rng, 1, large ? 18 : 4);
  const int64_t outputs = depthwise ? Between(rng, 1, 2) : Between(rng, 1, large ? 20 : 4);
  c.in = {Between(rng, 1, 2) * c.batch_groups, features * c.groups};
  c.kernel = {features, outputs * c.groups * c.batch_groups};
  Window& w = c.window;
  for (size_t i = 0; i < spatial; ++i) {
    c.in.push_back(Between(rng, 1, spatial == 3 ? 4 : large ? 19 : 9));
    c.kernel.push_back(Between(rng, 1, OneIn(rng, 6) ? 5 : 3));
    w.strides.push_back(Between(rng, 1, OneIn(rng, 4) ? 3 : 2));
    const int64_t least = OneIn(rng, 5) ? -2 : 0;
    for (int side = 0; side < 2; ++side) w.padding.push_back(Between(rng, least, 2));
    w.base_dilations.push_back(OneIn(rng, 5) ? Between(rng, 2, 3) : 1);
    w.window_dilations.push_back(OneIn(rng, 5) ? Between(rng, 2, 3) : 1);
    // Cropping takes no more than there is.
    const int64_t span = (c.in.back() - 1) * w.base_dilations.back() + 1;
    if (span + w.padding[2 * i] + w.padding[2 * i + 1] < 0) w.padding[2 * i + 1] = 0;
    if (span + w.padding[2 * i] < 0) w.padding[2 * i] = 0;
  }
  if (OneIn(rng, 40)) c.in[rng.Below(2) == 0 || spatial == 0 ? 0 : 2] = 0;
  return c;
}

void EmitConvolution(Generator& g) {
  Rng& rng = g.rng();
  const ConvSizes c = RandomConvolution(g);
  const size_t spatial = c.in.size() - 2;
  std::vector<std::vector<int64_t>> orders(3);
  for (auto& order : orders) {
    for (size_t i = 0; i < spatial + 2; ++i) order.push_back(static_cast<int64_t>(i));
    if (OneIn(rng, 2)) Shuffle(rng, &order);
  }
  ConvDims d;
  d.input_batch = orders[0][0];
  d.input_feature = orders[0][1];
  d.kernel_input_feature = orders[1][0];
  d.kernel_output_feature = orders[1][1];
  d.output_batch = orders[2][0];
  d.output_feature = orders[2][1];
  for (size_t i = 0; i < spatial; ++i) {
    d.input_spatial.push_back(orders[0][i + 2]);
    d.kernel_spatial.push_back(orders[1][i + 2]);
    d.output_spatial.push_back(orders[2][i + 2]);
  }
  const DType dtype = g.type(g.Any()).dtype;
  const ValueId x = g.OfType({dtype, Placed(orders[0], c.in)});
  // Finite, because kernels skip padding, where the evaluator multiplies zeros: 0 * inf is NaN.
  const ValueId k = g.Tamed(g.OfType({dtype, Placed(orders[1], c.kernel)}), 4);
  const bool flip[] = {OneIn(rng, 2), OneIn(rng, 2), OneIn(rng, 2)};
  const std::span<const bool> reversal(flip, OneIn(rng, 4) ? spatial : 0);
  g.Keep(g.b().Convolution(x, k, d, c.window, ProductDType(rng, dtype), c.groups, c.batch_groups,
                           {}, reversal));
}

// A matrix x x^H / n + 2 of tame numbers: positive definite and well-conditioned.
ValueId PositiveDefinite(Generator& g, DType dtype, const Shape& batch, int64_t n) {
  FuncBuilder& b = g.b();
  Shape shape = batch;
  shape.push_back(n);
  shape.push_back(n);
  const auto rank = static_cast<int64_t>(shape.size());
  const ValueId x = g.Tamed(g.OfType({dtype, shape}), 1);
  DotDims d;
  for (int64_t i = 0; i + 2 < rank; ++i) {
    d.lhs_batch.push_back(i);
    d.rhs_batch.push_back(i);
  }
  d.lhs_contract = {rank - 1};
  d.rhs_contract = {rank - 1};
  const ValueId y = tensor::IsComplex(dtype) ? b.Unary("chlo.conj", x) : x;
  const ValueId square = b.DotGeneral(x, y, d, dtype);
  const TensorType t{dtype, shape};
  const ValueId scaled = b.Div(square, b.Splat(t, static_cast<double>(std::max<int64_t>(n, 1))));
  const ValueId diagonal =
      b.Compare(stablehlo::CompareDirection::kEq, b.Iota(t.With(DType::kI32), rank - 2),
                b.Iota(t.With(DType::kI32), rank - 1));
  return b.Add(scaled, b.Select(diagonal, b.Splat(t, 2.0), b.Splat(t, 0.0)));
}

void EmitFactor(Generator& g) {
  Rng& rng = g.rng();
  const DType dtype =
      PickOf(rng, (const DType[]){DType::kF32, DType::kF32, DType::kF32, DType::kF64, DType::kF64,
                                  DType::kC64, DType::kC128, DType::kBF16, DType::kF16});
  const Shape batch = OneIn(rng, 3) ? RandomShape(rng, 1 + rng.Below(2), 3) : Shape{};
  const int64_t n =
      g.max_elements() > 1000 && OneIn(rng, 4) ? Between(rng, 10, 40) : Between(rng, 0, 9);
  FuncBuilder& b = g.b();
  const ValueId a = PositiveDefinite(g, dtype, batch, n);
  const bool lower = OneIn(rng, 2);
  const ValueId factor = b.Cholesky(a, lower);
  g.Keep(factor);
  if (OneIn(rng, 2)) return;
  const bool left = OneIn(rng, 2);
  Shape right = batch;
  const int64_t m = Between(rng, 0, 5);
  right.push_back(left ? n : m);
  right.push_back(left ? m : n);
  const ValueId rhs = g.Tamed(g.OfType({dtype, right}), 4);
  const auto transpose =
      PickOf(rng, (const TransposeA[]){TransposeA::kNoTranspose, TransposeA::kNoTranspose,
                                       TransposeA::kTranspose, TransposeA::kAdjoint});
  g.Keep(b.TriangularSolve(factor, rhs, left, lower, OneIn(rng, 4), transpose));
}

void EmitFft(Generator& g) {
  Rng& rng = g.rng();
  const auto found = g.Where([](const TensorType& t) {
    return t.rank() > 0 && t.shape.back() > 0 && (t.dtype == DType::kF32 || t.dtype == DType::kF64);
  });
  if (!found) return;
  FuncBuilder& b = g.b();
  const ValueId x = g.Tamed(*found, 4);
  const int64_t n = g.type(x).shape.back();
  if (n > 4096) return;
  if (OneIn(rng, 2)) {
    const ValueId spectrum = b.Fft(x, FftType::kRfft, {n});
    g.Keep(spectrum);
    if (OneIn(rng, 2)) g.Keep(b.Fft(spectrum, FftType::kIrfft, {n}));
    return;
  }
  const ValueId c = b.Complex(x, g.Tamed(g.OfType(g.type(x)), 4));
  const Shape& shape = g.type(c).shape;
  Dims length = {n};
  while (length.size() < std::min<size_t>(shape.size(), 3) && OneIn(rng, 3)) {
    const int64_t next = shape[shape.size() - length.size() - 1];
    if (next == 0) break;
    length.insert(0, next);
  }
  g.Keep(b.Fft(c, OneIn(rng, 2) ? FftType::kFft : FftType::kIfft, length));
}

void EmitRngBits(Generator& g) {
  Rng& rng = g.rng();
  const auto algorithm =
      PickOf(rng, (const RngAlgorithm[]){RngAlgorithm::kDefault, RngAlgorithm::kThreeFry,
                                         RngAlgorithm::kPhilox});
  const int64_t words = algorithm != RngAlgorithm::kThreeFry && OneIn(rng, 3) ? 3 : 2;
  const DType dtype = OneIn(rng, 4)
                          ? RandomDType(rng, stablehlo::kIntOk)
                          : PickOf(rng, (const DType[]){DType::kU8, DType::kU16, DType::kU32,
                                                        DType::kU32, DType::kU64});
  g.Keep(g.b().RngBitGenerator(g.OfType({DType::kU64, {words}}), algorithm,
                               {dtype, RandomShape(rng, g.max_elements())}));
}

constexpr FamilyRow kRows[] = {
    {"dot_general", 4, EmitDot}, {"dense", 4, EmitDense}, {"convolution", 2, EmitConvolution},
    {"factor", 1, EmitFactor},   {"fft", 1, EmitFft},     {"rng_bit_generator", 1, EmitRngBits},
};

}  // namespace

std::span<const FamilyRow> LinalgFamilies() { return kRows; }

}  // namespace megalith::property
