#include "common/programs/stablehlo/artifact/jax_export.h"

#include <algorithm>
#include <charconv>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/container.h"
#include "common/programs/stablehlo/artifact/flat_table.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Attr;
using stablehlo::DType;
using stablehlo::Func;
using stablehlo::Module;
using stablehlo::TensorType;

// Slots of the tables (persistent: owned by JAX, never change).
enum ExportSlot : int {
  kSerializationVersion = 0,
  kFunctionName = 1,
  kInAvals = 3,
  kOutAvals = 5,
  kDevicesShort = 6,
  kPlatforms = 9,
  kOrderedEffects = 10,
  kDisabledChecks = 12,
  kModule = 13,
  kCallingConvention = 14,
  kKeptVars = 15,
  kDevices = 18,
};
enum AvalSlot : int { kShape = 1, kDtype = 2 };
constexpr uint8_t kPlatformCheck = 0;  // of a disabled check

constexpr int kOldestSerialization = 2, kNewestSerialization = 8;
constexpr int kOldestConvention = 9, kNewestConvention = 10;
constexpr std::string_view kPlatformIndex = "_platform_index";

// By number. A key is `words` u32 numbers more than its shape says.
struct ExportDType {
  DType dtype;
  int64_t words = 0;
};
constexpr ExportDType kDTypes[] = {
    {DType::kBool},       {DType::kI8},         {DType::kI16},
    {DType::kI32},        {DType::kI64},        {DType::kU8},
    {DType::kU16},        {DType::kU32},        {DType::kU64},
    {DType::kF16},        {DType::kF32},        {DType::kF64},
    {DType::kC64},        {DType::kC128},       {DType::kBF16},
    {DType::kI4},         {DType::kU4},         {DType::kF8E4M3B11FNUZ},
    {DType::kF8E4M3FN},   {DType::kF8E4M3FNUZ}, {DType::kF8E5M2},
    {DType::kF8E5M2FNUZ}, {DType::kBool},       {DType::kF8E4M3},
    {DType::kF8E3M4},     {DType::kF8E8M0FNU},  {DType::kF4E2M1FN},
    {DType::kU32, 2},     {DType::kU32, 4},     {DType::kU32, 4},
};

class ExportReader {
 public:
  ExportReader(const FlatTable& root, const ExportOptions& options)
      : root_(root), options_(options) {}

  Result<Export> Run() {
    RETURN_IF_ERROR(CheckVersions());
    ASSIGN_OR_RETURN(const std::string_view name, root_.String(kFunctionName));
    out_.function_name = name;
    RETURN_IF_ERROR(CheckDevices());
    RETURN_IF_ERROR(ChoosePlatform());
    ASSIGN_OR_RETURN(const std::vector<TensorType> inputs, ReadAvals(kInAvals, "argument"));
    ASSIGN_OR_RETURN(const std::vector<TensorType> outputs, ReadAvals(kOutAvals, "result"));
    ASSIGN_OR_RETURN(const std::vector<bool> kept, ReadKept(inputs.size()));
    ASSIGN_OR_RETURN(const std::string_view artifact, root_.String(kModule));
    if (!LooksLikeArtifact(artifact)) return InvalidArgument("the export holds no artifact");
    ASSIGN_OR_RETURN(out_.module, ReadArtifact(artifact, options_.artifact));
    Func* main = nullptr;
    for (Func& f : out_.module.mutable_funcs()) {
      if (f.name == "main") main = &f;
    }
    if (main == nullptr) return InvalidArgument("the export's module has no @main");
    RETURN_IF_ERROR(FixPlatform(main));
    RETURN_IF_ERROR(MatchArguments(inputs, kept, main));
    if (main->results != outputs) {
      return InvalidArgument(
          StrCat("the export says ", outputs.size(), " results of other types than @main has"));
    }
    RETURN_IF_ERROR(Verify(out_.module, options_.artifact.limits));
    return std::move(out_);
  }

 private:
  Status CheckVersions() {
    ASSIGN_OR_RETURN(const auto version, root_.Number<uint16_t>(kSerializationVersion, 0));
    if (version < kOldestSerialization || version > kNewestSerialization) {
      return FailedPrecondition(StrCat("export of serialization version ", version,
                                       ", this build reads ", kOldestSerialization, " to ",
                                       kNewestSerialization));
    }
    ASSIGN_OR_RETURN(const auto convention, root_.Number<uint16_t>(kCallingConvention, 0));
    if (convention < kOldestConvention || convention > kNewestConvention) {
      return FailedPrecondition(StrCat("export of calling convention ", convention,
                                       ", this build runs ", kOldestConvention, " to ",
                                       kNewestConvention));
    }
    return OkStatus();
  }

  Status CheckDevices() {
    ASSIGN_OR_RETURN(uint32_t devices, root_.Number<uint32_t>(kDevices, 0));
    if (devices == 0) {
      ASSIGN_OR_RETURN(const auto before, root_.Number<int16_t>(kDevicesShort, 0));
      devices = before < 0 ? 0 : static_cast<uint32_t>(before);
    }
    if (devices > 1) {
      return Unimplemented(StrCat("the export is for ", devices,
                                  " devices; programs over several are not supported"));
    }
    ASSIGN_OR_RETURN(const FlatVector effects, root_.Vector(kOrderedEffects, 4));
    if (effects.size != 0) {
      return Unimplemented(
          "the export has ordered effects (io_callback, debug.print with ordered=True), which "
          "call back into Python and are not supported");
    }
    return OkStatus();
  }

  Status ChoosePlatform() {
    ASSIGN_OR_RETURN(const FlatVector names, root_.Vector(kPlatforms, 4));
    for (uint64_t i = 0; i < names.size; ++i) {
      ASSIGN_OR_RETURN(const std::string_view name, root_.StringIn(names, i));
      out_.platforms.emplace_back(name.substr(0, 64));
    }
    for (const std::string& wanted : options_.platforms) {
      const auto at = std::ranges::find(out_.platforms, wanted);
      if (at == out_.platforms.end()) continue;
      platform_ = at - out_.platforms.begin();
      return OkStatus();
    }
    ASSIGN_OR_RETURN(const FlatVector checks, root_.Vector(kDisabledChecks, 4));
    for (uint64_t i = 0; i < checks.size; ++i) {
      ASSIGN_OR_RETURN(const FlatTable check, root_.TableIn(checks, i));
      ASSIGN_OR_RETURN(const uint8_t kind, check.Number<uint8_t>(0, 0));
      if (kind == kPlatformCheck) return OkStatus();
    }
    return FailedPrecondition(StrCat("the export is for ", Printable(Join(out_.platforms, ", ")),
                                     "; this platform is ", Join(options_.platforms, " or ")));
  }

  Result<TensorType> ReadAval(const FlatTable& aval) {
    ASSIGN_OR_RETURN(const uint8_t code, aval.Number<uint8_t>(kDtype, 0));
    if (code >= std::size(kDTypes))
      return Unimplemented(StrCat("dtype ", int{code}, " is not known: a future version?"));
    ASSIGN_OR_RETURN(const FlatVector shape, aval.Vector(kShape, 4));
    if (shape.size > options_.artifact.limits.max_rank)
      return ResourceExhausted(StrCat(
          "rank ", shape.size, ", more than max_rank = ", options_.artifact.limits.max_rank));
    TensorType out{kDTypes[code].dtype, {}};
    for (uint64_t i = 0; i < shape.size; ++i) {
      ASSIGN_OR_RETURN(const std::string_view text, aval.StringIn(shape, i));
      int64_t d = 0;
      const auto r = std::from_chars(text.data(), text.data() + text.size(), d);
      if (r.ec != std::errc() || r.ptr != text.data() + text.size() || d < 0) {
        return Unimplemented(StrCat("dimension ", i, " is '", Printable(text, 60),
                                    "': symbolic dimensions are not supported, export with fixed "
                                    "shapes"));
      }
      out.shape.push_back(d);
    }
    if (kDTypes[code].words != 0) out.shape.push_back(kDTypes[code].words);
    return out;
  }

  Result<std::vector<TensorType>> ReadAvals(int slot, std::string_view what) {
    ASSIGN_OR_RETURN(const FlatVector avals, root_.Vector(slot, 4));
    std::vector<TensorType> out;
    for (uint64_t i = 0; i < avals.size; ++i) {
      ASSIGN_OR_RETURN(const FlatTable aval, root_.TableIn(avals, i));
      ASSIGN_OR_RETURN(TensorType type, ReadAval(aval).Annotate(StrCat(what, " ", i)));
      out.push_back(std::move(type));
    }
    return out;
  }

  // Which arguments @main takes.
  Result<std::vector<bool>> ReadKept(size_t arguments) {
    ASSIGN_OR_RETURN(const FlatVector indices, root_.Vector(kKeptVars, 2));
    std::vector<bool> out(arguments, false);
    int last = -1;
    for (uint64_t i = 0; i < indices.size; ++i) {
      const int index = root_.NumberIn<uint16_t>(indices, i);
      if (index <= last || static_cast<size_t>(index) >= arguments)
        return InvalidArgument(StrCat("the export keeps argument ", index, " of ", arguments));
      out[static_cast<size_t>(index)] = true;
      last = index;
    }
    return out;
  }

  // An export for several platforms takes the index of the platform first: here it is a constant.
  Status FixPlatform(Func* main) const {
    const bool has_index =
        !main->arg_attrs.empty() &&
        FindAttr(main->arg_attrs[0], "jax.global_constant") == Attr::String(kPlatformIndex);
    if (has_index != (out_.platforms.size() > 1))
      return InvalidArgument("@main and the export's platforms do not agree");
    if (!has_index) return OkStatus();
    const stablehlo::ValueId index = main->body.args[0];
    const TensorType type = main->type(index);
    if (!(type == TensorType::Scalar(DType::kI32)))
      return InvalidArgument(StrCat("the platform index has type ", type.Text()));
    stablehlo::Op constant;
    constant.def = stablehlo::FindOp("stablehlo.constant");
    constant.first_result = index;
    constant.num_results = 1;
    SetAttr(&constant.attrs, "value",
            Attr::OfTensor(tensor::Tensor::Scalar(DType::kI32, static_cast<int64_t>(platform_))));
    main->body.args.erase(main->body.args.begin());
    main->arg_attrs.erase(main->arg_attrs.begin());
    main->body.ops.insert(main->body.ops.begin(), std::move(constant));
    return OkStatus();
  }

  // Compares @main's parameters with the kept arguments and adds the others.
  static Status MatchArguments(const std::vector<TensorType>& inputs, const std::vector<bool>& kept,
                               Func* main) {
    const auto count = static_cast<size_t>(std::ranges::count(kept, true));
    if (count != main->body.args.size()) {
      return InvalidArgument(
          StrCat("the export keeps ", count, " arguments, @main takes ", main->body.args.size()));
    }
    std::vector<stablehlo::ValueId> args;
    std::vector<stablehlo::AttrDict> attrs;
    size_t next = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!kept[i]) {
        args.push_back(main->AddValue(inputs[i]));
        attrs.emplace_back();
        continue;
      }
      const TensorType& type = main->type(main->body.args[next]);
      if (!(type == inputs[i])) {
        return InvalidArgument(StrCat("argument ", i, " of the export is ", inputs[i].Text(),
                                      ", @main takes ", type.Text()));
      }
      args.push_back(main->body.args[next]);
      attrs.push_back(main->arg_attrs.empty() ? stablehlo::AttrDict() : main->arg_attrs[next]);
      ++next;
    }
    main->body.args = std::move(args);
    main->arg_attrs = std::move(attrs);
    return OkStatus();
  }

  const FlatTable& root_;
  const ExportOptions& options_;
  int64_t platform_ = 0;
  Export out_;
};

}  // namespace

bool LooksLikeExport(std::string_view bytes) {
  const auto root = FlatTable::Root(bytes);
  if (!root.ok()) return false;
  const auto module = root->String(kModule);
  return module.ok() && LooksLikeArtifact(*module);
}

Result<Export> ReadExport(std::string_view bytes, const ExportOptions& options) {
  ASSIGN_OR_RETURN(const FlatTable root, FlatTable::Root(bytes));
  return ExportReader(root, options).Run();
}

Result<Module> ReadArtifactOrExport(std::string_view bytes, const ExportOptions& options) {
  if (LooksLikeArtifact(bytes)) return ReadArtifact(bytes, options.artifact);
  if (!LooksLikeExport(bytes)) {
    return InvalidArgument(
        "the bytes are neither a StableHLO portable artifact nor what jax.export serializes");
  }
  ASSIGN_OR_RETURN(Export exported, ReadExport(bytes, options));
  return std::move(exported.module);
}

}  // namespace megalith::stablehlo::artifact
