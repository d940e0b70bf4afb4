#include "common/machines/codegen/cpu_backend.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <utility>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/machines/codegen/code_demand.h"
#include "common/machines/codegen/cpu/emit.h"
#include "common/machines/codegen/effects.h"
#include "common/machines/codegen/explain.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/codegen/reference_op.h"
#include "common/machines/kernels/work_pool.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan_runner.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/excess_precision.h"
#include "common/programs/stablehlo/host_calls.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::CompileOptions;
using runtime::CostSummary;
using runtime::Executable;
using runtime::Package;
using runtime::Plan;
using runtime::Progress;
using runtime::RunOptions;
using runtime::Signature;
using stablehlo::Module;
using tensor::Tensor;

constexpr std::string_view kName = "cpu";
// Goes up when packages made before must not be used any more.
constexpr std::string_view kVersion = "3";

const kernels::LibraryKernel* FindKernel(std::string_view name) {
  if (name == kReferenceKernel.name) return &kReferenceKernel;
  if (name == kHostCallKernel.name) return &kHostCallKernel;
  return kernels::FindLibraryKernel(name);
}

// When machine code is made.
enum class Tier : uint8_t { kNever, kAtOnce, kWhenUsed };

struct Settings {
  Tier tier = Tier::kWhenUsed;
  std::vector<stablehlo::DonatedInput> donated;
  Explain explain;
};

struct TierWord {
  std::string_view word;
  Tier tier;
};
constexpr TierWord kTierWords[] = {
    {"0", Tier::kNever}, {"1", Tier::kAtOnce}, {"auto", Tier::kWhenUsed}};

Status Apply(std::string_view name, std::string_view value, Settings* settings) {
  if (name == "tier") {
    for (const TierWord& w : kTierWords) {
      if (w.word != value) continue;
      settings->tier = w.tier;
      return OkStatus();
    }
    return InvalidArgument(StrCat("setting tier is '", Printable(value), "', wanted 0, 1 or auto"));
  }
  if (name == "explain") return ReadExplain(value, &settings->explain);
  if (name == stablehlo::kDonateSetting) {
    ASSIGN_OR_RETURN(settings->donated, stablehlo::ReadDonate(value));
    return OkStatus();
  }
  return InvalidArgument(StrCat("the cpu backend has no setting '", Printable(name), "'"));
}

Result<Settings> ReadSettings(std::string_view text) {
  Settings settings;
  for (const std::string_view line : Split(text, '\n')) {
    if (line.empty()) continue;
    const size_t equals = line.find(" = ");
    if (equals == std::string_view::npos) return DataLoss("section 'settings' is damaged");
    const Status s = Apply(line.substr(0, equals), line.substr(equals + 3), &settings);
    if (!s.ok()) return DataLoss(s.message()).Annotate("section 'settings'");
  }
  return settings;
}

Result<runtime::CodeImage> CodeFor(const Plan& plan, int threads, const Cancellation* cancellation,
                                   std::vector<EmittedKernel>* emitted, const Explain& explain) {
  EmitOptions options;
  options.threads = threads;
  options.cancellation = cancellation;
  options.keep_ir = explain.ir;
  options.keep_assembly = explain.assembly;
  return EmitPlan(plan, options, emitted);
}

// Makes machine code for executables that are used, one after the other, on a thread of its own.
class Background {
 public:
  using Task = std::function<void(const Cancellation&)>;

  static Background& Get() {
    static Background* const background = Make();  // stopped, but never destroyed
    return *background;
  }
  // Dropped if too much waits: tier 0 goes on, and a later run asks again.
  bool Submit(Task task) {
    return pool_
        .Submit([this, task = std::move(task)] {
          if (stopping_.Check().ok() && Prepare()) task(stopping_);
        })
        .ok();
  }

 private:
  static constexpr size_t kMaxWaiting = 256;
  static constexpr int kNice = 10;

  // A process that ends waits for the kernel that is being compiled, which uses objects of this
  // program; those of the code generator are never destroyed (cpu/no_destructors.cc).
  static Background* Make() {
    auto* const made = new Background();
    (void)std::atexit([] { Get().Stop(); });
    return made;
  }

  bool Prepare() {
    if (prepared_) return true;
    if (!CodeGeneratorReady().ok()) return false;
    prepared_ = true;
    // Whoever waits for a result or a compilation goes first. Of this thread alone, on Linux.
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
    return prepared_;
  }
  void Stop() {
    stopping_.Cancel();
    pool_.Shutdown();
  }

  bool prepared_ = false;  // of the pool's thread
  Cancellation stopping_;
  ThreadPool pool_{"codegen", 1, kMaxWaiting};
};

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(std::shared_ptr<runtime::PlanRunner> runner, const Package& package, bool make_code)
      : runner_(std::move(runner)),
        cost_(package.cost),
        key_(package.key),
        demand_(make_code ? runner_->plan().loops.size() : 0) {
    if (demand_.open() && !runner_->plan().whiles.empty()) {
      // Only runs of this object ask, so it is there.
      runner_->OnLongLoop([this] {
        if (demand_.Ask()) AskForCode();
      });
    }
  }

  const Signature& signature() const override { return runner_->plan().signature; }
  const std::string& key() const override { return key_; }
  std::string_view backend() const override { return kName; }
  const CostSummary& cost() const override { return cost_; }
  uint64_t donated_bytes() const override {
    uint64_t bytes = 0;
    for (const runtime::Donation& d : runner_->plan().donations) {
      if (d.output == UINT32_MAX) continue;
      const runtime::TensorSpec& spec = signature().outputs[d.output];
      bytes += static_cast<uint64_t>(tensor::NumElements(spec.shape).value_or(0)) *
               static_cast<uint64_t>(tensor::ByteWidth(spec.dtype));
    }
    return bytes;
  }

 protected:
  Result<std::vector<Tensor>> RunChecked(std::span<const Tensor> inputs,
                                         const RunOptions& options) const override {
    return Counted([&] { return runner_->Run(inputs, options); });
  }
  Result<std::vector<Tensor>> RunTakingChecked(std::vector<Tensor> inputs,
                                               const RunOptions& options) const override {
    return Counted([&] { return runner_->RunTaking(std::move(inputs), options); });
  }

 private:
  // Runs, and asks for code once that is worth while.
  template <typename Run>
  Result<std::vector<Tensor>> Counted(const Run& run) const {
    if (!demand_.open()) return run();
    const Clock& clock = RealClock();
    const std::chrono::nanoseconds begin = clock.Monotonic();
    auto results = run();
    if (demand_.Ran(clock.Monotonic() - begin)) AskForCode();
    return results;
  }

  struct Unwanted {
    const Cancellation* stopping;
    const std::shared_ptr<runtime::PlanRunner>* runner;
    static bool Ask(const void* self) {
      const auto* u = static_cast<const Unwanted*>(self);
      return u->stopping->cancelled() || u->runner->use_count() == 1;
    }
  };

  void AskForCode() const {
    std::weak_ptr<runtime::PlanRunner> weak = runner_;
    const bool accepted = Background::Get().Submit([weak](const Cancellation& stopping) {
      const std::shared_ptr<runtime::PlanRunner> runner = weak.lock();
      if (runner == nullptr) return;
      // Nobody else has it any more: its code would not be used.
      const Unwanted unwanted{&stopping, &runner};
      const Cancellation cancellation(std::nullopt, RealClock(), Unwanted::Ask, &unwanted);
      const auto image = CodeFor(runner->plan(), 1, &cancellation, nullptr, {});
      if (!image.ok()) return;  // tier 0 is right, only slower
      if (auto code = runtime::LoadedCode::Load(*image); code.ok()) {
        runner->UseCode(*std::move(code));
      }
    });
    if (!accepted) demand_.Reopen();
  }

  std::shared_ptr<runtime::PlanRunner> runner_;
  CostSummary cost_;
  std::string key_;
  mutable CodeDemand demand_;
};

// An op of an effectful kind that says it has none: a custom call.
bool SaysNoEffect(const stablehlo::Op& op) {
  const stablehlo::Attr& effect = op.attr("has_side_effect");
  return op.def->FindAttr("has_side_effect") != nullptr && !(effect.present() && effect.AsBool());
}

// What the forms a program goes through take together: the canonical program and its graph, the
// plan and its copy in the package, machine code likewise.
Status CheckMemory(uint64_t program_bytes, uint64_t plan_bytes, uint64_t code_bytes,
                   uint64_t budget_bytes) {
  const uint64_t made = 3 * program_bytes + 2 * plan_bytes + 2 * code_bytes;
  if (made <= budget_bytes) return OkStatus();
  return ResourceExhausted(StrCat("compiling made ", made,
                                  " bytes so far, above memory_budget_bytes (", budget_bytes,
                                  "); pass large constants as arguments, split the program, or "
                                  "raise the budget"));
}

// Steps of one run, as far as turns of loops are known.
double StepsOf(const Plan& plan, const runtime::PlanRegion& region) {
  double steps = 0;
  for (const runtime::PlanStep& step : region.steps) {
    ++steps;
    if (step.kind != runtime::StepKind::kWhile) continue;
    const runtime::PlanWhile& loop = plan.whiles[step.index];
    const double turns = loop.trip_count < 0 ? 1 : static_cast<double>(loop.trip_count);
    steps += turns * (StepsOf(plan, loop.condition) + StepsOf(plan, loop.body));
  }
  return steps;
}

// From so many on, dispatching the steps of the first run takes longer than compiling them.
constexpr double kManySteps = 300'000;

// True if every op can run as a step of its own, in any order that respects the data flow and that
// of calls of the host.
bool CanBeSplit(const Module& module) {
  bool splittable = true;
  for (const stablehlo::Func& f : module.funcs()) {
    ForEachOp(f.body, [&](const stablehlo::Op& op) {
      const bool control = op.def->name == "stablehlo.while" || op.def->name == "stablehlo.case" ||
                           op.def->name == "stablehlo.if" || op.def->has(stablehlo::kTerminator);
      const bool calls = op.def->has(stablehlo::kCallsFunction);
      const bool pure = SaysNoEffect(op) || stablehlo::IsHostCall(op) ||
                        (op.def->has(stablehlo::kPure) && !op.def->has(stablehlo::kIndeterminate));
      if (calls || (!pure && !control)) splittable = false;
    });
  }
  return splittable;
}

runtime::TensorSpec SpecOf(const stablehlo::TensorType& t) {
  if (t.is_token) return {tensor::DType::kBool, {0}};
  return {t.dtype, t.shape};
}

// The whole program as one step of the reference evaluator.
Result<Plan> WholeProgram(const Module& module) {
  ASSIGN_OR_RETURN(const stablehlo::Func* entry, module.Entry());
  Plan plan;
  runtime::LibraryUse use;
  use.kernel = kReferenceKernel.name;
  use.params = stablehlo::EncodeModule(module);
  runtime::PlanStep step;
  step.kind = runtime::StepKind::kLibrary;
  const auto bytes = [](const runtime::TensorSpec& s) {
    return static_cast<uint64_t>(*tensor::NumElements(s.shape)) *
           static_cast<uint64_t>(tensor::ByteWidth(s.dtype));
  };
  for (const stablehlo::TensorType& t : entry->input_types()) {
    plan.signature.inputs.push_back(SpecOf(t));
    step.in.push_back(static_cast<uint32_t>(plan.buffers.size()));
    plan.buffers.push_back(
        {runtime::BufferKind::kInput, static_cast<uint32_t>(use.in.size()), 0, bytes(SpecOf(t))});
    use.in.push_back(SpecOf(t));
  }
  for (const stablehlo::TensorType& t : entry->results) {
    plan.signature.outputs.push_back(SpecOf(t));
    step.out.push_back(static_cast<uint32_t>(plan.buffers.size()));
    plan.buffers.push_back(
        {runtime::BufferKind::kOutput, static_cast<uint32_t>(use.out.size()), 0, bytes(SpecOf(t))});
    use.out.push_back(SpecOf(t));
  }
  std::vector<kernels::ArraySpec> in, out;
  for (const auto& s : use.in) in.push_back({s.dtype, s.shape});
  for (const auto& s : use.out) out.push_back({s.dtype, s.shape});
  RETURN_IF_ERROR(kReferenceKernel.prepare(use.params, in, out).status());
  plan.library.push_back(std::move(use));
  plan.entry.steps.push_back(std::move(step));
  return plan;
}

class CpuBackend final : public runtime::Backend {
 public:
  std::string_view name() const override { return kName; }
  std::string_view version() const override { return kVersion; }
  std::string target() const override { return runtime::ProcessorTarget(); }
  bool HasSetting(std::string_view setting) const override {
    return setting == "tier" || setting == "explain" || setting == stablehlo::kDonateSetting;
  }

  Result<std::string> Compile(std::string_view program, const CompileOptions& options,
                              const Progress& progress) const override {
    const auto stage = [&](std::string_view what, double done) -> Status {
      if (progress) progress(what, done);
      return options.cancellation == nullptr ? OkStatus() : options.cancellation->Check();
    };
    Settings settings;
    std::string settings_text;
    for (const auto& [name, value] : options.settings) {
      RETURN_IF_ERROR(Apply(name, value, &settings));
      StrAppend(&settings_text, name, " = ", value, "\n");
    }
    Explanation explanation(settings.explain);
    RETURN_IF_ERROR(stage("verify", 0));
    ASSIGN_OR_RETURN(const Module module, program.starts_with(stablehlo::kCodecMagic)
                                              ? stablehlo::DecodeModule(program)
                                              : stablehlo::ParseModule(program));
    RETURN_IF_ERROR(stablehlo::CheckHostCalls(module));
    RETURN_IF_ERROR(stage("canonicalize", 0.1));
    RETURN_IF_ERROR(CheckMemory(program.size(), 0, 0, options.memory_budget_bytes));
    ASSIGN_OR_RETURN(Module canonical, stablehlo::Canonicalize(module));
    ASSIGN_OR_RETURN(const stablehlo::CostEstimate cost, stablehlo::EstimateCost(canonical));
    RETURN_IF_ERROR(stage("plan", 0.2));
    ASSIGN_OR_RETURN(const Plan plan, MakePlan(std::move(canonical), settings.donated,
                                               options.cancellation, &explanation));
    Package p;
    p.backend = kName;
    p.backend_version = kVersion;
    p.target = target();
    p.key = options.key;
    p.signature = plan.signature;
    p.cost = {cost.total.flops,    cost.total.transcendentals,
              cost.total.bytes,    static_cast<double>(plan.arena_bytes),
              cost.constant_bytes, cost.operations};
    p.sections = {{"plan", runtime::EncodePlan(plan)}, {"settings", std::move(settings_text)}};
    const uint64_t plan_bytes = p.sections[0].bytes.size();
    RETURN_IF_ERROR(CheckMemory(program.size(), plan_bytes, 0, options.memory_budget_bytes));
    const bool at_once = settings.tier == Tier::kAtOnce || (settings.tier == Tier::kWhenUsed &&
                                                            StepsOf(plan, plan.entry) > kManySteps);
    if (at_once && !plan.loops.empty()) {
      RETURN_IF_ERROR(stage("emit", 0.4));
      std::vector<EmittedKernel> emitted;
      ASSIGN_OR_RETURN(const runtime::CodeImage image,
                       CodeFor(plan, kernels::ProcessPool().threads(), options.cancellation,
                               &emitted, settings.explain));
      explanation.Add(emitted);
      p.sections.push_back({"code", runtime::EncodeCodeImage(image)});
      RETURN_IF_ERROR(CheckMemory(program.size(), plan_bytes, p.sections.back().bytes.size(),
                                  options.memory_budget_bytes));
    }
    if (settings.explain.any()) p.sections.push_back({"explain", explanation.Take()});
    RETURN_IF_ERROR(stage("package", 0.9));
    return runtime::EncodePackage(p);
  }

  Result<std::shared_ptr<const Executable>> Load(std::string_view package,
                                                 runtime::Origin origin) const override {
    ASSIGN_OR_RETURN(const Package p, runtime::DecodePackage(package));
    RETURN_IF_ERROR(runtime::CheckMadeBy(p, *this));
    ASSIGN_OR_RETURN(const std::string_view text, p.Find("settings"));
    ASSIGN_OR_RETURN(const Settings settings, ReadSettings(text));
    ASSIGN_OR_RETURN(const std::string_view bytes, p.Find("plan"));
    ASSIGN_OR_RETURN(Plan plan, runtime::DecodePlan(bytes).Annotate("section 'plan'"));
    if (!(plan.signature == p.signature)) {
      return DataLoss("section 'plan' does not have the signature the header gives");
    }
    ASSIGN_OR_RETURN(
        std::shared_ptr<runtime::PlanRunner> runner,
        runtime::PlanRunner::Create(std::move(plan), FindKernel, kernels::ProcessPool(), origin));
    bool make_code = settings.tier == Tier::kWhenUsed;
    if (const auto code = p.Find("code"); code.ok()) {
      if (origin == runtime::Origin::kOwn) {
        RETURN_IF_ERROR(UseCode(*code, runner.get()));
      } else {
        make_code = true;  // from the plan, once runs have shown that it pays
      }
    }
    return std::shared_ptr<const Executable>(
        std::make_shared<CpuExecutable>(std::move(runner), p, make_code));
  }

 private:
  static Status UseCode(std::string_view section, runtime::PlanRunner* runner) {
    ASSIGN_OR_RETURN(const runtime::CodeImage image,
                     runtime::DecodeCodeImage(section).Annotate("section 'code'"));
    auto loaded = runtime::LoadedCode::Load(image);
    // Without executable memory the interpreter does the same.
    if (loaded.status().code() == Code::kResourceExhausted) return OkStatus();
    RETURN_IF_ERROR(loaded.status());
    runner->UseCode(*std::move(loaded));
    return OkStatus();
  }

  static Result<Plan> MakePlan(Module module, const std::vector<stablehlo::DonatedInput>& donated,
                               const Cancellation* cancellation, Explanation* explanation) {
    explanation->Add("canonical program", module);
    if (!CanBeSplit(module)) return WholeProgram(module);
    if (stablehlo::ConvertsFromBf16(module)) {
      module = stablehlo::WithoutBf16Rounding(std::move(module));
    }
    PassOptions passes;
    passes.cancellation = cancellation;
    passes.record_text = explanation->wanted().passes;
    ASSIGN_OR_RETURN(const std::vector<PassRecord> records, RunPasses(&module, passes));
    explanation->Add(records);
    LowerOptions lower;
    lower.find_kernel = FindKernel;
    lower.donated = donated;
    lower.cancellation = cancellation;
    LowerReport report;
    ASSIGN_OR_RETURN(Plan plan,
                     Lower(module, lower, explanation->wanted().any() ? &report : nullptr));
    const Status s = runtime::CheckPlan(plan);
    if (!s.ok()) return Internal(s.message()).Annotate("the plan is wrong");
    explanation->Add(report, plan);
    return plan;
  }
};

}  // namespace

std::shared_ptr<const runtime::Backend> MakeCpuBackend() { return std::make_shared<CpuBackend>(); }

}  // namespace megalith::codegen
