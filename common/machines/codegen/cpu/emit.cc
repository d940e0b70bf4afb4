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

// Some distinct kernels that are compiled together: a module of LLVM costs a millisecond or two
// however little is in it. Cancellation acts between modules, so they stay small.
constexpr size_t kModuleKernels = 8;
constexpr size_t kModuleInstrs = 96;

struct Unit {
  std::vector<const LoopKernel*> kernels;
  size_t instrs = 0;
  ModuleCode code;
  LinkedObject linked;
  double seconds = 0;
  uint64_t place = 0;  // in the image
};

bool EqualButForNames(const LoopKernel& a, const LoopKernel& b) {
  return a.buffers == b.buffers && a.locals == b.locals && a.outer == b.outer &&
         a.vector_outer == b.vector_outer && a.stages == b.stages;
}

size_t Instrs(const LoopKernel& kernel) {
  size_t count = 0;
  for (const runtime::LoopStage& stage : kernel.stages) count += stage.instrs.size();
  return count;
}

Status CompileUnit(CompileModuleFn compile, const ModuleOptions& options, Unit* unit) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(unit->code, compile(unit->kernels, options));
  std::vector<std::string> names;
  for (size_t i = 0; i < unit->kernels.size(); ++i) names.push_back(KernelSymbol(i));
  ASSIGN_OR_RETURN(unit->linked,
                   LinkObject(unit->code.object, names).Annotate(unit->kernels[0]->name));
  unit->code.object = std::string();
  unit->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return OkStatus();
}

// Which unit compiles a request, and as which of its kernels.
struct Place {
  size_t unit = 0, kernel = 0;
};

// Puts every distinct kernel into a unit. What is kept for people is kept kernel by kernel.
std::vector<Place> MakeUnits(std::span<const EmitRequest> requests, const EmitOptions& options,
                             std::vector<Unit>* units) {
  const bool alone = options.keep_ir || options.keep_assembly;
  std::vector<Place> places;
  for (size_t i = 0; i < requests.size(); ++i) {
    const LoopKernel& kernel = *requests[i].kernel;
    const auto known =
        std::find_if(requests.begin(), requests.begin() + static_cast<int64_t>(i),
                     [&](const EmitRequest& r) { return EqualButForNames(*r.kernel, kernel); });
    if (known != requests.begin() + static_cast<int64_t>(i)) {
      places.push_back(places[known - requests.begin()]);
      continue;
    }
    const size_t instrs = Instrs(kernel);
    if (units->empty() || alone || units->back().kernels.size() == kModuleKernels ||
        units->back().instrs + instrs > kModuleInstrs) {
      units->emplace_back();
    }
    Unit& unit = units->back();
    places.push_back({units->size() - 1, unit.kernels.size()});
    unit.kernels.push_back(&kernel);
    unit.instrs += instrs;
  }
  return places;
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
  const std::vector<Place> places = MakeUnits(requests, options, &units);
  RETURN_IF_ERROR(CompileAll(*compile, module_options, options, &units));

  CodeImage image;
  image.target = module_options.target;
  for (Unit& unit : units) {
    image.bytes.resize((image.bytes.size() + kCodeAlignment - 1) / kCodeAlignment * kCodeAlignment);
    unit.place = image.bytes.size();
    image.bytes += unit.linked.bytes;
    image.compiler = unit.code.compiler;
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const Unit& unit = units[places[i].unit];
    const size_t kernel = places[i].kernel;
    image.entries.push_back({.loop = requests[i].loop,
                             .offset = unit.place + unit.linked.entries[kernel],
                             .scratch_bytes = unit.code.scratch_bytes[kernel]});
    if (emitted == nullptr) continue;
    const bool first = unit.kernels[kernel] == requests[i].kernel;
    const double share = static_cast<double>(Instrs(*unit.kernels[kernel])) /
                         static_cast<double>(std::max<size_t>(unit.instrs, 1));
    emitted->push_back({.loop = requests[i].loop,
                        .ir = unit.code.ir,
                        .assembly = unit.code.assembly,
                        .seconds = first ? unit.seconds * share : 0.0});
  }
  return image;
}

}  // namespace megalith::codegen
