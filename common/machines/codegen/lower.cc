#include "common/machines/codegen/lower.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/epilogues.h"
#include "common/machines/codegen/grouping.h"
#include "common/machines/codegen/in_place.h"
#include "common/machines/codegen/kernel_builder.h"
#include "common/machines/codegen/library_ops.h"
#include "common/machines/codegen/memory.h"
#include "common/machines/codegen/reference_op.h"
#include "common/machines/codegen/split_reduction.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::LoopDim;
using runtime::LoopKernel;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;
using runtime::TensorSpec;
using stablehlo::Attr;
using stablehlo::Module;
using stablehlo::TensorType;

constexpr uint32_t kNone = UINT32_MAX;

TensorSpec SpecOf(const TensorType& t) {
  if (t.is_token) return {DType::kBool, {0}};
  return {t.dtype, t.shape};
}

uint64_t BytesOf(const TensorType& t) {
  return static_cast<uint64_t>(std::max<int64_t>(stablehlo::ByteCount(t), 0));
}

bool IsInOrder(const Dims& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// "fusion.3 subtract exponential".
std::string NameOf(const Group& group, size_t number) {
  std::string name = StrCat("fusion.", number);
  for (size_t i = 0; i < group.roots.size() && i < 4; ++i) {
    const std::string_view op = group.roots[i]->def->name;
    StrAppend(&name, " ", op.substr(op.find('.') + 1));
  }
  return name;
}

class Lowering {
 public:
  Lowering(const Func& func, const LowerOptions& options, LowerReport* report)
      : func_(func), options_(options), report_(report) {}

  Result<Plan> Run();

 private:
  // What is known while the steps of one region are made.
  struct Scope {
    const Region* region;
    Grouping grouping;
    std::unordered_map<uint32_t, int> readers_left;  // by place: reads not yet done
    std::unordered_set<uint32_t> owned;              // places this region may overwrite
    std::unordered_map<ValueId, uint32_t>
        wanted_at;  // result of the region -> place it should have
    PlanRegion* steps;
  };

  void Define(const Region& region);
  Result<uint32_t> ArrayOf(ValueId v);
  Status LowerRegion(const Region& region, PlanRegion* steps,
                     const std::unordered_set<uint32_t>& owned, const std::vector<uint32_t>& wanted,
                     std::vector<uint32_t>* results);
  std::vector<uint32_t> Order(const Scope& scope) const;
  std::vector<ValueId> ReadsOf(const Scope& scope, const Group& group) const;
  Status LowerGroup(Scope* scope, const Group& group);
  Status LowerKernel(Scope* scope, const Group& group);
  Status LowerUpdate(Scope* scope, const Group& group);
  Status LowerAlone(Scope* scope, const Group& group);
  Status LowerLibrary(Scope* scope, const Op& op, LibraryCall call);
  Result<uint32_t> Transposed(Scope* scope, ValueId v, const Dims& permutation,
                              tensor::Shape* shape);
  Status LowerReference(Scope* scope, const Op& op);
  Status LowerWhile(Scope* scope, const Op& op);
  Status LowerBranch(Scope* scope, const Op& op);
  Result<uint32_t> Carried(Scope* scope, ValueId init, std::unordered_set<uint32_t>* taken);
  void Copy(PlanRegion* steps, uint32_t from, uint32_t to);
  bool MayOverwrite(const Scope& scope, uint32_t place) const;
  uint32_t NewArray(Scope* scope, ValueId v);
  void PlaceResult(Scope* scope, const LoopKernel& kernel, const std::vector<ValueId>& arguments,
                   ValueId result, std::unordered_set<uint32_t>* taken);
  Result<std::vector<uint32_t>> ArraysOf(const std::vector<ValueId>& values);
  Status EmitKernel(Scope* scope, LoopKernel kernel, const std::vector<uint32_t>& arguments,
                    uint64_t ops);
  Status EmitReduction(Scope* scope, LoopKernel kernel, std::vector<uint32_t> arguments,
                       uint64_t ops);
  KernelBuilder::FindSource SourceFor(const Scope& scope, const Group& group) const;
  Status PlaceOutputs(const std::vector<uint32_t>& results);

  const Func& func_;
  const LowerOptions& options_;
  LowerReport* report_;
  Plan plan_;
  Arrays arrays_;
  std::unordered_map<ValueId, const Op*> definitions_;
  std::unordered_map<ValueId, uint32_t> array_of_;
  std::unordered_set<uint32_t> takes_epilogue_;  // library calls
};

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
  return arrays_.IsTemporary(p) && scope.owned.contains(p) &&
         (left == scope.readers_left.end() || left->second == 0);
}

void Lowering::Copy(PlanRegion* steps, uint32_t from, uint32_t to) {
  if (arrays_.Find(from) == arrays_.Find(to)) return;
  steps->steps.push_back({StepKind::kCopy, 0, {from}, {to}, kNone, kNone, {}});
}

std::vector<ValueId> Lowering::ReadsOf(const Scope& scope, const Group& group) const {
  // Of fused groups only what is known without building the kernel is needed here: which values in
  // memory their expressions reach.
  std::vector<ValueId> reads;
  std::unordered_set<ValueId> seen;
  const auto source = SourceFor(scope, group);
  const auto visit = [&](auto&& self, ValueId v) -> void {
    if (!seen.insert(v).second) return;
    const KernelBuilder::Source s = source(v);
    if (s.op != nullptr && IsSplat(*s.op)) return;
    if (s.in_memory || s.op == nullptr) {
      reads.push_back(v);
      return;
    }
    for (size_t k = 0; k < s.op->operands.size(); ++k) {
      const ValueId operand = s.op->operands[k];
      if (UseOf(*s.op, k) == FusedUse::kMemory) {
        reads.push_back(operand);
      } else {
        self(self, operand);
      }
    }
  };
  const auto visit_operands = [&](const Op& op) {
    for (size_t k = 0; k < op.operands.size(); ++k) {
      if (UseOf(op, k) == FusedUse::kMemory) {
        reads.push_back(op.operands[k]);
      } else {
        visit(visit, op.operands[k]);
      }
    }
  };
  for (const Op* root : group.roots) {
    if (group.kind == GroupKind::kMap) {
      visit_operands(*root);
    } else if (group.kind == GroupKind::kReduce) {
      visit(visit, root->operands[0]);
    } else if (group.kind == GroupKind::kUpdate) {
      for (size_t k = 0; k < root->operands.size(); ++k) {
        if (k != 1) reads.push_back(root->operands[k]);
      }
      visit(visit, root->operands[1]);
    } else {
      for (const ValueId v : root->operands) {
        if (seen.insert(v).second) reads.push_back(v);
      }
      ForEachCapture(*root, [&](ValueId v) {
        if (seen.insert(v).second) reads.push_back(v);
      });
    }
  }
  return reads;
}

KernelBuilder::FindSource Lowering::SourceFor(const Scope& scope, const Group& group) const {
  return [this, &scope, &group](ValueId v) -> KernelBuilder::Source {
    const auto def = definitions_.find(v);
    KernelBuilder::Source s;
    if (def == definitions_.end()) return {nullptr, true};
    s.op = def->second;
    const auto made = scope.grouping.group_of.find(v);
    const bool own = std::ranges::any_of(group.roots, [&](const Op* r) { return r == s.op; });
    s.in_memory = array_of_.contains(v) || scope.grouping.same_array.contains(v) ||
                  (made != scope.grouping.group_of.end() && !own) || !IsFusible(*s.op, func_);
    return s;
  };
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

// Lowers a region; `results` receives the arrays of its results. A result is made at `wanted[i]`
// (or kNone) where that is possible.
Status Lowering::LowerRegion(const Region& region, PlanRegion* steps,
                             const std::unordered_set<uint32_t>& owned,
                             const std::vector<uint32_t>& wanted, std::vector<uint32_t>* results) {
  if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
  Scope scope{&region, GroupRegion(region, func_, definitions_), {}, owned, {}, steps};
  const std::vector<uint32_t> order = Order(scope);
  if (order.size() != scope.grouping.groups.size()) return Internal("fused kernels form a cycle");
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
  for (const uint32_t g : order) {
    for (const ValueId v : ReadsOf(scope, scope.grouping.groups[g])) {
      reads_of[g].push_back(resolve(v));
    }
    std::ranges::sort(reads_of[g]);
    reads_of[g].erase(std::unique(reads_of[g].begin(), reads_of[g].end()), reads_of[g].end());
    for (const ValueId v : reads_of[g]) ++reads[v];
  }
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
    case GroupKind::kAlone:
      return LowerAlone(scope, group);
  }
  return Internal("unknown group");
}

// Chooses the place of a kernel's result: where the region wants it, or that of an operand that is
// not needed any more, or a new one.
void Lowering::PlaceResult(Scope* scope, const LoopKernel& kernel,
                           const std::vector<ValueId>& arguments, ValueId result,
                           std::unordered_set<uint32_t>* taken) {
  const uint64_t bytes = BytesOf(func_.type(result));
  const auto stored =
      static_cast<uint32_t>(std::ranges::find(arguments, result) - arguments.begin());
  // A place that is free, and that this kernel reads at most in step with its writing.
  const auto usable = [&](uint32_t place) {
    const uint32_t p = arrays_.Find(place);
    if (!MayOverwrite(*scope, p) || arrays_.at(p).bytes != bytes || taken->contains(p)) {
      return false;
    }
    for (uint32_t a = 0; a < arguments.size(); ++a) {
      const auto it = array_of_.find(arguments[a]);
      if (it == array_of_.end() || arguments[a] == result) continue;
      if (arrays_.Find(it->second) == p && !FitsInPlace(kernel, a, stored)) return false;
    }
    return true;
  };
  uint32_t place = kNone;
  if (const auto it = scope->wanted_at.find(result);
      it != scope->wanted_at.end() && usable(it->second)) {
    place = arrays_.Find(it->second);
  }
  for (uint32_t a = 0; a < arguments.size() && place == kNone; ++a) {
    const auto it = array_of_.find(arguments[a]);
    if (it == array_of_.end() || bytes == 0) continue;
    if (usable(it->second)) place = arrays_.Find(it->second);
  }
  if (place == kNone) place = NewArray(scope, result);
  array_of_[result] = place;
  taken->insert(arrays_.Find(place));
}

Result<std::vector<uint32_t>> Lowering::ArraysOf(const std::vector<ValueId>& values) {
  std::vector<uint32_t> arrays;
  for (const ValueId v : values) {
    ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(v));
    arrays.push_back(array);
  }
  return arrays;
}

// Adds the step that runs `kernel` on these arrays.
Status Lowering::EmitKernel(Scope* scope, LoopKernel kernel, const std::vector<uint32_t>& arguments,
                            uint64_t ops) {
  PlanStep step;
  step.kind = StepKind::kLoop;
  // Arguments in one place become one argument, so that whoever runs the kernel sees that loads and
  // stores meet.
  std::vector<uint32_t> places, number_of(arguments.size());
  std::vector<bool> stored;
  for (size_t a = 0; a < arguments.size(); ++a) {
    const uint32_t place = arrays_.Find(arguments[a]);
    const auto it = std::ranges::find(places, place);
    number_of[a] = static_cast<uint32_t>(it - places.begin());
    if (it == places.end()) places.push_back(place);
  }
  stored.assign(places.size(), false);
  for (runtime::LoopStage& stage : kernel.stages) {
    for (runtime::LoopStore& s : stage.stores) stored[number_of[s.to.buffer]] = true;
  }
  // Inputs first, then what is written.
  std::vector<uint32_t> final_number(places.size());
  for (const bool written : {false, true}) {
    for (size_t p = 0; p < places.size(); ++p) {
      if (stored[p] != written) continue;
      final_number[p] = static_cast<uint32_t>(step.in.size() + step.out.size());
      (written ? step.out : step.in).push_back(places[p]);
    }
  }
  const auto renumber = [&](runtime::LoopAccess& a) {
    a.buffer = final_number[number_of[a.buffer]];
    for (runtime::LoopIndexTerm& t : a.terms) t.buffer = final_number[number_of[t.buffer]];
  };
  for (runtime::LoopStage& stage : kernel.stages) {
    for (runtime::LoopAccess& a : stage.loads) renumber(a);
    for (runtime::LoopStore& s : stage.stores) renumber(s.to);
  }
  kernel.buffers = static_cast<uint32_t>(places.size());
  if (report_ != nullptr) {
    uint64_t bytes = 0;
    for (const uint32_t p : places) bytes += arrays_.at(p).bytes;
    report_->groups.push_back(
        {kernel.name, ops, kernel.PointCost() * static_cast<double>(kernel.OuterPoints()), bytes});
  }
  step.index = static_cast<uint32_t>(plan_.loops.size());
  plan_.loops.push_back(std::move(kernel));
  scope->steps->steps.push_back(std::move(step));
  return OkStatus();
}

Status Lowering::LowerKernel(Scope* scope, const Group& group) {
  const bool reduce = group.kind == GroupKind::kReduce;
  const Op& first = *group.roots[0];
  const TensorType& domain = func_.type(reduce ? first.operands[0] : first.result());
  Dims outer;
  std::vector<LoopDim> inner;
  IndexMap map(domain.rank()), kept;
  bool vector_outer = true;
  if (reduce) {
    const auto reduced = first.attr("dimensions").AsInts();
    const auto is_reduced = [&](size_t d) {
      return std::ranges::find(reduced, static_cast<int64_t>(d)) != reduced.end();
    };
    for (size_t d = 0; d < domain.rank(); ++d) {
      if (is_reduced(d)) continue;
      map[d] = {static_cast<int32_t>(outer.size()), 1, 0};
      kept.push_back(map[d]);
      outer.push_back(domain.shape[d]);
    }
    size_t last_large = 0;
    for (size_t d = 0; d < domain.rank(); ++d) {
      if (domain.shape[d] > 1) last_large = d;
      if (!is_reduced(d)) continue;
      map[d] = {static_cast<int32_t>(outer.size() + inner.size()), 1, 0};
      inner.push_back({domain.shape[d], true});
    }
    vector_outer = inner.empty() || !is_reduced(last_large);
  } else {
    outer = domain.shape;
    for (size_t d = 0; d < map.size(); ++d) map[d] = {static_cast<int32_t>(d), 1, 0};
  }
  KernelBuilder builder(func_, SourceFor(*scope, group), outer, inner);
  if (reduce) {
    const SimpleReduce simple = SimpleReduceOf(first, func_);
    ASSIGN_OR_RETURN(const uint32_t value, builder.Eval(first.operands[0], map));
    const Op* init = definitions_.at(first.operands[1]);
    if (inner.empty()) {
      // Nothing to reduce over: the operand combined with the initial value, which for these
      // operations' identities is the operand.
      const DType type = kernels::RegisterType(domain.dtype);
      static constexpr ScalarOp kCombine[] = {
          ScalarOp::kAdd, ScalarOp::kMultiply, ScalarOp::kMaximum, ScalarOp::kMinimum,
          ScalarOp::kAnd, ScalarOp::kOr,       ScalarOp::kXor};
      const uint32_t start = builder.Emit(ScalarOp::kConstant, type, {}, SplatBits(*init));
      const uint32_t combined =
          builder.Emit(kCombine[static_cast<size_t>(simple.kind)], type, {start, value});
      builder.Store(first.result(), kept, combined);
    } else {
      builder.stage().reductions.push_back({simple.kind, value, SplatBits(*init)});
      builder.Store(first.result(), kept, 0);
    }
  } else {
    // All roots are evaluated before anything is stored: a root may overwrite what another reads.
    std::vector<uint32_t> values;
    for (const Op* root : group.roots) {
      ASSIGN_OR_RETURN(const uint32_t value, builder.Eval(root->result(), map));
      values.push_back(value);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      builder.Store(group.roots[i]->result(), map, values[i]);
    }
  }
  const std::vector<ValueId> arguments = builder.arguments();
  LoopKernel kernel = builder.Finish(NameOf(group, plan_.loops.size()), vector_outer);
  std::unordered_set<uint32_t> taken;
  for (const Op* root : group.roots) {
    PlaceResult(scope, kernel, arguments, root->result(), &taken);
  }
  ASSIGN_OR_RETURN(std::vector<uint32_t> arrays, ArraysOf(arguments));
  if (reduce && !kernel.stages[0].reductions.empty()) {
    return EmitReduction(scope, std::move(kernel), std::move(arrays), group.ops);
  }
  return EmitKernel(scope, std::move(kernel), arrays, group.ops);
}

// Emits a reduction; one with few results and much to add up as two kernels, of which the first
// makes partial results that threads share.
Status Lowering::EmitReduction(Scope* scope, LoopKernel kernel, std::vector<uint32_t> arguments,
                               uint64_t ops) {
  const int64_t parts = PartsOf(kernel);
  if (parts == 1) return EmitKernel(scope, std::move(kernel), arguments, ops);
  const DType type = kernel.stages[0].instrs[kernel.stages[0].reductions[0].value].type;
  const auto bytes = static_cast<uint64_t>(parts * kernel.OuterPoints()) *
                     static_cast<uint64_t>(tensor::ByteWidth(type));
  const uint32_t partial = arrays_.AddTemporary(bytes);
  const uint32_t result = arguments[kernel.stages[0].stores[0].to.buffer];
  LoopKernel rest = SplitReduction(parts, type, &kernel);
  arguments[kernel.stages[0].stores[0].to.buffer] = partial;
  RETURN_IF_ERROR(EmitKernel(scope, std::move(kernel), arguments, ops));
  return EmitKernel(scope, std::move(rest), {partial, result}, 1);
}

Status Lowering::LowerUpdate(Scope* scope, const Group& group) {
  const Op& op = *group.roots[0];
  const ValueId target = op.operands[0], update = op.operands[1], result = op.result();
  ASSIGN_OR_RETURN(const uint32_t from, ArrayOf(target));
  const TensorType& type = func_.type(update);
  KernelBuilder builder(func_, SourceFor(*scope, group), type.shape, {});
  const IndexMap map = builder.Identity(type.rank());
  ASSIGN_OR_RETURN(const uint32_t value, builder.Eval(update, map));
  builder.Store(result, map, value);
  builder.AddSliceTerms(op, 2, result, type.shape, &builder.stage().stores[0].to);
  // The update must not read what it writes, nor may its starts lie there.
  bool free = MayOverwrite(*scope, from);
  for (const ValueId v : builder.arguments()) {
    if (v == result) continue;
    ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(v));
    free = free && arrays_.Find(array) != arrays_.Find(from);
  }
  if (free) {
    array_of_[result] = arrays_.Find(from);
  } else {
    uint32_t place = kNone;
    const auto wanted = scope->wanted_at.find(result);
    if (wanted != scope->wanted_at.end() && MayOverwrite(*scope, wanted->second)) {
      place = arrays_.Find(wanted->second);
      for (const ValueId v : builder.arguments()) {
        const auto it = array_of_.find(v);
        if (v != result && it != array_of_.end() && arrays_.Find(it->second) == place) {
          place = kNone;
          break;
        }
      }
    }
    if (place == kNone) place = NewArray(scope, result);
    array_of_[result] = place;
    Copy(scope->steps, from, place);
  }
  const std::vector<ValueId> arguments = builder.arguments();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> arrays, ArraysOf(arguments));
  return EmitKernel(scope, builder.Finish(NameOf(group, plan_.loops.size()), true), arrays,
                    group.ops);
}

Status Lowering::LowerAlone(Scope* scope, const Group& group) {
  const Op& op = *group.roots[0];
  const std::string_view name = op.def->name;
  if (name == "stablehlo.while") return LowerWhile(scope, op);
  if (name == "stablehlo.case" || name == "stablehlo.if") return LowerBranch(scope, op);
  if (op.def->has(stablehlo::kIdentity) && op.num_results == op.operands.size()) {
    for (uint32_t i = 0; i < op.num_results; ++i) {
      ASSIGN_OR_RETURN(array_of_[op.result(i)], ArrayOf(op.operands[i]));
    }
    return OkStatus();
  }
  if (std::optional<LibraryCall> call = LibraryCallFor(op, func_, definitions_)) {
    const Status s = LowerLibrary(scope, op, *std::move(call));
    if (s.code() != Code::kUnimplemented) return s;
  }
  return LowerReference(scope, op);
}

// A temporary with the elements of `v`, its dimensions in another order.
Result<uint32_t> Lowering::Transposed(Scope* scope, ValueId v, const Dims& permutation,
                                      tensor::Shape* shape) {
  const TensorType& type = func_.type(v);
  const Dims strides = tensor::RowMajorStrides(type.shape);
  *shape = {};
  Dims from;
  for (const int64_t d : permutation) {
    shape->push_back(type.shape[static_cast<size_t>(d)]);
    from.push_back(strides[static_cast<size_t>(d)]);
  }
  const Dims to = tensor::RowMajorStrides(*shape);
  std::vector<int64_t> params = {0};
  const auto list = [&](const Dims& dims) {
    params.push_back(static_cast<int64_t>(dims.size()));
    params.insert(params.end(), dims.begin(), dims.end());
  };
  list(*shape);
  params.push_back(0);
  list(to);
  params.push_back(0);
  list(from);
  const kernels::LibraryKernel* kernel = options_.find_kernel("strided_copy");
  if (kernel == nullptr) return Unimplemented("there is no kernel strided_copy");
  runtime::LibraryUse use{"strided_copy",
                          kernels::PackParams(params),
                          {SpecOf(type)},
                          {TensorSpec{type.dtype, *shape}},
                          0};
  const kernels::ArraySpec in{type.dtype, type.shape}, out{type.dtype, *shape};
  ASSIGN_OR_RETURN(const kernels::PreparedKernel prepared,
                   kernel->prepare(use.params, {&in, 1}, {&out, 1}));
  use.scratch_bytes = prepared.scratch_bytes;
  ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(v));
  const uint32_t result = arrays_.AddTemporary(BytesOf(type));
  PlanStep step;
  step.kind = StepKind::kLibrary;
  step.index = static_cast<uint32_t>(plan_.library.size());
  step.in = {array};
  step.out = {result};
  if (use.scratch_bytes > 0) step.scratch = arrays_.AddTemporary(use.scratch_bytes);
  plan_.library.push_back(std::move(use));
  scope->steps->steps.push_back(std::move(step));
  return result;
}

Status Lowering::LowerLibrary(Scope* scope, const Op& op, LibraryCall call) {
  const kernels::LibraryKernel* kernel = options_.find_kernel(call.kernel);
  if (kernel == nullptr) return Unimplemented(StrCat("there is no kernel ", call.kernel));
  runtime::LibraryUse use{call.kernel, std::move(call.params), {}, {}, 0};
  std::vector<kernels::ArraySpec> in, out;
  PlanStep step;
  step.kind = StepKind::kLibrary;
  const size_t steps_before = scope->steps->steps.size();
  for (size_t i = 0; i < call.in.size(); ++i) {
    const ValueId v = call.in[i];
    ASSIGN_OR_RETURN(uint32_t array, ArrayOf(v));
    use.in.push_back(SpecOf(func_.type(v)));
    if (i < call.permutations.size() && !IsInOrder(call.permutations[i])) {
      ASSIGN_OR_RETURN(array, Transposed(scope, v, call.permutations[i], &use.in.back().shape));
    }
    step.in.push_back(array);
    in.push_back({use.in.back().dtype, use.in.back().shape});
  }
  for (uint32_t i = 0; i < op.num_results; ++i) {
    use.out.push_back(SpecOf(func_.type(op.result(i))));
    out.push_back({use.out.back().dtype, use.out.back().shape});
  }
  const Result<kernels::PreparedKernel> accepted = kernel->prepare(use.params, in, out);
  if (!accepted.ok()) {
    scope->steps->steps.resize(steps_before);
    // Whatever the kernel has against these arrays, the evaluator has the last word.
    return Unimplemented(accepted.status().message());
  }
  const kernels::PreparedKernel& prepared = *accepted;
  use.scratch_bytes = prepared.scratch_bytes;
  for (uint32_t i = 0; i < op.num_results; ++i) {
    uint32_t place = kNone;
    const uint64_t bytes = BytesOf(func_.type(op.result(i)));
    for (size_t k = 0; i == 0 && k < step.in.size() && k < 32 && place == kNone; ++k) {
      const uint32_t p = arrays_.Find(step.in[k]);
      const bool once =
          std::ranges::count_if(step.in, [&](uint32_t a) { return arrays_.Find(a) == p; }) == 1;
      if ((prepared.in_place >> k & 1) != 0 && once && MayOverwrite(*scope, p) &&
          arrays_.at(p).bytes == bytes) {
        place = p;
      }
    }
    const auto wanted = scope->wanted_at.find(op.result(i));
    if (place == kNone && wanted != scope->wanted_at.end()) {
      const uint32_t p = arrays_.Find(wanted->second);
      const bool read =
          std::ranges::any_of(step.in, [&](uint32_t a) { return arrays_.Find(a) == p; });
      const bool taken =
          std::ranges::any_of(step.out, [&](uint32_t a) { return arrays_.Find(a) == p; });
      if (!read && !taken && MayOverwrite(*scope, p) && arrays_.at(p).bytes == bytes) place = p;
    }
    if (place == kNone) place = NewArray(scope, op.result(i));
    array_of_[op.result(i)] = place;
    step.out.push_back(place);
  }
  if (use.scratch_bytes > 0) step.scratch = arrays_.AddTemporary(use.scratch_bytes);
  step.index = static_cast<uint32_t>(plan_.library.size());
  if (prepared.takes_epilogue) takes_epilogue_.insert(step.index);
  plan_.library.push_back(std::move(use));
  scope->steps->steps.push_back(std::move(step));
  return OkStatus();
}

Status Lowering::LowerReference(Scope* scope, const Op& op) {
  std::vector<ValueId> captured;
  ForEachCapture(op, [&](ValueId v) {
    if (std::ranges::find(captured, v) == captured.end()) captured.push_back(v);
  });
  LibraryCall call;
  call.kernel = std::string(kReferenceKernel.name);
  ASSIGN_OR_RETURN(call.params, ReferenceParams(op, func_, captured));
  call.in = op.operands;
  call.in.insert(call.in.end(), captured.begin(), captured.end());
  if (report_ != nullptr) report_->evaluated.emplace_back(op.def->name);
  return LowerLibrary(scope, op, std::move(call)).Annotate(op.def->name);
}

// The place of a value carried through a loop: that of its initial value if nobody else needs that,
// or a copy.
Result<uint32_t> Lowering::Carried(Scope* scope, ValueId init,
                                   std::unordered_set<uint32_t>* taken) {
  ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(init));
  const uint32_t place = arrays_.Find(array);
  if (MayOverwrite(*scope, place) && taken->insert(place).second) return place;
  const uint32_t copy = arrays_.AddTemporary(BytesOf(func_.type(init)));
  scope->owned.insert(copy);
  Copy(scope->steps, place, copy);
  return copy;
}

Status Lowering::LowerWhile(Scope* scope, const Op& op) {
  const Region& condition = op.regions[0];
  const Region& body = op.regions[1];
  std::vector<uint32_t> carried;
  std::unordered_set<uint32_t> taken;
  // What the regions capture must not be taken over.
  std::unordered_set<uint32_t> captured;
  ForEachCapture(op, [&](ValueId v) {
    if (const auto it = array_of_.find(v); it != array_of_.end()) {
      captured.insert(arrays_.Find(it->second));
    }
  });
  taken = captured;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    ASSIGN_OR_RETURN(const uint32_t place, Carried(scope, op.operands[i], &taken));
    carried.push_back(place);
    array_of_[condition.args[i]] = place;
    array_of_[body.args[i]] = place;
    array_of_[op.result(static_cast<uint32_t>(i))] = place;
  }
  runtime::PlanWhile loop;
  const Attr& trips = op.attr("megalith.trip_count");
  if (trips.present()) loop.trip_count = trips.AsInt();
  if (loop.trip_count < 0) {
    std::vector<uint32_t> predicate;
    RETURN_IF_ERROR(LowerRegion(condition, &loop.condition, {}, {}, &predicate));
    loop.predicate = predicate[0];
  }
  std::unordered_set<uint32_t> owned(carried.begin(), carried.end());
  std::vector<uint32_t> results;
  RETURN_IF_ERROR(LowerRegion(body, &loop.body, owned, carried, &results));
  // What is not yet where the next turn reads it. Values of this turn that are themselves carried
  // are saved before any is overwritten.
  std::vector<std::pair<uint32_t, uint32_t>> moves;
  for (size_t i = 0; i < results.size(); ++i) {
    uint32_t from = arrays_.Find(results[i]);
    const uint32_t to = arrays_.Find(carried[i]);
    if (from == to) continue;
    const bool is_carried =
        std::ranges::any_of(carried, [&](uint32_t c) { return arrays_.Find(c) == from; });
    if (is_carried) {
      const uint32_t saved = arrays_.AddTemporary(BytesOf(func_.type(op.operands[i])));
      Copy(&loop.body, from, saved);
      from = saved;
    }
    moves.emplace_back(from, to);
  }
  for (const auto& [from, to] : moves) Copy(&loop.body, from, to);
  PlanStep step;
  step.kind = StepKind::kWhile;
  step.in = carried;
  step.out = carried;
  step.index = static_cast<uint32_t>(plan_.whiles.size());
  plan_.whiles.push_back(std::move(loop));
  scope->steps->steps.push_back(std::move(step));
  return OkStatus();
}

Status Lowering::LowerBranch(Scope* scope, const Op& op) {
  runtime::PlanBranch branch;
  branch.is_bool = op.def->name == "stablehlo.if";
  ASSIGN_OR_RETURN(branch.selector, ArrayOf(op.operands[0]));
  PlanStep step;
  step.kind = StepKind::kBranch;
  for (uint32_t i = 0; i < op.num_results; ++i) step.out.push_back(NewArray(scope, op.result(i)));
  const std::unordered_set<uint32_t> owned(step.out.begin(), step.out.end());
  for (const Region& region : op.regions) {
    PlanRegion steps;
    std::vector<uint32_t> results;
    RETURN_IF_ERROR(LowerRegion(region, &steps, owned, step.out, &results));
    for (size_t i = 0; i < results.size(); ++i) Copy(&steps, results[i], step.out[i]);
    branch.regions.push_back(std::move(steps));
  }
  step.index = static_cast<uint32_t>(plan_.branches.size());
  plan_.branches.push_back(std::move(branch));
  scope->steps->steps.push_back(std::move(step));
  return OkStatus();
}

// Results of the program: temporaries become the outputs themselves, inputs and constants are
// shared, everything else is copied.
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

Result<Plan> Lowering::Run() {
  Define(func_.body);
  for (const ValueId v : func_.body.args) {
    const auto index = static_cast<uint32_t>(plan_.signature.inputs.size());
    plan_.signature.inputs.push_back(SpecOf(func_.type(v)));
    array_of_[v] = arrays_.Add(BufferKind::kInput, index, BytesOf(func_.type(v)));
  }
  for (const TensorType& t : func_.results) plan_.signature.outputs.push_back(SpecOf(t));
  std::vector<uint32_t> results;
  RETURN_IF_ERROR(LowerRegion(func_.body, &plan_.entry, {}, {}, &results));
  RETURN_IF_ERROR(PlaceOutputs(results));
  AssignMemory(arrays_, &plan_);
  return std::move(plan_);
}

}  // namespace

Result<Plan> Lower(const Module& module, const LowerOptions& options, LowerReport* report) {
  ASSIGN_OR_RETURN(const Func* entry, module.Entry());
  return Lowering(*entry, options, report).Run();
}

}  // namespace megalith::codegen
