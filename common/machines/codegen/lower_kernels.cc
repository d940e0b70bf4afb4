#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/in_place.h"
#include "common/machines/codegen/join_steps.h"
#include "common/machines/codegen/lowering.h"
#include "common/machines/codegen/split_reduction.h"

namespace megalith::codegen {
namespace {

// "fusion.3 subtract exponential".
std::string NameOf(const Group& group, size_t number) {
  std::string name = StrCat("fusion.", number);
  for (size_t i = 0; i < group.roots.size() && i < 4; ++i) {
    const std::string_view op = group.roots[i]->def->name;
    StrAppend(&name, " ", op.substr(op.find('.') + 1));
  }
  return name;
}

}  // namespace

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
    for (const ValueId operand : s.op->operands) self(self, operand);
  };
  const auto visit_operands = [&](const Op& op) {
    for (const ValueId operand : op.operands) visit(visit, operand);
  };
  for (const Op* root : group.roots) {
    if (group.kind == GroupKind::kMap) {
      visit_operands(*root);
    } else if (group.kind == GroupKind::kReduce) {
      visit(visit, root->operands[0]);
    } else if (group.kind == GroupKind::kPieces) {
      for (const ValueId v : root->operands) visit(visit, v);
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
  // Arguments in one place become one argument, so that whoever runs the kernel sees that loads and
  // stores meet.
  std::vector<uint32_t> places;
  for (const uint32_t a : arguments) places.push_back(arrays_.Find(a));
  PlanStep step = LoopStep(places, &kernel);
  if (report_ != nullptr) {
    uint64_t bytes = 0;
    for (const auto* list : {&step.in, &step.out}) {
      for (const uint32_t p : *list) bytes += arrays_.at(p).bytes;
    }
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
    std::vector<std::vector<uint32_t>> values;
    for (const Op* root : group.roots) {
      ASSIGN_OR_RETURN(std::vector<uint32_t> parts, builder.EvalParts(root->result(), map));
      values.push_back(std::move(parts));
    }
    for (size_t i = 0; i < values.size(); ++i) {
      builder.StoreParts(group.roots[i]->result(), map, values[i]);
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

// Gives `result` a place that is none of the other arguments': where the region wants it, or a new
// one.
uint32_t Lowering::PlaceApart(Scope* scope, ValueId result, const std::vector<ValueId>& arguments) {
  uint32_t place = kNone;
  const auto wanted = scope->wanted_at.find(result);
  if (wanted != scope->wanted_at.end() && MayOverwrite(*scope, wanted->second)) {
    place = arrays_.Find(wanted->second);
    for (const ValueId v : arguments) {
      const auto it = array_of_.find(v);
      if (v != result && it != array_of_.end() && arrays_.Find(it->second) == place) {
        place = kNone;
        break;
      }
    }
  }
  if (place == kNone) place = NewArray(scope, result);
  array_of_[result] = place;
  return place;
}

Status Lowering::LowerPieces(Scope* scope, const Group& group) {
  const Op& op = *group.roots[0];
  const auto dim = static_cast<size_t>(op.attr("dimension").AsInt());
  std::vector<KernelBuilder> builders;
  std::vector<ValueId> all;
  int64_t at = 0;
  for (const ValueId v : op.operands) {
    const TensorType& type = func_.type(v);
    KernelBuilder builder(func_, SourceFor(*scope, group), type.shape, {});
    IndexMap map = builder.Identity(type.rank());
    ASSIGN_OR_RETURN(const uint32_t value, builder.Eval(v, map));
    map[dim].offset = at;
    at += type.shape[dim];
    builder.Store(op.result(), map, value);
    all.insert(all.end(), builder.arguments().begin(), builder.arguments().end());
    if (*tensor::NumElements(type.shape) > 0) builders.push_back(std::move(builder));
  }
  PlaceApart(scope, op.result(), all);
  for (KernelBuilder& builder : builders) {
    const std::vector<ValueId> arguments = builder.arguments();
    ASSIGN_OR_RETURN(const std::vector<uint32_t> arrays, ArraysOf(arguments));
    RETURN_IF_ERROR(EmitKernel(scope, builder.Finish(NameOf(group, plan_.loops.size()), true),
                               arrays, group.ops));
  }
  return OkStatus();
}

// Makes the update of `op` an array, if it reads what `op` overwrites: then the rest can be
// overwritten where it is. False if the update is one already.
Result<bool> Lowering::SeparateUpdate(Scope* scope, const Group& group) {
  const ValueId update = group.roots[0]->operands[1];
  const KernelBuilder::FindSource source = SourceFor(*scope, group);
  if (source(update).in_memory || source(update).op == nullptr) return false;
  KernelBuilder builder(func_, source, func_.type(update).shape, {});
  const IndexMap map = builder.Identity(func_.type(update).rank());
  ASSIGN_OR_RETURN(const uint32_t value, builder.Eval(update, map));
  builder.Store(update, map, value);
  NewArray(scope, update);
  const std::vector<ValueId> arguments = builder.arguments();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> arrays, ArraysOf(arguments));
  RETURN_IF_ERROR(EmitKernel(scope, builder.Finish(NameOf(group, plan_.loops.size()), true), arrays,
                             group.ops));
  return true;
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
  const bool mine = MayOverwrite(*scope, from);
  bool free = mine;
  for (const ValueId v : builder.arguments()) {
    if (v == result) continue;
    ASSIGN_OR_RETURN(const uint32_t array, ArrayOf(v));
    free = free && arrays_.Find(array) != arrays_.Find(from);
  }
  if (mine && !free) {
    ASSIGN_OR_RETURN(const bool separate, SeparateUpdate(scope, group));
    if (separate) {
      const Status s = LowerUpdate(scope, group);
      // Other kernels compute it as before: nobody has counted who reads the array.
      array_of_.erase(update);
      return s;
    }
  }
  if (free) {
    array_of_[result] = arrays_.Find(from);
  } else {
    const uint32_t place = PlaceApart(scope, result, builder.arguments());
    Copy(scope->steps, from, place);
  }
  const std::vector<ValueId> arguments = builder.arguments();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> arrays, ArraysOf(arguments));
  return EmitKernel(scope, builder.Finish(NameOf(group, plan_.loops.size()), true), arrays,
                    group.ops);
}

}  // namespace megalith::codegen
