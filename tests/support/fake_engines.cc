#include "tests/support/fake_engines.h"

#include <chrono>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/machines/runtime/run_profile.h"

namespace megalith::testing {
namespace {

using services::CompileInput;
using services::CompileJob;
using services::Signature;

struct FakeProgram {
  std::string word;
  double factor = 1;
  int64_t n = 0;
};

Result<FakeProgram> ParseFake(std::string_view text) {
  const auto parts = Split(Trim(text), ' ');
  if (parts[0] == "mul" && parts.size() == 3) {
    const auto factor = ParseDouble(parts[1]);
    const auto n = ParseInt(parts[2]);
    if (factor && n && *n >= 0) return FakeProgram{.word = "mul", .factor = *factor, .n = *n};
  }
  for (const char* word : {"slow", "stuck", "bad", "big"}) {
    if (parts[0] != word || parts.size() != 2) continue;
    if (const auto n = ParseInt(parts[1])) return FakeProgram{.word = word, .factor = 1, .n = *n};
  }
  return TypeError(StrCat("line 2, column 5: no such word '", Printable(text), "'"));
}

Signature SignatureOfFake(const FakeProgram& p) {
  const int64_t n = p.word == "mul" ? p.n : 1;
  const tensor::ArrayType type{.dtype = tensor::DType::kF32, .shape = {n}, .weak_type = false};
  return {.inputs = {type}, .outputs = {type}};
}

class FakeTraceEngine final : public services::TraceEngine {
 public:
  explicit FakeTraceEngine(FakeWorld* world) : world_(world) {}

  Result<trace::v1::TraceResponse> Trace(const trace::v1::TraceRequest& request, Policy policy,
                                         std::vector<services::TraceStep>* steps,
                                         const Cancellation&) override {
    RETURN_IF_ERROR(CheckOptions(request.options(), policy));
    ++world_->traces;
    ASSIGN_OR_RETURN(const FakeProgram program, ParseFake(request.source().jaxpr_text()));
    steps->push_back({.transform = "fake", .eqns_in = 1, .eqns_out = 1, .seconds = 0});
    trace::v1::TraceResponse response;
    response.set_jaxpr_text(request.source().jaxpr_text());
    response.set_key(Sha256::Of(program.word).Hex());
    return response;
  }

  Result<trace::v1::LowerResponse> Lower(const trace::v1::LowerRequest& request, Policy policy,
                                         std::vector<services::TraceStep>*,
                                         const Cancellation&) override {
    RETURN_IF_ERROR(CheckOptions(request.options(), policy));
    ++world_->traces;
    RETURN_IF_ERROR(ParseFake(request.source().jaxpr_text()).status());
    trace::v1::LowerResponse response;
    response.set_stablehlo_text(request.source().jaxpr_text());
    response.set_key(Sha256::Of("lower").Hex());
    return response;
  }

 private:
  static Status CheckOptions(const trace::v1::TraceOptions& options, Policy policy) {
    for (const auto& [name, value] : options.extra()) {
      if (Ask(policy, PolicyQuestion::kUnknownOption) == PolicyAnswer::kRefuse) {
        return InvalidArgument(StrCat("unknown option '", name, "'"));
      }
    }
    return OkStatus();
  }
  FakeWorld* const world_;
};

class FakeJob final : public CompileJob {
 public:
  FakeJob(FakeWorld* world, std::string text, FakeProgram program, const CompileInput& input)
      : world_(world),
        text_(std::move(text)),
        program_(std::move(program)),
        signature_(SignatureOfFake(program_)) {
    cache::KeyBuilder builder("executable");
    builder.Add("program", text_).Add("target", input.target);
    for (const auto& [name, value] : input.options) builder.Add(StrCat("option ", name), value);
    key_ = builder.Build();
    cost_.flops = static_cast<double>(program_.n);
  }
  const cache::Key& key() const override { return key_; }
  const Signature& signature() const override { return signature_; }
  const services::CostEstimate& cost() const override { return cost_; }
  uint64_t memory_bytes() const override {
    return program_.word == "big" ? static_cast<uint64_t>(program_.n) : 1;
  }
  std::string tier() const override { return "fake"; }
  Result<std::string> Compile(const std::function<void(double)>& progress,
                              const Cancellation& cancellation) override {
    ++world_->compilations;
    const bool waits = program_.word == "slow" || program_.word == "bad";
    while (waits && !world_->release_slow.load()) {
      RETURN_IF_ERROR(cancellation.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (program_.word == "bad") return Unimplemented("no code for 'bad'");
    if (program_.word == "stuck") {
      ++world_->stuck;
      while (!world_->release_stuck.load())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      --world_->stuck;
    }
    progress(1);
    return "package " + text_;
  }

 private:
  FakeWorld* const world_;
  const std::string text_;
  const FakeProgram program_;
  const Signature signature_;
  cache::Key key_;
  services::CostEstimate cost_;
};

class FakeCompileEngine final : public services::CompileEngine {
 public:
  explicit FakeCompileEngine(FakeWorld* world) : world_(world) {}
  Result<std::unique_ptr<CompileJob>> Prepare(const CompileInput& input,
                                              const Cancellation&) override {
    ASSIGN_OR_RETURN(FakeProgram program, ParseFake(input.text));
    return std::unique_ptr<CompileJob>(
        std::make_unique<FakeJob>(world_, std::string(input.text), std::move(program), input));
  }
  Result<Signature> SignatureOf(std::string_view package) override {
    if (!package.starts_with("package ")) return DataLoss("no package");
    ASSIGN_OR_RETURN(const FakeProgram program, ParseFake(package.substr(8)));
    return SignatureOfFake(program);
  }
  std::string default_target() const override { return "fake"; }

 private:
  FakeWorld* const world_;
};

class FakeExecutable final : public services::Executable {
 public:
  FakeExecutable(FakeWorld* world, const FakeProgram& program)
      : world_(world), factor_(program.factor), signature_(SignatureOfFake(program)) {}
  const std::vector<tensor::ArrayType>& inputs() const override { return signature_.inputs; }
  const std::vector<tensor::ArrayType>& outputs() const override { return signature_.outputs; }
  bool quick() const override { return world_->quick.load(); }
  Result<std::vector<tensor::Tensor>> Run(std::span<const tensor::Tensor> arguments,
                                          const Cancellation&,
                                          runtime::RunProfile* profile) const override {
    ++world_->runs;
    if (profile != nullptr) {
      profile->kernels.push_back({.name = "mul", .kind = "loop", .bytes = 8, .calls = 1});
      profile->events.push_back({.kernel = 0, .worker = 1, .begin_ns = 10, .end_ns = 20});
    }
    ASSIGN_OR_RETURN(tensor::Tensor out,
                     tensor::Tensor::Create(arguments[0].dtype(), arguments[0].shape()));
    for (int64_t i = 0; i < out.size(); ++i) out.SetDouble(i, arguments[0].DoubleAt(i) * factor_);
    return std::vector<tensor::Tensor>{std::move(out)};
  }

 private:
  FakeWorld* const world_;
  const double factor_;
  const Signature signature_;
};

class FakeExecuteEngine final : public services::ExecuteEngine {
 public:
  explicit FakeExecuteEngine(FakeWorld* world) : world_(world) {}
  Result<std::shared_ptr<const services::Executable>> Load(std::string_view package,
                                                           runtime::Origin,
                                                           const Cancellation&) override {
    ++world_->loads;
    if (!package.starts_with("package ")) return DataLoss("no package");
    ASSIGN_OR_RETURN(const FakeProgram program, ParseFake(package.substr(8)));
    return std::shared_ptr<const services::Executable>(
        std::make_shared<FakeExecutable>(world_, program));
  }

 private:
  FakeWorld* const world_;
};

}  // namespace

services::Engines FakeEngines(FakeWorld* world) {
  return {.trace = [world](const services::TraceServiceConfig&)
              -> Result<std::shared_ptr<services::TraceEngine>> {
            return std::make_shared<FakeTraceEngine>(world);
          },
          .compile = [world]() -> Result<std::shared_ptr<services::CompileEngine>> {
            return std::make_shared<FakeCompileEngine>(world);
          },
          .execute = [world]() -> Result<std::shared_ptr<services::ExecuteEngine>> {
            return std::make_shared<FakeExecuteEngine>(world);
          }};
}

}  // namespace megalith::testing
