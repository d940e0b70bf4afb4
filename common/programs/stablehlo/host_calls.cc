#include "common/programs/stablehlo/host_calls.h"

#include "common/foundation/base/host_calls.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

bool IsHostCall(const Op& op) {
  return op.def->name == "stablehlo.custom_call" &&
         op.attr("call_target_name").AsText() == kHostCallTarget;
}

Result<uint64_t> HostCallId(const Op& op) {
  const Attr& config = op.attr("mhlo.backend_config");
  if (config.kind() == AttrKind::kDict) {
    const Attr& id = FindAttr(config.AsDict(), "id");
    if (id.kind() == AttrKind::kInt) return static_cast<uint64_t>(id.AsInt());
  }
  return InvalidArgument(
      StrCat("custom call @", kHostCallTarget, " has no number 'id' in mhlo.backend_config"));
}

Result<std::vector<uint64_t>> HostCallsOf(const Module& module) {
  std::vector<uint64_t> ids;
  Status s;
  for (const Func& func : module.funcs()) {
    ForEachOp(func.body, [&](const Op& op) {
      if (!s.ok() || !IsHostCall(op)) return;
      const Result<uint64_t> id = HostCallId(op);
      if (id.ok()) {
        ids.push_back(*id);
      } else {
        s = id.status();
      }
    });
  }
  RETURN_IF_ERROR(s);
  return ids;
}

Status CheckHostCalls(const Module& module) {
  if (HostCalls::Offered() != nullptr) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, HostCallsOf(module));
  if (ids.empty()) return OkStatus();
  return Unimplemented(
      StrCat("custom call @", kHostCallTarget,
             " calls a function of the process that made the program (jax.debug.print, "
             "jax.pure_callback and the like); such programs run in that process only, by the JAX "
             "plugin without an address"));
}

Result<Kernel> PrepareHostCall(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const uint64_t id, HostCallId(op));
  std::vector<TensorType> types;
  for (uint32_t i = 0; i < op.num_results; ++i) types.push_back(planner.result(op, i));
  return Kernel{[id, types](KernelCall& call) -> Status {
    const HostCalls* const host = HostCalls::Offered();
    if (host == nullptr) {
      return FailedPrecondition(StrCat("custom call @", kHostCallTarget,
                                       " calls a function of the process that made the program, "
                                       "which is not the one that runs it"));
    }
    std::vector<HostCalls::Array> in, out;
    for (const Tensor& t : call.in) {
      in.push_back(
          {const_cast<void*>(t.data()), t.byte_size(), t.shape().data(), t.shape().size()});
    }
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i].is_token) {
        ASSIGN_OR_RETURN(call.out[i], Tensor::Create(DType::kBool, Shape{0}));
      } else {
        ASSIGN_OR_RETURN(call.out[i], call.run.Allocate(types[i]));
      }
      const Tensor& made = call.out[i];
      out.push_back(
          {call.out[i].mutable_data(), made.byte_size(), made.shape().data(), made.shape().size()});
    }
    return host->Call(id, in, out);
  }};
}

}  // namespace megalith::stablehlo
