// From the tree of VHLO operations to a module.
#include <charconv>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/artifact/entities.h"
#include "common/programs/stablehlo/artifact/vhlo_attrs.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/text.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Func;
using stablehlo::kNoValue;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::OpDef;
using stablehlo::Region;
using stablehlo::ValueId;

constexpr std::string_view kProducer = "StableHLO_v";

// What an operation's name says, found once per name.
struct KnownName {
  const VhloOp* vhlo = nullptr;
  const Revision* revision = nullptr;
  const OpDef* def = nullptr;
};

class ModuleReader {
 public:
  ModuleReader(const Container& file, const stablehlo::Limits& limits, uint64_t file_bytes)
      : file_(file),
        entities_(file, limits, file_bytes),
        names_(file.op_names.size()),
        values_(file.num_values, kNoValue) {}

  Result<Module> Run() {
    RETURN_IF_ERROR(CheckProducer());
    if (file_.top.ops.size() != 1 || FullName(file_.top.ops[0]) != "builtin.module" ||
        file_.top.ops[0].regions.size() != 1) {
      return InvalidArgument("the artifact holds something else than one module");
    }
    const RawOp& top = file_.top.ops[0];
    RETURN_IF_ERROR(ReadModuleName(top));
    // How functions are read depends on the meshes, which may stand after them.
    for (const RawOp& op : top.regions[0].ops) {
      if (FullName(op) == "sdy.mesh") RETURN_IF_ERROR(ReadMesh(op));
    }
    for (const RawOp& op : top.regions[0].ops) {
      const std::string name = FullName(op);
      if (name == "vhlo.func_v1") {
        RETURN_IF_ERROR(ReadFunc(op));
      } else if (name != "sdy.mesh") {
        return Unimplemented(
            StrCat("operation ", Printable(name, 60), " is not supported in a module"));
      }
    }
    return std::move(module_);
  }

 private:
  Status CheckProducer() {
    const auto version = file_.producer.starts_with(kProducer)
                             ? ParseVersion(file_.producer.substr(kProducer.size()))
                             : InvalidArgument("");
    if (!version.ok()) {
      return InvalidArgument(StrCat("not a portable artifact: it was produced by '",
                                    Printable(file_.producer, 60), "', wanted ", kProducer,
                                    " and a version"));
    }
    if (*version / 1'000'000 > kNewestVersion / 1'000'000) {
      return FailedPrecondition(StrCat("artifact of StableHLO ", VersionText(*version),
                                       ", this build reads up to ", VersionText(kNewestVersion)));
    }
    return OkStatus();
  }

  std::string FullName(const RawOp& op) const {
    const OpName& name = file_.op_names[op.name];
    return StrCat(name.dialect, ".", name.name);
  }

  // Adds "op 3 (vhlo.add_v1 at model.py:12)" to an error.
  Status At(const RawOp& op, size_t number, const Status& status) {
    if (status.ok()) return status;
    const std::string where = entities_.LocationText(op.location);
    return status.Annotate(
        StrCat("op ", number, " (", Printable(FullName(op), 60),
               where.empty() ? StrCat(", artifact byte ", op.offset) : StrCat(" at ", where), ")"));
  }

  // --- attributes ---

  // The discardable ones, and in old bytecode all.
  Result<AttrDict> Dictionary(const RawOp& op) {
    if (!op.dictionary) return AttrDict();
    ASSIGN_OR_RETURN(const Attr dict,
                     entities_.Attribute(*op.dictionary, AttrKind::kDict, "a dictionary"));
    return dict.AsDict();
  }

  // The fields of `names` (comma-separated), taken out of `dict` if they are there.
  Result<std::vector<Field>> Fields(const RawOp& op, const Revision& revision, AttrDict* dict) {
    std::vector<Field> out;
    Cursor in("");
    if (op.properties) {
      const Entry& record = file_.properties[*op.properties];
      in = Cursor(record.bytes, record.offset);
    }
    RETURN_IF_ERROR(revision.ForEachField([&](std::string_view name) -> Status {
      Field field{.name = name, .value = {}};
      if (op.properties) {
        ASSIGN_OR_RETURN(const uint32_t index, in.Index(file_.attributes.size(), "attributes"));
        ASSIGN_OR_RETURN(field.value, entities_.Attribute(index).Annotate(name));
      } else {
        field.value = FindAttr(*dict, name);
        SetAttr(dict, name, {});
      }
      if (!field.value.present())
        return InvalidArgument(StrCat("attribute '", name, "' is missing"));
      out.push_back(std::move(field));
      return OkStatus();
    }));
    RETURN_IF_ERROR(in.ExpectEnd("the properties of an operation"));
    return out;
  }

  // --- module level ---

  Status ReadModuleName(const RawOp& op) {
    ASSIGN_OR_RETURN(module_.attrs, Dictionary(op));
    Attr name = FindAttr(module_.attrs, "sym_name");
    SetAttr(&module_.attrs, "sym_name", {});
    SetAttr(&module_.attrs, "sym_visibility", {});
    if (op.properties) {
      const Entry& record = file_.properties[*op.properties];
      Cursor in(record.bytes, record.offset);
      for (int i = 0; i < 2; ++i) {  // sym_name, sym_visibility
        ASSIGN_OR_RETURN(const Flagged index, in.FlaggedVarint());
        if (!index.flag) continue;
        if (index.value >= file_.attributes.size()) return in.Error("an attribute that is missing");
        ASSIGN_OR_RETURN(Attr value, entities_.Attribute(static_cast<uint32_t>(index.value)));
        if (i == 0) name = std::move(value);
      }
      RETURN_IF_ERROR(in.ExpectEnd("the properties of a module"));
    }
    if (name.kind() == AttrKind::kString) module_.name = name.AsText();
    return OkStatus();
  }

  Status ReadMesh(const RawOp& op) {
    constexpr Revision kMesh{.number = 1, .fields = "mesh,sym_name"};
    ASSIGN_OR_RETURN(AttrDict dict, Dictionary(op));
    uint64_t devices = 0;
    if (op.properties) {
      const Entry& record = file_.properties[*op.properties];
      Cursor in(record.bytes, record.offset);
      ASSIGN_OR_RETURN(const uint32_t mesh, in.Index(file_.attributes.size(), "attributes"));
      ASSIGN_OR_RETURN(devices, entities_.MeshDevices(mesh));
    }
    ASSIGN_OR_RETURN(const std::vector<Field> fields, Fields(op, kMesh, &dict));
    if (fields[0].value.kind() != AttrKind::kOpaque || fields[1].value.kind() != AttrKind::kString)
      return InvalidArgument("sdy.mesh without its mesh or name");
    one_device_ = one_device_ && devices == 1;
    std::string text = "sdy.mesh ";
    stablehlo::PrintSymbol(fields[1].value.AsText(), &text);
    StrAppend(&text, " = ", fields[0].value.AsText());
    module_.declarations.push_back(std::move(text));
    return OkStatus();
  }

  static Status TakeDicts(const Attr& list, size_t count, std::string_view what,
                          std::vector<AttrDict>* out) {
    if (list.kind() != AttrKind::kList || (!list.AsList().empty() && list.AsList().size() != count))
      return InvalidArgument(StrCat(what, " does not hold one dictionary each"));
    for (const Attr& d : list.AsList()) {
      if (d.kind() != AttrKind::kDict)
        return InvalidArgument(StrCat(what, " holds something else than dictionaries"));
      out->push_back(d.AsDict());
    }
    out->resize(count);
    return OkStatus();
  }

  Status ReadFunc(const RawOp& op) {
    Func func;
    ASSIGN_OR_RETURN(func.attrs, Dictionary(op));
    const std::string where = entities_.LocationText(op.location);
    ASSIGN_OR_RETURN(const std::vector<Field> fields,
                     Fields(op, *FindVhloOp("func")->Find(1), &func.attrs)
                         .Annotate(where.empty() ? StrCat("function at artifact byte ", op.offset)
                                                 : StrCat("function at ", where)));
    const Attr &arg_attrs = fields[0].value, &type = fields[1].value, &res_attrs = fields[2].value,
               &name = fields[3].value, &visibility = fields[4].value;
    if (name.kind() != AttrKind::kString || visibility.kind() != AttrKind::kString ||
        type.kind() != AttrKind::kFuncType) {
      return InvalidArgument(
          StrCat("artifact byte ", op.offset, ": a function without name, visibility or type"));
    }
    func.name = name.AsText();
    const std::string& v = visibility.AsText();
    func.visibility = v == "public"    ? stablehlo::Visibility::kPublic
                      : v == "private" ? stablehlo::Visibility::kPrivate
                      : v == "nested"  ? stablehlo::Visibility::kNested
                                       : stablehlo::Visibility::kUnspecified;
    const std::string context = StrCat("@", Printable(func.name, 60));
    func.results = type.AsFuncType().results;
    if (op.regions.size() != 1 || !op.regions[0].has_block)
      return Unimplemented("functions without a body are not supported").Annotate(context);
    RETURN_IF_ERROR(ReadRegion(op.regions[0], &func, &func.body, 0).Annotate(context));
    if (func.input_types() != type.AsFuncType().inputs) {
      return InvalidArgument("the parameters have other types than the signature says")
          .Annotate(context);
    }
    RETURN_IF_ERROR(TakeDicts(arg_attrs, func.body.args.size(), "arg_attrs", &func.arg_attrs)
                        .Annotate(context));
    RETURN_IF_ERROR(TakeDicts(res_attrs, func.results.size(), "res_attrs", &func.result_attrs)
                        .Annotate(context));
    return internal::StatusOf(module_.AddFunc(std::move(func)));
  }

  // --- operations ---

  Status ReadRegion(const RawRegion& raw, Func* func, Region* out, int depth) {
    for (size_t i = 0; i < raw.arg_types.size(); ++i) {
      ASSIGN_OR_RETURN(TensorType type,
                       entities_.ValueType(raw.arg_types[i]).Annotate(StrCat("argument ", i)));
      const ValueId v = func->AddValue(std::move(type));
      values_[raw.first_arg + i] = v;
      out->args.push_back(v);
    }
    return ReadOps(raw, func, out, depth);
  }

  Status ReadOps(const RawRegion& raw, Func* func, Region* out, int depth) {
    for (size_t i = 0; i < raw.ops.size(); ++i)
      RETURN_IF_ERROR(At(raw.ops[i], i, ReadOp(raw.ops[i], func, out, depth)));
    return OkStatus();
  }

  Result<KnownName> Lookup(const RawOp& op) {
    KnownName& known = names_[op.name];
    if (known.def != nullptr) return known;
    const OpName& name = file_.op_names[op.name];
    const size_t suffix = name.name.rfind("_v");
    int number = 0;
    if (name.dialect == "vhlo" && suffix != std::string_view::npos) {
      const char* end = name.name.data() + name.name.size();
      const auto r = std::from_chars(name.name.data() + suffix + 2, end, number);
      known.vhlo = FindVhloOp(name.name.substr(0, suffix));
      if (known.vhlo != nullptr && r.ptr == end) known.revision = known.vhlo->Find(number);
    }
    if (known.revision == nullptr) {
      return Unimplemented(StrCat("operation ", Printable(FullName(op), 60), " is not supported",
                                  name.dialect == "vhlo" ? ": a future version?" : ""));
    }
    known.def = stablehlo::FindOp(known.vhlo->StablehloName());
    if (known.def == nullptr)
      return Unimplemented(StrCat("operation ", known.vhlo->StablehloName(), " is not supported"));
    return known;
  }

  Result<std::vector<ValueId>> Operands(const RawOp& op) const {
    std::vector<ValueId> out;
    out.reserve(op.operands.size());
    for (const uint32_t v : op.operands) {
      if (values_[v] == kNoValue)
        return InvalidArgument("an operand is used before its definition");
      out.push_back(values_[v]);
    }
    return out;
  }

  Status ReadOp(const RawOp& raw, Func* func, Region* out, int depth) {
    const OpName& name = file_.op_names[raw.name];
    if (name.dialect == "sdy") return ReadSdyOp(raw, func, out, depth);
    if (name.dialect == "builtin" && name.name == "unrealized_conversion_cast") {
      ASSIGN_OR_RETURN(const std::vector<ValueId> from, Operands(raw));
      return Alias(raw, from, *func);
    }
    ASSIGN_OR_RETURN(const KnownName known, Lookup(raw));
    Op op;
    op.def = known.def;
    if (known.vhlo->name == "return" && depth == 0) op.def = stablehlo::FindOp("func.return");
    if (op.def->type_rule == nullptr) return Unimplemented(std::string(op.def->refusal));
    ASSIGN_OR_RETURN(op.operands, Operands(raw));
    const auto wanted = static_cast<size_t>(op.def->operands);
    if (op.operands.size() < wanted || (!op.def->more_operands && op.operands.size() != wanted))
      return InvalidArgument(StrCat(op.operands.size(), " operands, wanted ", wanted));
    ASSIGN_OR_RETURN(op.attrs, Dictionary(raw));
    ASSIGN_OR_RETURN(const std::vector<Field> fields, Fields(raw, *known.revision, &op.attrs));
    RETURN_IF_ERROR(SetAttrsFromFields(fields, *func, &op));
    for (size_t i = 0; i < raw.regions.size(); ++i) {
      Region region;
      RETURN_IF_ERROR(
          ReadRegion(raw.regions[i], func, &region, depth + 1).Annotate(StrCat("region ", i)));
      op.regions.push_back(std::move(region));
    }
    RETURN_IF_ERROR(AddResults(raw, func, &op));
    out->ops.push_back(std::move(op));
    return OkStatus();
  }

  Status AddResults(const RawOp& raw, Func* func, Op* op) {
    op->num_results = static_cast<uint32_t>(raw.result_types.size());
    for (uint32_t i = 0; i < op->num_results; ++i) {
      ASSIGN_OR_RETURN(TensorType type, entities_.ValueType(raw.result_types[i]));
      const ValueId v = func->AddValue(std::move(type));
      if (i == 0) op->first_result = v;
      values_[raw.first_result + i] = v;
    }
    return OkStatus();
  }

  // --- sdy: what lies where, which is nothing to do on one device ---

  // The results of `raw` are these values.
  Status Alias(const RawOp& raw, std::span<const ValueId> values, const Func& func) {
    if (values.size() != raw.result_types.size())
      return InvalidArgument(StrCat(raw.result_types.size(), " results, wanted ", values.size()));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSIGN_OR_RETURN(const TensorType type, entities_.ValueType(raw.result_types[i]));
      if (!(type == func.type(values[i]))) {
        return InvalidArgument(StrCat("result ", i, " has type ", type.Text(), ", wanted ",
                                      func.type(values[i]).Text()));
      }
      values_[raw.first_result + i] = values[i];
    }
    return OkStatus();
  }

  Status ReadSdyOp(const RawOp& raw, Func* func, Region* out, int depth) {
    const std::string name = FullName(raw);
    if (name == "sdy.manual_computation") {
      return one_device_ ? Inline(raw, func, out, depth) : ReadManual(raw, func, out, depth);
    }
    if (name == "sdy.return") return ReadReturn(raw, out);
    Op op;
    op.def = stablehlo::FindOp(name);
    if (op.def == nullptr)
      return Unimplemented(StrCat("operation ", Printable(name, 60), " is not supported"));
    if (op.def->type_rule == nullptr) return Unimplemented(std::string(op.def->refusal));
    constexpr Revision kConstraint{.number = 1, .fields = "sharding"};
    ASSIGN_OR_RETURN(op.operands, Operands(raw));
    ASSIGN_OR_RETURN(op.attrs, Dictionary(raw));
    ASSIGN_OR_RETURN(const std::vector<Field> fields, Fields(raw, kConstraint, &op.attrs));
    SetAttr(&op.attrs, "sharding", fields[0].value);
    RETURN_IF_ERROR(AddResults(raw, func, &op));
    out->ops.push_back(std::move(op));
    return OkStatus();
  }

  // Kept for whoever runs several devices (programs/spmd).
  Status ReadManual(const RawOp& raw, Func* func, Region* out, int depth) {
    constexpr Revision kManual{.number = 1, .fields = "in_shardings,manual_axes,out_shardings"};
    if (raw.regions.size() != 1) return InvalidArgument("a manual computation without its body");
    Op op;
    op.def = stablehlo::FindOp("sdy.manual_computation");
    ASSIGN_OR_RETURN(op.operands, Operands(raw));
    ASSIGN_OR_RETURN(op.attrs, Dictionary(raw));
    ASSIGN_OR_RETURN(const std::vector<Field> fields, Fields(raw, kManual, &op.attrs));
    for (const Field& f : fields) SetAttr(&op.attrs, f.name, f.value);
    op.regions.emplace_back();
    RETURN_IF_ERROR(
        ReadRegion(raw.regions[0], func, &op.regions[0], depth + 1).Annotate("region 0"));
    RETURN_IF_ERROR(AddResults(raw, func, &op));
    out->ops.push_back(std::move(op));
    return OkStatus();
  }

  // Ends the body of a manual computation; every region here ends in one kind of terminator.
  Status ReadReturn(const RawOp& raw, Region* out) {
    Op op;
    op.def = stablehlo::FindOp("stablehlo.return");
    ASSIGN_OR_RETURN(op.operands, Operands(raw));
    out->ops.push_back(std::move(op));
    return OkStatus();
  }

  // The body of a manual computation runs once per device: with one device, in its place.
  Status Inline(const RawOp& raw, Func* func, Region* out, int depth) {
    if (raw.regions.size() != 1 || !raw.regions[0].has_block)
      return InvalidArgument("a manual computation without its body");
    const RawRegion& body = raw.regions[0];
    ASSIGN_OR_RETURN(const std::vector<ValueId> operands, Operands(raw));
    if (operands.size() != body.arg_types.size())
      return InvalidArgument("a manual computation of other arguments than its body has");
    for (size_t i = 0; i < operands.size(); ++i) {
      ASSIGN_OR_RETURN(const TensorType type, entities_.ValueType(body.arg_types[i]));
      if (!(type == func->type(operands[i])))
        return Unimplemented("a manual computation over several devices is not supported");
      values_[body.first_arg + i] = operands[i];
    }
    if (body.ops.empty() || FullName(body.ops.back()) != "sdy.return")
      return InvalidArgument("a manual computation without its sdy.return");
    for (size_t i = 0; i + 1 < body.ops.size(); ++i)
      RETURN_IF_ERROR(At(body.ops[i], i, ReadOp(body.ops[i], func, out, depth)));
    ASSIGN_OR_RETURN(const std::vector<ValueId> results, Operands(body.ops.back()));
    return Alias(raw, results, *func);
  }

  const Container& file_;
  Entities entities_;
  std::vector<KnownName> names_;
  std::vector<ValueId> values_;  // by value of the file
  bool one_device_ = true;       // no mesh of several so far
  Module module_;
};

}  // namespace

bool LooksLikeArtifact(std::string_view bytes) { return bytes.starts_with(kBytecodeMagic); }

Result<Module> ReadArtifact(std::string_view bytes, const ReadOptions& options) {
  if (bytes.size() > options.limits.max_text_bytes) {
    return ResourceExhausted(
        StrCat("the artifact has ", bytes.size(),
               " bytes, more than max_text_bytes = ", options.limits.max_text_bytes));
  }
  ASSIGN_OR_RETURN(const Container file, ReadContainer(bytes, options.limits));
  ASSIGN_OR_RETURN(Module module, ModuleReader(file, options.limits, bytes.size()).Run());
  if (options.verify) RETURN_IF_ERROR(Verify(module, options.limits));
  return module;
}

}  // namespace megalith::stablehlo::artifact
