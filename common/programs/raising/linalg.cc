// Products, convolutions, transforms and solves.
#include "common/programs/ops/linalg.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ops/window_math.h"
#include "common/programs/raising/context.h"

namespace megalith::raising {
namespace {

// None where the operation asks for nothing, as JAX has it.
ParamValue PrecisionParam(const RaiseContext& c) {
  const Attr attr = c.attr("precision_config");
  ir::ParamValues out;
  bool all_default = true;
  if (!attr.present()) return ParamValue::None();
  for (const Attr& a : attr.AsList()) {
    all_default = all_default && a.AsEnum() == static_cast<int>(stablehlo::Precision::kDefault);
    out.push_back(ParamValue::Text(StrCat("Precision.", a.EnumName())));
  }
  if (all_default) return ParamValue::None();
  if (out.size() == 2 && out[0] == out[1]) return out[0];
  return ParamValue::Tuple(std::move(out));
}

Status RaiseDot(RaiseContext& c) {
  if (c.op().attr("algorithm").present()) return c.Refuse("with an algorithm has no primitive");
  const Attr attr = c.attr("dot_dimension_numbers");
  const stablehlo::DotDims& d = attr.AsDot();
  c.Out(ir::DotGeneral(c.b(), c.in(0), c.in(1),
                       {d.lhs_contract, d.rhs_contract, d.lhs_batch, d.rhs_batch},
                       PrecisionParam(c), ParamValue::Type(c.out_type().dtype)));
  return OkStatus();
}

ParamValue ConvNumbers(const stablehlo::ConvDims& d) {
  const auto spec = [](int64_t first, int64_t second, const Dims& spatial) {
    Dims out{first, second};
    for (const int64_t s : spatial) out.push_back(s);
    return ParamValue::Ints(out);
  };
  return ParamValue::NamedTuple(
      "ConvDimensionNumbers", {"lhs_spec", "rhs_spec", "out_spec"},
      {spec(d.input_batch, d.input_feature, d.input_spatial),
       spec(d.kernel_output_feature, d.kernel_input_feature, d.kernel_spatial),
       spec(d.output_batch, d.output_feature, d.output_spatial)});
}

Status RaiseConvolution(RaiseContext& c) {
  const Attr attr = c.attr("dimension_numbers");
  const stablehlo::ConvDims& d = attr.AsConv();
  const Attr reversal_attr = c.attr("window_reversal");
  const std::span<const int64_t> reversal = reversal_attr.AsInts();
  Dims reversed;
  for (size_t i = 0; i < reversal.size(); ++i) {
    if (reversal[i] != 0) reversed.push_back(d.kernel_spatial[i]);
  }
  const Value kernel = reversed.empty() ? c.in(1) : ir::Rev(c.b(), c.in(1), reversed);
  const Attr padding = c.attr("padding");
  ASSIGN_OR_RETURN(const tensor::Tensor all, padding.AsDense().Materialize());
  ops::Pads pads;
  for (int64_t i = 0; i + 1 < all.size(); i += 2) {
    pads.low.push_back(static_cast<int64_t>(all.DoubleAt(i)));
    pads.high.push_back(static_cast<int64_t>(all.DoubleAt(i + 1)));
  }
  const bool same_type = c.out_type().dtype == c.in(0).dtype();
  c.Out(
      c.b().Emit1("conv_general_dilated", {c.in(0), kernel},
                  {{"batch_group_count", ParamValue::Int(c.attr("batch_group_count").AsInt())},
                   {"dimension_numbers", ConvNumbers(d)},
                   {"feature_group_count", ParamValue::Int(c.attr("feature_group_count").AsInt())},
                   {"lhs_dilation", ParamValue::Ints(c.ints("lhs_dilation"))},
                   {"padding", ops::PadsParam(pads)},
                   {"precision", PrecisionParam(c)},
                   {"preferred_element_type",
                    same_type ? ParamValue::None() : ParamValue::Type(c.out_type().dtype)},
                   {"rhs_dilation", ParamValue::Ints(c.ints("rhs_dilation"))},
                   {"window_strides", ParamValue::Ints(c.ints("window_strides"))}}));
  return OkStatus();
}

Status RaiseFft(RaiseContext& c) {
  c.Out(c.b().Emit1("fft", c.ins(),
                    {{"fft_lengths", ParamValue::Ints(c.ints("fft_length"))},
                     {"fft_type", ParamValue::Int(c.attr("fft_type").AsEnum())}}));
  return OkStatus();
}

Status RaiseCholesky(RaiseContext& c) {
  if (!c.flag("lower")) return c.Refuse("of the upper triangle has no primitive");
  return RaiseTo<"cholesky">(c);
}

Status RaiseTriangularSolve(RaiseContext& c) {
  const auto transpose = static_cast<stablehlo::TransposeA>(c.attr("transpose_a").AsEnum());
  c.Out(ops::TriangularSolve(c.b(), c.in(0), c.in(1),
                             {.left_side = c.flag("left_side"),
                              .lower = c.flag("lower"),
                              .transpose_a = transpose == stablehlo::TransposeA::kTranspose ||
                                             transpose == stablehlo::TransposeA::kAdjoint,
                              .conjugate_a = transpose == stablehlo::TransposeA::kAdjoint,
                              .unit_diagonal = c.flag("unit_diagonal")}));
  return OkStatus();
}

Status RaiseCustomCall(RaiseContext& c) {
  return c.Refuse(
      StrCat("of '", Printable(c.attr("call_target_name").AsText()), "' has no primitive"));
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.dot_general", RaiseDot},
    {"stablehlo.convolution", RaiseConvolution},
    {"stablehlo.fft", RaiseFft},
    {"stablehlo.cholesky", RaiseCholesky},
    {"stablehlo.triangular_solve", RaiseTriangularSolve},
    {"stablehlo.custom_call", RaiseCustomCall},
};

}  // namespace

std::span<const RaiseDef> LinalgRules() { return kRules; }

}  // namespace megalith::raising
