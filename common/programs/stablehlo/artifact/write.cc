// From a module to the bytes of an artifact.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/artifact/codes.h"
#include "common/programs/stablehlo/artifact/container.h"
#include "common/programs/stablehlo/artifact/entities.h"
#include "common/programs/stablehlo/artifact/entity_writer.h"
#include "common/programs/stablehlo/artifact/raw_ops.h"
#include "common/programs/stablehlo/artifact/vhlo_attrs.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Func;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::ValueId;

// The bytecode that readers of a version know.
uint64_t BytecodeOf(Version version) {
  constexpr struct {
    Version since;
    uint64_t bytecode;
  } kRows[] = {{15'000, 6}, {14'000, 4}, {12'000, 3}, {10'000, 1}, {0, 0}};
  for (const auto& row : kRows) {
    if (version >= row.since) return row.bytecode;
  }
  return 0;
}

// Replaces chlo ops that StableHLO has under another name, such as chlo.square.
void Respell(Region* region, Func* func) {
  std::vector<Op> ops;
  ops.reserve(region->ops.size());
  for (Op& op : region->ops) {
    for (Region& inner : op.regions) Respell(&inner, func);
    if (const stablehlo::Respelling* spelling = op.def->respelling) {
      std::vector<ValueId> operands;
      for (const stablehlo::RespelledOperand& o : spelling->operands(op, *func)) {
        if (!o.constant.present()) {
          operands.push_back(op.operands[o.operand]);
          continue;
        }
        Op constant;
        constant.def = stablehlo::FindOp("stablehlo.constant");
        constant.num_results = 1;
        constant.first_result = func->AddValue(o.constant.AsDense().type);
        SetAttr(&constant.attrs, "value", o.constant);
        operands.push_back(constant.first_result);
        ops.push_back(std::move(constant));
      }
      op.def = stablehlo::FindOp(spelling->op);
      op.operands = std::move(operands);
    }
    ops.push_back(std::move(op));
  }
  region->ops = std::move(ops);
}

bool NeedsRespelling(const Module& module) {
  bool found = false;
  for (const Func& f : module.funcs())
    ForEachOp(f.body, [&](const Op& op) { found = found || op.def->respelling != nullptr; });
  return found;
}

class ModuleWriter {
 public:
  explicit ModuleWriter(Version version)
      : version_(version), bytecode_(BytecodeOf(version)), entities_(version) {}

  Result<std::string> Run(const Module& module) {
    Sink body;
    for (const Func& f : module.funcs())
      RETURN_IF_ERROR(WriteFunc(f, &body).Annotate(StrCat("@", Printable(f.name, 60))));
    Sink ir;
    ir.Flagged(1, false);  // one module
    RETURN_IF_ERROR(WriteModuleHead(module, &ir));
    Sink region;
    region.Varint(1);  // blocks
    region.Varint(0);  // values
    region.Flagged(module.funcs().size(), false);
    region.Raw(body.bytes());
    WriteIsolated(region.bytes(), &ir);

    const std::string dialects = entities_.DialectSection(bytecode_);  // the last to add strings
    Sink out;
    out.Raw(kBytecodeMagic);
    out.Varint(bytecode_);
    out.Raw(StrCat("StableHLO_v", VersionText(version_)));
    out.Byte(0);
    out.Section(1, dialects);
    out.Section(3, entities_.OffsetSection());
    out.Section(2, entities_.DataSection());
    out.Section(4, ir.bytes());
    out.Section(0, entities_.StringSection());
    if (with_properties()) out.Section(8, entities_.PropertySection());
    return out.bytes();
  }

 private:
  using Entries = std::vector<std::pair<std::string, uint32_t>>;

  bool with_properties() const { return bytecode_ >= kFirstWithProperties; }

  // Name, mask, location, dictionary, properties. `fields` are those that the operation defines, in
  // their order.
  void WriteHead(uint32_t name, uint8_t mask, Entries fields, Entries discardable, Sink* out) {
    std::string properties;
    if (with_properties()) {
      Sink record;
      for (const auto& [field, value] : fields) record.Varint(value);
      properties = record.bytes();
    } else {
      discardable.insert(discardable.end(), fields.begin(), fields.end());
      std::ranges::sort(discardable);
    }
    WriteHead(name, mask, with_properties() && !fields.empty(), std::move(properties), discardable,
              out);
  }

  void WriteHead(uint32_t name, uint8_t mask, bool has_properties, std::string properties,
                 const Entries& dictionary, Sink* out) {
    if (!dictionary.empty()) mask |= kHasDictionary;
    if (has_properties) mask |= kHasProperties;
    out->Varint(name);
    out->Byte(mask);
    out->Varint(entities_.UnknownLocation());
    if (!dictionary.empty()) out->Varint(entities_.DictionaryOf(dictionary));
    if (has_properties) out->Varint(entities_.Properties(std::move(properties)));
  }

  // The regions of an operation that sees nothing outside of it.
  void WriteIsolated(std::string_view regions, Sink* out) const {
    out->Flagged(1, true);
    if (bytecode_ >= 2) {
      out->Section(kNestedSection, regions);
    } else {
      out->Raw(regions);
    }
  }

  Result<Entries> Discardable(const stablehlo::AttrDict& attrs, const stablehlo::OpDef* def,
                              const Revision* revision) {
    Entries out;
    for (const stablehlo::NamedAttr& a : attrs) {
      const bool defined = (def != nullptr && def->FindAttr(a.name) != nullptr) ||
                           (revision != nullptr && revision->Has(a.name));
      const bool foreign = a.value.kind() == AttrKind::kOpaque;  // what lies where
      if (defined || foreign) continue;
      ASSIGN_OR_RETURN(const uint32_t value, entities_.Attribute(a.value).Annotate(a.name));
      out.emplace_back(a.name, value);
    }
    return out;
  }

  Status WriteModuleHead(const Module& module, Sink* out) {
    const uint32_t name = entities_.OpName(Dialect::kBuiltin, "module");
    stablehlo::AttrDict attrs = module.attrs;
    Sink properties;
    if (with_properties()) {
      if (module.name.empty()) {
        properties.Flagged(0, false);
      } else {
        properties.Flagged(entities_.BuiltinString(module.name), true);
      }
      properties.Flagged(0, false);  // visibility
    } else if (!module.name.empty()) {
      SetAttr(&attrs, "sym_name", Attr::String(module.name));
    }
    uint8_t mask = kHasRegions;
    if (!attrs.empty()) mask |= kHasDictionary;
    if (with_properties()) mask |= kHasProperties;
    out->Varint(name);
    out->Byte(mask);
    out->Varint(entities_.UnknownLocation());
    if (!attrs.empty()) {
      ASSIGN_OR_RETURN(const uint32_t dict, entities_.Dictionary(attrs, Dialect::kBuiltin));
      out->Varint(dict);
    }
    if (with_properties()) out->Varint(entities_.Properties(properties.bytes()));
    return OkStatus();
  }

  static Attr Dicts(const std::vector<stablehlo::AttrDict>& dicts, size_t count) {
    std::vector<Attr> out;
    for (size_t i = 0; i < count; ++i)
      out.push_back(Attr::Dict(i < dicts.size() ? dicts[i] : stablehlo::AttrDict()));
    return Attr::List(std::move(out));
  }

  Status WriteFunc(const Func& func, Sink* out) {
    func_ = &func;
    numbers_.assign(func.types.size(), 0);
    const std::string_view visibility =
        func.visibility == stablehlo::Visibility::kPrivate  ? "private"
        : func.visibility == stablehlo::Visibility::kNested ? "nested"
        : func.visibility == stablehlo::Visibility::kPublic ? "public"
                                                            : "";
    const std::pair<std::string_view, Attr> fields[] = {
        {"arg_attrs", Dicts(func.arg_attrs, func.body.args.size())},
        {"function_type", Attr::Function({func.input_types(), func.results})},
        {"res_attrs", Dicts(func.result_attrs, func.results.size())},
        {"sym_name", Attr::String(func.name)},
        {"sym_visibility", Attr::String(visibility)}};
    Entries entries;
    for (const auto& [name, value] : fields) {
      ASSIGN_OR_RETURN(const uint32_t index, entities_.Attribute(value));
      entries.emplace_back(name, index);
    }
    ASSIGN_OR_RETURN(Entries discardable, Discardable(func.attrs, nullptr, nullptr));
    WriteHead(entities_.OpName(Dialect::kVhlo, "func_v1"), kHasRegions, std::move(entries),
              std::move(discardable), out);
    Sink region;
    RETURN_IF_ERROR(WriteRegion(func.body, 0, &region));
    WriteIsolated(region.bytes(), out);
    return OkStatus();
  }

  // Values that only rename others: what lies where on one device.
  static bool IsAlias(const Op& op) { return op.name() == "sdy.sharding_constraint"; }

  // `base` values are in scope.
  Status WriteRegion(const Region& region, uint64_t base, Sink* out) {
    uint64_t values = region.args.size(), ops = 0;
    for (const Op& op : region.ops) {
      if (IsAlias(op)) continue;
      values += op.num_results;
      ++ops;
    }
    out->Varint(1);
    out->Varint(values);
    out->Flagged(ops, !region.args.empty());
    uint64_t next = base;
    if (!region.args.empty()) {
      out->Varint(region.args.size());
      for (const ValueId v : region.args) {
        ASSIGN_OR_RETURN(const uint32_t type, entities_.Type(func_->type(v)));
        bytecode_ >= 4 ? out->Flagged(type, false) : out->Varint(type);
        if (bytecode_ < 4) out->Varint(entities_.UnknownLocation());
        numbers_[v] = next++;
      }
      if (bytecode_ >= 3) out->Byte(0);  // no order of uses
    }
    for (size_t i = 0; i < region.ops.size(); ++i) {
      const Op& op = region.ops[i];
      if (IsAlias(op)) {
        numbers_[op.result()] = numbers_[op.operands[0]];
        continue;
      }
      for (uint32_t r = 0; r < op.num_results; ++r) numbers_[op.result(r)] = next++;
      RETURN_IF_ERROR(
          WriteOp(op, base + values, out).Annotate(StrCat("op ", i, " (", op.name(), ")")));
    }
    return OkStatus();
  }

  static std::string_view VhloName(const Op& op) {
    const std::string_view name = op.name();
    if (name == "func.return") return "return";
    if (name == "func.call") return "call";
    constexpr std::string_view kDialect = "stablehlo.";
    return name.starts_with(kDialect) ? name.substr(kDialect.size()) : std::string_view();
  }

  Result<const Revision*> RevisionFor(const Op& op) const {
    const std::string_view name = VhloName(op);
    const VhloOp* row = name.empty() ? nullptr : FindVhloOp(name);
    if (row == nullptr)
      return Unimplemented(StrCat(op.name(), " has no form in artifacts that this build writes"));
    const Revision* revision = row->At(version_);
    if (revision == nullptr)
      return FailedPrecondition(
          StrCat(op.name(), " needs another version than ", VersionText(version_)));
    // What newer revisions say must be what older ones mean.
    for (const Revision& other : row->revisions) {
      RETURN_IF_ERROR(other.ForEachField([&](std::string_view field) -> Status {
        if (revision->Has(field)) return OkStatus();
        ASSIGN_OR_RETURN(const Attr value, FieldOfOp(field, op, *func_));
        if (FieldIsDefault(value)) return OkStatus();
        return FailedPrecondition(StrCat("attribute '", field, "' needs version ",
                                         VersionText(other.since), " or newer, not ",
                                         VersionText(version_)));
      }));
    }
    const bool was_single = row->revisions[1].number != 0 && name.starts_with("all_");
    if (was_single && revision->number == 1 && op.operands.size() != 1) {
      return FailedPrecondition(StrCat("several operands need version ",
                                       VersionText(row->revisions[1].since), " or newer, not ",
                                       VersionText(version_)));
    }
    return revision;
  }

  Status WriteOp(const Op& op, uint64_t scope, Sink* out) {
    ASSIGN_OR_RETURN(const Revision* revision, RevisionFor(op));
    Entries fields;
    RETURN_IF_ERROR(revision->ForEachField([&](std::string_view field) -> Status {
      ASSIGN_OR_RETURN(const Attr value, FieldOfOp(field, op, *func_));
      if (field == "api_version") {
        fields.emplace_back(field, entities_.ApiVersion(value.AsInt()));
        return OkStatus();
      }
      ASSIGN_OR_RETURN(const uint32_t index, entities_.Attribute(value).Annotate(field));
      fields.emplace_back(field, index);
      return OkStatus();
    }));
    ASSIGN_OR_RETURN(Entries discardable, Discardable(op.attrs, op.def, revision));
    uint8_t mask = 0;
    if (op.num_results > 0) mask |= kHasResults;
    if (!op.operands.empty()) mask |= kHasOperands;
    if (!op.regions.empty()) mask |= kHasRegions;
    WriteHead(entities_.OpName(Dialect::kVhlo, StrCat(VhloName(op), "_v", revision->number)), mask,
              std::move(fields), std::move(discardable), out);
    if (op.num_results > 0) {
      out->Varint(op.num_results);
      for (uint32_t r = 0; r < op.num_results; ++r) {
        ASSIGN_OR_RETURN(const uint32_t type, entities_.Type(func_->type(op.result(r))));
        out->Varint(type);
      }
    }
    if (!op.operands.empty()) {
      out->Varint(op.operands.size());
      for (const ValueId v : op.operands) out->Varint(numbers_[v]);
    }
    if (op.regions.empty()) return OkStatus();
    out->Flagged(op.regions.size(), false);
    for (const Region& r : op.regions) RETURN_IF_ERROR(WriteRegion(r, scope, out));
    return OkStatus();
  }

  const Version version_;
  const uint64_t bytecode_;
  EntityWriter entities_;
  const Func* func_ = nullptr;
  std::vector<uint64_t> numbers_;  // by value of the function
};

}  // namespace

Result<std::string> WriteArtifact(const Module& module, const WriteOptions& options) {
  if (options.version < kOldestVersion || options.version >= kNewestVersion + 1'000) {
    return InvalidArgument(StrCat("version ", VersionText(options.version), ", this build writes ",
                                  VersionText(kOldestVersion), " to ",
                                  VersionText(kNewestVersion)));
  }
  if (!NeedsRespelling(module)) return ModuleWriter(options.version).Run(module);
  Module respelled = module;
  for (Func& f : respelled.mutable_funcs()) Respell(&f.body, &f);
  return ModuleWriter(options.version).Run(respelled);
}

}  // namespace megalith::stablehlo::artifact
