// The chlo dialect: functions of one element that StableHLO leaves to be expanded, and top_k.
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/spans.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kTopKAttrs[] = {{.name = "k", .kind = AttrKind::kInt, .required = true}};

Status PredicateRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kFloatOk));
  results->push_back(q.operand(0).With(DType::kBool));
  return OkStatus();
}

Status TopKRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kBoolOk | kIntOk | kFloatOk));
  TensorType out = q.operand(0);
  const int64_t k = q.op.attr("k").AsInt();
  if (out.rank() == 0 || k < 0 || k > out.shape.back()) {
    return InvalidArgument(StrCat("k is ", k, ", which does not fit ", out.Text()));
  }
  out.shape[out.rank() - 1] = k;
  results->push_back(out);
  results->push_back(out.With(DType::kI32));
  return OkStatus();
}

void TopKCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = 8 * static_cast<double>(ElementCount(func.type(op.operands[0])));
}

bool IsRealConj(const Op& op, const Func& func) {
  return tensor::IsFloat(func.type(op.result()).dtype);
}

// Portable artifacts spell these with StableHLO ops; so does the canonical form.
std::vector<RespelledOperand> Same(const Op&, const Func&) { return {{0, {}}}; }
std::vector<RespelledOperand> Twice(const Op&, const Func&) { return {{0, {}}, {0, {}}}; }
std::vector<RespelledOperand> WithOne(const Op& op, const Func& func) {
  Dense d;
  d.type = func.type(op.operands[0]);
  d.splat = ElementCount(d.type) != 0;
  d.data = *Tensor::Create(d.type.dtype, d.splat ? Shape{} : d.type.shape);
  if (d.splat) d.data.SetDouble(0, 1.0);
  return {{0, {}}, {0, Attr::OfDense(std::move(d))}};
}
constexpr Respelling kTan = {"stablehlo.tan", Same};
constexpr Respelling kSquare = {"stablehlo.multiply", Twice};
constexpr Respelling kAtan = {"stablehlo.atan2", WithOne};

constexpr uint32_t kUnary = kPure | kElementwise;
constexpr uint32_t kFunction = kUnary | kTranscendental;
constexpr std::string_view kUnaryForm = " $0{} : <chlo>";
constexpr std::string_view kBinaryForm = " $0, $1{} : <chlo>";
constexpr TypeRule kFloat1 = SameTypeRule<kFloatOk, 1>;
constexpr TypeRule kFloat2 = SameTypeRule<kFloatOk, 2>;
constexpr TypeRule kInexact1 = SameTypeRule<kInexactOk, 1>;

constexpr OpDef kRows[] = {
    {.name = "chlo.acos",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAcos},
    {.name = "chlo.acosh",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAcosh},
    {.name = "chlo.asin",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAsin},
    {.name = "chlo.asinh",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAsinh},
    {.name = "chlo.atan",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAtan,
     .respelling = &kAtan},
    {.name = "chlo.atanh",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanAtanh},
    {.name = "chlo.bessel_i1e",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanBesselI1e},
    {.name = "chlo.conj",
     .operands = 1,
     .traits = kUnary,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanConj,
     .no_op = IsRealConj},
    {.name = "chlo.cosh",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanCosh},
    {.name = "chlo.digamma",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanDigamma},
    {.name = "chlo.erf",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanErf},
    {.name = "chlo.erf_inv",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanErfInv},
    {.name = "chlo.erfc",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanErfc},
    {.name = "chlo.is_inf",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PredicateRule,
     .format = kUnaryForm,
     .span = SpanIsInf},
    {.name = "chlo.is_neg_inf",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PredicateRule,
     .format = kUnaryForm,
     .span = SpanIsNegInf},
    {.name = "chlo.is_pos_inf",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PredicateRule,
     .format = kUnaryForm,
     .span = SpanIsPosInf},
    {.name = "chlo.lgamma",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kFloat1,
     .format = kUnaryForm,
     .span = SpanLgamma},
    {.name = "chlo.next_after",
     .operands = 2,
     .traits = kUnary,
     .type_rule = kFloat2,
     .format = kBinaryForm,
     .span = SpanNextAfter},
    {.name = "chlo.polygamma",
     .operands = 2,
     .traits = kFunction,
     .type_rule = kFloat2,
     .format = kBinaryForm,
     .span = SpanPolygamma},
    {.name = "chlo.sinh",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanSinh},
    {.name = "chlo.square",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 1>,
     .format = kUnaryForm,
     .span = SpanSquare,
     .respelling = &kSquare},
    {.name = "chlo.tan",
     .operands = 1,
     .traits = kFunction,
     .type_rule = kInexact1,
     .format = kUnaryForm,
     .span = SpanTan,
     .respelling = &kTan},
    {.name = "chlo.top_k",
     .operands = 1,
     .attrs = kTopKAttrs,
     .traits = kPure,
     .type_rule = TopKRule,
     .format = "($0, k = @k){} : <chlo>",
     .result_names = "values,indices",
     .prepare = PrepareTopK,
     .cost = TopKCost},
    {.name = "chlo.zeta",
     .operands = 2,
     .traits = kFunction,
     .type_rule = kFloat2,
     .format = kBinaryForm,
     .span = SpanZeta},
};

}  // namespace

std::span<const OpDef> ChloOps() { return kRows; }

}  // namespace megalith::stablehlo
