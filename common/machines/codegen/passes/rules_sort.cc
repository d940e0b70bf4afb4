// Sorts by what their comparators compute: keys become arrays that are sorted along, so that
// comparators only compare.
#include <optional>

#include "common/machines/codegen/passes/body_on_arrays.h"
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

bool SameAttrs(const AttrDict& a, const AttrDict& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || !(a[i].value == b[i].value)) return false;
  }
  return true;
}

// True if `v` is `u` with the arguments of one element exchanged for those of the other. `first`
// tells which of the two elements `u` is computed from: 0 or 1; -1 as long as that is open.
bool Mirrors(const Graph& g, const Block& body, ValueId u, ValueId v, int* first) {
  if (g.home(u) != &body || g.home(v) != &body) return u == v;
  const Node *a = g.def(u), *b = g.def(v);
  if ((a == nullptr) != (b == nullptr)) return false;
  if (a == nullptr) {
    const int which = static_cast<int>(g.index(u) % 2);
    if (g.index(u) / 2 != g.index(v) / 2 || u == v || (*first >= 0 && *first != which)) {
      return false;
    }
    *first = which;
    return true;
  }
  if (a->def != b->def || a->num_operands != b->num_operands || !SameAttrs(a->attrs, b->attrs)) {
    return false;
  }
  for (uint32_t i = 0; i < a->num_operands; ++i) {
    if (!Mirrors(g, body, g.operand(*a, i), g.operand(*b, i), first)) return false;
  }
  return true;
}

// True if more goes into `v` than the choices by which JAX makes zeros and NaN equal to their like,
// which sorts know.
bool Computes(const Graph& g, const Block& body, ValueId v) {
  const Node* n = g.def(v);
  if (n == nullptr || n->block != &body) return false;
  if (n->kind != OpKind::kSelect && n->kind != OpKind::kCompare) return true;
  for (uint32_t i = 0; i < n->num_operands; ++i) {
    if (Computes(g, body, g.operand(*n, i))) return true;
  }
  return false;
}

bool SortByComputedKeys(Graph& g, Node& n) {
  Block& body = *n.regions[0];
  if (ElementwiseOps(g, body) == 0 || stablehlo::ElementCount(g.operand_type(n, 0)) == 0) {
    return false;
  }
  const Shape shape = g.operand_type(n, 0).shape;
  // Both elements are that of the operand, for computing the key of either.
  std::vector<ValueId> operands = g.operands(n), args;
  for (const ValueId v : operands) args.insert(args.end(), {v, v});
  BodyOnArrays keys(g, n, body, args, shape);
  std::unordered_map<ValueId, std::pair<ValueId, ValueId>> known;  // key -> its two arguments
  bool changed = false;
  for (Node* compare = body.first; compare != body.last; compare = compare->next) {
    if (compare->kind != OpKind::kCompare) continue;
    const ValueId x = g.operand(*compare, 0), y = g.operand(*compare, 1);
    int first = -1;
    if (!Computes(g, body, x) || !Mirrors(g, body, x, y, &first) || first < 0) continue;
    const ValueId key = keys.Of(x);
    auto [it, fresh] = known.try_emplace(key);
    if (fresh) {
      const TensorType scalar{g.dtype(key), Shape{}};
      it->second.first = g.AddArg(body, scalar);
      it->second.second = g.AddArg(body, scalar);
      operands.push_back(key);
    }
    const auto [one, other] = it->second;
    if (first == 0) {
      g.SetOperands(*compare, {one, other});
    } else {
      g.SetOperands(*compare, {other, one});
    }
    changed = true;
  }
  if (!changed) return false;
  std::vector<TensorType> types;
  for (const ValueId v : operands) types.push_back(g.type(v));
  std::vector<Block*> regions = std::move(n.regions);
  n.regions.clear();
  const Node& sort = g.EmitNode(n, *n.def, operands, n.attrs, types, std::move(regions));
  for (uint32_t i = 0; i < n.num_results; ++i) g.ReplaceUses(n.result(i), sort.result(i));
  g.Erase(n);
  return true;
}

constexpr Rule kRules[] = {
    {"sort_keys", OpKind::kSort, SortByComputedKeys},
};

}  // namespace

std::span<const Rule> SortRules() { return kRules; }

}  // namespace megalith::codegen
