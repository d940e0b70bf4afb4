// The shared object with LLVM in it: from kernels to an object file.
#include "common/machines/codegen/cpu/llvm_module.h"

#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu/ir_kernel.h"
#include "common/machines/codegen/cpu/ir_loop.h"
#include "common/machines/codegen/cpu/simplify.h"

namespace megalith::codegen {
namespace {

constexpr const char* kTriple = "x86_64-unknown-linux-gnu";

struct Target {
  TargetTraits traits;
  std::string features;  // "+avx,+avx2"
};

// "x86-64 avx avx2" -> LLVM's features.
Result<Target> ParseTarget(std::string_view text) {
  Target out;
  bool first = true;
  bool bw = false, dq = false, vl = false, f = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (std::exchange(first, false)) {
      if (word != "x86-64") return InvalidArgument(StrCat("no code generator for '", word, "'"));
      continue;
    }
    if (!out.features.empty()) out.features += ',';
    out.features += StrCat("+", word);
    out.traits.sse41 = out.traits.sse41 || word == "sse4.1";
    out.traits.fma = out.traits.fma || word == "fma";
    out.traits.f16c = out.traits.f16c || word == "f16c";
    out.traits.avx2 = out.traits.avx2 || word == "avx2";
    f = f || word == "avx512f";
    bw = bw || word == "avx512bw";
    dq = dq || word == "avx512dq";
    vl = vl || word == "avx512vl";
  }
  out.traits.avx512 = f && bw && dq && vl;
  out.traits.vector_bits = out.traits.avx512 ? 512 : out.traits.avx2 ? 256 : 128;
  return out;
}

Result<std::unique_ptr<llvm::TargetMachine>> MakeMachine(const std::string& features,
                                                         int optimisation) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  std::string error;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(kTriple, error);
  if (target == nullptr) return Internal(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  static constexpr llvm::CodeGenOptLevel kLevels[] = {
      llvm::CodeGenOptLevel::None, llvm::CodeGenOptLevel::Less, llvm::CodeGenOptLevel::Default,
      llvm::CodeGenOptLevel::Aggressive};
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(kTriple, "x86-64", features, options, llvm::Reloc::PIC_,
                                  llvm::CodeModel::Small, kLevels[optimisation]));
  if (machine == nullptr) return Internal("LLVM has no machine for this target");
  return machine;
}

// Machines that nobody uses at the moment. They are worth keeping: each works out what its features
// imply when it is first used, which takes as long as compiling a small kernel.
class MachinePool {
 public:
  using Machine = std::unique_ptr<llvm::TargetMachine>;

  Result<Machine> Take(const std::string& features, int optimisation) {
    {
      const std::lock_guard lock(mu_);
      std::vector<Machine>& idle = idle_[{features, optimisation}];
      if (!idle.empty()) {
        Machine machine = std::move(idle.back());
        idle.pop_back();
        return machine;
      }
    }
    return MakeMachine(features, optimisation);
  }

  void Return(const std::string& features, int optimisation, Machine machine) {
    const std::lock_guard lock(mu_);
    idle_[{features, optimisation}].push_back(std::move(machine));
  }

 private:
  std::mutex mu_;
  std::map<std::pair<std::string, int>, std::vector<Machine>> idle_;  // guarded by mu_
};

void SetAttributes(llvm::Function* function, const Target& target) {
  const std::string bits = std::to_string(target.traits.vector_bits);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("no-builtins");  // no calls of memset and the like
  function->addFnAttr("prefer-vector-width", bits);
  function->addFnAttr("min-legal-vector-width", bits);
}

Result<std::string> Write(llvm::TargetMachine* machine, llvm::Module* module,
                          llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, type, /*DisableVerify=*/true)) {
    return Internal("LLVM cannot write files for this target");
  }
  passes.run(*module);
  return std::string(bytes.begin(), bytes.end());
}

using Items = std::span<const ModuleItem>;

Result<KernelFunction> EmitItem(const ModuleItem& item, const TargetTraits& traits,
                                const std::string& name, llvm::Module* module) {
  if (item.loop != nullptr) return EmitLoop(*item.loop, traits, name, module);
  Result<KernelFunction> emitted = EmitKernel(Simplify(*item.kernel), traits, name, module);
  if (!emitted.ok()) return emitted.status().Annotate(item.kernel->name);
  return emitted;
}

Result<ModuleCode> CompileWith(llvm::TargetMachine* machine, const Target& target, Items items,
                               const ModuleOptions& options) {
  llvm::LLVMContext context;
  context.setDiscardValueNames(!options.keep_ir);
  llvm::Module module("kernels", context);
  module.setTargetTriple(kTriple);
  module.setDataLayout(machine->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  ModuleCode out;
  out.compiler = StrCat("LLVM ", LLVM_VERSION_STRING);
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const KernelFunction emitted,
                     EmitItem(items[i], target.traits, KernelSymbol(i), &module));
    out.scratch_bytes.push_back(emitted.scratch_bytes);
  }
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) SetAttributes(&function, target);
  }
  if (options.keep_ir) {
    llvm::raw_string_ostream stream(out.ir);
    module.print(stream, nullptr);
    std::string problems;
    llvm::raw_string_ostream problem_stream(problems);
    if (llvm::verifyModule(module, &problem_stream)) {
      return Internal(StrCat("the code generator made invalid code: ", problems));
    }
  }
  if (options.keep_assembly) {
    const std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
    ASSIGN_OR_RETURN(out.assembly, Write(machine, copy.get(), llvm::CodeGenFileType::AssemblyFile));
  }
  ASSIGN_OR_RETURN(out.object, Write(machine, &module, llvm::CodeGenFileType::ObjectFile));
  return out;
}

Result<ModuleCode> CompileModule(Items items, const ModuleOptions& options) {
  static MachinePool* const pool = new MachinePool;
  ASSIGN_OR_RETURN(const Target target, ParseTarget(options.target));
  const int optimisation = std::clamp(options.optimisation, 0, 3);
  ASSIGN_OR_RETURN(MachinePool::Machine machine, pool->Take(target.features, optimisation));
  Result<ModuleCode> code = CompileWith(machine.get(), target, items, options);
  pool->Return(target.features, optimisation, std::move(machine));
  return code;
}

}  // namespace
}  // namespace megalith::codegen

extern "C" __attribute__((visibility("default"))) megalith::Result<megalith::codegen::ModuleCode>
MegalithCompileModule2(std::span<const megalith::codegen::ModuleItem> items,
                       const megalith::codegen::ModuleOptions& options) {
  return megalith::codegen::CompileModule(items, options);
}
