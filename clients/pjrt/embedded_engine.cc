#include "clients/pjrt/embedded_engine.h"

#include <utility>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/reference/reference.h"
#include "common/machines/runtime/backend.h"
#include "common/programs/artifact/artifact.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::pjrt {
namespace {

class LocalArray final : public Array {
 public:
  explicit LocalArray(Tensor t) : tensor_(std::move(t)) {}
  Result<Tensor> Fetch() const override { return tensor_; }
  const Tensor* local() const override { return &tensor_; }

 private:
  const Tensor tensor_;
};

// Serialized: one byte per input that may be given away, after their number, the name, the package.
class EmbeddedProgram final : public LoadedProgram {
 public:
  EmbeddedProgram(std::string name, std::vector<bool> donated, std::string package,
                  std::shared_ptr<const runtime::Executable> executable)
      : name_(std::move(name)),
        donated_(std::move(donated)),
        package_(std::move(package)),
        fingerprint_(Sha256Digest(Sha256::Of(package_)).Hex()),
        executable_(std::move(executable)) {}

  const std::string& name() const override { return name_; }
  const Signature& signature() const override { return executable_->signature(); }
  const CostSummary& cost() const override { return executable_->cost(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  const std::vector<bool>& donated() const override { return donated_; }

  Result<std::string> Serialize() const override {
    std::string out;
    AppendSized(name_, &out);
    std::string flags;
    for (const bool d : donated_) flags.push_back(d ? '\1' : '\0');
    AppendSized(flags, &out);
    return out + package_;
  }

  Result<std::vector<ArrayPtr>> Run(int, std::span<const ArrayPtr> inputs,
                                    const std::vector<bool>&) const override {
    std::vector<Tensor> tensors;
    tensors.reserve(inputs.size());
    for (const ArrayPtr& a : inputs) tensors.push_back(*a->local());
    ASSIGN_OR_RETURN(std::vector<Tensor> results, executable_->Run(tensors));
    std::vector<ArrayPtr> out;
    out.reserve(results.size());
    for (Tensor& t : results) out.push_back(std::make_shared<const LocalArray>(std::move(t)));
    return out;
  }

  static void AppendSized(std::string_view bytes, std::string* out) {
    const auto size = static_cast<uint32_t>(bytes.size());
    for (int i = 0; i < 4; ++i) out->push_back(static_cast<char>(size >> (8 * i)));
    out->append(bytes);
  }

 private:
  const std::string name_;
  const std::vector<bool> donated_;
  const std::string package_;
  const std::string fingerprint_;
  const std::shared_ptr<const runtime::Executable> executable_;
};

Result<std::string_view> TakeSized(std::string_view* bytes) {
  if (bytes->size() < 4) return DataLoss("a serialized program is cut short");
  uint32_t size = 0;
  for (size_t i = 0; i < 4; ++i) {
    size |= static_cast<uint32_t>(static_cast<uint8_t>((*bytes)[i])) << (8 * i);
  }
  bytes->remove_prefix(4);
  if (size > bytes->size()) return DataLoss("a serialized program is cut short");
  const std::string_view out = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return out;
}

// Inputs whose memory the program may use, as JAX marks them.
std::vector<bool> DonatedInputs(const stablehlo::Func& entry) {
  std::vector<bool> donated(entry.body.args.size(), false);
  for (size_t i = 0; i < entry.arg_attrs.size() && i < donated.size(); ++i) {
    for (const stablehlo::NamedAttr& a : entry.arg_attrs[i]) {
      if (a.name == "tf.aliasing_output" || a.name == "jax.buffer_donor") donated[i] = true;
    }
  }
  return donated;
}

class EmbeddedEngine final : public Engine {
 public:
  explicit EmbeddedEngine(std::shared_ptr<const runtime::Backend> backend)
      : backend_(std::move(backend)) {}

  std::string version() const override {
    return StrCat("megalith ", backend_->name(), " ", backend_->version(), " (", backend_->target(),
                  ")");
  }

  Result<ArrayPtr> Put(int, Tensor host) override {
    return std::make_shared<const LocalArray>(std::move(host));
  }

  Result<std::shared_ptr<const LoadedProgram>> Compile(std::string_view module,
                                                       const ProgramOptions& options) override {
    if (options.num_replicas * options.num_partitions != 1) {
      return Unimplemented(StrCat("a program for ", options.num_replicas, " replicas and ",
                                  options.num_partitions,
                                  " partitions; this build runs programs of one device"));
    }
    const bool text = !artifact::LooksLikeArtifact(module);
    ASSIGN_OR_RETURN(const stablehlo::Module parsed,
                     text ? stablehlo::ParseModule(module) : artifact::ReadArtifact(module));
    ASSIGN_OR_RETURN(const stablehlo::Func* const entry, parsed.Entry());
    std::vector<bool> donated = DonatedInputs(*entry);
    ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(parsed));
    runtime::CompileOptions compile;
    compile.settings = options.settings;
    const std::string program = stablehlo::EncodeModule(canonical);
    compile.key = runtime::KeyOf(program, compile, *backend_);
    ASSIGN_OR_RETURN(std::string package,
                     backend_->Compile(program, compile, [](std::string_view, double) {}));
    return MakeProgram(parsed.name, std::move(donated), std::move(package));
  }

  Result<std::shared_ptr<const LoadedProgram>> Load(std::string_view serialized) override {
    ASSIGN_OR_RETURN(const std::string_view name, TakeSized(&serialized));
    ASSIGN_OR_RETURN(const std::string_view flags, TakeSized(&serialized));
    std::vector<bool> donated;
    for (const char c : flags) donated.push_back(c != 0);
    return MakeProgram(std::string(name), std::move(donated), std::string(serialized));
  }

 private:
  Result<std::shared_ptr<const LoadedProgram>> MakeProgram(std::string name,
                                                           std::vector<bool> donated,
                                                           std::string package) const {
    ASSIGN_OR_RETURN(std::shared_ptr<const runtime::Executable> executable,
                     backend_->Load(package));
    donated.resize(executable->signature().inputs.size(), false);
    return std::make_shared<const EmbeddedProgram>(std::move(name), std::move(donated),
                                                   std::move(package), std::move(executable));
  }

  const std::shared_ptr<const runtime::Backend> backend_;
};

}  // namespace

Result<std::shared_ptr<Engine>> MakeEmbeddedEngine(std::string_view backend) {
  if (backend == "cpu") {
    return std::make_shared<EmbeddedEngine>(codegen::MakeCpuBackend());
  }
  if (backend == "reference") {
    return std::make_shared<EmbeddedEngine>(reference::MakeReferenceBackend());
  }
  return NotFound(StrCat("there is no backend '", Printable(backend),
                         "'; there are cpu and "
                         "reference"));
}

}  // namespace megalith::pjrt
