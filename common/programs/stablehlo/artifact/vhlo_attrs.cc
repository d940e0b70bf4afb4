#include "common/programs/stablehlo/artifact/vhlo_attrs.h"

#include <memory>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/entities.h"
#include "common/programs/stablehlo/records.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::AttrSpec;
using stablehlo::Dense;
using stablehlo::Func;
using stablehlo::Op;
using stablehlo::OpDef;
using stablehlo::PrecisionType;
using stablehlo::Shape;
using tensor::Tensor;

// Numbers of a list attribute; more are a mistake, whatever the tensor's type says.
constexpr uint64_t kMaxListBytes = uint64_t{1} << 20;

Status Mismatch(std::string_view field, const Attr& value, std::string_view wanted) {
  if (value.kind() == AttrKind::kOpaque) {
    return Unimplemented(StrCat("attribute '", field, "' is ", Printable(value.AsText(), 60),
                                ", which is not supported"));
  }
  return InvalidArgument(
      StrCat("attribute '", field, "' is ", KindName(value.kind()), ", wanted ", wanted));
}

// --- reading ---

Result<Tensor> ListTensor(const Field& field, bool bools) {
  if (field.value.kind() != AttrKind::kDense) return Mismatch(field.name, field.value, "a list");
  const Dense& d = field.value.AsDense();
  const bool fits = bools ? d.type.dtype == DType::kBool : tensor::IsInteger(d.type.dtype);
  if (!fits || d.type.rank() > 1) {
    return InvalidArgument(StrCat("attribute '", field.name, "' is a ", d.type.Text(),
                                  ", wanted a list of ", bools ? "booleans" : "integers"));
  }
  return d.Materialize(kMaxListBytes);
}

Result<Dims> ReadList(const Field& field, bool bools = false) {
  ASSIGN_OR_RETURN(const Tensor all, ListTensor(field, bools));
  Dims out;
  for (int64_t i = 0; i < all.size(); ++i) out.push_back(all.IntAt(i));
  return out;
}

const Field* FindField(std::span<const Field> fields, std::string_view name) {
  for (const Field& f : fields) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

bool IsMark(const Attr& a, std::string_view mark) {
  return a.kind() == AttrKind::kOpaque && a.AsText() == mark;
}

// Kinds of StableHLO whose record fields are fields of their own in VHLO.
bool IsFlattened(AttrKind kind) {
  return kind == AttrKind::kGather || kind == AttrKind::kScatter || kind == AttrKind::kDot ||
         kind == AttrKind::kConv || kind == AttrKind::kDotAlgorithm;
}

// Fills the fields of one record.
class RecordReader {
 public:
  explicit RecordReader(std::span<const Field> fields) : fields_(fields) {}

  template <typename T>
  void operator()(std::string_view name, T& out) {
    const Field* field = FindField(fields_, name);
    if (field == nullptr || !status_.ok()) return;
    found_ = true;
    if (IsMark(field->value, kNoneMark)) {
      unset_ = true;
    } else {
      status_ = Read(*field, &out);
    }
  }
  const Status& status() const { return status_; }
  // Some field was there and none says that the record is unset.
  bool given() const { return found_ && !unset_; }

 private:
  static Status Read(const Field& f, Dims* out) {
    ASSIGN_OR_RETURN(*out, ReadList(f));
    return OkStatus();
  }
  static Status Read(const Field& f, int64_t* out) {
    if (f.value.kind() != AttrKind::kInt) return Mismatch(f.name, f.value, "an integer");
    *out = f.value.AsInt();
    return OkStatus();
  }
  static Status Read(const Field& f, bool* out) {
    if (f.value.kind() != AttrKind::kBool) return Mismatch(f.name, f.value, "a boolean");
    *out = f.value.AsBool();
    return OkStatus();
  }
  static Status Read(const Field& f, PrecisionType* out) {
    if (IsMark(f.value, kTf32Mark)) {
      *out = {.dtype = DType::kF32, .tf32 = true};
      return OkStatus();
    }
    if (!f.value.is_scalar_type()) return Mismatch(f.name, f.value, "a type");
    *out = {.dtype = f.value.dtype(), .tf32 = false};
    return OkStatus();
  }
  template <typename T>
  static Status Read(const Field& f, T*) {
    return Mismatch(f.name, f.value, "another kind");
  }

  std::span<const Field> fields_;
  Status status_;
  bool found_ = false, unset_ = false;
};

Status ReadRecord(const AttrSpec& spec, std::span<const Field> fields, AttrDict* attrs) {
  Status status;
  stablehlo::MakeRecord(spec.kind, [&](auto record) {
    RecordReader reader(fields);
    VisitFields(record, [&](std::string_view name, auto& f) { reader(name, f); });
    status = reader.status();
    if (status.ok() && reader.given()) SetAttr(attrs, spec.name, Attr::Of(std::move(record)));
  });
  return status;
}

// The value in the kind that the op wants.
Result<Attr> Conform(const AttrSpec& spec, const Field& field) {
  const Attr& value = field.value;
  switch (spec.kind) {
    case AttrKind::kInts: {
      ASSIGN_OR_RETURN(const Dims list, ReadList(field));
      return Attr::Ints(list);
    }
    case AttrKind::kBools: {
      ASSIGN_OR_RETURN(const Dims list, ReadList(field, true));
      const std::unique_ptr<bool[]> flags(new bool[list.size()]);
      for (size_t i = 0; i < list.size(); ++i) flags[i] = list[i] != 0;
      return Attr::Bools(std::span<const bool>(flags.get(), list.size()));
    }
    case AttrKind::kSymbol:
      if (value.kind() != AttrKind::kString) break;
      return Attr::Symbol(value.AsText());
    case AttrKind::kUnit:
      if (value.kind() != AttrKind::kBool) break;
      return value.AsBool() ? Attr::Unit() : Attr();
    case AttrKind::kEnum:
      if (value.kind() != AttrKind::kEnum || value.enum_id() != spec.enum_id) break;
      return value;
    case AttrKind::kList: {
      if (value.kind() != AttrKind::kList || spec.name != "called_computations") break;
      std::vector<Attr> names;
      for (const Attr& a : value.AsList()) {
        if (a.kind() != AttrKind::kString) return Mismatch(field.name, a, "a function's name");
        names.push_back(Attr::Symbol(a.AsText()));
      }
      return Attr::List(std::move(names));
    }
    default:
      break;
  }
  if (value.kind() != spec.kind) return Mismatch(field.name, value, KindName(spec.kind));
  return value;
}

// Fields that stand for nothing when they hold nothing: layouts, tilings, configurations.
bool IsEmpty(const Attr& a) {
  return (a.kind() == AttrKind::kString && a.AsText().empty()) ||
         (a.kind() == AttrKind::kList && a.AsList().empty()) || IsMark(a, kNoneMark);
}

bool IsDefault(const AttrSpec& spec, const Attr& value, const Op& op, const Func& func) {
  if (spec.enum_id == stablehlo::EnumId::kCompareType)
    return value.AsEnum() == static_cast<int>(stablehlo::CompareType::kNoType);
  return spec.fallback != nullptr && value == spec.fallback(op, func);
}

// --- writing ---

Attr FieldValue(const Dims& v) { return Attr::Ints(v); }
Attr FieldValue(int64_t v) { return Attr::Int(v); }
Attr FieldValue(bool v) { return Attr::Bool(v); }
Attr FieldValue(PrecisionType v) {
  return v.tf32 ? Attr::Opaque(kTf32Mark) : Attr::ScalarType(v.dtype);
}
template <typename T>
Attr FieldValue(const T&) {
  return Attr();
}

// Fields that VHLO has and StableHLO leaves out when they hold nothing.
Attr EmptyField(std::string_view field) {
  if (field == "backend_config") return Attr::String("");
  if (field.ends_with("_layouts") || field == "result_tilings") return Attr::List({});
  return Attr();
}

}  // namespace

Result<Attr> FieldOfOp(std::string_view field, const Op& op, const Func& func) {
  if (const AttrSpec* spec = op.def->FindAttr(field)) {
    if (spec->enum_id == stablehlo::EnumId::kCompareType && !op.attr(field).present())
      return Attr::Of(stablehlo::CompareType::kNoType);
    Attr value = op.attr_or_default(field, func);
    if (spec->kind == AttrKind::kUnit) return Attr::Bool(value.present());
    if (value.present()) return value;
    return Unimplemented(StrCat(op.name(), " without ", field, " cannot be written"));
  }
  if (field == "channel_id") {
    const Attr& channel = op.attr("channel_handle");
    return Attr::Int(channel.present() ? channel.AsChannel().handle : 0);
  }
  for (const AttrSpec& spec : op.def->attrs) {
    if (!IsFlattened(spec.kind)) continue;
    const Attr& record = op.attr(spec.name);
    Attr value;
    const auto take = [&](const auto& r) {
      VisitFields(r, [&](std::string_view name, const auto& f) {
        if (name == field) value = record.present() ? FieldValue(f) : Attr::Opaque(kNoneMark);
      });
    };
    if (record.present()) {
      VisitRecord(record, take);
    } else {
      stablehlo::MakeRecord(spec.kind, take);
    }
    if (value.present()) return value;
  }
  if (op.attr(field).present()) return op.attr(field);
  Attr empty = EmptyField(field);
  if (empty.present()) return empty;
  return Unimplemented(StrCat(op.name(), " without ", field, " cannot be written"));
}

bool FieldIsDefault(const Attr& value) {
  switch (value.kind()) {
    case AttrKind::kResultAccuracy:
      return value == Attr::Of(stablehlo::ResultAccuracy{});
    case AttrKind::kInts:
      return value.AsInts().empty();
    case AttrKind::kBool:
      return !value.AsBool();
    default:
      return IsEmpty(value);
  }
}

Status SetAttrsFromFields(std::span<const Field> fields, const Func& func, Op* op) {
  const OpDef& def = *op->def;
  for (const AttrSpec& spec : def.attrs) {
    if (IsFlattened(spec.kind)) RETURN_IF_ERROR(ReadRecord(spec, fields, &op->attrs));
  }
  const auto in_record = [&](std::string_view name) {
    bool found = false;
    for (const AttrSpec& spec : def.attrs) {
      if (!IsFlattened(spec.kind)) continue;
      stablehlo::MakeRecord(spec.kind, [&](auto record) {
        VisitFields(record, [&](std::string_view field, auto&) { found = found || field == name; });
      });
    }
    return found;
  };
  for (const Field& field : fields) {
    if (const AttrSpec* spec = def.FindAttr(field.name)) {
      ASSIGN_OR_RETURN(Attr value, Conform(*spec, field));
      SetAttr(&op->attrs, field.name, std::move(value));
    } else if (field.name == "channel_id") {
      if (field.value.kind() != AttrKind::kInt)
        return Mismatch(field.name, field.value, "an integer");
      if (field.value.AsInt() != 0)
        SetAttr(&op->attrs, "channel_handle",
                Attr::Of(stablehlo::ChannelHandle{.handle = field.value.AsInt(), .type = 0}));
    } else if (!in_record(field.name) && !IsEmpty(field.value)) {
      SetAttr(&op->attrs, field.name, field.value);
    }
  }
  for (const AttrSpec& spec : def.attrs) {  // a default may depend on the other attributes
    const Attr& value = op->attr(spec.name);
    if (value.present() && IsDefault(spec, value, *op, func)) SetAttr(&op->attrs, spec.name, {});
  }
  return OkStatus();
}

}  // namespace megalith::stablehlo::artifact
