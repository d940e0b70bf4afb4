// What lies between the library and the shared object that contains LLVM.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/codegen/cpu/loop_request.h"
#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

struct ModuleOptions {
  std::string target;  // as runtime::ProcessorTarget() writes it
  int optimisation = 2;
  bool keep_ir = false, keep_assembly = false;
};

// What becomes one function: a kernel or a loop.
struct ModuleItem {
  const runtime::LoopKernel* kernel = nullptr;
  const LoopRequest* loop = nullptr;
};

struct ModuleCode {
  std::string object;                   // ELF, relocatable, with a function for each item
  std::vector<uint64_t> scratch_bytes;  // of each item
  std::string ir, assembly;             // of all of them
  std::string compiler;                 // "LLVM 19.1.7"
};

// The function of item `i` of a module.
inline std::string KernelSymbol(size_t i) { return "kernel" + std::to_string(i); }

// Compiles some items together. Thread-safe. Exported by the shared object under
// kCompileModuleSymbol, whose number grows with every change of these structures or their meaning.
using CompileModuleFn = Result<ModuleCode> (*)(std::span<const ModuleItem> items,
                                               const ModuleOptions& options);
inline constexpr const char* kCompileModuleSymbol = "MegalithCompileModule2";

}  // namespace megalith::codegen
