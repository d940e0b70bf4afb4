// Products, convolutions, factorizations and Fourier transforms.
#include <cmath>

#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kDotAttrs[] = {
    {.name = "algorithm", .kind = AttrKind::kDotAlgorithm},
    {.name = "dot_dimension_numbers", .kind = AttrKind::kDot, .required = true},
    {.name = "precision_config",
     .kind = AttrKind::kList,
     .fallback = DefaultPrecision,
     .enum_id = EnumId::kPrecision},
};

// Convolution's window attributes have one entry per spatial dimension.
size_t SpatialRank(const Op& op) {
  return op.attr("dimension_numbers").AsConv().input_spatial.size();
}
Attr SpatialOnes(const Op& op, const Func&) {
  return Attr::Ints(std::vector<int64_t>(SpatialRank(op), 1));
}
Attr SpatialPadding(const Op& op, const Func&) {
  return Attr::OfTensor(
      *Tensor::Create(DType::kI64, Shape{static_cast<int64_t>(SpatialRank(op)), 2}));
}
Attr NoReversal(const Op& op, const Func&) {
  const std::unique_ptr<bool[]> flags(new bool[SpatialRank(op)]());
  return Attr::Bools(std::span<const bool>(flags.get(), SpatialRank(op)));
}
constexpr AttrSpec kConvolutionAttrs[] = {
    {.name = "batch_group_count", .kind = AttrKind::kInt, .required = true},
    {.name = "dimension_numbers", .kind = AttrKind::kConv, .required = true},
    {.name = "feature_group_count", .kind = AttrKind::kInt, .required = true},
    {.name = "lhs_dilation", .kind = AttrKind::kInts, .fallback = SpatialOnes},
    {.name = "padding", .kind = AttrKind::kDense, .fallback = SpatialPadding},
    {.name = "precision_config",
     .kind = AttrKind::kList,
     .fallback = DefaultPrecision,
     .enum_id = EnumId::kPrecision},
    {.name = "rhs_dilation", .kind = AttrKind::kInts, .fallback = SpatialOnes},
    {.name = "window_reversal", .kind = AttrKind::kBools, .fallback = NoReversal},
    {.name = "window_strides", .kind = AttrKind::kInts, .fallback = SpatialOnes},
};
constexpr AttrSpec kFftAttrs[] = {
    {.name = "fft_length", .kind = AttrKind::kInts, .required = true},
    {.name = "fft_type", .kind = AttrKind::kEnum, .required = true, .enum_id = EnumId::kFftType},
};
constexpr AttrSpec kCholeskyAttrs[] = {
    {.name = "lower", .kind = AttrKind::kBool, .fallback = BoolDefault<false>}};
constexpr AttrSpec kTriangularSolveAttrs[] = {
    {.name = "left_side", .kind = AttrKind::kBool, .required = true},
    {.name = "lower", .kind = AttrKind::kBool, .required = true},
    {.name = "transpose_a",
     .kind = AttrKind::kEnum,
     .required = true,
     .enum_id = EnumId::kTransposeA},
    {.name = "unit_diagonal", .kind = AttrKind::kBool, .required = true},
};

Status CheckPrecision(const TypeQuery& q) {
  const Attr config = q.attr("precision_config");
  for (const Attr& a : config.AsList()) {
    if (a.kind() != AttrKind::kEnum || a.enum_id() != EnumId::kPrecision) {
      return InvalidArgument("precision_config wants a list of precisions");
    }
  }
  if (config.AsList().size() > 2)
    return InvalidArgument("precision_config has more than two entries");
  return OkStatus();
}

// The result's element type is free where a product may be accumulated in a wider one.
Status CheckProductType(const TypeQuery& q, DType* dtype) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDType(q, 1, kAnyOk));
  *dtype = q.operand(0).dtype;
  if (!q.declared.empty() && !q.declared[0].is_token) *dtype = q.declared[0].dtype;
  const auto kind = [](DType d) { return tensor::IsComplex(d) ? 2 : tensor::IsFloat(d) ? 1 : 0; };
  if (kind(q.operand(0).dtype) != kind(q.operand(1).dtype) ||
      kind(*dtype) < kind(q.operand(0).dtype) ||
      (kind(*dtype) == 2) != (kind(q.operand(0).dtype) == 2)) {
    return InvalidArgument(StrCat("no product of ", q.operand(0).Text(), " and ",
                                  q.operand(1).Text(), " with ", tensor::MlirName(*dtype),
                                  " elements"));
  }
  return OkStatus();
}

Status DotRule(const TypeQuery& q, Types* results) {
  DType dtype = DType::kInvalid;
  RETURN_IF_ERROR(CheckProductType(q, &dtype));
  RETURN_IF_ERROR(CheckPrecision(q));
  const DotDims& d = q.op.attr("dot_dimension_numbers").AsDot();
  const Shape& lhs = q.operand(0).shape;
  const Shape& rhs = q.operand(1).shape;
  const auto check_side = [](std::string_view side, const Dims& batch, const Dims& contract,
                             const Shape& shape) {
    Dims all = batch;
    for (const int64_t c : contract) all.push_back(c);
    return WantDims(side, all, -1, static_cast<int64_t>(shape.size()), true);
  };
  RETURN_IF_ERROR(check_side("batching and contracting dimensions of the left side", d.lhs_batch,
                             d.lhs_contract, lhs));
  RETURN_IF_ERROR(check_side("batching and contracting dimensions of the right side", d.rhs_batch,
                             d.rhs_contract, rhs));
  const auto check_pairs = [&](std::string_view what, const Dims& a, const Dims& b) -> Status {
    if (a.size() != b.size())
      return InvalidArgument(StrCat(a.size(), " and ", b.size(), " ", what, " dimensions"));
    for (size_t i = 0; i < a.size(); ++i) {
      if (lhs[static_cast<size_t>(a[i])] != rhs[static_cast<size_t>(b[i])]) {
        return InvalidArgument(StrCat(what, " dimensions ", a[i], " of ", q.operand(0).Text(),
                                      " and ", b[i], " of ", q.operand(1).Text(),
                                      " differ in size"));
      }
    }
    return OkStatus();
  };
  RETURN_IF_ERROR(check_pairs("batching", d.lhs_batch, d.rhs_batch));
  RETURN_IF_ERROR(check_pairs("contracting", d.lhs_contract, d.rhs_contract));
  TensorType out{dtype, Shape{}};
  for (const int64_t b : d.lhs_batch) out.shape.push_back(lhs[static_cast<size_t>(b)]);
  const auto append_free = [&](const Shape& shape, const Dims& batch, const Dims& contract) {
    for (size_t i = 0; i < shape.size(); ++i) {
      const auto dim = static_cast<int64_t>(i);
      const bool used = std::find(batch.begin(), batch.end(), dim) != batch.end() ||
                        std::find(contract.begin(), contract.end(), dim) != contract.end();
      if (!used) out.shape.push_back(shape[i]);
    }
  };
  append_free(lhs, d.lhs_batch, d.lhs_contract);
  append_free(rhs, d.rhs_batch, d.rhs_contract);
  results->push_back(std::move(out));
  return OkStatus();
}

Status ConvolutionRule(const TypeQuery& q, Types* results) {
  DType dtype = DType::kInvalid;
  RETURN_IF_ERROR(CheckProductType(q, &dtype));
  RETURN_IF_ERROR(CheckPrecision(q));
  const ConvDims& d = q.op.attr("dimension_numbers").AsConv();
  const Shape& in = q.operand(0).shape;
  const Shape& kernel = q.operand(1).shape;
  const auto rank = static_cast<int64_t>(in.size());
  const size_t spatial = d.input_spatial.size();
  if (kernel.size() != in.size() || spatial + 2 != in.size() ||
      d.kernel_spatial.size() != spatial || d.output_spatial.size() != spatial) {
    return InvalidArgument(
        StrCat("dimension numbers do not fit ", q.operand(0).Text(), " and ", q.operand(1).Text()));
  }
  const auto side = [&](std::string_view what, int64_t a, int64_t b, const Dims& s) {
    Dims all{a, b};
    for (const int64_t x : s) all.push_back(x);
    return WantDims(what, all, rank, rank, true);
  };
  RETURN_IF_ERROR(side("input dimensions", d.input_batch, d.input_feature, d.input_spatial));
  RETURN_IF_ERROR(
      side("kernel dimensions", d.kernel_input_feature, d.kernel_output_feature, d.kernel_spatial));
  RETURN_IF_ERROR(side("output dimensions", d.output_batch, d.output_feature, d.output_spatial));
  const int64_t groups = q.op.attr("feature_group_count").AsInt();
  const int64_t batch_groups = q.op.attr("batch_group_count").AsInt();
  const int64_t batch = in[static_cast<size_t>(d.input_batch)];
  const int64_t features = in[static_cast<size_t>(d.input_feature)];
  const int64_t kernel_in = kernel[static_cast<size_t>(d.kernel_input_feature)];
  const int64_t kernel_out = kernel[static_cast<size_t>(d.kernel_output_feature)];
  if (groups < 1 || batch_groups < 1 || (groups > 1 && batch_groups > 1) ||
      features % groups != 0 || features / groups != kernel_in || kernel_out % groups != 0 ||
      kernel_out % batch_groups != 0 || batch % batch_groups != 0) {
    return InvalidArgument(StrCat("feature_group_count ", groups, " and batch_group_count ",
                                  batch_groups, " do not fit ", q.operand(0).Text(), " and ",
                                  q.operand(1).Text()));
  }
  ASSIGN_OR_RETURN(const std::vector<WindowDim> window, ReadConvWindow(q.op, q.func));
  TensorType out{dtype, Shape(in.size(), 0)};
  out.shape[static_cast<size_t>(d.output_batch)] = batch / batch_groups;
  out.shape[static_cast<size_t>(d.output_feature)] = kernel_out;
  for (size_t i = 0; i < spatial; ++i) {
    const auto size = WindowOutput(window[i], in[static_cast<size_t>(d.input_spatial[i])]);
    if (!size.ok()) return size.status().Annotate(StrCat("spatial dimension ", i));
    out.shape[static_cast<size_t>(d.output_spatial[i])] = *size;
  }
  results->push_back(std::move(out));
  return OkStatus();
}

Status FftRule(const TypeQuery& q, Types* results) {
  const auto type = static_cast<FftType>(q.op.attr("fft_type").AsEnum());
  const auto length = q.op.attr("fft_length").AsInts();
  TensorType out = q.operand(0);
  RETURN_IF_ERROR(WantDType(q, 0, type == FftType::kRfft ? kFloatOk : kComplexOk));
  if (length.empty() || length.size() > 3 || length.size() > out.rank()) {
    return InvalidArgument(StrCat("fft_length has ", length.size(),
                                  " entries, wanted 1 to 3 and at most the rank, ", out.rank()));
  }
  const size_t first = out.rank() - length.size();
  for (size_t i = 0; i < length.size(); ++i) {
    const bool last = i + 1 == length.size();
    const int64_t want =
        last && type == FftType::kIrfft ? (length[i] == 0 ? 0 : length[i] / 2 + 1) : length[i];
    if (length[i] < 0 || out.shape[first + i] != want) {
      return InvalidArgument(
          StrCat("fft_length[", i, "] is ", length[i], ", which does not fit ", out.Text()));
    }
    if (last && type == FftType::kRfft)
      out.shape[first + i] = length[i] == 0 ? 0 : length[i] / 2 + 1;
    if (last && type == FftType::kIrfft) out.shape[first + i] = length[i];
  }
  if (type == FftType::kRfft) out.dtype = tensor::ComplexOf(out.dtype);
  if (type == FftType::kIrfft) out.dtype = tensor::RealPart(out.dtype);
  if (out.dtype == DType::kInvalid) return InvalidArgument("wanted f32 or f64 elements");
  results->push_back(std::move(out));
  return OkStatus();
}

Status WantSquare(const TypeQuery& q, size_t i) {
  const TensorType& t = q.operand(i);
  if (t.rank() >= 2 && t.shape[t.rank() - 1] == t.shape[t.rank() - 2]) return OkStatus();
  return InvalidArgument(StrCat("operand ", i, " has type ", t.Text(), ", wanted square matrices"));
}

Status CholeskyRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kInexactOk));
  RETURN_IF_ERROR(WantSquare(q, 0));
  results->push_back(q.operand(0));
  return OkStatus();
}

Status TriangularSolveRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kInexactOk));
  RETURN_IF_ERROR(WantSquare(q, 0));
  const TensorType& a = q.operand(0);
  const TensorType& b = q.operand(1);
  bool fits = !b.is_token && b.dtype == a.dtype && b.rank() == a.rank();
  for (size_t i = 0; fits && i + 2 < a.rank(); ++i) fits = a.shape[i] == b.shape[i];
  const size_t side = a.rank() - (q.op.attr("left_side").AsBool() ? 2 : 1);
  if (!fits || b.shape[side] != a.shape[side]) {
    return InvalidArgument(
        StrCat("operand 1 has type ", b.Text(), ", which does not fit ", a.Text()));
  }
  if (q.op.attr("transpose_a").AsEnum() == static_cast<int>(TransposeA::kInvalid)) {
    return InvalidArgument("transpose_a is TRANSPOSE_INVALID");
  }
  results->push_back(b);
  return OkStatus();
}

double Elements(const Func& func, ValueId v) {
  return static_cast<double>(ElementCount(func.type(v)));
}

void DotCost(const Op& op, const Func& func, OpCost* cost) {
  double depth = 1;
  for (const int64_t c : op.attr("dot_dimension_numbers").AsDot().lhs_contract) {
    depth *= static_cast<double>(func.type(op.operands[0]).shape[static_cast<size_t>(c)]);
  }
  const double complex = tensor::IsComplex(func.type(op.result()).dtype) ? 4 : 1;
  cost->flops = 2 * complex * depth * Elements(func, op.result());
}

void ConvolutionCost(const Op& op, const Func& func, OpCost* cost) {
  const ConvDims& d = op.attr("dimension_numbers").AsConv();
  const TensorType& kernel = func.type(op.operands[1]);
  const double outputs =
      static_cast<double>(kernel.shape[static_cast<size_t>(d.kernel_output_feature)]);
  const double depth = outputs == 0 ? 0 : Elements(func, op.operands[1]) / outputs;
  const double complex = tensor::IsComplex(func.type(op.result()).dtype) ? 4 : 1;
  cost->flops = 2 * complex * depth * Elements(func, op.result());
}

void FftCost(const Op& op, const Func& func, OpCost* cost) {
  double points = 1;
  for (const int64_t n : op.attr("fft_length").AsInts()) points *= static_cast<double>(n);
  const double total = std::max(Elements(func, op.operands[0]), Elements(func, op.result()));
  cost->flops = 5 * total * std::log2(std::max(points, 2.0));
}

void CholeskyCost(const Op& op, const Func& func, OpCost* cost) {
  const TensorType& t = func.type(op.operands[0]);
  cost->flops = Elements(func, op.operands[0]) * static_cast<double>(t.shape[t.rank() - 1]) / 3;
}

void TriangularSolveCost(const Op& op, const Func& func, OpCost* cost) {
  const TensorType& t = func.type(op.operands[0]);
  cost->flops = Elements(func, op.operands[1]) * static_cast<double>(t.shape[t.rank() - 1]);
}

constexpr OpDef kRows[] = {
    {.name = "stablehlo.dot_general",
     .operands = 2,
     .attrs = kDotAttrs,
     .traits = kPure | kWidensProducts,
     .type_rule = DotRule,
     .format = " $0, $1, <dot><precision>{} : <func>",
     .prepare = PrepareDotGeneral,
     .cost = DotCost},
    {.name = "stablehlo.convolution",
     .operands = 2,
     .attrs = kConvolutionAttrs,
     .traits = kPure | kWidensProducts,
     .type_rule = ConvolutionRule,
     .format = "($*) dim_numbers = <conv>, window = <window>{} : <func>",
     .prepare = PrepareConvolution,
     .cost = ConvolutionCost},
    {.name = "stablehlo.fft",
     .operands = 1,
     .attrs = kFftAttrs,
     .traits = kPure,
     .type_rule = FftRule,
     .format = " $0, type = @fft_type, length = @fft_length{} : <func>",
     .prepare = PrepareFft,
     .cost = FftCost},
    {.name = "stablehlo.cholesky",
     .operands = 1,
     .attrs = kCholeskyAttrs,
     .traits = kPure,
     .type_rule = CholeskyRule,
     .format = " $0[, lower = @lower]{} : <same>",
     .prepare = PrepareCholesky,
     .cost = CholeskyCost},
    {.name = "stablehlo.triangular_solve",
     .operands = 2,
     .attrs = kTriangularSolveAttrs,
     .traits = kPure,
     .type_rule = TriangularSolveRule,
     .prepare = PrepareTriangularSolve,
     .cost = TriangularSolveCost},
};

}  // namespace

Result<std::vector<WindowDim>> ReadConvWindow(const Op& op, const Func& func) {
  const ConvDims& d = op.attr("dimension_numbers").AsConv();
  const Shape& kernel = func.type(op.operands[1]).shape;
  const size_t n = d.input_spatial.size();
  std::vector<WindowDim> out(n);
  const auto read = [&](std::string_view name, int64_t WindowDim::* field) -> Status {
    const Attr a = op.attr_or_default(name, func);
    if (a.AsInts().size() != n) {
      return InvalidArgument(StrCat(name, " has ", a.AsInts().size(), " entries, wanted ", n));
    }
    for (size_t i = 0; i < n; ++i) out[i].*field = a.AsInts()[i];
    return OkStatus();
  };
  RETURN_IF_ERROR(read("window_strides", &WindowDim::stride));
  RETURN_IF_ERROR(read("lhs_dilation", &WindowDim::base_dilation));
  RETURN_IF_ERROR(read("rhs_dilation", &WindowDim::window_dilation));
  std::vector<std::pair<int64_t, int64_t>> padding;
  RETURN_IF_ERROR(ReadPadding(op.attr("padding"), static_cast<int64_t>(n), &padding));
  const Attr reversal = op.attr_or_default("window_reversal", func);
  if (reversal.AsInts().size() != n) {
    return InvalidArgument(
        StrCat("window_reversal has ", reversal.AsInts().size(), " entries, wanted ", n));
  }
  for (size_t i = 0; i < n; ++i) {
    out[i].size = kernel[static_cast<size_t>(d.kernel_spatial[i])];
    out[i].pad_low = padding[i].first;
    out[i].pad_high = padding[i].second;
    out[i].reversal = reversal.AsInts()[i] != 0;
  }
  return out;
}

std::span<const OpDef> LinalgOps() { return kRows; }

}  // namespace megalith::stablehlo
