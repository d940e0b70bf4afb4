#include "common/machines/codegen/lower.h"

#include <algorithm>
#include <queue>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/epilogues.h"
#include "common/machines/codegen/fuse_indices.h"
#include "common/machines/codegen/join_steps.h"
#include "common/machines/codegen/lowering.h"
#include "common/machines/codegen/schedule.h"

namespace megalith::codegen {
namespace {

// Groups times donated inputs: beyond, the order stays as it is.
constexpr size_t kMostOrderingWork = 20'000'000;

}  // namespace

void Lowering::Define(const Region& region) {
  for (const Op& op : region.ops) {
    for (uint32_t r = 0; r < op.num_results; ++r) definitions_[op.result(r)] = &op;
    for (const Region& inner : op.regions) Define(inner);
  }
}

// The array of a value; constants get theirs when first asked for.
Result<uint32_t> Lowering::ArrayOf(ValueId v) {
  if (const auto it = array_of_.find(v); it != array_of_.end()) return it->second;
  const auto def = definitions_.find(v);
  if (def == definitions_.end() || !def->second->def->has(stablehlo::kConstantLike)) {
    return Internal("a value has no array");
  }
  const stablehlo::Dense& dense = def->second->attr("value").AsDense();
  ASSIGN_OR_RETURN(const tensor::Tensor value, dense.Materialize());
  const auto index = static_cast<uint32_t>(plan_.constants.size());
  plan_.constants.push_back({SpecOf(func_.type(v)), std::string(value.bytes())});
  const uint32_t array = arrays_.Add(BufferKind::kConstant, index, value.byte_size());
  array_of_[v] = array;
  return array;
}

uint32_t Lowering::NewArray(Scope* scope, ValueId v) {
  const uint32_t array = arrays_.AddTemporary(BytesOf(func_.type(v)));
  scope->owned.insert(array);
  array_of_[v] = array;
  return array;
}

// True if nobody reads what is in `place` any more and this region may write there.
bool Lowering::MayOverwrite(const Scope& scope, uint32_t place) const {
  const uint32_t p = arrays_.Find(place);
  const auto left = scope.readers_left.find(p);
  const BufferKind kind = arrays_.at(p).kind;
  return (kind == BufferKind::kArena || kind == BufferKind::kDonated) && scope.owned.contains(p) &&
         (left == scope.readers_left.end() || left->second == 0);
}

void Lowering::Copy(PlanRegion* steps, uint32_t from, uint32_t to) {
  if (arrays_.Find(from) == arrays_.Find(to)) return;
  steps->steps.push_back({StepKind::kCopy, 0, {from}, {to}, kNone, kNone, {}});
}

// Groups in an order that respects what they read; those that overwrite an array come as late as
// possible, when others have read it.
std::vector<uint32_t> Lowering::Order(const Scope& scope) const {
  const std::vector<Group>& groups = scope.grouping.groups;
  std::vector<uint32_t> missing(groups.size(), 0);
  std::vector<std::vector<uint32_t>> before(groups.size());
  for (uint32_t g = 0; g < groups.size(); ++g) {
    missing[g] = static_cast<uint32_t>(groups[g].after.size());
    for (const uint32_t a : groups[g].after) before[a].push_back(g);
  }
  using Key = std::pair<std::pair<bool, uint32_t>, uint32_t>;
  std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
  const auto push = [&](uint32_t g) {
    const bool late = groups[g].kind == GroupKind::kUpdate ||
                      groups[g].roots[0]->def->has(stablehlo::kUpdatesInPlace);
    ready.push({{late, groups[g].position}, g});
  };
  for (uint32_t g = 0; g < groups.size(); ++g) {
    if (missing[g] == 0) push(g);
  }
  std::vector<uint32_t> order;
  while (!ready.empty()) {
    const uint32_t g = ready.top().second;
    ready.pop();
    order.push_back(g);
    for (const uint32_t next : before[g]) {
      if (--missing[next] == 0) push(next);
    }
  }
  return order;
}

// Results that should lie in donated inputs are made after others have read those.
void Lowering::ReadDonatedFirst(const std::vector<std::vector<ValueId>>& reads_of,
                                Scope* scope) const {
  std::vector<Group>& groups = scope->grouping.groups;
  const std::vector<ValueId>& results = scope->region->ops.back().operands;
  if (options_.donated.empty()) return;
  if (options_.donated.size() * groups.size() > kMostOrderingWork) return;
  std::vector<std::vector<uint32_t>> before(groups.size());
  for (uint32_t g = 0; g < groups.size(); ++g) {
    for (const uint32_t a : groups[g].after) before[a].push_back(g);
  }
  for (const stablehlo::DonatedInput& d : options_.donated) {
    if (d.output == UINT32_MAX) continue;
    const auto made = scope->grouping.group_of.find(results[d.output]);
    if (made == scope->grouping.group_of.end()) continue;
    std::vector<bool> needs_it(groups.size(), false);  // group: the result, directly or not
    needs_it[made->second] = true;
    std::vector<uint32_t> open = {made->second};
    while (!open.empty()) {
      const uint32_t g = open.back();
      open.pop_back();
      for (const uint32_t next : before[g]) {
        if (!needs_it[next]) open.push_back(next);
        needs_it[next] = true;
      }
    }
    std::vector<uint32_t> readers;
    bool possible = true;
    for (uint32_t g = 0; g < groups.size(); ++g) {
      if (g == made->second || !std::ranges::binary_search(reads_of[g], func_.body.args[d.input])) {
        continue;
      }
      possible = possible && !needs_it[g];
      readers.push_back(g);
    }
    if (!possible) continue;
    std::vector<uint32_t>& after = groups[made->second].after;
    for (const uint32_t g : readers) {
      if (std::ranges::find(after, g) != after.end()) continue;
      after.push_back(g);
      before[g].push_back(made->second);
    }
  }
}

// Lowers a region; `results` receives the arrays of its results. A result is made at `wanted[i]`
// (or kNone) where that is possible.
Status Lowering::LowerRegion(const Region& region, PlanRegion* steps,
                             const std::unordered_set<uint32_t>& owned,
                             const std::vector<uint32_t>& wanted, std::vector<uint32_t>* results) {
  if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
  Scope scope{&region, GroupRegion(region, func_, definitions_, most_ops_), {}, owned, {}, steps};
  const Op& end = region.ops.back();
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != kNone) scope.wanted_at.try_emplace(end.operands[i], wanted[i]);
  }
  // A reshape shares the array of what it reshapes, wherever that is made.
  const auto resolve = [&](ValueId v) {
    while (true) {
      const auto it = scope.grouping.same_array.find(v);
      if (it == scope.grouping.same_array.end()) return v;
      v = it->second;
    }
  };
  std::unordered_map<ValueId, std::vector<ValueId>> aliases;
  for (const auto& [result, operand] : scope.grouping.same_array) {
    aliases[resolve(operand)].push_back(result);
  }
  const auto bind_aliases = [&](ValueId v) {
    const auto it = aliases.find(v);
    if (it == aliases.end()) return;
    for (const ValueId alias : it->second) array_of_[alias] = array_of_.at(v);
  };
  for (const auto& [v, list] : aliases) {
    const auto def = definitions_.find(v);
    const bool constant =
        def != definitions_.end() && def->second->def->has(stablehlo::kConstantLike);
    if (constant && !scope.grouping.group_of.contains(v)) RETURN_IF_ERROR(ArrayOf(v).status());
    if (array_of_.contains(v)) bind_aliases(v);
  }
  // How often each value is still to be read, counted per group; kept by place once it has one.
  std::unordered_map<ValueId, int> reads;
  std::vector<std::vector<ValueId>> reads_of(scope.grouping.groups.size());
  for (uint32_t g = 0; g < reads_of.size(); ++g) {
    for (const ValueId v : ReadsOf(scope, scope.grouping.groups[g])) {
      reads_of[g].push_back(resolve(v));
    }
    std::ranges::sort(reads_of[g]);
    reads_of[g].erase(std::unique(reads_of[g].begin(), reads_of[g].end()), reads_of[g].end());
    for (const ValueId v : reads_of[g]) ++reads[v];
  }
  if (IsTheProgram(scope)) ReadDonatedFirst(reads_of, &scope);
  const std::vector<uint32_t> order = Order(scope);
  if (order.size() != scope.grouping.groups.size()) return Internal("fused kernels form a cycle");
  for (const ValueId v : end.operands) ++reads[resolve(v)];
  for (const auto& [v, n] : reads) {
    if (const auto it = array_of_.find(v); it != array_of_.end()) {
      scope.readers_left[arrays_.Find(it->second)] += n;
    }
  }
  for (const uint32_t g : order) {
    const Group& group = scope.grouping.groups[g];
    for (const ValueId v : reads_of[g]) {
      const auto it = array_of_.find(v);
      if (it != array_of_.end()) --scope.readers_left[arrays_.Find(it->second)];
    }
    const Status s = LowerGroup(&scope, group);
    if (!s.ok()) {
      return group.roots[0]->line > 0 ? s.Annotate(StrCat("line ", group.roots[0]->line)) : s;
    }
    for (const Op* root : group.roots) {
      for (uint32_t r = 0; r < root->num_results; ++r) {
        const ValueId v = root->result(r);
        bind_aliases(v);
        if (const auto it = reads.find(v); it != reads.end()) {
          scope.readers_left[arrays_.Find(array_of_.at(v))] += it->second;
        }
      }
    }
  }
  FuseEpilogues(plan_, arrays_, takes_epilogue_, steps);
  for (const ValueId v : end.operands) {
    ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(v));
    results->push_back(array);
  }
  return OkStatus();
}

Status Lowering::LowerGroup(Scope* scope, const Group& group) {
  switch (group.kind) {
    case GroupKind::kMap:
    case GroupKind::kReduce:
      return LowerKernel(scope, group);
    case GroupKind::kUpdate:
      return LowerUpdate(scope, group);
    case GroupKind::kPieces:
      return LowerPieces(scope, group);
    case GroupKind::kAlone:
      return LowerAlone(scope, group);
  }
  return Internal("unknown group");
}

// Results of the program: temporaries become the outputs themselves, and so do donated inputs;
// inputs and constants are shared, everything else is copied.
Status Lowering::PlaceOutputs(const std::vector<uint32_t>& results) {
  for (uint32_t i = 0; i < results.size(); ++i) {
    const uint32_t place = arrays_.Find(results[i]);
    runtime::PlanBuffer& buffer = arrays_.at(place);
    const TensorSpec& spec = plan_.signature.outputs[i];
    const bool input =
        buffer.kind == BufferKind::kInput && plan_.signature.inputs[buffer.index] == spec;
    const bool constant =
        buffer.kind == BufferKind::kConstant && plan_.constants[buffer.index].spec == spec;
    if (input || constant) {
      plan_.aliases.push_back({i, buffer.kind, buffer.index});
    } else if (buffer.kind == BufferKind::kDonated &&
               FitsInPlaceOf(plan_.signature.inputs[buffer.index], spec)) {
      plan_.donations.push_back({buffer.index, i, true});
      buffer.kind = BufferKind::kOutput;
      buffer.index = i;
    } else if (buffer.kind == BufferKind::kArena) {
      buffer.kind = BufferKind::kOutput;
      buffer.index = i;
    } else {
      const uint32_t output = arrays_.Add(BufferKind::kOutput, i, buffer.bytes);
      Copy(&plan_.entry, place, output);
    }
  }
  return OkStatus();
}

// Inputs that the caller gives away belong to the program: results may overwrite them.
Status Lowering::TakeDonated(std::unordered_set<uint32_t>* owned, std::vector<uint32_t>* wanted) {
  for (const stablehlo::DonatedInput& d : options_.donated) {
    const bool no_output = d.output != UINT32_MAX && d.output >= func_.results.size();
    if (d.input >= func_.body.args.size() || no_output) {
      return InvalidArgument(StrCat("setting donate names ", no_output ? "output " : "input ",
                                    no_output ? d.output : d.input, "; the program has ",
                                    no_output ? func_.results.size() : func_.body.args.size()));
    }
    const uint32_t array = array_of_.at(func_.body.args[d.input]);
    runtime::PlanBuffer& buffer = arrays_.at(array);
    if (buffer.bytes == 0) continue;
    buffer.kind = BufferKind::kDonated;
    owned->insert(array);
    if (d.output != UINT32_MAX && BytesOf(func_.results[d.output]) == buffer.bytes) {
      (*wanted)[d.output] = array;
    }
  }
  return OkStatus();
}

Result<Plan> Lowering::Run() {
  Define(func_.body);
  for (const ValueId v : func_.body.args) {
    const auto index = static_cast<uint32_t>(plan_.signature.inputs.size());
    plan_.signature.inputs.push_back(SpecOf(func_.type(v)));
    array_of_[v] = arrays_.Add(BufferKind::kInput, index, BytesOf(func_.type(v)));
  }
  for (const TensorType& t : func_.results) plan_.signature.outputs.push_back(SpecOf(t));
  std::unordered_set<uint32_t> owned;
  std::vector<uint32_t> wanted(func_.results.size(), kNone);
  RETURN_IF_ERROR(TakeDonated(&owned, &wanted));
  std::vector<uint32_t> results;
  RETURN_IF_ERROR(LowerRegion(func_.body, &plan_.entry, owned, wanted, &results));
  RETURN_IF_ERROR(PlaceOutputs(results));
  FuseIndices(arrays_, &plan_);
  JoinSteps(arrays_, &plan_, report_);
  ScheduleSteps(arrays_, &plan_);
  AssignMemory(arrays_, &plan_);
  return std::move(plan_);
}

Result<Plan> Lower(const Module& module, const LowerOptions& options, LowerReport* report) {
  ASSIGN_OR_RETURN(const Func* entry, module.Entry());
  // How many instructions an op becomes is known only then: complex numbers take many, and one that
  // is read at several offsets is computed at each.
  for (uint32_t most_ops = kMostGroupOps;; most_ops /= 4) {
    LowerReport made;
    Result<Plan> plan =
        Lowering(*entry, options, report == nullptr ? nullptr : &made, most_ops).Run();
    if (plan.status().code() == Code::kOutOfRange && most_ops > 1) continue;
    if (report != nullptr) *report = std::move(made);
    return plan;
  }
}

}  // namespace megalith::codegen
