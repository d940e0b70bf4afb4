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
#include "common/machines/kernels/scalar_ops.h"

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

// Of one kernel, in additions; about 200 exponentials, or half a second.
constexpr double kMostCost = 2500;

struct Unit {
  std::vector<ModuleItem> items;
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
  ASSIGN_OR_RETURN(unit->code, compile(unit->items, options));
  std::vector<std::string> names;
  for (size_t i = 0; i < unit->items.size(); ++i) names.push_back(KernelSymbol(i));
  ASSIGN_OR_RETURN(unit->linked, LinkObject(unit->code.object, names));
  unit->code.object = std::string();
  unit->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return OkStatus();
}

// LLVM takes longer than anybody waits for blocks of many thousand instructions, and cannot be
// stopped in one.
bool IsTooLarge(const LoopKernel& kernel) {
  double cost = 0;
  for (const runtime::LoopStage& stage : kernel.stages) {
    for (const runtime::LoopInstr& instr : stage.instrs) {
      cost += std::max(kernels::FindScalarOp(instr.op)->cost, 1.0);
    }
  }
  return cost > kMostCost;
}

// Which unit compiles a request, and as which of its kernels.
struct Place {
  size_t unit = 0, kernel = 0;
  bool left_out = false;
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
    if (IsTooLarge(kernel)) {
      places.push_back({.left_out = true});
      continue;
    }
    const size_t instrs = Instrs(kernel);
    if (units->empty() || alone || units->back().items.size() == kModuleKernels ||
        units->back().instrs + instrs > kModuleInstrs) {
      units->emplace_back();
    }
    Unit& unit = units->back();
    places.push_back({units->size() - 1, unit.items.size()});
    unit.items.push_back({.kernel = &kernel});
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

namespace {

Result<CodeImage> Emit(std::span<const LoopRequest> loops, std::span<const EmitRequest> requests,
                       const EmitOptions& options, std::vector<EmittedKernel>* emitted) {
  const Result<CompileModuleFn>& compile = Compiler();
  if (!compile.ok()) return compile.status();
  const ModuleOptions module_options = {
      .target = options.target.empty() ? runtime::ProcessorTarget() : options.target,
      .optimisation = options.optimisation,
      .keep_ir = options.keep_ir,
      .keep_assembly = options.keep_assembly};
  std::vector<Unit> units;
  for (const LoopRequest& loop : loops) {
    units.push_back({.items = {{.loop = &loop}}, .instrs = kModuleInstrs});
  }
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
  for (size_t i = 0; i < loops.size(); ++i) {
    const Unit& unit = units[i];
    image.entries.push_back({.loop = loops[i].step->index,
                             .offset = unit.place + unit.linked.entries[0],
                             .scratch_bytes = unit.code.scratch_bytes[0],
                             .kind = runtime::CodeKind::kWhile});
    if (emitted == nullptr) continue;
    emitted->push_back({.loop = loops[i].step->index,
                        .kind = runtime::CodeKind::kWhile,
                        .ir = unit.code.ir,
                        .assembly = unit.code.assembly,
                        .seconds = unit.seconds});
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    if (places[i].left_out) continue;
    const Unit& unit = units[places[i].unit];
    const size_t kernel = places[i].kernel;
    image.entries.push_back({.loop = requests[i].loop,
                             .offset = unit.place + unit.linked.entries[kernel],
                             .scratch_bytes = unit.code.scratch_bytes[kernel]});
    if (emitted == nullptr) continue;
    const bool first = unit.items[kernel].kernel == requests[i].kernel;
    const double share = static_cast<double>(Instrs(*unit.items[kernel].kernel)) /
                         static_cast<double>(std::max<size_t>(unit.instrs, 1));
    emitted->push_back({.loop = requests[i].loop,
                        .ir = unit.code.ir,
                        .assembly = unit.code.assembly,
                        .seconds = first ? unit.seconds * share : 0.0});
  }
  return image;
}

}  // namespace

Result<CodeImage> EmitCode(std::span<const EmitRequest> requests, const EmitOptions& options,
                           std::vector<EmittedKernel>* emitted) {
  return Emit({}, requests, options, emitted);
}

Result<CodeImage> EmitPlan(const runtime::Plan& plan, const EmitOptions& options,
                           std::vector<EmittedKernel>* emitted) {
  const std::vector<LoopRequest> loops = FindLoops(plan);
  std::vector<EmitRequest> requests;
  for (const uint32_t i : KernelsOutside(plan, loops)) requests.push_back({i, &plan.loops[i]});
  return Emit(loops, requests, options, emitted);
}

}  // namespace megalith::codegen
