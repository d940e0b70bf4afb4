#include "common/machines/codegen/cpu/emit.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu/llvm_module.h"
#include "common/machines/codegen/cpu/object_link.h"

namespace megalith::codegen {
namespace {

using runtime::CodeImage;
using runtime::LoopKernel;

constexpr const char* kLibraryName = "libmegalith_codegen_llvm.so";
constexpr uint64_t kCodeAlignment = 64;

// The folder of the program or library this code was linked into.
std::string FolderOfThisCode() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&FolderOfThisCode), &info) == 0 ||
      info.dli_fname == nullptr) {
    return "";
  }
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// Beside the binary, in ../lib as packages install it, and where it was built.
Result<CompileModuleFn> OpenCompiler() {
  const std::string folder = FolderOfThisCode();
  std::string why;
  for (const std::string& place :
       {folder, StrCat(folder, "/../lib"), StrCat(folder, "/../lib/megalith"),
        std::string(MEGALITH_CODEGEN_BUILD_DIR)}) {
    const std::string path = StrCat(place, "/", kLibraryName);
    // Never closed: LLVM's tables live as long as the process.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* error = dlerror();
      why = error != nullptr ? error : "unknown";
      continue;
    }
    void* symbol = dlsym(library, kCompileModuleSymbol);
    if (symbol == nullptr) {
      return Unavailable(StrCat(path, " is of another version: it has no ", kCompileModuleSymbol));
    }
    return reinterpret_cast<CompileModuleFn>(symbol);
  }
  return Unavailable(StrCat("there is no code generator: ", why));
}

const Result<CompileModuleFn>& Compiler() {
  static const Result<CompileModuleFn>* const compiler =
      new Result<CompileModuleFn>(OpenCompiler());
  return *compiler;
}

// A distinct kernel and what became of it.
struct Unit {
  const LoopKernel* kernel = nullptr;
  Result<ModuleCode> code = Internal("not compiled");
  LinkedObject linked;
  double seconds = 0;
};

bool EqualButForNames(const LoopKernel& a, const LoopKernel& b) {
  return a.buffers == b.buffers && a.locals == b.locals && a.outer == b.outer &&
         a.vector_outer == b.vector_outer && a.stages == b.stages;
}

Status CompileUnit(CompileModuleFn compile, const ModuleOptions& options, Unit* unit) {
  const auto start = std::chrono::steady_clock::now();
  unit->code = compile(*unit->kernel, options);
  if (!unit->code.ok()) return unit->code.status().Annotate(unit->kernel->name);
  ASSIGN_OR_RETURN(unit->linked,
                   LinkObject(unit->code->object, kKernelSymbol).Annotate(unit->kernel->name));
  unit->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return OkStatus();
}

// Takes units in turn until there are none, or one fails.
class Work {
 public:
  Work(CompileModuleFn compile, const ModuleOptions& options, const Cancellation* cancellation,
       std::vector<Unit>* units)
      : compile_(compile), options_(options), cancellation_(cancellation), units_(units) {}

  void Run() {
    for (size_t i = next_++; i < units_->size(); i = next_++) {
      const Status status = Step(&(*units_)[i]);
      if (status.ok()) continue;
      next_ = units_->size();
      const std::lock_guard lock(mu_);
      if (status_.ok()) status_ = status;
      return;
    }
  }
  // After every Run has returned.
  const Status& status() const { return status_; }

 private:
  Status Step(Unit* unit) {
    if (cancellation_ != nullptr) RETURN_IF_ERROR(cancellation_->Check());
    return CompileUnit(compile_, options_, unit);
  }

  const CompileModuleFn compile_;
  const ModuleOptions& options_;
  const Cancellation* const cancellation_;
  std::vector<Unit>* const units_;
  std::atomic<size_t> next_{0};
  std::mutex mu_;
  Status status_;  // guarded by mu_
};

Status CompileAll(CompileModuleFn compile, const ModuleOptions& module_options,
                  const EmitOptions& options, std::vector<Unit>* units) {
  Work work(compile, module_options, options.cancellation, units);
  const auto wanted = std::min<size_t>(std::max(options.threads, 1), units->size());
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < wanted; ++i) {
    helpers.emplace_back([&work] {
      pthread_setname_np(pthread_self(), "mg-emit");
      work.Run();
    });
  }
  work.Run();
  for (std::thread& helper : helpers) helper.join();
  return work.status();
}

}  // namespace

Status CodeGeneratorReady() { return Compiler().status(); }

Result<CodeImage> EmitCode(std::span<const EmitRequest> requests, const EmitOptions& options,
                           std::vector<EmittedKernel>* emitted) {
  const Result<CompileModuleFn>& compile = Compiler();
  if (!compile.ok()) return compile.status();
  const ModuleOptions module_options = {
      .target = options.target.empty() ? runtime::ProcessorTarget() : options.target,
      .optimisation = options.optimisation,
      .keep_ir = options.keep_ir,
      .keep_assembly = options.keep_assembly};
  std::vector<Unit> units;
  std::vector<size_t> unit_of;
  for (const EmitRequest& request : requests) {
    const auto known = std::find_if(units.begin(), units.end(), [&](const Unit& unit) {
      return EqualButForNames(*unit.kernel, *request.kernel);
    });
    unit_of.push_back(known - units.begin());
    if (known == units.end()) units.push_back({.kernel = request.kernel});
  }
  RETURN_IF_ERROR(CompileAll(*compile, module_options, options, &units));

  CodeImage image;
  image.target = module_options.target;
  std::vector<uint64_t> places;
  for (const Unit& unit : units) {
    image.bytes.resize((image.bytes.size() + kCodeAlignment - 1) / kCodeAlignment * kCodeAlignment);
    places.push_back(image.bytes.size());
    image.bytes += unit.linked.bytes;
    image.compiler = unit.code->compiler;
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const Unit& unit = units[unit_of[i]];
    image.entries.push_back({.loop = requests[i].loop,
                             .offset = places[unit_of[i]] + unit.linked.entry,
                             .scratch_bytes = unit.code->scratch_bytes});
    if (emitted == nullptr) continue;
    const bool first = unit.kernel == requests[i].kernel;
    emitted->push_back({.loop = requests[i].loop,
                        .ir = unit.code->ir,
                        .assembly = unit.code->assembly,
                        .seconds = first ? unit.seconds : 0.0});
  }
  return image;
}

}  // namespace megalith::codegen
