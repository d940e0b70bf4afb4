// Reductions, windows and sort: operations that run a region once per element.
#include <algorithm>

#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/rules.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {
namespace {

constexpr AttrSpec kReduceAttrs[] = {
    {.name = "dimensions", .kind = AttrKind::kInts, .required = true}};
constexpr AttrSpec kReduceWindowAttrs[] = {
    {.name = "base_dilations", .kind = AttrKind::kInts, .fallback = OnesPerDim},
    {.name = "padding", .kind = AttrKind::kDense, .fallback = NoPadding},
    {.name = "window_dilations", .kind = AttrKind::kInts, .fallback = OnesPerDim},
    {.name = "window_dimensions", .kind = AttrKind::kInts, .required = true},
    {.name = "window_strides", .kind = AttrKind::kInts, .fallback = OnesPerDim},
};
constexpr AttrSpec kSelectAndScatterAttrs[] = {
    {.name = "padding", .kind = AttrKind::kDense, .fallback = NoPadding},
    {.name = "window_dimensions", .kind = AttrKind::kInts, .fallback = OnesPerDim},
    {.name = "window_strides", .kind = AttrKind::kInts, .fallback = OnesPerDim},
};
constexpr AttrSpec kSortAttrs[] = {
    {.name = "dimension", .kind = AttrKind::kInt, .fallback = IntDefault<-1>},
    {.name = "is_stable", .kind = AttrKind::kBool, .fallback = BoolDefault<false>},
};

// n inputs of one shape, then n scalar initial values; a body (accumulators, elements) ->
// accumulators.
Status CheckReduction(const TypeQuery& q, size_t* count) {
  if (q.num_operands() % 2 != 0) return InvalidArgument("wanted as many initial values as inputs");
  const size_t n = q.num_operands() / 2;
  Types scalars;
  for (size_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(WantDType(q, i, kAnyOk));
    RETURN_IF_ERROR(WantSameShape(q, i));
    const TensorType scalar = TensorType::Scalar(q.operand(i).dtype);
    if (!(q.operand(n + i) == scalar)) {
      return InvalidArgument(StrCat("initial value ", i, " has type ", q.operand(n + i).Text(),
                                    ", wanted ", scalar.Text()));
    }
    scalars.push_back(scalar);
  }
  Types args = scalars;
  args.insert(args.end(), scalars.begin(), scalars.end());
  *count = n;
  return WantRegion(q, 0, "the body", args, scalars);
}

Status ReduceRule(const TypeQuery& q, Types* results) {
  size_t n = 0;
  RETURN_IF_ERROR(CheckReduction(q, &n));
  const auto dims = q.op.attr("dimensions").AsInts();
  const Shape& shape = q.operand(0).shape;
  RETURN_IF_ERROR(WantDims("dimensions", dims, -1, static_cast<int64_t>(shape.size()), true));
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (std::ranges::find(dims, static_cast<int64_t>(i)) == dims.end()) out.push_back(shape[i]);
  }
  for (size_t i = 0; i < n; ++i) results->push_back(TensorType{q.operand(i).dtype, out});
  return OkStatus();
}

Status ReduceWindowRule(const TypeQuery& q, Types* results) {
  size_t n = 0;
  RETURN_IF_ERROR(CheckReduction(q, &n));
  ASSIGN_OR_RETURN(const std::vector<WindowDim> window, ReadWindow(q.op, q.func));
  Shape out;
  for (size_t i = 0; i < window.size(); ++i) {
    const auto size = WindowOutput(window[i], q.operand(0).shape[i]);
    if (!size.ok()) return size.status().Annotate(StrCat("dimension ", i));
    out.push_back(*size);
  }
  for (size_t i = 0; i < n; ++i) results->push_back(TensorType{q.operand(i).dtype, out});
  return OkStatus();
}

Status SelectAndScatterRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  const TensorType& in = q.operand(0);
  const TensorType scalar = TensorType::Scalar(in.dtype);
  ASSIGN_OR_RETURN(const std::vector<WindowDim> window, ReadWindow(q.op, q.func));
  TensorType source{in.dtype, Shape{}};
  for (size_t i = 0; i < window.size(); ++i) {
    const auto size = WindowOutput(window[i], in.shape[i]);
    if (!size.ok()) return size.status().Annotate(StrCat("dimension ", i));
    source.shape.push_back(*size);
  }
  if (!(q.operand(1) == source)) {
    return InvalidArgument(
        StrCat("source has type ", q.operand(1).Text(), ", wanted ", source.Text()));
  }
  if (!(q.operand(2) == scalar)) {
    return InvalidArgument(
        StrCat("initial value has type ", q.operand(2).Text(), ", wanted ", scalar.Text()));
  }
  RETURN_IF_ERROR(WantRegion(q, 0, "select", {scalar, scalar}, {TensorType::Scalar(DType::kBool)}));
  RETURN_IF_ERROR(WantRegion(q, 1, "scatter", {scalar, scalar}, {scalar}));
  results->push_back(in);
  return OkStatus();
}

Status SortRule(const TypeQuery& q, Types* results) {
  Types args;
  for (size_t i = 0; i < q.num_operands(); ++i) {
    RETURN_IF_ERROR(WantDType(q, i, kAnyOk));
    RETURN_IF_ERROR(WantSameShape(q, i));
    args.push_back(TensorType::Scalar(q.operand(i).dtype));
    args.push_back(args.back());
    results->push_back(q.operand(i));
  }
  const auto rank = static_cast<int64_t>(q.operand(0).rank());
  const int64_t dim = q.attr("dimension").AsInt();
  if (dim < -rank || dim >= rank) {
    return InvalidArgument(StrCat("dimension is ", dim, ", wanted [", -rank, ", ", rank, ")"));
  }
  return WantRegion(q, 0, "the comparator", args, {TensorType::Scalar(DType::kBool)});
}

// --- text of stablehlo.reduce ---

// True for a body that is one two-operand commutative op on its two arguments: printed as
// `applies`.
bool IsOneOp(const Op& op) {
  if (op.operands.size() != 2 || op.regions[0].ops.size() != 2) return false;
  const Region& body = op.regions[0];
  const Op& inner = body.ops[0];
  return inner.def->has(kCommutative) && inner.attrs.empty() && inner.operands == body.args &&
         body.ops[1].operands == std::vector<ValueId>{inner.first_result};
}

Status ParseReduce(OpParser& p, Op* op, Types* results) {
  std::vector<ValueId> inits;
  do {  // (%x init: %i), (%y init: %j)
    RETURN_IF_ERROR(p.Expect("("));
    ASSIGN_OR_RETURN(const ValueId x, p.ParseOperand());
    RETURN_IF_ERROR(p.Expect("init"));
    RETURN_IF_ERROR(p.Expect(":"));
    ASSIGN_OR_RETURN(const ValueId init, p.ParseOperand());
    RETURN_IF_ERROR(p.Expect(")"));
    op->operands.push_back(x);
    inits.push_back(init);
  } while (p.TakeIf(","));
  const size_t n = op->operands.size();
  op->operands.insert(op->operands.end(), inits.begin(), inits.end());
  Token applied;
  if (p.TakeIf("applies")) {
    applied = p.peek();
    if (applied.kind != TokenKind::kWord) return p.Wanted("an operation name");
    p.Take();
  }
  RETURN_IF_ERROR(p.Expect("across"));
  RETURN_IF_ERROR(p.Expect("dimensions"));
  RETURN_IF_ERROR(p.Expect("="));
  ASSIGN_OR_RETURN(const Dims dims, p.ParseDims());
  SetAttr(&op->attrs, "dimensions", Attr::Ints(dims));
  RETURN_IF_ERROR(p.ParseOptionalDict(op));
  RETURN_IF_ERROR(p.Expect(":"));
  const Token types_at = p.peek();
  ASSIGN_OR_RETURN(FuncType type, p.ParseFuncType());
  RETURN_IF_ERROR(p.CheckOperandTypes(*op, type.inputs, types_at));
  *results = std::move(type.results);
  op->regions.emplace_back();
  if (applied.kind == TokenKind::kWord) {
    ASSIGN_OR_RETURN(op->regions[0], p.OneOpRegion(applied.text, p.TypeOf(inits[0]), applied));
    return OkStatus();
  }
  RETURN_IF_ERROR(p.Expect("reducer"));
  std::vector<std::pair<std::string_view, TensorType>> accumulators, elements;
  for (size_t i = 0; i < n; ++i) {  // (%acc: T, %x: T) for each input
    RETURN_IF_ERROR(p.Expect("("));
    ASSIGN_OR_RETURN(auto accumulator, p.ParseTypedName());
    RETURN_IF_ERROR(p.Expect(","));
    ASSIGN_OR_RETURN(auto element, p.ParseTypedName());
    RETURN_IF_ERROR(p.Expect(")"));
    accumulators.push_back(std::move(accumulator));
    elements.push_back(std::move(element));
  }
  accumulators.insert(accumulators.end(), elements.begin(), elements.end());
  RETURN_IF_ERROR(p.Expect("{"));
  return p.ParseRegionBody(std::move(accumulators), &op->regions[0]);
}

void PrintReduce(OpPrinter& p, const Op& op) {
  const size_t n = op.operands.size() / 2;
  for (size_t i = 0; i < n; ++i) {
    p.Write(i > 0 ? ", (" : "(");
    p.Operand(op.operands[i]);
    p.Write(" init: ");
    p.Operand(op.operands[n + i]);
    p.Write(")");
  }
  const bool one_op = IsOneOp(op);
  if (one_op) StrAppend(&p.out(), " applies ", op.regions[0].ops[0].name());
  p.Write(" across dimensions = ");
  PrintDims(op.attr("dimensions").AsInts(), &p.out());
  constexpr std::string_view kShown[] = {"dimensions"};
  p.OptionalDict(op, kShown);
  p.Write(" : ");
  p.FunctionalType(op);
  if (one_op) return;
  p.NewLine();
  p.Write(" reducer");
  const auto& args = op.regions[0].args;
  for (size_t i = 0; i < n; ++i) {
    const ValueId pair[] = {args[i], args[n + i]};
    p.Write("(");
    p.RegionArgs(pair);
    p.Write(") ");
  }
  p.Write(" ");
  p.PrintRegion(op.regions[0], false);
}
constexpr CustomText kReduceText = {ParseReduce, PrintReduce};

// --- cost: one run of the body per element ---

double BodyOps(const Op& op) {
  double n = 0;
  for (const Region& r : op.regions) n += static_cast<double>(r.ops.size()) - 1;
  return std::max(n, 1.0);
}
void ReduceCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = BodyOps(op) * static_cast<double>(ElementCount(func.type(op.operands[0])));
}
// Elements each output looks at; one where a recurrence does the work.
double WindowSize(const Op& op, const Func& func) {
  double n = 1;
  const auto window = ReadWindow(op, func);
  if (!window.ok() || FindRecurrence(*window, func.type(op.operands[0]).shape)) return n;
  for (const WindowDim& w : *window) n *= static_cast<double>(w.size);
  return n;
}
void ReduceWindowCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = BodyOps(op) * WindowSize(op, func) *
                static_cast<double>(ElementCount(func.type(op.result())));
}
void SelectAndScatterCost(const Op& op, const Func& func, OpCost* cost) {
  cost->flops = BodyOps(op) * WindowSize(op, func) *
                static_cast<double>(ElementCount(func.type(op.operands[1])));
}
void SortCost(const Op& op, const Func& func, OpCost* cost) {
  const TensorType& t = func.type(op.operands[0]);
  const int64_t dim = op.attr_or_default("dimension", func).AsInt();
  const int64_t length =
      t.shape[static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(t.rank()) : dim)];
  double log2 = 1;
  for (int64_t n = length; n > 2; n /= 2) ++log2;
  cost->flops = BodyOps(op) * static_cast<double>(ElementCount(t)) * log2;
}

constexpr OpDef kRows[] = {
    {.name = "stablehlo.reduce",
     .operands = 2,
     .more_operands = true,
     .regions = 1,
     .attrs = kReduceAttrs,
     .traits = kPure,
     .type_rule = ReduceRule,
     .text = &kReduceText,
     .prepare = PrepareReduce,
     .cost = ReduceCost},
    {.name = "stablehlo.reduce_window",
     .operands = 2,
     .more_operands = true,
     .regions = 1,
     .attrs = kReduceWindowAttrs,
     .traits = kPure,
     .type_rule = ReduceWindowRule,
     .prepare = PrepareReduceWindow,
     .cost = ReduceWindowCost},
    {.name = "stablehlo.select_and_scatter",
     .operands = 3,
     .regions = 2,
     .attrs = kSelectAndScatterAttrs,
     .traits = kPure,
     .type_rule = SelectAndScatterRule,
     .prepare = PrepareSelectAndScatter,
     .cost = SelectAndScatterCost},
    {.name = "stablehlo.sort",
     .operands = 1,
     .more_operands = true,
     .regions = 1,
     .attrs = kSortAttrs,
     .traits = kPure,
     .type_rule = SortRule,
     .prepare = PrepareSort,
     .cost = SortCost},
};

}  // namespace

std::span<const OpDef> ReductionOps() { return kRows; }

}  // namespace megalith::stablehlo
