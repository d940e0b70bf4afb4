#include "common/programs/stablehlo/artifact/entity_writer.h"

#include <bit>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/codes.h"
#include "common/programs/stablehlo/artifact/container.h"
#include "common/programs/stablehlo/artifact/entities.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Dense;
using tensor::Tensor;

constexpr std::string_view kDialectNames[] = {"builtin", "vhlo"};

// Calls each(dialect, count) for runs of one dialect, then item(bytes) for each of the run.
template <typename Each, typename Item>
void ForEachRun(const std::vector<std::string>& items, const Each& each, const Item& item) {
  for (size_t i = 0; i < items.size();) {
    size_t end = i;
    while (end < items.size() && items[end][0] == items[i][0]) ++end;
    each(static_cast<uint8_t>(items[i][0]), end - i);
    for (; i < end; ++i) item(std::string_view(items[i]).substr(1));
  }
}

void WriteDims(const Dims& dims, Sink* out) {
  out->Varint(dims.size());
  for (const int64_t d : dims) out->SignedVarint(d);
}

// Values whose text is of another dialect, which an artifact does not need.
bool IsForeign(const Attr& a) {
  return a.kind() == AttrKind::kOpaque && a.AsText() != kNoneMark && a.AsText() != kTf32Mark;
}

}  // namespace

uint32_t Interner::Add(std::string bytes) {
  const auto [it, fresh] = index_.try_emplace(bytes, static_cast<uint32_t>(items_.size()));
  if (fresh) items_.push_back(std::move(bytes));
  return it->second;
}

Status EntityWriter::Require(Version since, std::string_view what) const {
  if (version_ >= since) return OkStatus();
  return FailedPrecondition(StrCat(what, " needs version ", VersionText(since), " or newer, not ",
                                   VersionText(version_)));
}

uint32_t EntityWriter::AddAttr(Dialect dialect, const Sink& bytes) {
  return attributes_.Add(std::string(1, static_cast<char>(dialect)) + bytes.bytes());
}
uint32_t EntityWriter::AddType(Dialect dialect, const Sink& bytes) {
  return types_.Add(std::string(1, static_cast<char>(dialect)) + bytes.bytes());
}
uint32_t EntityWriter::OpName(Dialect dialect, std::string_view name) {
  return op_names_.Add(StrCat(std::string(1, static_cast<char>(dialect)), name));
}

// --- types ---

uint32_t EntityWriter::TypeCode(uint64_t code) {
  Sink out;
  out.Varint(code);
  return AddType(Dialect::kVhlo, out);
}

Result<uint32_t> EntityWriter::Element(DType dtype) {
  if (tensor::IsComplex(dtype)) {
    ASSIGN_OR_RETURN(const uint32_t part, Element(tensor::RealPart(dtype)));
    Sink out;
    out.Varint(vhlo::kComplexType);
    out.Varint(part);
    return AddType(Dialect::kVhlo, out);
  }
  const auto code = VhloCodeOfElement(dtype);
  if (!code)
    return Unimplemented(StrCat("artifacts have no elements of type ", tensor::Name(dtype)));
  RETURN_IF_ERROR(Require(FirstVersionOfElement(dtype), tensor::Name(dtype)));
  return TypeCode(*code);
}

Result<uint32_t> EntityWriter::Type(const TensorType& type) {
  if (type.is_token) return TypeCode(vhlo::kTokenType);
  ASSIGN_OR_RETURN(const uint32_t element, Element(type.dtype));
  Sink out;
  out.Varint(vhlo::kTensorType);
  WriteDims(type.shape, &out);
  out.Varint(element);
  return AddType(Dialect::kVhlo, out);
}

Result<uint32_t> EntityWriter::Function(const stablehlo::FuncType& type) {
  Sink out;
  out.Varint(vhlo::kFunctionType);
  for (const std::vector<TensorType>* side : {&type.inputs, &type.results}) {
    out.Varint(side->size());
    for (const TensorType& t : *side) {
      ASSIGN_OR_RETURN(const uint32_t index, Type(t));
      out.Varint(index);
    }
  }
  return AddType(Dialect::kVhlo, out);
}

uint32_t EntityWriter::BuiltinInteger(int width, bool is_unsigned) {
  Sink out;
  out.Varint(builtin::kIntegerType);
  out.Varint(static_cast<uint64_t>(width) << 2 | (is_unsigned ? 2 : 0));
  return AddType(Dialect::kBuiltin, out);
}

// --- attributes ---

uint32_t EntityWriter::BuiltinString(std::string_view text) {
  Sink out;
  out.Varint(builtin::kString);
  out.Varint(String(text));
  return AddAttr(Dialect::kBuiltin, out);
}

uint32_t EntityWriter::UnknownLocation() {
  Sink out;
  out.Varint(builtin::kUnknownLoc);
  return AddAttr(Dialect::kBuiltin, out);
}

uint32_t EntityWriter::ApiVersion(int64_t version) {
  Sink out;
  out.Varint(vhlo::kApiVersion);
  out.Varint(static_cast<uint64_t>(version));
  return AddAttr(Dialect::kVhlo, out);
}

uint32_t EntityWriter::DictionaryOf(const std::vector<std::pair<std::string, uint32_t>>& entries) {
  Sink out;
  out.Varint(builtin::kDictionary);
  out.Varint(entries.size());
  for (const auto& [name, value] : entries) {
    out.Varint(BuiltinString(name));
    out.Varint(value);
  }
  return AddAttr(Dialect::kBuiltin, out);
}

Result<uint32_t> EntityWriter::Dictionary(const AttrDict& dict, Dialect values) {
  std::vector<std::pair<std::string, uint32_t>> entries;
  for (const stablehlo::NamedAttr& a : dict) {
    if (IsForeign(a.value)) continue;
    ASSIGN_OR_RETURN(const uint32_t value,
                     values == Dialect::kVhlo ? Attribute(a.value) : Builtin(a.value));
    entries.emplace_back(a.name, value);
  }
  return DictionaryOf(entries);
}

// What modules carry: numbers, strings, flags.
Result<uint32_t> EntityWriter::Builtin(const Attr& attr) {
  Sink out;
  switch (attr.kind()) {
    case AttrKind::kString:
      return BuiltinString(attr.AsText());
    case AttrKind::kUnit:
      out.Varint(builtin::kUnit);
      break;
    case AttrKind::kBool:
      out.Varint(builtin::kInteger);
      out.Varint(BuiltinInteger(1, false));
      out.Byte(attr.AsBool() ? 0xFF : 0);
      break;
    case AttrKind::kInt: {
      if (!tensor::IsInteger(attr.dtype()))
        return Unimplemented("attributes of type index cannot be written");
      const int width = tensor::BitWidth(attr.dtype());
      out.Varint(builtin::kInteger);
      out.Varint(BuiltinInteger(width, tensor::IsUnsigned(attr.dtype())));
      if (width <= 8) {
        out.Byte(static_cast<uint8_t>(attr.AsInt()));
      } else {
        out.SignedVarint(attr.AsInt());
      }
      break;
    }
    case AttrKind::kDict:
      return Dictionary(attr.AsDict(), Dialect::kBuiltin);
    case AttrKind::kList: {
      out.Varint(builtin::kArray);
      out.Varint(attr.AsList().size());
      for (const Attr& item : attr.AsList()) {
        ASSIGN_OR_RETURN(const uint32_t index, Builtin(item));
        out.Varint(index);
      }
      break;
    }
    default:
      return Unimplemented(
          StrCat("a module attribute that is ", KindName(attr.kind()), " cannot be written"));
  }
  return AddAttr(Dialect::kBuiltin, out);
}

Result<uint32_t> EntityWriter::Attribute(const Attr& attr) {
  Sink out;
  RETURN_IF_ERROR(Encode(attr, &out));
  return AddAttr(Dialect::kVhlo, out);
}

Status EntityWriter::Number(const Attr& attr, Sink* out) {
  const bool is_float = attr.kind() == AttrKind::kFloat;
  const DType dtype = attr.dtype();
  out->Varint(is_float ? vhlo::kFloat : vhlo::kInteger);
  if (dtype == DType::kInvalid) {
    out->Varint(TypeCode(vhlo::kIndexType));
    out->SignedVarint(attr.AsInt());
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const uint32_t type, Element(dtype));
  out->Varint(type);
  int64_t value = 0;
  if (is_float) {
    Tensor bits = *Tensor::Create(dtype, {});
    bits.SetDouble(0, attr.AsFloat());
    std::memcpy(&value, bits.data(), static_cast<size_t>(tensor::ByteWidth(dtype)));
    const int spare = 64 - 8 * tensor::ByteWidth(dtype);
    value = static_cast<int64_t>(static_cast<uint64_t>(value) << spare) >> spare;
  } else {
    value = attr.AsInt();
  }
  if (tensor::BitWidth(dtype) <= 8) {
    out->Byte(static_cast<uint8_t>(value));
  } else {
    out->SignedVarint(value);
  }
  return OkStatus();
}

Status EntityWriter::DenseBytes(const Dense& dense, Sink* out) {
  out->Varint(vhlo::kTensor);
  if (dense.is_index) {
    Sink type;
    type.Varint(vhlo::kTensorType);
    WriteDims(dense.type.shape, &type);
    type.Varint(TypeCode(vhlo::kIndexType));
    out->Varint(AddType(Dialect::kVhlo, type));
  } else {
    ASSIGN_OR_RETURN(const uint32_t type, Type(dense.type));
    out->Varint(type);
  }
  if (dense.type.dtype != DType::kBool) {
    out->Blob(dense.data.bytes());
    return OkStatus();
  }
  const std::string_view bits = dense.data.bytes();
  if (dense.splat) {
    out->Blob(bits[0] != 0 ? "\xff" : std::string_view("\0", 1));
    return OkStatus();
  }
  std::string packed((bits.size() + 7) / 8, '\0');
  for (size_t i = 0; i < bits.size(); ++i)
    packed[i / 8] = static_cast<char>(packed[i / 8] | (bits[i] != 0 ? 1 << (i % 8) : 0));
  out->Blob(packed);
  return OkStatus();
}

Status EntityWriter::EncodeTypeAttr(const Attr& attr, Sink* out) {
  out->Varint(vhlo::kTypeAttr);
  uint32_t type = 0;
  if (attr.kind() == AttrKind::kOpaque) {
    type = TypeCode(attr.AsText() == kTf32Mark ? vhlo::kTf32Type : vhlo::kNoneType);
  } else if (attr.kind() == AttrKind::kFuncType) {
    ASSIGN_OR_RETURN(type, Function(attr.AsFuncType()));
  } else if (attr.is_scalar_type()) {
    ASSIGN_OR_RETURN(type, Element(attr.dtype()));
  } else {
    ASSIGN_OR_RETURN(type, Type(attr.AsType()));
  }
  out->Varint(type);
  return OkStatus();
}

Status EntityWriter::EncodeList(const std::vector<Attr>& items, Sink* out) {
  out->Varint(vhlo::kArray);
  out->Varint(items.size());
  for (const Attr& item : items) {
    ASSIGN_OR_RETURN(const uint32_t index, Attribute(item));
    out->Varint(index);
  }
  return OkStatus();
}

Status EntityWriter::Encode(const Attr& attr, Sink* out) {
  switch (attr.kind()) {
    case AttrKind::kUnit:
    case AttrKind::kBool:
      out->Varint(vhlo::kBoolean);
      out->Varint(attr.kind() == AttrKind::kUnit || attr.AsBool() ? 1 : 0);
      return OkStatus();
    case AttrKind::kInt:
    case AttrKind::kFloat:
      return Number(attr, out);
    case AttrKind::kString:
    case AttrKind::kSymbol:
      out->Varint(vhlo::kString);
      out->Varint(String(attr.AsText()));
      return OkStatus();
    case AttrKind::kInts:
    case AttrKind::kBools: {
      const DType dtype = attr.kind() == AttrKind::kInts ? DType::kI64 : DType::kBool;
      ASSIGN_OR_RETURN(Tensor t,
                       Tensor::Create(dtype, {static_cast<int64_t>(attr.AsInts().size())}));
      for (size_t i = 0; i < attr.AsInts().size(); ++i)
        t.SetInt(static_cast<int64_t>(i), attr.AsInts()[i]);
      return DenseBytes(Attr::OfTensor(t).AsDense(), out);
    }
    case AttrKind::kDense:
      return DenseBytes(attr.AsDense(), out);
    case AttrKind::kEnum:
      out->Varint(VhloCodeOfEnum(attr.enum_id()));
      out->Varint(static_cast<uint64_t>(attr.AsEnum()));
      return OkStatus();
    case AttrKind::kList:
      return EncodeList(attr.AsList(), out);
    case AttrKind::kDict: {
      std::vector<uint32_t> flat;
      for (const stablehlo::NamedAttr& a : attr.AsDict()) {
        if (IsForeign(a.value)) continue;
        ASSIGN_OR_RETURN(const uint32_t name, Attribute(Attr::String(a.name)));
        ASSIGN_OR_RETURN(const uint32_t value, Attribute(a.value));
        flat.insert(flat.end(), {name, value});
      }
      out->Varint(vhlo::kDictionary);
      out->Varint(flat.size() / 2);
      for (const uint32_t index : flat) out->Varint(index);
      return OkStatus();
    }
    case AttrKind::kResultAccuracy: {
      const stablehlo::ResultAccuracy& r = attr.AsResultAccuracy();
      ASSIGN_OR_RETURN(const uint32_t mode, Attribute(Attr::Enum(stablehlo::EnumId::kAccuracyMode,
                                                                 static_cast<int>(r.mode))));
      out->Varint(vhlo::kResultAccuracy);
      out->SignedVarint(std::bit_cast<int64_t>(r.atol));
      out->SignedVarint(std::bit_cast<int64_t>(r.rtol));
      out->SignedVarint(r.ulps);
      out->Varint(mode);
      return OkStatus();
    }
    case AttrKind::kOperandAlias: {
      const stablehlo::OperandAlias& alias = attr.AsOperandAlias();
      out->Varint(vhlo::kOperandAlias);
      WriteDims(alias.output_tuple_indices, out);
      out->SignedVarint(alias.operand_index);
      WriteDims(alias.operand_tuple_indices, out);
      return OkStatus();
    }
    case AttrKind::kType:
    case AttrKind::kFuncType:
      return EncodeTypeAttr(attr, out);
    case AttrKind::kOpaque:
      if (!IsForeign(attr)) return EncodeTypeAttr(attr, out);
      break;
    default:
      break;
  }
  return Unimplemented(
      StrCat("an attribute that is ", KindName(attr.kind()), " cannot be written to an artifact"));
}

// --- sections ---

std::string EntityWriter::StringSection() const {
  Sink out;
  const std::vector<std::string>& items = strings_.items();
  out.Varint(items.size());
  for (size_t i = items.size(); i-- > 0;) out.Varint(items[i].size() + 1);
  for (const std::string& s : items) {
    out.Raw(s);
    out.Byte(0);
  }
  return out.bytes();
}

std::string EntityWriter::DialectSection(uint64_t version) {
  Sink out;
  out.Varint(std::size(kDialectNames));
  for (const std::string_view name : kDialectNames) {
    const uint32_t s = String(name);
    version >= 1 ? out.Flagged(s, false) : out.Varint(s);
  }
  if (version >= 4) out.Varint(op_names_.items().size());
  ForEachRun(
      op_names_.items(),
      [&](uint8_t dialect, size_t count) {
        out.Varint(dialect);
        out.Varint(count);
      },
      [&](std::string_view name) {
        const uint32_t s = String(name);
        version >= kFirstWithProperties ? out.Flagged(s, true) : out.Varint(s);
      });
  return out.bytes();
}

std::string EntityWriter::OffsetSection() const {
  Sink out;
  out.Varint(attributes_.items().size());
  out.Varint(types_.items().size());
  for (const Interner* part : {&attributes_, &types_}) {
    ForEachRun(
        part->items(),
        [&](uint8_t dialect, size_t count) {
          out.Varint(dialect);
          out.Varint(count);
        },
        [&](std::string_view bytes) { out.Flagged(bytes.size(), true); });
  }
  return out.bytes();
}

std::string EntityWriter::DataSection() const {
  Sink out;
  for (const Interner* part : {&attributes_, &types_}) {
    for (const std::string& entry : part->items()) out.Raw(std::string_view(entry).substr(1));
  }
  return out.bytes();
}

std::string EntityWriter::PropertySection() const {
  Sink out;
  out.Varint(properties_.items().size());
  for (const std::string& record : properties_.items()) out.Blob(record);
  return out.bytes();
}

}  // namespace megalith::stablehlo::artifact
