// Recognises what regions compute.
#include "common/programs/raising/context.h"

namespace megalith::raising {

using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;

namespace {

using Definitions = std::vector<const Op*>;

Definitions DefinitionsOf(const Func& func) {
  Definitions out(func.types.size(), nullptr);
  stablehlo::ForEachOp(func.body, [&](const Op& op) {
    for (uint32_t i = 0; i < op.num_results; ++i) out[op.result(i)] = &op;
  });
  return out;
}

// Walks two canonical computations side by side: `pairs_` says which value of one is which of the
// other.
class Comparison {
 public:
  Comparison(const Func& a, const Func& b)
      : a_(a), b_(b), a_ops_(DefinitionsOf(a)), b_ops_(DefinitionsOf(b)) {
    pairs_.resize(a.types.size(), stablehlo::kNoValue);
  }

  // Arguments of `b` stand for whatever `a` has there; constants and counters must be equal.
  bool SameOperand(ValueId x, ValueId y) {
    if (pairs_[x] != stablehlo::kNoValue) return pairs_[x] == y;
    if (!(a_.type(x) == b_.type(y))) return false;
    const Op* of_b = b_ops_[y];
    if (of_b != nullptr) {
      const Op* of_a = a_ops_[x];
      if (of_a == nullptr || !SameOp(*of_a, *of_b)) return false;
    }
    pairs_[x] = y;
    return true;
  }

  bool SameRegion(const Region& x, const Region& y) {
    if (x.args.size() != y.args.size() || x.ops.size() != y.ops.size()) return false;
    for (size_t i = 0; i < x.args.size(); ++i) {
      if (!(a_.type(x.args[i]) == b_.type(y.args[i]))) return false;
      pairs_[x.args[i]] = y.args[i];
    }
    for (size_t i = 0; i < x.ops.size(); ++i) {
      if (!SameOp(x.ops[i], y.ops[i])) return false;
      for (uint32_t r = 0; r < x.ops[i].num_results; ++r)
        pairs_[x.ops[i].result(r)] = y.ops[i].result(r);
    }
    return true;
  }

 private:
  bool SameOp(const Op& x, const Op& y) {
    if (x.def != y.def || x.num_results != y.num_results || x.regions.size() != y.regions.size() ||
        x.operands.size() != y.operands.size() || x.attrs.size() != y.attrs.size())
      return false;
    for (size_t i = 0; i < x.attrs.size(); ++i) {
      if (x.attrs[i].name != y.attrs[i].name || !(x.attrs[i].value == y.attrs[i].value))
        return false;
    }
    for (size_t i = 0; i < x.operands.size(); ++i) {
      if (!SameOperand(x.operands[i], y.operands[i])) return false;
    }
    for (size_t i = 0; i < x.regions.size(); ++i) {
      if (!SameRegion(x.regions[i], y.regions[i])) return false;
    }
    return true;
  }

  const Func& a_;
  const Func& b_;
  const Definitions a_ops_;
  const Definitions b_ops_;
  std::vector<ValueId> pairs_;  // by value of `a`
};

}  // namespace

const Op* BinaryBody(const Region& region, ValueId x, ValueId y) {
  if (region.ops.size() != 2) return nullptr;
  const Op& op = region.ops[0];
  const Op& end = region.ops[1];
  if (op.operands.size() != 2 || op.num_results != 1 || !op.regions.empty() ||
      end.operands.size() != 1 || end.operands[0] != op.result())
    return nullptr;
  const bool straight = op.operands[0] == x && op.operands[1] == y;
  const bool crossed = op.operands[0] == y && op.operands[1] == x;
  return straight || crossed ? &op : nullptr;
}

bool Returns(const Region& region, ValueId v) {
  return region.ops.size() == 1 && region.ops[0].operands.size() == 1 &&
         region.ops[0].operands[0] == v;
}

bool SameComputation(const Func& func, const Op& op, const stablehlo::Module& other) {
  const auto entry = other.Entry();
  if (!entry.ok()) return false;
  const Op* twin = nullptr;
  for (const Op& candidate : (*entry)->body.ops) {
    if (candidate.def == op.def) twin = &candidate;
  }
  if (twin == nullptr || twin->operands.size() != op.operands.size() ||
      twin->regions.size() != op.regions.size())
    return false;
  Comparison comparison(func, **entry);
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!comparison.SameOperand(op.operands[i], twin->operands[i])) return false;
  }
  for (size_t i = 0; i < op.regions.size(); ++i) {
    if (!comparison.SameRegion(op.regions[i], twin->regions[i])) return false;
  }
  return true;
}

}  // namespace megalith::raising
