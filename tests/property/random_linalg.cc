// Random products, convolutions, factorizations, transforms and random bits.
#include <algorithm>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::ConvDims;
using stablehlo::DotDims;
using stablehlo::FftType;
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

void EmitDot(Generator& g) {
  Rng& rng = g.rng();
  const int64_t cap = std::min<int64_t>(g.max_elements() / 2, 3000);
  const Shape batch = OneIn(rng, 3) ? RandomShape(rng, 1, 4) : Shape{};
  const Shape contract = RandomShape(rng, OneIn(rng, 6) ? 2 : OneIn(rng, 12) ? 0 : 1, 40);
  const Shape free_x = RandomShape(rng, rng.Below(3), std::max<int64_t>(cap / 100, 4));
  const Shape free_y = RandomShape(rng, rng.Below(3), std::max<int64_t>(cap / 100, 4));
  const Side x = ArrangeSide(rng, batch, contract, free_x);
  const Side y = ArrangeSide(rng, batch, contract, free_y);
  const DType dtype = g.type(g.Any()).dtype;
  const ValueId a = g.OfType({dtype, x.shape});
  const ValueId c = g.OfType({dtype, y.shape});
  g.Keep(
      g.b().DotGeneral(a, c, {x.batch, y.batch, x.contract, y.contract}, ProductDType(rng, dtype)));
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

void EmitConvolution(Generator& g) {
  Rng& rng = g.rng();
  const size_t spatial = 1 + rng.Below(2);
  const int64_t groups = OneIn(rng, 4) ? 2 : 1;
  const int64_t batch_groups = groups == 1 && OneIn(rng, 6) ? 2 : 1;
  const int64_t features_in_group = Between(rng, 1, 4);
  std::vector<int64_t> in = {Between(rng, 1, 2) * batch_groups, features_in_group * groups};
  std::vector<int64_t> kernel = {features_in_group, Between(rng, 1, 4) * groups * batch_groups};
  Window w;
  for (size_t i = 0; i < spatial; ++i) {
    in.push_back(Between(rng, 1, 9));
    kernel.push_back(Between(rng, 1, 3));
    w.strides.push_back(Between(rng, 1, 2));
    w.padding.push_back(Between(rng, 0, 2));
    w.padding.push_back(Between(rng, 0, 2));
    w.base_dilations.push_back(OneIn(rng, 5) ? 2 : 1);
    w.window_dilations.push_back(OneIn(rng, 5) ? 2 : 1);
  }
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
  const ValueId x = g.OfType({dtype, Placed(orders[0], in)});
  // Finite, because kernels skip padding, where the evaluator multiplies zeros: 0 * inf is NaN.
  const ValueId k = g.Tamed(g.OfType({dtype, Placed(orders[1], kernel)}), 4);
  const bool flip[] = {OneIn(rng, 2), OneIn(rng, 2)};
  const std::span<const bool> reversal(flip, OneIn(rng, 4) ? spatial : 0);
  g.Keep(
      g.b().Convolution(x, k, d, w, ProductDType(rng, dtype), groups, batch_groups, {}, reversal));
}

// A well-conditioned positive definite matrix made of tame numbers: x x^T / n + 2.
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
  const ValueId square = b.DotGeneral(x, x, d, dtype);
  const TensorType t{dtype, shape};
  const ValueId scaled = b.Div(square, b.Splat(t, static_cast<double>(std::max<int64_t>(n, 1))));
  const ValueId diagonal =
      b.Compare(stablehlo::CompareDirection::kEq, b.Iota(t.With(DType::kI32), rank - 2),
                b.Iota(t.With(DType::kI32), rank - 1));
  return b.Add(scaled, b.Select(diagonal, b.Splat(t, 2.0), b.Splat(t, 0.0)));
}

void EmitFactor(Generator& g) {
  Rng& rng = g.rng();
  const DType dtype = OneIn(rng, 3) ? DType::kF64 : DType::kF32;
  const Shape batch = OneIn(rng, 3) ? RandomShape(rng, 1, 3) : Shape{};
  const int64_t n = Between(rng, 0, 9);
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
  g.Keep(b.TriangularSolve(factor, rhs, left, lower, OneIn(rng, 4),
                           OneIn(rng, 2) ? TransposeA::kTranspose : TransposeA::kNoTranspose));
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
  if (shape.size() > 1 && shape[shape.size() - 2] > 0 && OneIn(rng, 3)) {
    length = {shape[shape.size() - 2], n};
  }
  g.Keep(b.Fft(c, OneIn(rng, 2) ? FftType::kFft : FftType::kIfft, length));
}

void EmitRngBits(Generator& g) {
  Rng& rng = g.rng();
  const auto algorithm =
      PickOf(rng, (const RngAlgorithm[]){RngAlgorithm::kDefault, RngAlgorithm::kThreeFry,
                                         RngAlgorithm::kPhilox});
  const int64_t words = algorithm != RngAlgorithm::kThreeFry && OneIn(rng, 3) ? 3 : 2;
  const DType dtype =
      PickOf(rng, (const DType[]){DType::kU8, DType::kU16, DType::kU32, DType::kU32, DType::kU64});
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
