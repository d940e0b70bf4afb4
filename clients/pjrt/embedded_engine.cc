#include "clients/pjrt/embedded_engine.h"

#include <utility>

#include "clients/pjrt/hlo_shardings.h"
#include "clients/pjrt/spmd_program.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/reference/reference.h"
#include "common/machines/runtime/backend.h"
#include "common/programs/artifact/artifact.h"
#include "common/programs/spmd/unroll.h"
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

std::string FlagBytes(const std::vector<bool>& flags) {
  std::string bytes;
  for (const bool f : flags) bytes.push_back(f ? '\1' : '\0');
  return bytes;
}

std::vector<bool> FlagsOf(std::string_view bytes, size_t count) {
  std::vector<bool> flags;
  for (const char c : bytes) flags.push_back(c != 0);
  flags.resize(count, false);
  return flags;
}

// What the program says beyond its package. Serialized: name and flags (a byte each), every one
// after its size in four bytes; then the package.
struct Description {
  std::string name;
  std::vector<bool> donated;        // per input
  std::vector<bool> token_outputs;  // per output
};

class EmbeddedProgram final : public LoadedProgram {
 public:
  EmbeddedProgram(Description description, std::string package,
                  std::shared_ptr<const runtime::Executable> executable)
      : description_(std::move(description)),
        package_(std::move(package)),
        fingerprint_(Sha256Digest(Sha256::Of(package_)).Hex()),
        executable_(std::move(executable)) {}

  const std::string& name() const override { return description_.name; }
  const Signature& signature() const override { return executable_->signature(); }
  const CostSummary& cost() const override { return executable_->cost(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  const std::vector<bool>& donated() const override { return description_.donated; }
  const std::vector<bool>& token_outputs() const override { return description_.token_outputs; }
  const std::string& placement_text() const override {
    static const std::string kNone;
    return kNone;
  }

  Result<std::string> Serialize() const override {
    std::string out;
    AppendSized(description_.name, &out);
    AppendSized(FlagBytes(description_.donated), &out);
    AppendSized(FlagBytes(description_.token_outputs), &out);
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
    for (Tensor& t : results) {
      // Hosts take results for memory of their own.
      for (const Tensor& input : tensors) {
        if (t.data() == input.data() && t.byte_size() > 0) {
          ASSIGN_OR_RETURN(t, Tensor::FromBytes(t.dtype(), t.shape(), t.bytes()));
          break;
        }
      }
      out.push_back(std::make_shared<const LocalArray>(std::move(t)));
    }
    return out;
  }

  static void AppendSized(std::string_view bytes, std::string* out) {
    const auto size = static_cast<uint32_t>(bytes.size());
    for (int i = 0; i < 4; ++i) out->push_back(static_cast<char>(size >> (8 * i)));
    out->append(bytes);
  }

 private:
  const Description description_;
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

std::vector<bool> TokenOutputs(const stablehlo::Func& entry) {
  std::vector<bool> tokens;
  for (const stablehlo::TensorType& t : entry.results) tokens.push_back(t.is_token);
  return tokens;
}

// Where the parts of arrays of these types lie.
Result<std::vector<Placement>> PlacementsOf(const std::vector<stablehlo::TensorType>& types,
                                            const std::vector<spmd::Sharding>& shardings,
                                            int devices) {
  std::vector<Placement> out;
  for (size_t i = 0; i < types.size(); ++i) {
    Placement p;
    p.whole = p.part = types[i].is_token ? Shape{0} : types[i].shape;
    for (int64_t d = 0; d < devices; ++d) {
      ASSIGN_OR_RETURN(spmd::Part part, spmd::PartOf(shardings[i], p.whole, d));
      if (shardings[i].Terms() > 1) {
        part.shape.insert(0, 1);
        part.start.insert(0, shardings[i].TermOf(d));
      }
      p.part = std::move(part.shape);
      p.start.push_back(std::move(part.start));
    }
    p.stacked = shardings[i].Terms() > 1;
    if (p.stacked) p.whole.insert(0, shardings[i].Terms());
    out.push_back(std::move(p));
  }
  return out;
}

std::vector<PlacedArray> Placed(const std::vector<stablehlo::TensorType>& types,
                                const std::vector<spmd::Sharding>& shardings) {
  std::vector<PlacedArray> out;
  for (size_t i = 0; i < types.size(); ++i) out.push_back({shardings[i], types[i].rank()});
  return out;
}

class EmbeddedEngine final : public Engine {
 public:
  explicit EmbeddedEngine(std::shared_ptr<const runtime::Backend> backend)
      : backend_(std::move(backend)) {}

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
    if (options.num_replicas != 1) {
      return Unimplemented(StrCat("a program of ", options.num_replicas,
                                  " replicas; several devices are partitions here (shard_map)"));
    }
    const bool text = !artifact::LooksLikeArtifact(module);
    ASSIGN_OR_RETURN(const stablehlo::Module parsed,
                     text ? stablehlo::ParseModule(module) : artifact::ReadArtifact(module));
    ASSIGN_OR_RETURN(const stablehlo::Func* const entry, parsed.Entry());
    Description description{parsed.name, DonatedInputs(*entry), TokenOutputs(*entry)};
    if (options.num_partitions == 1) return CompileWhole(parsed, std::move(description), options);
    ASSIGN_OR_RETURN(spmd::Unrolled unrolled, spmd::Unroll(parsed, options.num_partitions));
    ASSIGN_OR_RETURN(std::vector<Placement> inputs,
                     PlacementsOf(entry->input_types(), unrolled.inputs, options.num_partitions));
    ASSIGN_OR_RETURN(std::vector<Placement> outputs,
                     PlacementsOf(entry->results, unrolled.outputs, options.num_partitions));
    ASSIGN_OR_RETURN(std::shared_ptr<const LoadedProgram> whole,
                     CompileWhole(unrolled.module, std::move(description), options));
    std::string placement_text =
        ModuleWithShardings(Placed(entry->input_types(), unrolled.inputs),
                            Placed(entry->results, unrolled.outputs), options.num_partitions);
    return MakeSpmdProgram(std::move(whole), options.num_partitions, std::move(inputs),
                           std::move(outputs), std::move(placement_text));
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
    compile.settings = options.settings;
    const std::string program = stablehlo::EncodeModule(canonical);
    compile.key = runtime::KeyOf(program, compile, *backend_);
    ASSIGN_OR_RETURN(std::string package,
                     backend_->Compile(program, compile, [](std::string_view, double) {}));
    return MakeProgram(std::move(description), std::move(package));
  }

  Result<std::shared_ptr<const LoadedProgram>> LoadWhole(std::string_view serialized) const {
    ASSIGN_OR_RETURN(const std::string_view name, TakeSized(&serialized));
    ASSIGN_OR_RETURN(const std::string_view donated, TakeSized(&serialized));
    ASSIGN_OR_RETURN(const std::string_view tokens, TakeSized(&serialized));
    return MakeProgram(
        {std::string(name), FlagsOf(donated, donated.size()), FlagsOf(tokens, tokens.size())},
        std::string(serialized));
  }

  Result<std::shared_ptr<const LoadedProgram>> MakeProgram(Description description,
                                                           std::string package) const {
    ASSIGN_OR_RETURN(std::shared_ptr<const runtime::Executable> executable,
                     backend_->Load(package));
    description.donated.resize(executable->signature().inputs.size(), false);
    description.token_outputs.resize(executable->signature().outputs.size(), false);
    return std::make_shared<const EmbeddedProgram>(std::move(description), std::move(package),
                                                   std::move(executable));
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
