// The compile service's engine: the backends of common/machines.
#include "services/compile/backend_engine.h"

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::services {
namespace {

using runtime::Backend;
using Settings = std::map<std::string, std::string>;
using BackendsPtr = std::shared_ptr<const runtime::BackendRegistry>;

tensor::ArrayType TypeOf(const stablehlo::TensorType& t) {
  if (t.is_token) return {.dtype = tensor::DType::kBool, .shape = {0}, .weak_type = false};
  return {.dtype = t.dtype, .shape = t.shape, .weak_type = false};
}

double BytesOf(const std::vector<tensor::ArrayType>& types) {
  double bytes = 0;
  for (const tensor::ArrayType& t : types) {
    bytes +=
        static_cast<double>(tensor::NumElements(t.shape).value_or(0)) * tensor::ByteWidth(t.dtype);
  }
  return bytes;
}

constexpr std::string_view kTier = "tier";

// What a compilation takes: copies of the program and its constants in the forms it goes through,
// graph, plan and package; and what LLVM takes for machine code, which is made kernel by kernel.
uint64_t EstimateMemory(uint64_t program_bytes, uint64_t operations, bool makes_code) {
  constexpr uint64_t kBase = 4 << 20, kBaseOfCode = 64 << 20;
  constexpr uint64_t kCopies = 6;
  constexpr uint64_t kPerOperation = 8 << 10, kPerOperationOfCode = 16 << 10;
  return kBase + kCopies * program_bytes + kPerOperation * operations +
         (makes_code ? kBaseOfCode + kPerOperationOfCode * operations : 0);
}

class BackendJob final : public CompileJob {
 public:
  BackendJob(std::shared_ptr<const Backend> backend, std::string program,
             std::map<std::string, std::string> settings, cache::Key key, Signature signature,
             const CostEstimate& cost, uint64_t memory_bytes, uint64_t memory_budget_bytes)
      : backend_(std::move(backend)),
        program_(std::move(program)),
        settings_(std::move(settings)),
        key_(std::move(key)),
        signature_(std::move(signature)),
        cost_(cost),
        memory_bytes_(memory_bytes),
        memory_budget_bytes_(memory_budget_bytes) {}
  const cache::Key& key() const override { return key_; }
  const Signature& signature() const override { return signature_; }
  const CostEstimate& cost() const override { return cost_; }
  uint64_t memory_bytes() const override { return memory_bytes_; }
  std::string tier() const override {
    if (!backend_->HasSetting(kTier)) return std::string(backend_->name());
    const auto tier = settings_.find(std::string(kTier));
    return tier == settings_.end() ? "auto" : tier->second;
  }
  Result<std::string> Compile(const std::function<void(double)>& progress,
                              const Cancellation& cancellation) override {
    return backend_->Compile(program_,
                             {.settings = settings_,
                              .key = key_.Hex(),
                              .cancellation = &cancellation,
                              .memory_budget_bytes = memory_budget_bytes_},
                             [&progress](std::string_view, double done) { progress(done); });
  }

 private:
  const std::shared_ptr<const Backend> backend_;
  const std::string program_;  // canonical bytes
  const std::map<std::string, std::string> settings_;
  const cache::Key key_;
  const Signature signature_;
  const CostEstimate cost_;
  const uint64_t memory_bytes_;
  const uint64_t memory_budget_bytes_;
};

class BackendCompileEngine final : public CompileEngine {
 public:
  explicit BackendCompileEngine(BackendsPtr backends) : backends_(std::move(backends)) {}

  Result<std::unique_ptr<CompileJob>> Prepare(const CompileInput& input,
                                              const Cancellation& cancellation) override {
    const auto backend = backends_->Find(input.target);
    if (!backend.ok())
      return InvalidArgument(StrCat("unknown target: ", backend.status().message()));
    ASSIGN_OR_RETURN(const stablehlo::Module module,
                     input.artifact.empty()
                         ? stablehlo::ParseModule(input.text)
                         : stablehlo::artifact::ReadArtifactOrExport(input.artifact));
    RETURN_IF_ERROR(cancellation.Check());
    ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
    RETURN_IF_ERROR(cancellation.Check());
    std::string program = stablehlo::EncodeModule(canonical);
    ASSIGN_OR_RETURN(Signature signature, SignatureOfModule(canonical));
    ASSIGN_OR_RETURN(const stablehlo::CostEstimate estimate, stablehlo::EstimateCost(canonical));
    const CostEstimate cost = CostOf(estimate, signature);
    ASSIGN_OR_RETURN(Settings settings, KnownSettings(input, **backend));
    cache::Key key = KeyOf(program, input, **backend);
    const auto tier = settings.find(std::string(kTier));
    const uint64_t memory = EstimateMemory(program.size(), estimate.operations,
                                           tier != settings.end() && tier->second == "1");
    return std::unique_ptr<CompileJob>(std::make_unique<BackendJob>(
        *backend, std::move(program), std::move(settings), std::move(key), std::move(signature),
        cost, memory, input.memory_budget_bytes));
  }

  Result<Signature> SignatureOf(std::string_view package) override {
    ASSIGN_OR_RETURN(const runtime::Package p, runtime::DecodePackage(package));
    Signature out;
    for (const runtime::TensorSpec& s : p.signature.inputs)
      out.inputs.push_back({s.dtype, s.shape, false});
    for (const runtime::TensorSpec& s : p.signature.outputs)
      out.outputs.push_back({s.dtype, s.shape, false});
    return out;
  }

  std::string default_target() const override { return backends_->Names().front(); }

 private:
  // What the backend is told. An option that it does not know is refused, or under the hardened
  // policy stays in the key alone; refused here and not only by Compile, because the cache may have
  // what a hardened caller compiled.
  static Result<Settings> KnownSettings(const CompileInput& input, const Backend& backend) {
    Settings known;
    for (const auto& [name, value] : input.options) {
      if (backend.HasSetting(name)) {
        known.emplace(name, value);
      } else if (Ask(input.policy, PolicyQuestion::kUnknownOption) == PolicyAnswer::kRefuse) {
        return InvalidArgument(StrCat("backend ", backend.name(), " has no option '",
                                      Printable(name), "'; policy is ", PolicyName(input.policy)));
      }
    }
    return known;
  }

  static cache::Key KeyOf(const std::string& program, const CompileInput& input,
                          const Backend& backend) {
    std::string options;
    for (const auto& [name, value] : input.options) StrAppend(&options, name, "=", value, "\n");
    return cache::KeyBuilder("executable")
        .Add("program", program)
        .Add("options", options)
        .Add("backend", backend.name())
        .Add("target", backend.target())
        .Add("compiler_version", backend.version())
        .Build();
  }

  static Result<Signature> SignatureOfModule(const stablehlo::Module& module) {
    ASSIGN_OR_RETURN(const stablehlo::Func* entry, module.Entry());
    Signature out;
    for (const stablehlo::TensorType& t : entry->input_types()) out.inputs.push_back(TypeOf(t));
    for (const stablehlo::TensorType& t : entry->results) out.outputs.push_back(TypeOf(t));
    return out;
  }

  static CostEstimate CostOf(const stablehlo::CostEstimate& cost, const Signature& signature) {
    return {
        .flops = cost.total.flops,
        .transcendentals = cost.total.transcendentals,
        .bytes_accessed = cost.total.bytes,
        .peak_bytes = cost.peak_temporary_bytes + cost.constant_bytes + BytesOf(signature.inputs)};
  }

  const BackendsPtr backends_;
};

}  // namespace

std::shared_ptr<CompileEngine> MakeBackendCompileEngine(BackendsPtr backends) {
  return std::make_shared<BackendCompileEngine>(std::move(backends));
}

}  // namespace megalith::services
