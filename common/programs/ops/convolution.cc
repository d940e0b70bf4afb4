// conv_general_dilated: convolutions with strides, dilations and groups over any layout.
#include <algorithm>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/precision.h"
#include "common/programs/ops/rules.h"
#include "common/programs/ops/window_math.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// Where each array has its dimensions: batch, feature, then spatial ones; for the kernel output
// feature, input feature, then spatial ones.
struct ConvSpecs {
  Dims lhs;
  Dims rhs;
  Dims out;
};

ParamValue SpecsParam(const ConvSpecs& s) {
  return ParamValue::NamedTuple(
      "ConvDimensionNumbers", {"lhs_spec", "rhs_spec", "out_spec"},
      {ParamValue::Ints(s.lhs), ParamValue::Ints(s.rhs), ParamValue::Ints(s.out)});
}

Result<ConvSpecs> ParseSpecs(const ParamValue& v, size_t rank) {
  constexpr std::string_view kNames[] = {"lhs_spec", "rhs_spec", "out_spec"};
  Dims specs[3];
  for (size_t i = 0; i < 3; ++i) {
    const ParamValue& field = v.Field(kNames[i]);
    bool ints = field.kind() == ParamValue::Kind::kTuple;
    for (const ParamValue& e : field.elements()) ints = ints && e.kind() == ParamValue::Kind::kInt;
    specs[i] = field.AsInts();
    Dims sorted = specs[i];
    std::sort(sorted.begin(), sorted.end());
    if (!ints || rank < 2 || !(sorted == ir::Range(static_cast<int64_t>(rank)))) {
      return TypeError(
          StrCat("convolution dimension_numbers must be ConvDimensionNumbers of permutations of ",
                 rank, " dimensions, got ", Printable(v.PythonText(), 200)));
    }
  }
  return ConvSpecs{specs[0], specs[1], specs[2]};
}

// The parameters as the rules use them.
struct Conv {
  ConvSpecs specs;
  Dims strides;
  Pads pads;
  Dims lhs_dilation;
  Dims rhs_dilation;
  int64_t feature_groups = 1;
  int64_t batch_groups = 1;
};

// Of an equation whose types have been checked.
Conv ConvOf(const Params& params, size_t rank) {
  Conv c;
  c.specs = *ParseSpecs(params["dimension_numbers"], rank);
  c.strides = params.Ints("window_strides");
  c.pads = PadsOf(params);
  c.lhs_dilation = params.Ints("lhs_dilation");
  c.rhs_dilation = params.Ints("rhs_dilation");
  c.feature_groups = params.Int("feature_group_count");
  c.batch_groups = params.Int("batch_group_count");
  return c;
}

// Emits a convolution; precision and element type come from `like`.
Value EmitConv(Builder& b, const Params& like, const Conv& c, Value lhs, Value rhs) {
  Params params = like;
  params.Set("dimension_numbers", SpecsParam(c.specs));
  params.Set("window_strides", ParamValue::Ints(c.strides));
  params.Set("padding", PadsParam(c.pads));
  params.Set("lhs_dilation", ParamValue::Ints(c.lhs_dilation));
  params.Set("rhs_dilation", ParamValue::Ints(c.rhs_dilation));
  params.Set("feature_group_count", ParamValue::Int(c.feature_groups));
  params.Set("batch_group_count", ParamValue::Int(c.batch_groups));
  const Value operands[] = {lhs, rhs};
  return b.Emit(*like.op(), std::move(params), operands)[0];
}

Shape Pick(const Shape& shape, std::span<const int64_t> dims) {
  Shape out;
  for (const int64_t d : dims) out.push_back(shape[static_cast<size_t>(d)]);
  return out;
}
std::span<const int64_t> Spatial(const Dims& spec) {
  return std::span<const int64_t>(spec).subspan(2);
}

// ---- types ----

Status CheckGroups(const Shape& lhs, const Shape& rhs, const Conv& c) {
  const auto error = [](auto&&... pieces) {
    return ValueError(StrCat("conv_general_dilated ", pieces...));
  };
  const int64_t lhs_features = lhs[static_cast<size_t>(c.specs.lhs[1])];
  const int64_t lhs_batch = lhs[static_cast<size_t>(c.specs.lhs[0])];
  const int64_t rhs_in = rhs[static_cast<size_t>(c.specs.rhs[1])];
  const int64_t rhs_out = rhs[static_cast<size_t>(c.specs.rhs[0])];
  const int64_t groups = c.feature_groups;
  if (groups <= 0)
    return error("feature_group_count must be a positive integer, got ", groups, ".");
  if (lhs_features % groups != 0) {
    return error("feature_group_count must divide lhs feature dimension size, but ", groups,
                 " does not divide ", lhs_features, ".");
  }
  if (lhs_features / groups != rhs_in) {
    return error(
        "lhs feature dimension size divided by feature_group_count must equal the rhs input "
        "feature "
        "dimension size, but ",
        lhs_features, " // ", groups, " != ", rhs_in, ".");
  }
  if (rhs_out % groups != 0) {
    return error(
        "rhs output feature dimension size must be a multiple of feature_group_count, but ",
        rhs_out, " is not a multiple of ", groups, ".");
  }
  if (c.batch_groups <= 0)
    return error("batch_group_count must be a positive integer, got ", c.batch_groups, ".");
  if (lhs_batch % c.batch_groups != 0) {
    return error("batch_group_count must divide lhs batch dimension size, but ", c.batch_groups,
                 " does not divide ", lhs_batch, ".");
  }
  if (rhs_out % c.batch_groups != 0) {
    return error("rhs output feature dimension size must be a multiple of batch_group_count, but ",
                 rhs_out, " is not a multiple of ", c.batch_groups, ".");
  }
  if (c.batch_groups > 1 && groups > 1) {
    return ValueError(
        StrCat("At most one of batch_group_count and feature_group_count may be > 1, got "
               "batch_group_count=",
               c.batch_groups, " and feature_group_count=", groups));
  }
  return OkStatus();
}

Result<Shape> ConvShape(const Shape& lhs, const Shape& rhs, const Conv& c) {
  RETURN_IF_ERROR(CheckGroups(lhs, rhs, c));
  const size_t spatial = lhs.size() - 2;
  if (c.strides.size() != spatial) {
    return ValueError(StrCat(
        "conv_general_dilated window and window_strides must have the same number of dimensions, "
        "but got ",
        spatial, " and ", c.strides.size()));
  }
  for (const Dims* dilation : {&c.lhs_dilation, &c.rhs_dilation}) {
    if (dilation->size() == spatial) continue;
    return ValueError(StrCat("conv_general_dilated dilations must have one number for each of ",
                             spatial, " spatial dimensions, got ", TupleText(*dilation)));
  }
  if (c.pads.low.size() != spatial) {
    return TypeError(StrCat("Wrong number of explicit pads for convolution: expected ", spatial,
                            ", got ", c.pads.low.size(), "."));
  }
  RETURN_IF_ERROR(CheckWindowNumbers("conv_general_dilated", "window_strides", c.strides, 1));
  RETURN_IF_ERROR(CheckWindowNumbers("conv_general_dilated", "lhs_dilation", c.lhs_dilation, 1));
  RETURN_IF_ERROR(CheckWindowNumbers("conv_general_dilated", "rhs_dilation", c.rhs_dilation, 1));
  const Shape image = DilateShape(Pick(lhs, Spatial(c.specs.lhs)), c.lhs_dilation);
  const Shape window = DilateShape(Pick(rhs, Spatial(c.specs.rhs)), c.rhs_dilation);
  Shape out(lhs.size(), 0);
  out[static_cast<size_t>(c.specs.out[0])] =
      lhs[static_cast<size_t>(c.specs.lhs[0])] / c.batch_groups;
  out[static_cast<size_t>(c.specs.out[1])] = rhs[static_cast<size_t>(c.specs.rhs[0])];
  for (size_t i = 0; i < spatial; ++i) {
    if (image[i] > kMaxWindowNumber || window[i] > kMaxWindowNumber) {
      return ValueError("conv_general_dilated: a dilated dimension is larger than 2^60");
    }
    const int64_t padded = image[i] + c.pads.low[i] + c.pads.high[i];
    if (padded < 0) {
      return ValueError(StrCat(
          "Negative padding is larger than the size of the corresponding dimension: got ",
          "padding=", PadsParam(c.pads).PythonText(), " for lhs_shape[2:]=", TupleText(image)));
    }
    out[static_cast<size_t>(c.specs.out[i + 2])] = StrideDim(padded, window[i], c.strides[i]);
  }
  return out;
}

// An accumulation type must be of the operands' kind and no narrower.
Status CheckPreferred(DType operand, DType wanted) {
  const bool ok_kind =
      (tensor::IsInteger(operand) && (tensor::IsInteger(wanted) || tensor::IsFloat(wanted))) ||
      (tensor::IsFloat(operand) && tensor::IsFloat(wanted)) ||
      (tensor::IsComplex(operand) && tensor::IsComplex(wanted)) || tensor::IsBool(operand);
  if (!ok_kind || tensor::IsKey(wanted) || tensor::IsFloat0(wanted)) {
    return TypeError(
        "Input type is incompatible with `preferred_element_type`. The compatible combinations of "
        "(input_type, preferred_element_type) are (integral, integral), (integral, floating), "
        "(floating, floating), (complex, complex.");
  }
  if (tensor::IsSigned(operand) && tensor::IsUnsigned(wanted)) {
    return TypeError(
        "`preferred_element_type` must have the same signedness as the original type.");
  }
  if (tensor::ByteWidth(wanted) < tensor::ByteWidth(operand)) {
    return TypeError("`preferred_element_type` must not be narrower than the original type.");
  }
  return OkStatus();
}

Types ConvType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "out_sharding"));
  const Aval& lhs = a.operands[0];
  const Aval& rhs = a.operands[1];
  if (lhs.rank() != rhs.rank()) {
    return ValueError(
        StrCat("conv_general_dilated lhs and rhs must have the same number of dimensions, but got ",
               TupleText(lhs.shape), " and ", TupleText(rhs.shape), "."));
  }
  RETURN_IF_ERROR(ParseSpecs(a.params["dimension_numbers"], lhs.rank()).status());
  RETURN_IF_ERROR(ParsePads(a.params["padding"]).status());
  ASSIGN_OR_RETURN(Shape shape, ConvShape(lhs.shape, rhs.shape, ConvOf(a.params, lhs.rank())));
  for (size_t i = 0; i < 2; ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  RETURN_IF_ERROR(CheckSameDTypes("conv_general_dilated", a.operands));
  DType dtype = lhs.dtype;
  if (!a.params["preferred_element_type"].is_none()) {
    dtype = a.params.Type("preferred_element_type");
    RETURN_IF_ERROR(CheckPreferred(lhs.dtype, dtype));
  }
  return std::vector<Aval>{Aval{dtype, AllWeak(a.operands), std::move(shape)}};
}

// ---- derivatives ----

Value JvpLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  const Value operands[] = {t, x[1]};
  return b.Emit(*params.op(), params, operands)[0];
}
Value JvpRight(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  const Value operands[] = {x[0], t};
  return b.Emit(*params.op(), params, operands)[0];
}

// Folds dimension `from` into dimension `to`, counted without `from`: the folded index is (from,
// to).
Value FoldAxis(Builder& b, Value x, int64_t from, int64_t to) {
  if (!b.ok()) return x;
  Dims order = ir::Without(ir::Range(static_cast<int64_t>(x.rank())), Dims{from});
  order.insert(static_cast<size_t>(to), from);
  Shape shape = ir::Without(x.shape(), Dims{from});
  shape[static_cast<size_t>(to)] *= x.shape()[static_cast<size_t>(from)];
  return ir::Reshape(b, x, shape, order);
}

// Splits dimension `axis` in two, the first of `size`.
Value UnfoldAxis(Builder& b, Value x, int64_t axis, int64_t size) {
  if (!b.ok()) return x;
  Shape shape = x.shape();
  const auto at = static_cast<size_t>(axis);
  shape[at] /= size;
  shape.insert(at, size);
  return ir::Reshape(b, x, shape);
}

Dims SwapFirstTwo(const Dims& spec) {
  Dims out = spec;
  std::swap(out[0], out[1]);
  return out;
}

// Spatial sizes of an equation after dilation, the result's by the strides.
struct DilatedSizes {
  Shape lhs;
  Shape rhs;
  Shape out;
};
DilatedSizes SizesOf(const Conv& c, const Shape& lhs, const Shape& rhs, const Shape& out) {
  return {DilateShape(Pick(lhs, Spatial(c.specs.lhs)), c.lhs_dilation),
          DilateShape(Pick(rhs, Spatial(c.specs.rhs)), c.rhs_dilation),
          DilateShape(Pick(out, Spatial(c.specs.out)), c.strides)};
}

// The image's cotangent: ct convolved with the reversed kernel, input and output features
// exchanged.
Value TransposeLhs(Builder& b, const TransposeArgs& a, const Conv& c) {
  const Value& ct = a.cotangents[0];
  const Shape& lhs = a.operands[0].aval.shape;
  Value rhs = a.operands[1].value;
  const DilatedSizes sizes = SizesOf(c, lhs, rhs.shape(), ct.shape());
  Conv t = c;
  t.specs = {c.specs.out, SwapFirstTwo(c.specs.rhs), c.specs.lhs};
  t.strides = c.lhs_dilation;
  t.lhs_dilation = c.strides;
  t.batch_groups = 1;
  t.feature_groups = std::max(c.feature_groups, c.batch_groups);
  if (t.feature_groups > 1) {
    rhs = UnfoldAxis(b, rhs, c.specs.rhs[0], t.feature_groups);
    rhs = FoldAxis(b, rhs, c.specs.rhs[0], c.specs.rhs[1]);
  }
  for (size_t i = 0; i < sizes.lhs.size(); ++i) {
    t.pads.low[i] = sizes.rhs[i] - c.pads.low[i] - 1;
    t.pads.high[i] = sizes.lhs[i] + sizes.rhs[i] - 1 - sizes.out[i] - t.pads.low[i];
  }
  const Value reversed = ir::Rev(b, rhs, Dims(Spatial(c.specs.rhs)));
  Value out = EmitConv(b, a.params, t, ct, reversed);
  if (c.batch_groups > 1) {
    out = UnfoldAxis(b, out, c.specs.lhs[1], c.batch_groups);
    out = FoldAxis(b, out, c.specs.lhs[1], c.specs.lhs[0]);
  }
  return out;
}

// The kernel's cotangent: the image convolved with ct, batch and features exchanged in both.
Value TransposeRhs(Builder& b, const TransposeArgs& a, const Conv& c) {
  const Value& ct = a.cotangents[0];
  // Without elements in ct the kernel would have a spatial size of 0; its cotangent is zero.
  if (tensor::NumElements(ct.shape()) == 0) return Value();
  const Value& lhs = a.operands[0].value;
  const DilatedSizes sizes = SizesOf(c, lhs.shape(), a.operands[1].aval.shape, ct.shape());
  Conv t = c;
  t.specs = {SwapFirstTwo(c.specs.lhs), SwapFirstTwo(c.specs.out), SwapFirstTwo(c.specs.rhs)};
  t.strides = c.rhs_dilation;
  t.rhs_dilation = c.strides;
  std::swap(t.feature_groups, t.batch_groups);
  for (size_t i = 0; i < sizes.lhs.size(); ++i) {
    t.pads.high[i] = sizes.out[i] - sizes.lhs[i] + sizes.rhs[i] - c.pads.low[i] - 1;
  }
  return EmitConv(b, a.params, t, lhs, ct);
}

std::vector<Value> TransposeConv(Builder& b, const TransposeArgs& a) {
  if (!CheckKnown(b, a, a.operands[0].linear ? 1 : 0)) return {};
  const Conv c = ConvOf(a.params, a.results[0].rank());
  if (a.operands[0].linear) return {TransposeLhs(b, a, c), Value()};
  return {Value(), TransposeRhs(b, a, c)};
}

// ---- batching ----

// The batch dimension is folded into the batch or feature dimension of the convolution, next to its
// groups.
BatchResult BatchConv(Builder& b, const BatchArgs& a) {
  Value lhs = a.values[0];
  Value rhs = a.values[1];
  const int64_t x = a.dims[0];
  const int64_t y = a.dims[1];
  const size_t rank = lhs.rank() - (x == kUnmapped ? 0 : 1);
  Conv c = ConvOf(a.params, rank);
  const int64_t size = a.axis.size;
  const auto result = [&](Value v, int64_t dim) {
    return BatchResult{{v}, {static_cast<int>(dim)}};
  };

  if (size == 0) {
    Shape lhs_shape = lhs.shape();
    Shape rhs_shape = rhs.shape();
    if (x != kUnmapped) lhs_shape.erase(static_cast<size_t>(x));
    if (y != kUnmapped) rhs_shape.erase(static_cast<size_t>(y));
    const Result<Shape> shape = ConvShape(lhs_shape, rhs_shape, c);
    if (!shape.ok()) {
      b.Fail(shape.status());
      return {};
    }
    const ParamValue& preferred = a.params["preferred_element_type"];
    return result(ir::Full(b, ir::Concat(Dims{0}, *shape),
                           preferred.is_none() ? lhs.dtype() : preferred.AsDType(), 0),
                  0);
  }
  if (x != kUnmapped && y != kUnmapped) {
    if (c.batch_groups > 1) {
      lhs = FoldAxis(b, lhs, x, c.specs.lhs[0]);
      c.batch_groups *= size;
    } else {
      lhs = FoldAxis(b, lhs, x, c.specs.lhs[1]);
      c.feature_groups *= size;
    }
    rhs = FoldAxis(b, rhs, y, c.specs.rhs[0]);
    const Value out = EmitConv(b, a.params, c, lhs, rhs);
    return result(UnfoldAxis(b, out, c.specs.out[1], size), c.specs.out[1]);
  }
  // A grouped dimension must keep its groups outermost: split them off, fold, join them again.
  const auto fold_inside_groups = [&](Value v, int64_t dim, int64_t grouped, int64_t groups) {
    v = UnfoldAxis(b, v, grouped + (dim <= grouped ? 1 : 0), groups);
    v = FoldAxis(b, v, dim + (grouped < dim ? 1 : 0), grouped + 1);
    return FoldAxis(b, v, grouped, grouped);
  };
  if (x != kUnmapped) {
    lhs = c.batch_groups == 1 ? FoldAxis(b, lhs, x, c.specs.lhs[0])
                              : fold_inside_groups(lhs, x, c.specs.lhs[0], c.batch_groups);
    const Value out = EmitConv(b, a.params, c, lhs, rhs);
    return result(UnfoldAxis(b, out, c.specs.out[0], size), c.specs.out[0]);
  }
  const int64_t groups = std::max(c.feature_groups, c.batch_groups);
  const int64_t feature = c.specs.out[1];
  if (groups == 1) {
    rhs = FoldAxis(b, rhs, y, c.specs.rhs[0]);
    const Value out = EmitConv(b, a.params, c, lhs, rhs);
    return result(UnfoldAxis(b, out, feature, size), feature);
  }
  rhs = fold_inside_groups(rhs, y, c.specs.rhs[0], groups);
  Value out = EmitConv(b, a.params, c, lhs, rhs);
  out = UnfoldAxis(b, out, feature, groups);
  out = UnfoldAxis(b, out, feature + 1, size);
  return result(FoldAxis(b, out, feature, feature + 1), feature);
}

// ---- lowering ----

Status LowerConv(LowerContext& c) {
  ASSIGN_OR_RETURN(const std::vector<stablehlo::Precision> precision, PrecisionOf(c.params()));
  const Conv conv = ConvOf(c.params(), c.in_aval(0).rank());
  const ConvSpecs& s = conv.specs;
  stablehlo::ConvDims dims;
  dims.input_batch = s.lhs[0];
  dims.input_feature = s.lhs[1];
  dims.input_spatial = Dims(Spatial(s.lhs));
  dims.kernel_output_feature = s.rhs[0];
  dims.kernel_input_feature = s.rhs[1];
  dims.kernel_spatial = Dims(Spatial(s.rhs));
  dims.output_batch = s.out[0];
  dims.output_feature = s.out[1];
  dims.output_spatial = Dims(Spatial(s.out));
  stablehlo::Window window;
  window.strides = conv.strides;
  window.base_dilations = conv.lhs_dilation;
  window.window_dilations = conv.rhs_dilation;
  window.padding = InterleavedPads(conv.pads);
  c.Out(c.b().Convolution(c.in(0), c.in(1), dims, window, c.out_aval().dtype, conv.feature_groups,
                          conv.batch_groups, {precision[0], precision[1]}));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kConvParams[] = {
    {"batch_group_count", Type::kInt},
    {"dimension_numbers", Type::kTuple},
    {"feature_group_count", Type::kInt},
    {"lhs_dilation", Type::kInts},
    {"out_sharding", Type::kAny, Show::kAlways, "None"},
    {"padding", Type::kTuple},
    {"precision", Type::kAny, Show::kAlways, "None"},
    {"preferred_element_type", Type::kDType, Show::kAlways, "None"},
    {"rhs_dilation", Type::kInts},
    {"window_strides", Type::kInts},
};

constexpr Sample kConvSamples[] = {
    // two spatial dimensions, strided, dilated on both sides
    {"{ lambda ; a:f32[2,3,7,6] b:f32[4,3,2,3]. let c:f32[2,4,7,3] = OP[batch_group_count=1 "
     "dimension_numbers=ConvDimensionNumbers(lhs_spec=(0, 1, 2, 3), rhs_spec=(0, 1, 2, 3), "
     "out_spec=(0, 1, 2, 3)) "
     "feature_group_count=1 lhs_dilation=(2, 1) out_sharding=None padding=((1, 1), (0, 1)) "
     "precision=None "
     "preferred_element_type=None rhs_dilation=(1, 2) window_strides=(2, 1)] a b in (c,) }"},
    // channels last, feature groups
    {"{ lambda ; a:f32[2,5,4] b:f32[3,2,6]. let c:f32[2,5,6] = OP[batch_group_count=1 "
     "dimension_numbers=ConvDimensionNumbers(lhs_spec=(0, 2, 1), rhs_spec=(2, 1, 0), out_spec=(0, "
     "2, 1)) "
     "feature_group_count=2 lhs_dilation=(1,) out_sharding=None padding=((1, 1),) precision=None "
     "preferred_element_type=None rhs_dilation=(1,) window_strides=(1,)] a b in (c,) }"},
    // batch groups
    {"{ lambda ; a:f32[4,3,5] b:f32[6,3,2]. let c:f32[2,6,4] = OP[batch_group_count=2 "
     "dimension_numbers=ConvDimensionNumbers(lhs_spec=(0, 1, 2), rhs_spec=(0, 1, 2), out_spec=(0, "
     "1, 2)) "
     "feature_group_count=1 lhs_dilation=(1,) out_sharding=None padding=((0, 0),) precision=None "
     "preferred_element_type=None rhs_dilation=(1,) window_strides=(1,)] a b in (c,) }"},
    // negative padding; no window fits
    {"{ lambda ; a:f32[1,1,3] b:f32[1,1,3]. let c:f32[1,1,0] = OP[batch_group_count=1 "
     "dimension_numbers=ConvDimensionNumbers(lhs_spec=(0, 1, 2), rhs_spec=(0, 1, 2), out_spec=(0, "
     "1, 2)) "
     "feature_group_count=1 lhs_dilation=(1,) out_sharding=None padding=((-1, 0),) precision=None "
     "preferred_element_type=None rhs_dilation=(1,) window_strides=(1,)] a b in (c,) }"},
    // no spatial dimension: a matrix product
    {"{ lambda ; a:f32[2,3] b:f32[4,3]. let c:f32[2,4] = OP[batch_group_count=1 "
     "dimension_numbers=ConvDimensionNumbers(lhs_spec=(0, 1), rhs_spec=(0, 1), out_spec=(0, 1)) "
     "feature_group_count=1 lhs_dilation=() out_sharding=None padding=() precision=None "
     "preferred_element_type=None rhs_dilation=() window_strides=()] a b in (c,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "conv_general_dilated",
     .arity = 2,
     .params = kConvParams,
     .accepts = ir::kAcceptsNumber | ir::kAcceptsBool,
     .type_rule = ConvType,
     .jvp = ir::JvpTerms<JvpLeft, JvpRight>(),
     .transpose = TransposeConv,
     .batch = ir::BatchFull(BatchConv),
     .lower = LowerConv,
     .product = OpDef::Product::kConvolution,
     .spec = "primitives.md#conv_general_dilated",
     .samples = kConvSamples},
};

}  // namespace

std::span<const OpDef> ConvolutionOps() { return kOps; }

}  // namespace megalith::ops
