// Constant folding by the reference evaluator.
#include <array>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::codegen {

bool FoldSplat(Graph& g, Node& n) {
  if (n.def->span == nullptr || n.num_results != 1 || n.num_operands == 0 ||
      n.num_operands > stablehlo::kMaxSpanOperands || n.def->has(stablehlo::kIndeterminate)) {
    return false;
  }
  std::array<const void*, stablehlo::kMaxSpanOperands> in{};
  std::array<DType, stablehlo::kMaxSpanOperands> dtypes{};
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const Tensor* t = SplatOf(g, g.operand(n, i));
    if (t == nullptr) return false;
    in[i] = t->data();
    dtypes[i] = t->dtype();
  }
  stablehlo::Op op;  // what a row's span rule may look at
  op.def = n.def;
  op.attrs = n.attrs;
  const TensorType& type = g.result_type(n);
  const auto kernel = n.def->span(op, std::span(dtypes.data(), n.num_operands), type.dtype);
  if (!kernel.ok()) return false;
  Result<Tensor> out = Tensor::Create(type.dtype, Shape{});
  if (!out.ok()) return false;
  (*kernel)(in.data(), out->mutable_data(), 1);
  g.Replace(n, g.Splat(type, *out));
  return true;
}

namespace {

// The function that computes `n` from its operands' values.
Result<std::vector<Tensor>> EvaluateAlone(const Graph& g, const Node& n) {
  stablehlo::Func f;
  f.name = "main";
  f.visibility = stablehlo::Visibility::kPublic;
  stablehlo::Op op;
  op.def = n.def;
  op.attrs = n.attrs;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    stablehlo::Op constant;
    constant.def = &DefOf(OpKind::kConstant);
    constant.attrs = g.def(g.operand(n, i))->attrs;
    constant.first_result = f.AddValue(g.operand_type(n, i));
    constant.num_results = 1;
    op.operands.push_back(constant.first_result);
    f.body.ops.push_back(std::move(constant));
  }
  stablehlo::Op ret;
  ret.def = stablehlo::FindOp("func.return");
  op.first_result = static_cast<ValueId>(f.types.size());
  op.num_results = n.num_results;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    f.results.push_back(g.type(n.result(i)));
    ret.operands.push_back(f.AddValue(g.type(n.result(i))));
  }
  f.body.ops.push_back(std::move(op));
  f.body.ops.push_back(std::move(ret));
  stablehlo::Module module;
  RETURN_IF_ERROR(internal::StatusOf(module.AddFunc(std::move(f))));
  return stablehlo::Evaluate(module, {});
}

// Work of an operation without regions, by its result and operand sizes alone.
bool WithinBudget(const PassContext& context, const Node& n, double* bytes, double* flops) {
  const Graph& g = context.graph;
  *bytes = 0;
  *flops = 0;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    const TensorType& t = g.type(n.result(i));
    const int64_t size = stablehlo::ByteCount(t);
    if (t.is_token || size < 0) return false;
    *bytes += static_cast<double>(size);
    *flops += static_cast<double>(stablehlo::ElementCount(t));
  }
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const Dense& d = *g.ConstantOf(g.operand(n, i));
    *flops += static_cast<double>(stablehlo::ElementCount(d.type));
  }
  const auto limit = static_cast<double>(context.options.fold_budget_bytes);
  return *bytes <= limit / 4 && *bytes <= static_cast<double>(context.fold_bytes_left) &&
         *flops <= context.fold_flops_left;
}

// Operations whose cost is that of touching each element once.
bool IsCheap(const Node& n) {
  switch (n.kind) {
    case OpKind::kBitcastConvert:
    case OpKind::kConcatenate:
    case OpKind::kDynamicSlice:
    case OpKind::kDynamicUpdateSlice:
    case OpKind::kGather:
    case OpKind::kPad:
    case OpKind::kReshape:
    case OpKind::kReverse:
    case OpKind::kSlice:
    case OpKind::kTranspose:
      return true;
    default:
      return n.def->span != nullptr;
  }
}

bool Foldable(const Graph& g, const Node& n) {
  if (n.effect || n.num_operands == 0 || !n.regions.empty() || n.num_results == 0 || !IsCheap(n) ||
      n.def->has(stablehlo::kIndeterminate)) {
    return false;
  }
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    if (g.ConstantOf(g.operand(n, i)) == nullptr) return false;
  }
  return true;
}

}  // namespace

Status FoldConstants(PassContext& context) {
  Graph& g = context.graph;
  g.QueueAll();
  while (Node* n = g.Pop()) {
    if (!Foldable(g, *n)) continue;
    double bytes = 0;
    double flops = 0;
    if (!WithinBudget(context, *n, &bytes, &flops)) continue;
    RETURN_IF_ERROR(context.Poll());
    const Result<std::vector<Tensor>> values = EvaluateAlone(g, *n);
    if (!values.ok()) continue;  // the program finds out when it runs
    context.fold_flops_left -= flops;
    bool grew = false;
    for (uint32_t i = 0; i < n->num_results; ++i) {
      const ValueId constant = g.Constant((*values)[i]);
      grew = grew || g.ConstantOf(constant)->data.size() > 1;
      g.ReplaceUses(n->result(i), constant);
    }
    if (grew) context.fold_bytes_left -= static_cast<uint64_t>(bytes);
    g.Erase(*n);
    ++g.rewrites;
  }
  return OkStatus();
}

}  // namespace megalith::codegen
