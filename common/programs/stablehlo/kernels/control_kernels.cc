// Kernels of control flow, calls, tokens and of operations that mean the identity on one device.
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/host_calls.h"
#include "common/programs/stablehlo/kernels/library_calls.h"
#include "common/programs/stablehlo/kernels/plan_types.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/lapack_calls.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

Kernel CallKernel(std::shared_ptr<const FuncPlan> callee) {
  return Kernel{[callee = std::move(callee)](KernelCall& call) -> Status {
    std::vector<Tensor> results;
    RETURN_IF_ERROR(RunFunc(*callee, call.run, call.in, &results));
    for (size_t i = 0; i < results.size(); ++i) call.out[i] = std::move(results[i]);
    return OkStatus();
  }};
}

// The truth of a boolean scalar.
bool IsTrue(const Tensor& t) { return *static_cast<const uint8_t*>(t.data()) != 0; }

Kernel BranchKernel(std::vector<std::shared_ptr<const RegionPlan>> branches,
                    size_t (*choose)(const Tensor&, size_t)) {
  return Kernel{[branches = std::move(branches), choose](KernelCall& call) -> Status {
    const size_t i = choose(call.in[0], branches.size());
    std::vector<Tensor> results;
    RETURN_IF_ERROR(RunRegion(*branches[i], call.run, call.frame, {}, &results));
    for (size_t k = 0; k < results.size(); ++k) call.out[k] = std::move(results[k]);
    return OkStatus();
  }};
}

Result<std::vector<std::shared_ptr<const RegionPlan>>> PlanBranches(Planner& planner,
                                                                    const Op& op) {
  std::vector<std::shared_ptr<const RegionPlan>> branches;
  for (const Region& r : op.regions) {
    ASSIGN_OR_RETURN(auto plan, planner.PlanRegion(r));
    branches.push_back(std::move(plan));
  }
  return branches;
}

}  // namespace

Result<Kernel> PrepareCall(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(auto callee, planner.PlanCallee(op.attr("callee").AsText()));
  return CallKernel(std::move(callee));
}

// A composite that names an op we have (chlo.top_k) runs as that op; any other runs its
// decomposition.
Result<Kernel> PrepareComposite(Planner& planner, const Op& op) {
  const OpDef* def = FindOp(op.attr("name").AsText());
  if (def != nullptr && op.attr("name").AsText().starts_with("chlo.")) {
    Op direct;
    direct.def = def;
    direct.operands = op.operands;
    direct.first_result = op.first_result;
    direct.num_results = op.num_results;
    direct.attrs = op.attr_or_default("composite_attributes", planner.func()).AsDict();
    std::vector<TensorType> types, declared;
    for (uint32_t i = 0; i < op.num_results; ++i) declared.push_back(planner.result(op, i));
    bool fits = static_cast<int>(op.operands.size()) == def->operands && def->type_rule != nullptr;
    for (const AttrSpec& spec : def->attrs)
      fits = fits && direct.attr(spec.name).kind() == spec.kind;
    fits = fits &&
           def->type_rule(TypeQuery{direct, planner.func(), nullptr, declared}, &types).ok() &&
           types == declared;
    if (fits)
      return def->span != nullptr ? PrepareElementwise(planner, direct)
                                  : def->prepare(planner, direct);
  }
  ASSIGN_OR_RETURN(auto callee, planner.PlanCallee(op.attr("decomposition").AsText()));
  return CallKernel(std::move(callee));
}

Result<Kernel> PrepareWhile(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(auto condition, planner.PlanRegion(op.regions[0]));
  ASSIGN_OR_RETURN(auto body, planner.PlanRegion(op.regions[1]));
  return Kernel{[condition, body](KernelCall& call) -> Status {
    // The carried values belong to this vector alone while the body runs, so that it may update
    // them in place.
    std::vector<Tensor> state(std::make_move_iterator(call.in.begin()),
                              std::make_move_iterator(call.in.end()));
    std::vector<Tensor> results;
    while (true) {
      RETURN_IF_ERROR(call.run.Poll());
      RETURN_IF_ERROR(call.run.TakeStep());
      std::vector<Tensor> copies = state;
      results.clear();
      RETURN_IF_ERROR(RunRegion(*condition, call.run, call.frame, copies, &results));
      const bool go_on = IsTrue(results[0]);
      copies.clear();
      results.clear();
      if (!go_on) break;
      RETURN_IF_ERROR(RunRegion(*body, call.run, call.frame, state, &results));
      state.swap(results);
    }
    for (size_t i = 0; i < state.size(); ++i) call.out[i] = std::move(state[i]);
    return OkStatus();
  }};
}

Result<Kernel> PrepareCase(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(auto branches, PlanBranches(planner, op));
  return BranchKernel(std::move(branches), [](const Tensor& index, size_t n) {
    const int64_t i = index.IntAt(0);
    return i >= 0 && static_cast<size_t>(i) < n ? static_cast<size_t>(i) : n - 1;
  });
}

Result<Kernel> PrepareIf(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(auto branches, PlanBranches(planner, op));
  return BranchKernel(std::move(branches), [](const Tensor& predicate, size_t) {
    return IsTrue(predicate) ? size_t{0} : size_t{1};
  });
}

Result<Kernel> PrepareIdentity(Planner&, const Op&) {
  return Kernel{[](KernelCall& call) -> Status {
    for (size_t i = 0; i < call.out.size(); ++i) call.out[i] = std::move(call.in[i]);
    return OkStatus();
  }};
}

// A token is an empty array that nobody looks at.
Result<Kernel> PrepareToken(Planner&, const Op&) {
  return Kernel{[](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0], Tensor::Create(DType::kBool, Shape{0}));
    return OkStatus();
  }};
}

// This device is number 0 of 1.
Result<Kernel> PrepareDeviceId(Planner&, const Op&) {
  return Kernel{[](KernelCall& call) -> Status {
    call.out[0] = Tensor::Scalar(DType::kU32, 0);
    return OkStatus();
  }};
}

// Device 0 receives its own value if (0, 0) is among the pairs, zeros if it is not.
Result<Kernel> PrepareCollectivePermute(Planner& planner, const Op& op) {
  if (ElementCount(op.attr("source_target_pairs").AsDense().type) > 0)
    return PrepareIdentity(planner, op);
  const TensorType type = planner.result(op);
  return Kernel{[type](KernelCall& call) -> Status {
    ASSIGN_OR_RETURN(call.out[0],
                     Tensor::Create(type.dtype, type.shape, call.run.max_bytes_per_value));
    return OkStatus();
  }};
}

Result<Kernel> PrepareCustomCall(Planner& planner, const Op& op) {
  const std::string& target = op.attr("call_target_name").AsText();
  if (target == "Sharding" && op.operands.size() == 1 && op.num_results == 1 &&
      planner.operand(op, 0) == planner.result(op)) {
    return PrepareIdentity(planner, op);
  }
  if (IsHostCall(op)) return PrepareHostCall(planner, op);
  const LibraryCall* call = FindLibraryCall(target);
  const LapackRow* lapack = FindLapackRow(target);
  if (call != nullptr || lapack != nullptr) {
    Result<Kernel> kernel = (call != nullptr ? call->prepare : lapack->prepare)(planner, op);
    return kernel.ok() ? std::move(kernel)
                       : kernel.status().Annotate(StrCat("custom call target @", target));
  }
  return Unimplemented(StrCat("custom call target @", target, " is not supported"));
}

}  // namespace megalith::stablehlo
