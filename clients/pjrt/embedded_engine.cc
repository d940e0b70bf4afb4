#include "clients/pjrt/embedded_engine.h"

#include <utility>

#include "clients/pjrt/program_front.h"
#include "clients/pjrt/spmd_program.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/machines/backends/backends.h"
#include "common/machines/runtime/backend.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/host_calls.h"

namespace megalith::pjrt {
namespace {

class EmbeddedProgram final : public WholeProgram {
 public:
  EmbeddedProgram(Description description, std::string package,
                  std::shared_ptr<const runtime::Executable> executable, HostCallbacks::Hold hold,
                  const HostCalls& host_calls)
      : WholeProgram(std::move(description)),
        package_(std::move(package)),
        fingerprint_(Sha256Digest(Sha256::Of(package_)).Hex()),
        executable_(std::move(executable)),
        hold_(std::move(hold)),
        host_calls_(host_calls) {
    FitDescription(executable_->signature());
  }

  const Signature& signature() const override { return executable_->signature(); }
  const CostSummary& cost() const override { return executable_->cost(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  bool calls_host() const override { return !hold_.empty(); }

  Result<std::string> Serialize() const override {
    if (calls_host()) {
      return Unimplemented(
          "a program that calls Python functions (jax.debug.print, jax.pure_callback and the like) "
          "cannot be stored: they exist in this process only");
    }
    return SerializedDescription() + package_;
  }

  uint64_t donated_bytes() const override { return executable_->donated_bytes(); }

  // An array that was given and that nobody else holds dies here, so that its tensor is ours alone.
  Result<std::vector<ArrayPtr>> Run(int, std::vector<ArrayPtr> inputs,
                                    const std::vector<bool>&) const override {
    std::vector<Tensor> tensors;
    tensors.reserve(inputs.size());
    for (ArrayPtr& a : inputs) {
      tensors.push_back(*a->local());
      a.reset();
    }
    ASSIGN_OR_RETURN(std::vector<Tensor> results, Execute(std::move(tensors)));
    std::vector<ArrayPtr> out;
    out.reserve(results.size());
    for (Tensor& t : results) {
      // Hosts take results for memory of their own; the program may share that of an input.
      if (t.byte_size() > 0) RETURN_IF_ERROR(t.MakeUnique());
      out.push_back(std::make_shared<const LocalArray>(std::move(t)));
    }
    return out;
  }

 private:
  Result<std::vector<Tensor>> Execute(std::vector<Tensor> inputs) const {
    const HostCalls::Scope scope(calls_host() ? &host_calls_ : nullptr);
    return executable_->RunTaking(std::move(inputs));
  }

  const std::string package_;
  const std::string fingerprint_;
  const std::shared_ptr<const runtime::Executable> executable_;
  const HostCallbacks::Hold hold_;
  const HostCalls& host_calls_;
};

// The settings, and what the program says about inputs that are given to it.
std::map<std::string, std::string> WithDonations(const stablehlo::Module& module,
                                                 std::map<std::string, std::string> settings,
                                                 const runtime::Backend& backend) {
  const std::string text = DonationSetting(module);
  if (!text.empty() && backend.HasSetting(stablehlo::kDonateSetting)) {
    settings.try_emplace(std::string(stablehlo::kDonateSetting), text);
  }
  return settings;
}

class EmbeddedEngine final : public Engine {
 public:
  EmbeddedEngine(std::shared_ptr<const runtime::Backend> backend, HostCallbacks& callbacks)
      : backend_(std::move(backend)), callbacks_(callbacks) {}

  std::string version() const override {
    return StrCat("megalith ", backend_->name(), " ", backend_->version(), " (", backend_->target(),
                  ")");
  }

  bool HasSetting(std::string_view name) const override { return backend_->HasSetting(name); }

  Result<ArrayPtr> Put(int, Tensor host) override {
    return std::make_shared<const LocalArray>(std::move(host));
  }

  Result<std::shared_ptr<const LoadedProgram>> Compile(std::string_view module,
                                                       const ProgramOptions& options) override {
    return CompileFront(module, options,
                        [&](const stablehlo::Module& parsed, std::string_view, Description d) {
                          return CompileWhole(parsed, std::move(d), options);
                        });
  }

  Result<std::shared_ptr<const LoadedProgram>> Load(std::string_view serialized) override {
    if (!serialized.starts_with(kSpmdMagic)) return LoadWhole(serialized);
    return LoadSpmdProgram(serialized, [this](std::string_view rest) { return LoadWhole(rest); });
  }

 private:
  Result<std::shared_ptr<const LoadedProgram>> CompileWhole(const stablehlo::Module& module,
                                                            Description description,
                                                            const ProgramOptions& options) const {
    ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
    runtime::CompileOptions compile;
    compile.settings = WithDonations(module, options.settings, *backend_);
    ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, stablehlo::HostCallsOf(canonical));
    ASSIGN_OR_RETURN(HostCallbacks::Hold hold, callbacks_.Acquire(ids));
    const HostCalls::Scope scope(ids.empty() ? nullptr : &callbacks_);
    const std::string program = stablehlo::EncodeModule(canonical);
    compile.key = runtime::KeyOf(program, compile, *backend_);
    ASSIGN_OR_RETURN(std::string package,
                     backend_->Compile(program, compile, [](std::string_view, double) {}));
    return MakeProgram(std::move(description), std::move(package), std::move(hold));
  }

  Result<std::shared_ptr<const LoadedProgram>> LoadWhole(std::string_view serialized) const {
    ASSIGN_OR_RETURN(Description description, TakeDescription(&serialized));
    return MakeProgram(std::move(description), std::string(serialized), {});
  }

  Result<std::shared_ptr<const LoadedProgram>> MakeProgram(Description description,
                                                           std::string package,
                                                           HostCallbacks::Hold hold) const {
    ASSIGN_OR_RETURN(std::shared_ptr<const runtime::Executable> executable,
                     backend_->Load(package));
    return std::make_shared<const EmbeddedProgram>(std::move(description), std::move(package),
                                                   std::move(executable), std::move(hold),
                                                   callbacks_);
  }

  const std::shared_ptr<const runtime::Backend> backend_;
  HostCallbacks& callbacks_;
};

}  // namespace

Result<std::shared_ptr<Engine>> MakeEmbeddedEngine(std::string_view backend,
                                                   HostCallbacks& callbacks) {
  ASSIGN_OR_RETURN(std::shared_ptr<const runtime::Backend> found,
                   machines::AllBackends()->Find(backend));
  return std::make_shared<EmbeddedEngine>(std::move(found), callbacks);
}

}  // namespace megalith::pjrt
