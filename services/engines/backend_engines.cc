// The engines of the compile and execute services: the backends of common/machines.
#include <atomic>
#include <span>

#include "common/foundation/base/strings.h"
#include "common/machines/reference/reference.h"
#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/parser.h"
#include "services/engines/engines.h"

namespace megalith::services {
namespace {

using runtime::Backend;
using runtime::BackendRegistry;
using BackendsPtr = std::shared_ptr<const BackendRegistry>;

// A run of at most this much may happen on gRPC's thread.
constexpr int64_t kQuickNanos = 100'000;
// A program that has proved slow is tried again after so many runs.
constexpr int kSlowRuns = 1000;

tensor::ArrayType TypeOf(const stablehlo::TensorType& t) {
  if (t.is_token) return {.dtype = tensor::DType::kBool, .shape = {0}, .weak_type = false};
  return {.dtype = t.dtype, .shape = t.shape, .weak_type = false};
}

double BytesOf(const std::vector<tensor::ArrayType>& types) {
  double bytes = 0;
  for (const tensor::ArrayType& t : types) {
    bytes += static_cast<double>(tensor::NumElements(t.shape).value_or(0)) * tensor::ByteWidth(t.dtype);
  }
  return bytes;
}

class BackendJob final : public CompileJob {
 public:
  BackendJob(std::shared_ptr<const Backend> backend, std::string program, std::map<std::string, std::string> settings,
             cache::Key key, Signature signature, const CostEstimate& cost)
      : backend_(std::move(backend)),
        program_(std::move(program)),
        settings_(std::move(settings)),
        key_(std::move(key)),
        signature_(std::move(signature)),
        cost_(cost) {}
  const cache::Key& key() const override { return key_; }
  const Signature& signature() const override { return signature_; }
  const CostEstimate& cost() const override { return cost_; }
  Result<std::string> Compile(const std::function<void(double)>& progress, const Cancellation& cancellation) override {
    return backend_->Compile(program_, {.settings = settings_, .key = key_.Hex(), .cancellation = &cancellation},
                             [&progress](std::string_view, double done) { progress(done); });
  }

 private:
  const std::shared_ptr<const Backend> backend_;
  const std::string program_;  // canonical bytes
  const std::map<std::string, std::string> settings_;
  const cache::Key key_;
  const Signature signature_;
  const CostEstimate cost_;
};

class BackendCompileEngine final : public CompileEngine {
 public:
  explicit BackendCompileEngine(BackendsPtr backends) : backends_(std::move(backends)) {}

  Result<std::unique_ptr<CompileJob>> Prepare(const CompileInput& input, const Cancellation& cancellation) override {
    if (!input.artifact.empty()) {
      return Unimplemented("portable artifacts are not read by this build; send stablehlo_text");
    }
    const auto backend = backends_->Find(input.target);
    if (!backend.ok()) return InvalidArgument(StrCat("unknown target: ", backend.status().message()));
    ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::ParseModule(input.text));
    RETURN_IF_ERROR(cancellation.Check());
    ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
    RETURN_IF_ERROR(cancellation.Check());
    std::string program = stablehlo::EncodeModule(canonical);
    ASSIGN_OR_RETURN(Signature signature, SignatureOfModule(canonical));
    ASSIGN_OR_RETURN(const CostEstimate cost, CostOf(canonical, signature));
    cache::Key key = KeyOf(program, input, **backend);
    return std::unique_ptr<CompileJob>(std::make_unique<BackendJob>(*backend, std::move(program), input.options,
                                                                   std::move(key), std::move(signature), cost));
  }

  Result<Signature> SignatureOf(std::string_view package) override {
    ASSIGN_OR_RETURN(const runtime::Package p, runtime::DecodePackage(package));
    Signature out;
    for (const runtime::TensorSpec& s : p.signature.inputs) out.inputs.push_back({s.dtype, s.shape, false});
    for (const runtime::TensorSpec& s : p.signature.outputs) out.outputs.push_back({s.dtype, s.shape, false});
    return out;
  }

  std::string default_target() const override { return backends_->Names().front(); }

 private:
  static cache::Key KeyOf(const std::string& program, const CompileInput& input, const Backend& backend) {
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

  static Result<CostEstimate> CostOf(const stablehlo::Module& module, const Signature& signature) {
    ASSIGN_OR_RETURN(const stablehlo::CostEstimate cost, stablehlo::EstimateCost(module));
    return CostEstimate{.flops = cost.total.flops,
                        .transcendentals = cost.total.transcendentals,
                        .bytes_accessed = cost.total.bytes,
                        .peak_bytes = cost.peak_temporary_bytes + cost.constant_bytes + BytesOf(signature.inputs)};
  }

  const BackendsPtr backends_;
};

// Loops may run for any time on other data, and so may what we cannot look into.
Result<bool> AlwaysEndsSoon(const runtime::Package& package) {
  const Result<std::string_view> program = package.Find("program");
  if (!program.ok()) return false;
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::DecodeModule(*program));
  bool ends = true;
  for (const stablehlo::Func& func : module.funcs()) {
    stablehlo::ForEachOp(func.body, [&ends](const stablehlo::Op& op) {
      if (op.name() == "stablehlo.while" || op.name() == "stablehlo.custom_call") ends = false;
    });
  }
  return ends;
}

class BackendExecutable final : public Executable {
 public:
  BackendExecutable(std::shared_ptr<const runtime::Executable> executable, bool may_be_quick)
      : executable_(std::move(executable)), patience_(may_be_quick ? 0 : INT32_MAX) {
    for (const runtime::TensorSpec& s : executable_->signature().inputs) inputs_.push_back({s.dtype, s.shape, false});
    for (const runtime::TensorSpec& s : executable_->signature().outputs) outputs_.push_back({s.dtype, s.shape, false});
  }
  const std::vector<tensor::ArrayType>& inputs() const override { return inputs_; }
  const std::vector<tensor::ArrayType>& outputs() const override { return outputs_; }
  bool quick() const override { return proven_.load(std::memory_order_relaxed); }

  Result<std::vector<tensor::Tensor>> Run(std::span<const tensor::Tensor> arguments,
                                          const Cancellation& cancellation) const override {
    const std::chrono::nanoseconds start = RealClock().Monotonic();
    auto results = executable_->Run(arguments, {.cancellation = &cancellation});
    Learn((RealClock().Monotonic() - start).count());
    return results;
  }

 private:
  // Quick is what a program without loops has just been; a slow run takes that back for a while.
  void Learn(int64_t nanos) const {
    if (patience_.load(std::memory_order_relaxed) == INT32_MAX) return;
    if (nanos > kQuickNanos) {
      patience_.store(kSlowRuns, std::memory_order_relaxed);
      proven_.store(false, std::memory_order_relaxed);
    } else if (patience_.load(std::memory_order_relaxed) > 0) {
      patience_.fetch_sub(1, std::memory_order_relaxed);
    } else {
      proven_.store(true, std::memory_order_relaxed);
    }
  }

  const std::shared_ptr<const runtime::Executable> executable_;
  std::vector<tensor::ArrayType> inputs_;
  std::vector<tensor::ArrayType> outputs_;
  mutable std::atomic<int32_t> patience_;  // ordinary runs until quick() may be true again; INT32_MAX: never
  mutable std::atomic<bool> proven_{false};
};

class BackendExecuteEngine final : public ExecuteEngine {
 public:
  explicit BackendExecuteEngine(BackendsPtr backends) : backends_(std::move(backends)) {}
  Result<std::shared_ptr<const Executable>> Load(std::string_view bytes, const Cancellation&) override {
    ASSIGN_OR_RETURN(const runtime::Package package, runtime::DecodePackage(bytes));
    ASSIGN_OR_RETURN(const auto backend, backends_->Find(package.backend));
    ASSIGN_OR_RETURN(auto executable, backend->Load(bytes));
    ASSIGN_OR_RETURN(const bool may_be_quick, AlwaysEndsSoon(package));
    return std::shared_ptr<const Executable>(
        std::make_shared<BackendExecutable>(std::move(executable), may_be_quick));
  }

 private:
  const BackendsPtr backends_;
};

}  // namespace

std::shared_ptr<const BackendRegistry> MakeBackends() {
  auto backends = std::make_shared<BackendRegistry>();
  CHECK(backends->Add(reference::MakeReferenceBackend()).ok());
  return backends;
}

std::shared_ptr<CompileEngine> MakeBackendCompileEngine(BackendsPtr backends) {
  return std::make_shared<BackendCompileEngine>(std::move(backends));
}

std::shared_ptr<ExecuteEngine> MakeBackendExecuteEngine(BackendsPtr backends) {
  return std::make_shared<BackendExecuteEngine>(std::move(backends));
}

}  // namespace megalith::services
