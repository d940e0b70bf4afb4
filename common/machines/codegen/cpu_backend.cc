#include "common/machines/codegen/cpu_backend.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/reference_op.h"
#include "common/machines/kernels/work_pool.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan_runner.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/excess_precision.h"
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
constexpr std::string_view kVersion = "1";

const kernels::LibraryKernel* FindKernel(std::string_view name) {
  return name == kReferenceKernel.name ? &kReferenceKernel : kernels::FindLibraryKernel(name);
}

// When machine code is made.
enum class Tier : uint8_t { kNever, kAtOnce, kWhenUsed };

struct Settings {
  Tier tier = Tier::kWhenUsed;
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
  return InvalidArgument(StrCat("the cpu backend has no setting '", Printable(name), "'"));
}

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(std::unique_ptr<runtime::PlanRunner> runner, const Package& package)
      : runner_(std::move(runner)), cost_(package.cost), key_(package.key) {}

  const Signature& signature() const override { return runner_->plan().signature; }
  const std::string& key() const override { return key_; }
  std::string_view backend() const override { return kName; }
  const CostSummary& cost() const override { return cost_; }

 protected:
  Result<std::vector<Tensor>> RunChecked(std::span<const Tensor> inputs,
                                         const RunOptions& options) const override {
    return runner_->Run(inputs, options);
  }

 private:
  std::unique_ptr<runtime::PlanRunner> runner_;
  CostSummary cost_;
  std::string key_;
};

// True if every op can run as a step of its own, in any order that respects the data flow.
bool CanBeSplit(const Module& module) {
  bool splittable = true;
  for (const stablehlo::Func& f : module.funcs()) {
    ForEachOp(f.body, [&](const stablehlo::Op& op) {
      const bool control = op.def->name == "stablehlo.while" || op.def->name == "stablehlo.case" ||
                           op.def->name == "stablehlo.if" || op.def->has(stablehlo::kTerminator);
      const bool calls = op.def->has(stablehlo::kCallsFunction);
      const bool pure = op.def->has(stablehlo::kPure) && !op.def->has(stablehlo::kIndeterminate);
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
  ASSIGN_OR_RETURN(const auto* kernel, Result<const kernels::LibraryKernel*>(&kReferenceKernel));
  std::vector<kernels::ArraySpec> in, out;
  for (const auto& s : use.in) in.push_back({s.dtype, s.shape});
  for (const auto& s : use.out) out.push_back({s.dtype, s.shape});
  RETURN_IF_ERROR(kernel->prepare(use.params, in, out).status());
  plan.library.push_back(std::move(use));
  plan.entry.steps.push_back(std::move(step));
  return plan;
}

class CpuBackend final : public runtime::Backend {
 public:
  std::string_view name() const override { return kName; }
  std::string_view version() const override { return kVersion; }
  std::string target() const override { return runtime::ProcessorTarget(); }
  bool HasSetting(std::string_view setting) const override { return setting == "tier"; }

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
    RETURN_IF_ERROR(stage("verify", 0));
    ASSIGN_OR_RETURN(const Module module, program.starts_with(stablehlo::kCodecMagic)
                                              ? stablehlo::DecodeModule(program)
                                              : stablehlo::ParseModule(program));
    RETURN_IF_ERROR(stage("canonicalize", 0.2));
    ASSIGN_OR_RETURN(Module canonical, stablehlo::Canonicalize(module));
    ASSIGN_OR_RETURN(const stablehlo::CostEstimate cost, stablehlo::EstimateCost(canonical));
    RETURN_IF_ERROR(stage("plan", 0.4));
    ASSIGN_OR_RETURN(const Plan plan, MakePlan(std::move(canonical), options));
    RETURN_IF_ERROR(stage("package", 0.9));
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
    return runtime::EncodePackage(p);
  }

  Result<std::shared_ptr<const Executable>> Load(std::string_view package) const override {
    ASSIGN_OR_RETURN(const Package p, runtime::DecodePackage(package));
    RETURN_IF_ERROR(runtime::CheckMadeBy(p, *this));
    ASSIGN_OR_RETURN(const std::string_view bytes, p.Find("plan"));
    ASSIGN_OR_RETURN(Plan plan, runtime::DecodePlan(bytes).Annotate("section 'plan'"));
    if (!(plan.signature == p.signature)) {
      return DataLoss("section 'plan' does not have the signature the header gives");
    }
    ASSIGN_OR_RETURN(auto runner, runtime::PlanRunner::Create(std::move(plan), FindKernel,
                                                              kernels::ProcessPool()));
    return std::shared_ptr<const Executable>(std::make_shared<CpuExecutable>(std::move(runner), p));
  }

 private:
  static Result<Plan> MakePlan(Module module, const CompileOptions& options) {
    if (!CanBeSplit(module)) return WholeProgram(module);
    if (stablehlo::ConvertsFromBf16(module)) {
      module = stablehlo::WithoutBf16Rounding(std::move(module));
    }
    LowerOptions lower;
    lower.find_kernel = FindKernel;
    lower.cancellation = options.cancellation;
    ASSIGN_OR_RETURN(Plan plan, Lower(module, lower, nullptr));
    const Status s = runtime::CheckPlan(plan);
    if (!s.ok()) return Internal(s.message()).Annotate("the plan is wrong");
    return plan;
  }
};

}  // namespace

std::shared_ptr<const runtime::Backend> MakeCpuBackend() { return std::make_shared<CpuBackend>(); }

}  // namespace megalith::codegen
