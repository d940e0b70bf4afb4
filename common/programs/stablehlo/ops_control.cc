// Control flow and calls.
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/rules.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kCallAttrs[] = {{.name = "callee", .kind = AttrKind::kSymbol, .required = true}};
Attr NoAttrs(const Op&, const Func&) { return Attr::Dict({}); }
constexpr AttrSpec kCompositeAttrs[] = {
    {.name = "composite_attributes", .kind = AttrKind::kDict, .fallback = NoAttrs},
    {.name = "decomposition", .kind = AttrKind::kSymbol, .required = true},
    {.name = "name", .kind = AttrKind::kString, .required = true},
    {.name = "version", .kind = AttrKind::kInt, .fallback = Int32Default<0>, .elided = true},
};

TensorType Predicate() { return TensorType::Scalar(DType::kBool); }

Status TerminatorRule(const TypeQuery&, Types*) { return OkStatus(); }

// The operands and results of a call are those of the function it names.
Status CheckCallee(const TypeQuery& q, std::string_view attr, Types* results) {
  results->assign(q.declared.begin(), q.declared.end());
  if (q.module == nullptr) return OkStatus();
  const std::string& name = q.op.attr(attr).AsText();
  const Func* callee = q.module->Find(name);
  if (callee == nullptr) return InvalidArgument(StrCat("there is no function @", name));
  if (callee->body.args.size() != q.num_operands()) {
    return InvalidArgument(StrCat("@", name, " takes ", callee->body.args.size(),
                                  " arguments, got ", q.num_operands()));
  }
  for (size_t i = 0; i < q.num_operands(); ++i) {
    const TensorType& want = callee->type(callee->body.args[i]);
    if (!(q.operand(i) == want)) {
      return InvalidArgument(StrCat("argument ", i, " of @", name, " is ", want.Text(), ", got ",
                                    q.operand(i).Text()));
    }
  }
  *results = callee->results;
  return OkStatus();
}

Status CallRule(const TypeQuery& q, Types* results) { return CheckCallee(q, "callee", results); }
Status CompositeRule(const TypeQuery& q, Types* results) {
  return CheckCallee(q, "decomposition", results);
}

Types OperandTypes(const TypeQuery& q, size_t from) {
  Types types;
  for (size_t i = from; i < q.num_operands(); ++i) types.push_back(q.operand(i));
  return types;
}

Status WhileRule(const TypeQuery& q, Types* results) {
  *results = OperandTypes(q, 0);
  RETURN_IF_ERROR(WantRegion(q, 0, "the condition", *results, {Predicate()}));
  return WantRegion(q, 1, "the body", *results, *results);
}

// All branches take nothing and return the same types.
Status CheckBranches(const TypeQuery& q, Types* results) {
  *results = TypesOf(q.op.regions[0], q.func).results;
  for (size_t i = 0; i < q.op.regions.size(); ++i) {
    RETURN_IF_ERROR(WantRegion(q, i, StrCat("branch ", i), {}, *results));
  }
  return OkStatus();
}

Status CaseRule(const TypeQuery& q, Types* results) {
  if (!(q.operand(0) == TensorType::Scalar(DType::kI32))) {
    return InvalidArgument(StrCat("index has type ", q.operand(0).Text(), ", wanted tensor<i32>"));
  }
  return CheckBranches(q, results);
}

Status IfRule(const TypeQuery& q, Types* results) {
  if (!(q.operand(0) == Predicate())) {
    return InvalidArgument(
        StrCat("predicate has type ", q.operand(0).Text(), ", wanted tensor<i1>"));
  }
  return CheckBranches(q, results);
}

Status BarrierRule(const TypeQuery& q, Types* results) {
  *results = OperandTypes(q, 0);
  return OkStatus();
}

// --- text ---

Status ParseReturn(OpParser& p, Op* op, Types*) {
  RETURN_IF_ERROR(p.ParseOperands(op));
  RETURN_IF_ERROR(p.ParseOptionalDict(op));
  if (op->operands.empty()) return OkStatus();
  RETURN_IF_ERROR(p.Expect(":"));
  const Token at = p.peek();
  Types types;
  RETURN_IF_ERROR(p.ParseTypeList(&types));
  return p.CheckOperandTypes(*op, types, at);
}

void PrintReturn(OpPrinter& p, const Op& op) {
  if (!op.operands.empty()) p.Write(" ");
  p.Operands(op.operands);
  p.OptionalDict(op, {});
  if (op.operands.empty()) return;
  p.Write(" : ");
  p.Types(op.operands);
}
constexpr CustomText kReturnText = {ParseReturn, PrintReturn};

// while(%a = %x, %b = %y) : T, T attributes {...} cond { ... } do { ... }
Status ParseWhile(OpParser& p, Op* op, Types* results) {
  std::vector<std::string_view> names;
  RETURN_IF_ERROR(p.Expect("("));
  if (!p.At(")")) {
    do {
      if (p.peek().kind != TokenKind::kValue) return p.Wanted("a loop variable (%name)");
      names.push_back(p.Take().text);
      RETURN_IF_ERROR(p.Expect("="));
      ASSIGN_OR_RETURN(const ValueId v, p.ParseOperand());
      op->operands.push_back(v);
    } while (p.TakeIf(","));
  }
  RETURN_IF_ERROR(p.Expect(")"));
  if (p.TakeIf(":")) {
    const Token at = p.peek();
    RETURN_IF_ERROR(p.ParseTypeList(results));
    RETURN_IF_ERROR(p.CheckOperandTypes(*op, *results, at));
  }
  if (p.TakeIf("attributes")) RETURN_IF_ERROR(p.ParseOptionalDict(op));
  const auto region = [&](std::string_view word) -> Status {
    RETURN_IF_ERROR(p.Expect(word));
    RETURN_IF_ERROR(p.Expect("{"));
    std::vector<std::pair<std::string_view, TensorType>> args;
    for (size_t i = 0; i < names.size(); ++i) args.emplace_back(names[i], (*results)[i]);
    op->regions.emplace_back();
    return p.ParseRegionBody(std::move(args), &op->regions.back());
  };
  RETURN_IF_ERROR(region("cond"));
  return region("do");
}

void PrintWhile(OpPrinter& p, const Op& op) {
  p.Write("(");
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (i > 0) p.Write(", ");
    p.Operand(op.regions[0].args[i]);
    p.Write(" = ");
    p.Operand(op.operands[i]);
  }
  p.Write(")");
  if (op.num_results > 0) {
    p.Write(" : ");
    p.ResultTypes(op);
  }
  if (!op.attrs.empty()) {
    p.Write(" attributes ");
    p.Dict(op.attrs);
  }
  p.NewLine();
  p.Write("cond ");
  p.PrintRegion(op.regions[0], false);
  p.Write(" do ");
  p.PrintRegion(op.regions[1], false);
}
constexpr CustomText kWhileText = {ParseWhile, PrintWhile};

constexpr OpDef kRows[] = {
    {.name = "func.return",
     .more_operands = true,
     .traits = kTerminator,
     .type_rule = TerminatorRule,
     .text = &kReturnText},
    {.name = "stablehlo.return",
     .more_operands = true,
     .traits = kTerminator,
     .type_rule = TerminatorRule,
     .text = &kReturnText},
    {.name = "func.call",
     .more_operands = true,
     .attrs = kCallAttrs,
     .traits = kPure | kCallsFunction,
     .type_rule = CallRule,
     .format = " @callee($*){} : <func>",
     .prepare = PrepareCall},
    {.name = "stablehlo.composite",
     .more_operands = true,
     .attrs = kCompositeAttrs,
     .traits = kPure | kCallsFunction,
     .type_rule = CompositeRule,
     .format = " @name $*{} : <func>",
     .prepare = PrepareComposite},
    {.name = "stablehlo.while",
     .more_operands = true,
     .regions = 2,
     .traits = kPure,
     .type_rule = WhileRule,
     .text = &kWhileText,
     .region_arg_name = "iterArg",
     .prepare = PrepareWhile},
    {.name = "stablehlo.case",
     .operands = 1,
     .regions = 1,
     .more_regions = true,
     .traits = kPure | kRunsRegionsOnce,
     .type_rule = CaseRule,
     .prepare = PrepareCase},
    {.name = "stablehlo.if",
     .operands = 1,
     .regions = 2,
     .traits = kPure | kRunsRegionsOnce,
     .type_rule = IfRule,
     .prepare = PrepareIf},
    {.name = "stablehlo.optimization_barrier",
     .more_operands = true,
     .traits = kPure,
     .type_rule = BarrierRule,
     .format = " $*{} : <pairwise>",
     .prepare = PrepareIdentity},
};

}  // namespace

std::span<const OpDef> ControlOps() { return kRows; }

}  // namespace megalith::stablehlo
