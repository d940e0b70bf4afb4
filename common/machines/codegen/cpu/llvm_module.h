// What lies between the library and the shared object that contains LLVM.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/status.h"
#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

struct ModuleOptions {
  std::string target;  // as runtime::ProcessorTarget() writes it
  int optimisation = 2;
  bool keep_ir = false, keep_assembly = false;
};

struct ModuleCode {
  std::string object;  // ELF, relocatable, with one function named kKernelSymbol
  uint64_t scratch_bytes = 0;
  std::string ir, assembly;
  std::string compiler;  // "LLVM 19.1.7"
};

inline constexpr const char* kKernelSymbol = "kernel";

// Compiles one kernel. Thread-safe. Exported by the shared object under kCompileModuleSymbol, whose
// number grows with every change of these structures or of their meaning.
using CompileModuleFn = Result<ModuleCode> (*)(const runtime::LoopKernel& kernel,
                                               const ModuleOptions& options);
inline constexpr const char* kCompileModuleSymbol = "MegalithCompileModule1";

}  // namespace megalith::codegen
