#include "common/machines/codegen/grouping.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "common/machines/codegen/effects.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using runtime::ReduceKind;
using stablehlo::TensorType;

// Recomputing in every consumer is cheaper than an array up to this cost of an element.
constexpr double kCheapCost = 4;

struct ReduceRow {
  std::string_view op;
  ReduceKind kind;
};
constexpr ReduceRow kReduceRows[] = {
    {"stablehlo.add", ReduceKind::kSum},         {"stablehlo.multiply", ReduceKind::kProduct},
    {"stablehlo.maximum", ReduceKind::kMaximum}, {"stablehlo.minimum", ReduceKind::kMinimum},
    {"stablehlo.and", ReduceKind::kAnd},         {"stablehlo.or", ReduceKind::kOr},
    {"stablehlo.xor", ReduceKind::kXor},
};

int64_t Elements(const stablehlo::TensorType& t) { return stablehlo::ElementCount(t); }

class Grouper {
 public:
  Grouper(const Region& region, const Func& func,
          const std::unordered_map<ValueId, const Op*>& definitions, uint32_t most_ops)
      : region_(region), func_(func), definitions_(definitions), most_ops_(most_ops) {}

  Grouping Run() {
    Prepare();
    for (size_t i = region_.ops.size(); i-- > 0;) Visit(static_cast<uint32_t>(i));
    Connect();
    return std::move(out_);
  }

 private:
  // One place where a value's expression would be evaluated.
  struct Evaluation {
    uint32_t group;
    bool identity;  // at the same positions as the group's roots
  };
  struct ValueState {
    bool needs_array = false;
    double cost = 0;  // of one element if evaluated inline
    int loads = 0;    // full-size arrays read for that
    std::vector<Evaluation> evaluated_in;
    std::vector<uint32_t> readers;  // groups that need it in memory
  };

  const Op* Definition(ValueId v) const {
    const auto it = definitions_.find(v);
    return it == definitions_.end() ? nullptr : it->second;
  }
  bool IsSplatValue(ValueId v) const {
    const Op* op = Definition(v);
    return op != nullptr && IsSplat(*op);
  }
  bool DefinedHere(ValueId v) const { return position_.contains(v); }

  // Fusible in this context.
  bool Fusible(const Op& op) const {
    if (!IsFusible(op, func_)) return false;
    if (op.def->name == "stablehlo.pad") return IsSplatValue(op.operands[1]);
    return op.def->name != "stablehlo.transpose" || !ScattersRows(op);
  }

  // True of transposes that read as many rows as they write elements of a row: blocks of them are
  // copied much faster than elements one by one as a kernel needs them.
  bool ScattersRows(const Op& op) const {
    constexpr int64_t kSmall = 4096;  // stays in the first-level cache
    const TensorType& type = func_.type(op.result());
    if (Elements(type) < kSmall) return false;
    const auto permutation = op.attr("permutation").AsInts();
    const auto last_long = [&](const auto& extent_at) {
      size_t d = type.rank();
      while (d > 0 && extent_at(d - 1) == 1) --d;
      return d;
    };
    const size_t to = last_long([&](size_t d) { return type.shape[d]; });
    const tensor::Shape& from_shape = func_.type(op.operands[0]).shape;
    const size_t from = last_long([&](size_t d) { return from_shape[d]; });
    return to > 0 && permutation[to - 1] != static_cast<int64_t>(from) - 1;
  }

  // A gather of a few elements of what need not be computed for others.
  bool ComputesGathered(const Op& op) const {
    if (op.def->name != "stablehlo.gather" || !GathersElements(op, func_)) return false;
    const ValueId v = op.operands[0];
    if (Elements(func_.type(v)) < 2 * Elements(func_.type(op.result()))) return false;
    const Op* def = Definition(v);
    return def != nullptr && DefinedHere(v) && def->num_results == 1 && Fusible(*def) &&
           CanBeGathered(v, func_, [&](ValueId value) {
             const Op* op_of = Definition(value);
             return op_of != nullptr && op_of->num_results == 1 && !Fusible(*op_of) &&
                            !IsSplat(*op_of)
                        ? nullptr
                        : op_of;
           });
  }

  // A concatenate of which some operand is computed for it alone.
  bool ComputesPieces(const Op& op) const {
    constexpr size_t kMostPieces = 8;
    if (op.def->name != "stablehlo.concatenate" || op.operands.size() > kMostPieces) return false;
    // Complex numbers are stored whole, so they may only be moved.
    const DType dtype = func_.type(op.result()).dtype;
    if (MovableAs(dtype) == DType::kInvalid || tensor::IsComplex(dtype)) return false;
    return std::ranges::any_of(op.operands, [&](ValueId v) {
      const Op* def = Definition(v);
      return def != nullptr && DefinedHere(v) && uses_.at(v) == 1 && def->num_results == 1 &&
             Fusible(*def) && !IsSplat(*def);
    });
  }

  // A bitcast_convert of whole bytes: another view of the same array.
  bool KeepsBytes(const Op& op) const {
    const auto whole = [](DType d) { return d != DType::kBool && tensor::BitWidth(d) % 8 == 0; };
    return op.def->name == "stablehlo.bitcast_convert" && whole(func_.type(op.operands[0]).dtype) &&
           whole(func_.type(op.result()).dtype);
  }

  // Positions, and the cost of evaluating each value inline, front to back.
  void Prepare() {
    for (uint32_t i = 0; i < region_.ops.size(); ++i) {
      const Op& op = region_.ops[i];
      for (uint32_t r = 0; r < op.num_results; ++r) position_[op.result(r)] = i;
      for (const ValueId v : op.operands) ++uses_[v];
    }
    for (const Op& op : region_.ops) {
      if (op.num_results != 1 || !Fusible(op)) continue;
      ValueState& s = state_[op.result()];
      s.cost = FindElementwise(op.def->name) != nullptr ? ScalarCost(op, func_) : 0.5;
      for (size_t k = 0; k < op.operands.size(); ++k) {
        const ValueId v = op.operands[k];
        if (IsSplatValue(v)) continue;
        const bool small = Elements(func_.type(v)) * 4 <= Elements(func_.type(op.result()));
        const auto it = state_.find(v);
        const Op* def = Definition(v);
        const bool inline_operand = it != state_.end() && def != nullptr && Fusible(*def) &&
                                    UseOf(op, k) == FusedUse::kInline &&
                                    (uses_[v] == 1 || Cheap(it->second));
        if (inline_operand) {
          s.cost += it->second.cost;
          s.loads += small ? 0 : it->second.loads;
        } else if (!small) {
          ++s.loads;
        }
      }
    }
  }

  static bool Cheap(const ValueState& s) { return s.cost <= kCheapCost && s.loads <= 1; }

  // Nobody in particular (the end of the region) needs `v` in memory.
  static constexpr uint32_t kEnd = UINT32_MAX;
  void NeedArray(ValueId v, uint32_t reader) {
    if (!DefinedHere(v)) return;
    state_[v].needs_array = true;
    if (reader != kEnd) state_[v].readers.push_back(reader);
  }

  // `v` is an array made by `group`: everybody who wants it comes after.
  void MadeBy(ValueId v, uint32_t group) {
    out_.group_of[v] = group;
    const ValueState& s = state_[v];
    for (const Evaluation& e : s.evaluated_in) {
      if (e.group != group) edges_[e.group].push_back(group);
    }
    for (const uint32_t reader : s.readers) {
      if (reader != group) edges_[reader].push_back(group);
    }
  }

  uint32_t NewGroup(GroupKind kind, const Op& op, uint32_t position) {
    out_.groups.push_back({kind, {&op}, position, {}, 1});
    const auto group = static_cast<uint32_t>(out_.groups.size() - 1);
    for (uint32_t r = 0; r < op.num_results; ++r) MadeBy(op.result(r), group);
    return group;
  }

  void Visit(uint32_t i) {
    const Op& op = region_.ops[i];
    if (op.def->has(stablehlo::kTerminator)) {
      for (const ValueId v : op.operands) NeedArray(v, kEnd);
      return;
    }
    if (op.def->has(stablehlo::kConstantLike)) {
      const auto it = state_.find(op.result());
      if (it != state_.end() && it->second.needs_array && IsSplat(op)) VisitSplat(op, i);
      return;
    }
    if (op.num_results == 1 && Fusible(op)) return VisitFusible(op, i);
    if (SimpleReduceOf(op, func_).valid && IsSplatValue(op.operands[1])) {
      const uint32_t g = NewGroup(GroupKind::kReduce, op, i);
      AddEvaluation(op.operands[0], {g, false});
      return;
    }
    if (op.def->name == "stablehlo.reshape" || KeepsBytes(op)) {
      const ValueState s = state_[op.result()];
      if (!s.needs_array && s.evaluated_in.empty()) return;
      out_.same_array[op.result()] = op.operands[0];
      NeedArray(op.operands[0], kEnd);
      for (const Evaluation& e : s.evaluated_in) NeedArray(op.operands[0], e.group);
      for (const uint32_t reader : s.readers) NeedArray(op.operands[0], reader);
      return;
    }
    if (op.def->name == "stablehlo.dynamic_update_slice" &&
        MovableAs(func_.type(op.result()).dtype) != DType::kInvalid &&
        HasPlainIndices(op, func_, 2)) {
      const uint32_t g = NewGroup(GroupKind::kUpdate, op, i);
      // Complex numbers are stored whole, so they may only be moved.
      const bool inlined = !tensor::IsComplex(func_.type(op.result()).dtype);
      if (inlined) AddEvaluation(op.operands[1], {g, false});
      for (size_t k = 0; k < op.operands.size(); ++k) {
        if (k != 1 || !inlined) NeedArray(op.operands[k], g);
      }
      return;
    }
    if (ComputesPieces(op)) {
      const uint32_t g = NewGroup(GroupKind::kPieces, op, i);
      for (const ValueId v : op.operands) AddEvaluation(v, {g, false});
      return;
    }
    const uint32_t g = NewGroup(GroupKind::kAlone, op, i);
    if (HasEffect(op)) {
      // Met back to front. Told at once, so that nothing is joined across the two.
      if (next_effect_) edges_[*next_effect_].push_back(g);
      next_effect_ = g;
    }
    for (const ValueId v : op.operands) NeedArray(v, g);
    ForEachCapture(op, [&](ValueId v) { NeedArray(v, g); });
  }

  // A constant that some op needs as an array: small ones lie in the package, large ones are filled
  // in when needed.
  void VisitSplat(const Op& op, uint32_t i) {
    constexpr int64_t kLargestStored = 4096;
    if (stablehlo::ByteCount(func_.type(op.result())) <= kLargestStored) return;
    if (MovableAs(func_.type(op.result()).dtype) == DType::kInvalid) return;
    NewGroup(GroupKind::kMap, op, i);
  }

  // A reduction's operand is evaluated at the reduction's own points.
  void AddEvaluation(ValueId v, Evaluation e) {
    if (!DefinedHere(v)) return;
    auto& list = state_[v].evaluated_in;
    for (Evaluation& known : list) {
      if (known.group == e.group) {
        known.identity = known.identity || e.identity;
        return;
      }
    }
    list.push_back(e);
  }

  void VisitFusible(const Op& op, uint32_t i) {
    ValueState& s = state_[op.result()];
    if (s.evaluated_in.empty() && !s.needs_array) return;  // nobody needs it
    bool array = s.needs_array;
    if (!array && s.evaluated_in.size() > 1 && !Cheap(s)) array = true;
    if (!array && IsStretched(op, s)) array = true;
    for (const Evaluation& e : s.evaluated_in) {
      if (out_.groups[e.group].weight >= most_ops_) array = true;
    }
    std::vector<Evaluation> where;
    if (array) {
      const int64_t joined = FindGroupToJoin(op, s);
      if (joined >= 0) {
        Group& g = out_.groups[static_cast<size_t>(joined)];
        g.roots.push_back(&op);
        MadeBy(op.result(), static_cast<uint32_t>(joined));
        where.push_back({static_cast<uint32_t>(joined), true});
      } else {
        where.push_back({NewGroup(GroupKind::kMap, op, i), true});
      }
    } else {
      where = s.evaluated_in;
    }
    const bool elementwise =
        FindElementwise(op.def->name) != nullptr || IsFusibleElementwise(op, func_);
    for (const Evaluation& e : where) {
      constexpr uint32_t kUsual = 3;  // instructions that an operation may take
      ++out_.groups[e.group].ops;
      out_.groups[e.group].weight += std::max(InstructionsOf(op, func_) / kUsual, 1u);
      for (size_t k = 0; k < op.operands.size(); ++k) {
        const ValueId v = op.operands[k];
        if (UseOf(op, k) == FusedUse::kMemory) {
          if (k == 0 && ComputesGathered(op)) {
            AddEvaluation(v, {e.group, false});
          } else {
            NeedArray(v, e.group);
          }
          continue;
        }
        const bool same = elementwise && func_.type(v).shape == func_.type(op.result()).shape;
        AddEvaluation(v, {e.group, e.identity && same});
      }
    }
  }

  // True if evaluating it inline would repeat much work: it is broadcast to more elements.
  bool IsStretched(const Op& op, const ValueState& s) const {
    if (s.cost <= kCheapCost) return false;
    const int64_t own = std::max<int64_t>(Elements(func_.type(op.result())), 1);
    for (const Evaluation& e : s.evaluated_in) {
      const Group& g = out_.groups[e.group];
      int64_t points = 0;
      switch (g.kind) {
        case GroupKind::kReduce:
          points = Elements(func_.type(g.roots[0]->operands[0]));
          break;
        case GroupKind::kUpdate:
          points = Elements(func_.type(g.roots[0]->operands[1]));
          break;
        default:
          points = Elements(func_.type(g.roots[0]->result()));
      }
      if (points >= 2 * own) return true;
    }
    return false;
  }

  // A map that already evaluates `op` at its own positions and comes before every other group that
  // needs it; -1 if there is none.
  int64_t FindGroupToJoin(const Op& op, const ValueState& s) {
    for (const Evaluation& e : s.evaluated_in) {
      const Group& g = out_.groups[e.group];
      if (!e.identity || g.kind != GroupKind::kMap || g.weight >= most_ops_) continue;
      if (!(func_.type(g.roots[0]->result()).shape == func_.type(op.result()).shape)) continue;
      bool reaches = false;
      for (const Evaluation& other : s.evaluated_in) {
        reaches = reaches || (other.group != e.group && Reaches(e.group, other.group));
      }
      // Groups that need the array directly (ops that stand alone) must not come before either.
      // A group cannot load what it makes itself.
      for (const uint32_t reader : s.readers) {
        reaches = reaches || reader == e.group || Reaches(e.group, reader);
      }
      if (!reaches) return e.group;
    }
    return -1;
  }

  // True if group `from` needs a result of `to`, directly or not, as far as is known. Gives up with
  // true after many steps.
  bool Reaches(uint32_t from, uint32_t to) {
    std::vector<uint32_t> stack = {from};
    std::unordered_set<uint32_t> seen = {from};
    int budget = 2000;
    while (!stack.empty()) {
      const uint32_t g = stack.back();
      stack.pop_back();
      if (g == to || --budget == 0) return true;
      const auto visit = [&](uint32_t next) {
        if (seen.insert(next).second) stack.push_back(next);
      };
      for (const uint32_t next : edges_[g]) visit(next);
    }
    return false;
  }

  void Connect();

  const Region& region_;
  const Func& func_;
  const std::unordered_map<ValueId, const Op*>& definitions_;
  const uint32_t most_ops_;
  Grouping out_;
  std::unordered_map<ValueId, uint32_t> position_, uses_;
  std::unordered_map<ValueId, ValueState> state_;
  std::unordered_map<uint32_t, std::vector<uint32_t>> edges_;
  std::optional<uint32_t> next_effect_;  // the group of the first operation met that has one
};

void Grouper::Connect() {
  for (auto& [group, before] : edges_) {
    std::ranges::sort(before);
    before.erase(std::unique(before.begin(), before.end()), before.end());
    out_.groups[group].after = std::move(before);
  }
  for (Group& g : out_.groups) {
    std::ranges::reverse(g.roots);  // they were met back to front
    if (g.kind == GroupKind::kMap) g.position = position_[g.roots.back()->result()];
  }
}

void VisitReads(const Region& region, std::unordered_set<ValueId>* defined,
                const std::function<void(ValueId)>& visit) {
  defined->insert(region.args.begin(), region.args.end());
  for (const Op& op : region.ops) {
    for (const ValueId v : op.operands) {
      if (!defined->contains(v)) visit(v);
    }
    for (const Region& inner : op.regions) VisitReads(inner, defined, visit);
    for (uint32_t r = 0; r < op.num_results; ++r) defined->insert(op.result(r));
  }
}

}  // namespace

SimpleReduce SimpleReduceOf(const Op& op, const Func& func) {
  if (op.def->name != "stablehlo.reduce" || op.num_results != 1) return {};
  const DType type = func.type(op.operands[0]).dtype;
  const Region& body = op.regions[0];
  if (!IsComputable(type) || func.type(op.result()).dtype != type || body.ops.size() != 2) {
    return {};
  }
  const Op& combine = body.ops[0];
  const Op& end = body.ops[1];
  if (combine.operands.size() != 2 || end.operands.size() != 1 ||
      end.operands[0] != combine.result()) {
    return {};
  }
  const bool in_order = combine.operands[0] == body.args[0] && combine.operands[1] == body.args[1];
  const bool swapped = combine.operands[0] == body.args[1] && combine.operands[1] == body.args[0];
  if (!in_order && !swapped) return {};
  for (const ReduceRow& row : kReduceRows) {
    if (row.op != combine.def->name) continue;
    const bool bitwise =
        row.kind == ReduceKind::kAnd || row.kind == ReduceKind::kOr || row.kind == ReduceKind::kXor;
    return {row.kind, type != DType::kBool || bitwise};
  }
  return {};
}

void ForEachCapture(const Op& op, const std::function<void(ValueId)>& visit) {
  std::unordered_set<ValueId> defined;
  for (const Region& region : op.regions) VisitReads(region, &defined, visit);
}

Grouping GroupRegion(const Region& region, const Func& func,
                     const std::unordered_map<ValueId, const Op*>& definitions, uint32_t most_ops) {
  return Grouper(region, func, definitions, most_ops).Run();
}

}  // namespace megalith::codegen
