#include "common/machines/codegen/effects.h"

#include <algorithm>
#include <memory>

#include "common/foundation/base/host_calls.h"
#include "common/foundation/base/strings.h"
#include "common/machines/codegen/reference_op.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using kernels::ArraySpec;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;

struct HostCallState {
  uint64_t id = 0;
  std::vector<ArraySpec> in, out;
};

HostCalls::Array ArrayAt(void* data, const ArraySpec& spec) {
  const auto bytes = static_cast<uint64_t>(tensor::NumElements(spec.shape).value_or(0)) *
                     static_cast<uint64_t>(tensor::ByteWidth(spec.dtype));
  return {data, bytes, spec.shape.data(), spec.shape.size()};
}

Status RunHostCall(const void* state, const kernels::KernelCall& call) {
  const auto& s = *static_cast<const HostCallState*>(state);
  const HostCalls* const host = HostCalls::Offered();
  if (host == nullptr) {
    return FailedPrecondition(
        "the program calls a function of the process that made it, which is not the one that runs "
        "it");
  }
  std::vector<HostCalls::Array> in, out;
  for (size_t i = 0; i < s.in.size(); ++i) {
    in.push_back(ArrayAt(const_cast<void*>(call.in[i]), s.in[i]));
  }
  for (size_t i = 0; i < s.out.size(); ++i) out.push_back(ArrayAt(call.out[i], s.out[i]));
  return host->Call(s.id, in, out);
}

Result<kernels::PreparedKernel> PrepareHostCall(std::string_view params,
                                                std::span<const ArraySpec> in,
                                                std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, kernels::UnpackParams(params));
  if (v.size() != 1) {
    return InvalidArgument(StrCat("a host call has ", v.size(), " parameters, wanted 1"));
  }
  auto state = std::make_shared<HostCallState>();
  state->id = static_cast<uint64_t>(v[0]);
  state->in.assign(in.begin(), in.end());
  state->out.assign(out.begin(), out.end());
  kernels::PreparedKernel kernel;
  kernel.state = std::move(state);
  kernel.run = RunHostCall;
  return kernel;
}

}  // namespace

const kernels::LibraryKernel kHostCallKernel = {"host_call", PrepareHostCall};

bool HasEffect(const stablehlo::Op& op) {
  if (op.def->has(stablehlo::kTerminator)) return false;
  const stablehlo::Attr& declared = op.attr("has_side_effect");
  const bool denied =
      op.def->FindAttr("has_side_effect") != nullptr && !(declared.present() && declared.AsBool());
  if (!op.def->has(stablehlo::kPure) && !denied) return true;
  return std::ranges::any_of(op.regions, [](const stablehlo::Region& r) {
    return std::ranges::any_of(r.ops, [](const stablehlo::Op& inner) { return HasEffect(inner); });
  });
}

bool HasEffect(const Plan& plan, const PlanStep& step) {
  const auto region = [&](const PlanRegion& r) {
    return std::ranges::any_of(r.steps,
                               [&](const PlanStep& inner) { return HasEffect(plan, inner); });
  };
  switch (step.kind) {
    case StepKind::kLoop:
    case StepKind::kCopy:
      return false;
    case StepKind::kLibrary: {
      const std::string& kernel = plan.library[step.index].kernel;
      return kernel == kHostCallKernel.name || kernel == kReferenceKernel.name;
    }
    case StepKind::kWhile:
      return region(plan.whiles[step.index].condition) || region(plan.whiles[step.index].body);
    case StepKind::kBranch:
      return std::ranges::any_of(plan.branches[step.index].regions, region);
  }
  return true;
}

}  // namespace megalith::codegen
