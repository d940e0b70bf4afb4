#include "common/machines/codegen/passes/body_on_arrays.h"

#include <algorithm>

#include "common/machines/codegen/passes/match.h"

namespace megalith::codegen {
namespace {

constexpr uint32_t kMostOps = 100;

// Scalars have one shape only: these do nothing to them.
bool KeepsScalar(const Node& n) {
  return n.kind == OpKind::kReshape || n.kind == OpKind::kBroadcastInDim;
}

// Operations that only the evaluator computes; writing those out would gain nothing.
bool IsEvaluated(const Graph& g, const Node& n) {
  constexpr std::string_view kWithoutFormula[] = {"chlo.bessel_i1e", "chlo.next_after",
                                                  "chlo.polygamma", "chlo.zeta"};
  if (std::ranges::find(kWithoutFormula, n.def->name) != std::end(kWithoutFormula)) return true;
  if (n.num_operands == 0 || !tensor::IsComplex(g.operand_type(n, n.num_operands - 1).dtype)) {
    return false;
  }
  // The larger of two complex numbers depends on their order where a part is NaN.
  const bool ordered = n.kind == OpKind::kMaximum || n.kind == OpKind::kMinimum;
  return ordered || (n.def->name.starts_with("chlo.") && n.kind != OpKind::kConj);
}

}  // namespace

uint32_t ElementwiseOps(const Graph& g, const Block& body) {
  uint32_t count = 0;
  for (const Node* n = body.first; n != body.last; n = n->next) {
    const bool elementwise = n->def->span != nullptr || KeepsScalar(*n);
    if (!elementwise || n->num_results != 1 || !n->regions.empty()) return 0;
    if (IsEvaluated(g, *n)) return 0;
    if (g.result_type(*n).rank() != 0 || ++count > kMostOps) return 0;
  }
  for (uint32_t i = 0; i < body.last->num_operands; ++i) {
    if (g.operand_type(*body.last, i).rank() != 0) return 0;
  }
  return std::max(count, 1u);
}

ValueId SpreadScalar(Graph& g, Node& at, ValueId scalar, const Shape& shape) {
  const TensorType type{g.dtype(scalar), shape};
  if (g.type(scalar) == type) return scalar;
  return g.Emit(at, OpKind::kBroadcastInDim, {scalar}, IntsAttr("broadcast_dimensions", {}), type);
}

BodyOnArrays::BodyOnArrays(Graph& graph, Node& at, const Block& body, std::span<const ValueId> args,
                           const Shape& shape)
    : graph_(graph), at_(at), body_(body), shape_(shape) {
  for (size_t i = 0; i < args.size(); ++i) known_[body.args[i]] = args[i];
}

ValueId BodyOnArrays::Of(ValueId v) {
  if (const auto it = known_.find(v); it != known_.end()) return it->second;
  const Node* n = graph_.def(v);
  ValueId value = kNoValue;
  if (n == nullptr || n->block != &body_) {
    value = SpreadScalar(graph_, at_, v, shape_);
  } else if (KeepsScalar(*n)) {
    value = Of(graph_.operand(*n, 0));
  } else {
    std::vector<ValueId> operands;
    for (const ValueId operand : graph_.operands(*n)) operands.push_back(Of(operand));
    const TensorType type{graph_.dtype(v), shape_};
    value = graph_.EmitNode(at_, *n->def, operands, n->attrs, std::span(&type, 1)).first_result;
  }
  known_[v] = value;
  return value;
}

std::vector<ValueId> BodyOnArrays::Results() {
  std::vector<ValueId> results;
  for (const ValueId v : graph_.operands(*body_.last)) results.push_back(Of(v));
  return results;
}

}  // namespace megalith::codegen
