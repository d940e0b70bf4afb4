#include "common/machines/reference/reference.h"

#include <chrono>

#include <algorithm>
#include <iterator>

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/run_profile.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/host_calls.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::reference {
namespace {

using runtime::CompileOptions;
using runtime::CostSummary;
using runtime::Executable;
using runtime::Package;
using runtime::Progress;
using runtime::RunOptions;
using runtime::Signature;
using stablehlo::EvalLimits;
using tensor::Tensor;

constexpr std::string_view kName = "reference";
// Goes up when the evaluator's results change.
constexpr std::string_view kVersion = "1";

// "name = value" lines, and what they set.
struct Setting {
  std::string_view name;
  uint64_t EvalLimits::* field;
};
constexpr Setting kSettings[] = {
    {"max_bytes_per_value", &EvalLimits::max_bytes_per_value},
    {"max_live_bytes", &EvalLimits::max_live_bytes},
    {"max_steps", &EvalLimits::max_steps},
};

Status Apply(std::string_view name, std::string_view value, EvalLimits* limits) {
  for (const Setting& s : kSettings) {
    if (s.name != name) continue;
    const auto n = ParseUint(value);
    if (!n || *n == 0)
      return InvalidArgument(
          StrCat("setting ", name, " is '", Printable(value), "', wanted a positive integer"));
    limits->*s.field = *n;
    return OkStatus();
  }
  return InvalidArgument(StrCat("the reference backend has no setting '", Printable(name), "'"));
}

runtime::TensorSpec SpecOf(const stablehlo::TensorType& t) {
  if (t.is_token) return {tensor::DType::kBool, {0}};
  return {t.dtype, t.shape};
}

Signature SignatureOf(const stablehlo::Plan& plan) {
  Signature s;
  for (const auto& t : plan.input_types()) s.inputs.push_back(SpecOf(t));
  for (const auto& t : plan.output_types()) s.outputs.push_back(SpecOf(t));
  return s;
}

class ReferenceExecutable final : public Executable {
 public:
  ReferenceExecutable(stablehlo::Plan plan, Package package)
      : plan_(std::move(plan)),
        signature_(std::move(package.signature)),
        cost_(package.cost),
        key_(std::move(package.key)) {}

  const Signature& signature() const override { return signature_; }
  const std::string& key() const override { return key_; }
  std::string_view backend() const override { return kName; }
  const CostSummary& cost() const override { return cost_; }

 protected:
  Result<std::vector<Tensor>> RunChecked(std::span<const Tensor> inputs,
                                         const RunOptions& options) const override {
    stablehlo::EvalOptions eval;
    eval.cancellation = options.cancellation;
    std::vector<stablehlo::ProfileRow> profile;
    if (options.profile != nullptr || options.details != nullptr) eval.profile = &profile;
    const auto start = std::chrono::steady_clock::now();
    auto out = plan_.Run(inputs, eval);
    for (stablehlo::ProfileRow& row : profile) {
      if (options.details != nullptr) {
        options.details->kernels.push_back(
            {.name = row.name, .kind = "operation", .calls = row.calls, .seconds = row.seconds});
      }
      if (options.profile != nullptr)
        options.profile->push_back({std::move(row.name), row.calls, row.seconds});
    }
    if (options.details != nullptr) {
      options.details->seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    return out;
  }

 private:
  stablehlo::Plan plan_;
  Signature signature_;
  CostSummary cost_;
  std::string key_;
};

class ReferenceBackend final : public runtime::Backend {
 public:
  std::string_view name() const override { return kName; }
  std::string_view version() const override { return kVersion; }
  std::string target() const override { return "any"; }
  bool HasSetting(std::string_view setting) const override {
    return std::any_of(std::begin(kSettings), std::end(kSettings),
                       [&](const Setting& s) { return s.name == setting; });
  }

  Result<std::string> Compile(std::string_view program, const CompileOptions& options,
                              const Progress& progress) const override {
    const auto stage = [&](std::string_view what, double done) -> Status {
      if (progress) progress(what, done);
      return options.cancellation == nullptr ? OkStatus() : options.cancellation->Check();
    };
    EvalLimits limits;
    std::string settings;
    for (const auto& [name, value] : options.settings) {
      RETURN_IF_ERROR(Apply(name, value, &limits));
      StrAppend(&settings, name, " = ", value, "\n");
    }
    RETURN_IF_ERROR(stage("verify", 0));
    ASSIGN_OR_RETURN(const stablehlo::Module module, program.starts_with(stablehlo::kCodecMagic)
                                                         ? stablehlo::DecodeModule(program)
                                                         : stablehlo::ParseModule(program));
    RETURN_IF_ERROR(stablehlo::CheckHostCalls(module));
    RETURN_IF_ERROR(stage("canonicalize", 0.3));
    ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
    RETURN_IF_ERROR(stage("plan", 0.6));
    ASSIGN_OR_RETURN(const stablehlo::Plan plan, stablehlo::Plan::Create(canonical, limits));
    ASSIGN_OR_RETURN(const stablehlo::CostEstimate cost, stablehlo::EstimateCost(canonical));
    RETURN_IF_ERROR(stage("package", 0.9));
    Package p;
    p.backend = kName;
    p.backend_version = kVersion;
    p.target = target();
    p.key = options.key;
    p.signature = SignatureOf(plan);
    p.cost = {cost.total.flops,          cost.total.transcendentals, cost.total.bytes,
              cost.peak_temporary_bytes, cost.constant_bytes,        cost.operations};
    p.sections = {{"program", stablehlo::EncodeModule(canonical)},
                  {"settings", std::move(settings)}};
    return runtime::EncodePackage(p);
  }

  // There is no machine code, and the evaluator gives away nothing that it has not written.
  Result<std::shared_ptr<const Executable>> Load(std::string_view package,
                                                 runtime::Origin) const override {
    ASSIGN_OR_RETURN(Package p, runtime::DecodePackage(package));
    RETURN_IF_ERROR(runtime::CheckMadeBy(p, *this));
    ASSIGN_OR_RETURN(const std::string_view program, p.Find("program"));
    ASSIGN_OR_RETURN(const std::string_view settings, p.Find("settings"));
    EvalLimits limits;
    for (const std::string_view line : Split(settings, '\n')) {
      if (line.empty()) continue;
      const size_t equals = line.find(" = ");
      if (equals == std::string_view::npos) return DataLoss("section 'settings' is damaged");
      RETURN_IF_ERROR(Apply(line.substr(0, equals), line.substr(equals + 3), &limits)
                          .Annotate("section 'settings'"));
    }
    ASSIGN_OR_RETURN(const stablehlo::Module module,
                     stablehlo::DecodeModule(program).Annotate("section 'program'"));
    ASSIGN_OR_RETURN(stablehlo::Plan plan, stablehlo::Plan::Create(module, limits));
    if (!(SignatureOf(plan) == p.signature)) {
      return DataLoss("section 'program' does not have the signature the header gives");
    }
    return std::shared_ptr<const Executable>(
        std::make_shared<ReferenceExecutable>(std::move(plan), std::move(p)));
  }
};

}  // namespace

std::shared_ptr<const runtime::Backend> MakeReferenceBackend() {
  return std::make_shared<ReferenceBackend>();
}

}  // namespace megalith::reference
