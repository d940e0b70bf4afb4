#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/epilogues.h"
#include "common/machines/codegen/lowering.h"
#include "common/machines/codegen/reference_op.h"

namespace megalith::codegen {
namespace {

bool IsInOrder(const Dims& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

}  // namespace

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
  std::string params = TransposeParams(type.shape, permutation, shape);
  const kernels::LibraryKernel* kernel = options_.find_kernel("strided_copy");
  if (kernel == nullptr) return Unimplemented("there is no kernel strided_copy");
  runtime::LibraryUse use{
      "strided_copy", std::move(params), {SpecOf(type)}, {TensorSpec{type.dtype, *shape}}, 0};
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
  const size_t calls_before = plan_.library.size();
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
    plan_.library.resize(calls_before);
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

}  // namespace megalith::codegen
