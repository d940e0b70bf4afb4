// What lies between the library and the shared object that contains LLVM.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

struct ModuleOptions {
  std::string target;  // as runtime::ProcessorTarget() writes it
  int optimisation = 2;
  bool keep_ir = false, keep_assembly = false;
};

struct ModuleCode {
  std::string object;                   // ELF, relocatable, with a function for each kernel
  std::vector<uint64_t> scratch_bytes;  // of each kernel
  std::string ir, assembly;             // of all of them
  std::string compiler;                 // "LLVM 19.1.7"
};

// The function of kernel `i` of a module.
inline std::string KernelSymbol(size_t i) { return "kernel" + std::to_string(i); }

// Compiles some kernels together. Thread-safe. Exported by the shared object under
// kCompileModuleSymbol, whose number grows with every change of these structures or their meaning.
using CompileModuleFn = Result<ModuleCode> (*)(std::span<const runtime::LoopKernel* const> kernels,
                                               const ModuleOptions& options);
inline constexpr const char* kCompileModuleSymbol = "MegalithCompileModule1";

}  // namespace megalith::codegen
