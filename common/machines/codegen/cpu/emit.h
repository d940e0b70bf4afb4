// Machine code for fused kernels (tier 1), by way of LLVM.
//
// LLVM lies behind a shared object that is opened when the first kernel is compiled, so that
// processes that compile nothing do not pay for it, and a fleet installed without it runs on tier
// 0.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "common/machines/runtime/loop.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

struct EmitOptions {
  std::string target;    // as runtime::ProcessorTarget() writes it; empty: that of this machine
  int optimisation = 2;  // of LLVM's code generator, 0 to 3
  const Cancellation* cancellation = nullptr;  // asked between modules of a few kernels
  int threads = 1;             // the caller's included; modules are compiled side by side
  bool keep_ir = false;        // fill EmittedKernel::ir, and check it: one module per kernel
  bool keep_assembly = false;  // fill EmittedKernel::assembly: doubles the work
};

// What was made of one kernel or loop, for --explain.
struct EmittedKernel {
  uint32_t loop = 0;
  runtime::CodeKind kind = runtime::CodeKind::kKernel;
  std::string ir, assembly;
  double seconds = 0;  // its part of its module's time; zero if an equal kernel's code is used
};

// One kernel to make code for.
struct EmitRequest {
  uint32_t loop = 0;  // its number in Plan::loops
  const runtime::LoopKernel* kernel = nullptr;
};

// Compiles the kernels and links them into one image, whose entries are in the order of `requests`.
// Kernels that are equal but for their names share code. The same kernels, target and options give
// the same bytes. Kernels of thousands of instructions are left out: they stay on tier 0. If
// `emitted` is not null it gets one element per entry.
// Requires kernels that CheckLoopKernel accepts. Thread-safe.
// Errors: kUnavailable (this installation has no code generator: stay on tier 0), kCancelled,
// kDeadlineExceeded, kInvalidArgument (unknown target), kInternal.
Result<runtime::CodeImage> EmitCode(std::span<const EmitRequest> requests,
                                    const EmitOptions& options,
                                    std::vector<EmittedKernel>* emitted = nullptr);

// Compiles a plan: loops that are worth it become a function each, then come the kernels that steps
// outside of them run. Like EmitCode otherwise. Requires a plan that CheckPlan accepts.
Result<runtime::CodeImage> EmitPlan(const runtime::Plan& plan, const EmitOptions& options,
                                    std::vector<EmittedKernel>* emitted = nullptr);

// OK if there is a code generator; otherwise why not. Opens it, which takes a few milliseconds the
// first time: worth calling in the background before it is needed.
Status CodeGeneratorReady();

}  // namespace megalith::codegen
