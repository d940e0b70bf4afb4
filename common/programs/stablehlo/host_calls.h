// The custom call that hands arrays to a function of the process that runs the program
// (foundation/base/host_calls.h, docs/formats/custom-calls.md).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

class Planner;
struct Kernel;

inline constexpr std::string_view kHostCallTarget = "megalith.host_call";

bool IsHostCall(const Op& op);

// The number of the function. Requires a host call. Errors: kInvalidArgument (no number `id` in
// `mhlo.backend_config`).
Result<uint64_t> HostCallId(const Op& op);

// The numbers of all functions that the module may call, in the order it names them. Errors: those
// of HostCallId.
Result<std::vector<uint64_t>> HostCallsOf(const Module& module);

// kUnimplemented, which names the call, if the module makes one and this thread is offered no
// functions (HostCalls::Scope).
Status CheckHostCalls(const Module& module);

// The kernel of a host call; it calls what the thread that runs it is offered.
Result<Kernel> PrepareHostCall(Planner& planner, const Op& op);

}  // namespace megalith::stablehlo
