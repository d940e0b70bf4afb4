#include "common/programs/stablehlo/artifact/entities.h"

#include <bit>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/codes.h"

namespace megalith::stablehlo::artifact {

namespace {

using stablehlo::Dense;
using stablehlo::Shape;
using tensor::Tensor;

Status Unknown(const Entry& entry, std::string_view what, uint64_t code) {
  return Unimplemented(StrCat("artifact byte ", entry.offset, ": ", what, " ", code, " of dialect ",
                              Printable(entry.dialect, 40),
                              " is not known: a future version of the format?"));
}

bool IsDialect(const Entry& entry, std::string_view dialect) { return entry.dialect == dialect; }

// The elements of a bool constant: packed bits, or in old artifacts a byte each.
Result<Tensor> UnpackBools(const Cursor& in, const Shape& shape, int64_t n, std::string_view data) {
  const auto size = static_cast<uint64_t>(n);
  const bool packed = data.size() == (size + 7) / 8;
  if (!packed && data.size() != size) {
    return in.Error(StrCat("a constant of ", data.size(), " bytes for ", n, " booleans"));
  }
  ASSIGN_OR_RETURN(Tensor out, Tensor::CreateUninitialized(DType::kBool, shape));
  auto* p = static_cast<uint8_t*>(out.mutable_data());
  for (uint64_t i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(data[packed ? i / 8 : i]);
    p[i] = packed ? (byte >> (i % 8)) & 1 : byte != 0;
  }
  return out;
}

}  // namespace

Result<Dims> ReadDims(Cursor& in) {
  ASSIGN_OR_RETURN(const uint64_t n, in.Count());
  Dims out;
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const int64_t d, in.SignedVarint());
    out.push_back(d);
  }
  return out;
}

Result<int64_t> ReadInteger(Cursor& in, int width) {
  if (width > 8) return in.SignedVarint();
  ASSIGN_OR_RETURN(const uint8_t byte, in.Byte());
  return static_cast<int8_t>(byte);
}

Result<double> ReadDouble(Cursor& in) {
  ASSIGN_OR_RETURN(const int64_t bits, in.SignedVarint());
  return std::bit_cast<double>(bits);
}

Entities::Entities(const Container& file, const stablehlo::Limits& limits, uint64_t file_bytes)
    : file_(file),
      limits_(limits),
      attributes_(file.attributes.size()),
      types_(file.types.size()),
      budget_(64 * file_bytes + (uint64_t{16} << 20)) {}

Status Entities::Charge(uint64_t bytes) {
  if (bytes > budget_) {
    return ResourceExhausted(
        "the artifact refers to shared attributes so often that it is far larger than its bytes");
  }
  budget_ -= bytes;
  return OkStatus();
}

Status Entities::Descend(const Entry& entry) {
  if (depth_ < limits_.max_nesting) return OkStatus();
  return ResourceExhausted(
      StrCat("artifact byte ", entry.offset,
             ": attributes nest deeper than max_nesting = ", limits_.max_nesting));
}

Result<const Entities::Slot*> Entities::Resolve(uint32_t index) {
  Slot& slot = attributes_[index];
  const Entry& entry = file_.attributes[index];
  if (slot.state == State::kDone) return &slot;
  if (slot.state == State::kOpen) {
    return InvalidArgument(StrCat("artifact byte ", entry.offset, ": an attribute holds itself"));
  }
  RETURN_IF_ERROR(Descend(entry));
  slot.state = State::kOpen;
  ++depth_;
  const Status status = Decode(entry, &slot);
  --depth_;
  slot.state = status.ok() ? State::kDone : State::kNew;
  RETURN_IF_ERROR(status);
  return &slot;
}

Result<Attr> Entities::Attribute(uint32_t index) {
  ASSIGN_OR_RETURN(const Slot* slot, Resolve(index));
  RETURN_IF_ERROR(Charge(slot->weight));
  return slot->value;
}

Result<Attr> Entities::Attribute(uint32_t index, AttrKind kind, std::string_view what) {
  ASSIGN_OR_RETURN(Attr value, Attribute(index));
  if (value.kind() != kind) {
    return InvalidArgument(StrCat("artifact byte ", file_.attributes[index].offset, ": ", what,
                                  " is ", KindName(value.kind()), ", wanted ", KindName(kind)));
  }
  return value;
}

Result<uint64_t> Entities::MeshDevices(uint32_t index) {
  ASSIGN_OR_RETURN(const Slot* slot, Resolve(index));
  return slot->devices;
}

Status Entities::Decode(const Entry& entry, Slot* out) {
  Cursor in(entry.bytes, entry.offset);
  if (!entry.encoded) {
    return Unimplemented(StrCat("artifact byte ", entry.offset,
                                ": attributes kept as assembly text are not supported"));
  }
  ASSIGN_OR_RETURN(const uint64_t code, in.Varint());
  if (IsDialect(entry, "builtin")) return DecodeBuiltin(in, code, out);
  Status status;
  if (IsDialect(entry, "vhlo")) {
    if (code == 0 || code > vhlo::kNewestAttr) return Unknown(entry, "attribute", code);
    status = DecodeVhlo(in, code, out);
  } else if (IsDialect(entry, "sdy")) {
    status = DecodeSdy(in, code, out);
  } else {
    return Unimplemented(StrCat("artifact byte ", entry.offset, ": attributes of dialect ",
                                Printable(entry.dialect, 40), " are not supported"));
  }
  RETURN_IF_ERROR(status);
  return in.ExpectEnd("an attribute");
}

// Everything else of builtin is a location or a kind that only unknown dictionary entries have.
Status Entities::DecodeBuiltin(Cursor& in, uint64_t code, Slot* out) {
  switch (code) {
    case builtin::kArray:
      return DecodeList(in, out);
    case builtin::kDictionary:
      return DecodeDictionary(in, out);
    case builtin::kString:
    case builtin::kTypedString:
      return DecodeString(in, out);
    case builtin::kFlatSymbol: {
      ASSIGN_OR_RETURN(const Attr name, Child(in, out));
      if (name.kind() != AttrKind::kString) return in.Error("a symbol that is no string");
      out->value = Attr::Symbol(name.AsText());
      return OkStatus();
    }
    case builtin::kType:
      return DecodeTypeAttr(in, out);
    case builtin::kUnit:
      out->value = Attr::Unit();
      return OkStatus();
    case builtin::kInteger:
      return DecodeNumber(in, false, out);
    case builtin::kFloat:
      return DecodeNumber(in, true, out);
    default:
      return OkStatus();
  }
}

Status Entities::DecodeVhlo(Cursor& in, uint64_t code, Slot* out) {
  if (const auto id = EnumOfVhloCode(code)) {
    ASSIGN_OR_RETURN(const uint64_t value, in.Varint());
    for (const stablehlo::EnumValueInfo& v : stablehlo::InfoOf(*id).values) {
      if (static_cast<uint64_t>(v.value) == value) out->value = Attr::Enum(*id, v.value);
    }
    if (out->value.present()) return OkStatus();
    return in.Error(StrCat(value, " is no value of ", stablehlo::InfoOf(*id).mnemonic));
  }
  switch (code) {
    case vhlo::kArray:
      return DecodeList(in, out);
    case vhlo::kDictionary:
      return DecodeDictionary(in, out);
    case vhlo::kString:
      return DecodeString(in, out);
    case vhlo::kTypeAttr:
      return DecodeTypeAttr(in, out);
    case vhlo::kTensor:
      return DecodeConstant(in, out);
    case vhlo::kInteger:
      return DecodeNumber(in, false, out);
    case vhlo::kFloat:
      return DecodeNumber(in, true, out);
    case vhlo::kBoolean: {
      ASSIGN_OR_RETURN(const uint64_t value, in.Varint());
      if (value > 1) return in.Error(StrCat("a boolean of value ", value));
      out->value = Attr::Bool(value == 1);
      return OkStatus();
    }
    case vhlo::kApiVersion: {
      ASSIGN_OR_RETURN(const uint64_t value, in.Varint());
      if (value > 4) return in.Error(StrCat("custom call version ", value));
      out->value = Attr::Int(static_cast<int64_t>(value), DType::kI32);
      return OkStatus();
    }
    case vhlo::kOperandAlias: {
      stablehlo::OperandAlias alias;
      ASSIGN_OR_RETURN(alias.output_tuple_indices, ReadDims(in));
      ASSIGN_OR_RETURN(alias.operand_index, in.SignedVarint());
      ASSIGN_OR_RETURN(alias.operand_tuple_indices, ReadDims(in));
      out->value = Attr::Of(std::move(alias));
      return OkStatus();
    }
    case vhlo::kResultAccuracy: {
      stablehlo::ResultAccuracy accuracy;
      ASSIGN_OR_RETURN(accuracy.atol, ReadDouble(in));
      ASSIGN_OR_RETURN(accuracy.rtol, ReadDouble(in));
      ASSIGN_OR_RETURN(accuracy.ulps, in.SignedVarint());
      ASSIGN_OR_RETURN(const Attr mode, Child(in, out));
      if (mode.kind() != AttrKind::kEnum || mode.enum_id() != stablehlo::EnumId::kAccuracyMode)
        return in.Error("a result accuracy without its mode");
      accuracy.mode = static_cast<stablehlo::AccuracyMode>(mode.AsEnum());
      out->value = Attr::Of(accuracy);
      return OkStatus();
    }
    default:  // bounds of dynamic dimensions, groups named by mesh axes
      out->value = Attr::Opaque(StrCat("#vhlo.attribute<", code, ">"));
      return internal::StatusOf(in.Raw(in.left()));
  }
}

Result<Attr> Entities::Child(Cursor& in, Slot* parent) {
  ASSIGN_OR_RETURN(const uint32_t index, in.Index(attributes_.size(), "attributes"));
  ASSIGN_OR_RETURN(const Slot* slot, Resolve(index));
  if (__builtin_add_overflow(parent->weight, slot->weight, &parent->weight))
    return in.Error("an attribute too large to write out");
  parent->devices *= slot->devices;
  return slot->value;
}

Status Entities::DecodeString(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const uint32_t s, in.Index(file_.strings.size(), "strings"));
  out->weight += file_.strings[s].size();
  RETURN_IF_ERROR(Charge(file_.strings[s].size()));
  out->value = Attr::String(file_.strings[s]);
  return OkStatus();
}

Status Entities::DecodeList(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const uint64_t n, in.Count());
  std::vector<Attr> items;
  items.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(Attr item, Child(in, out));
    items.push_back(std::move(item));
  }
  out->value = Attr::List(std::move(items));
  return OkStatus();
}

Status Entities::DecodeDictionary(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const uint64_t n, in.Count(2));
  AttrDict items;
  std::string_view previous;
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const Attr key, Child(in, out));
    if (key.kind() != AttrKind::kString) return in.Error("a dictionary key that is no string");
    std::string name = key.AsText();
    RETURN_IF_ERROR(Charge(name.size() + sizeof(stablehlo::NamedAttr)));
    ASSIGN_OR_RETURN(Attr value, Child(in, out));
    if (!value.present()) continue;
    if (!items.empty() && items.back().name >= name) {
      if (FindAttr(items, name).present())
        return in.Error(StrCat("dictionary key '", Printable(name, 40), "' is given twice"));
      SetAttr(&items, name, std::move(value));
    } else {
      items.push_back({std::move(name), std::move(value)});
    }
  }
  out->weight += n * sizeof(stablehlo::NamedAttr);
  out->value = Attr::Dict(std::move(items));
  return OkStatus();
}

Status Entities::DecodeNumber(Cursor& in, bool is_float, Slot* out) {
  ASSIGN_OR_RETURN(const TypeEntity* type, ChildType(in));
  if (type->kind == TypeEntity::Kind::kIndex && !is_float) {
    ASSIGN_OR_RETURN(const int64_t value, in.SignedVarint());
    out->value = Attr::Int(value, DType::kInvalid);
    return OkStatus();
  }
  const DType dtype = type->element;
  const bool fits =
      type->kind == TypeEntity::Kind::kElement &&
      (is_float ? tensor::IsFloat(dtype) : tensor::IsInteger(dtype) || dtype == DType::kBool);
  if (!fits) return in.Error("a number of a type that is none");
  ASSIGN_OR_RETURN(const int64_t value, ReadInteger(in, tensor::BitWidth(dtype)));
  if (dtype == DType::kBool) {
    out->value = Attr::Bool((value & 1) != 0);
  } else if (!is_float) {
    out->value = Attr::Int(value, dtype);
  } else {
    Tensor bits = *Tensor::Create(dtype, Shape{});
    std::memcpy(bits.mutable_data(), &value, static_cast<size_t>(tensor::ByteWidth(dtype)));
    out->value = Attr::Float(bits.DoubleAt(0), dtype);
  }
  return OkStatus();
}

Status Entities::DecodeTypeAttr(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const TypeEntity* type, ChildType(in));
  switch (type->kind) {
    case TypeEntity::Kind::kElement:
      out->value = Attr::ScalarType(type->element);
      break;
    case TypeEntity::Kind::kValue:
      out->value = Attr::Type(type->value);
      break;
    case TypeEntity::Kind::kFunction:
      out->weight += 64 * (type->function->inputs.size() + type->function->results.size());
      out->value = Attr::Function(*type->function);
      break;
    case TypeEntity::Kind::kNone:
      out->value = Attr::Opaque(kNoneMark);
      break;
    case TypeEntity::Kind::kTf32:
      out->value = Attr::Opaque(kTf32Mark);
      break;
    case TypeEntity::Kind::kIndex:
    case TypeEntity::Kind::kIndices:
      out->value = Attr::Opaque("index");
      break;
    case TypeEntity::Kind::kOther:
      return Unimplemented(type->why);
  }
  return OkStatus();
}

Status Entities::DecodeConstant(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const TypeEntity* type, ChildType(in));
  if (type->kind == TypeEntity::Kind::kOther) return Unimplemented(type->why);
  const bool is_index = type->kind == TypeEntity::Kind::kIndices;
  if ((type->kind != TypeEntity::Kind::kValue && !is_index) || type->value.is_token)
    return in.Error("a constant that is no tensor");
  ASSIGN_OR_RETURN(const std::string_view data, in.Blob());
  const TensorType& t = type->value;
  const int64_t n = ElementCount(t);
  const auto width = static_cast<uint64_t>(tensor::ByteWidth(t.dtype));
  if (n < 0) return in.Error(StrCat("a constant of type ", t.Text(), " is too large"));
  Dense dense{.type = t, .data = {}, .splat = n > 0, .is_index = is_index};
  const auto bad_value = [&](const Status& s) { return in.Error(s.message()); };
  if (n == 0) {
    // MLIR keeps the one element of a splat also where no element is made from it.
    if (!data.empty() && data.size() != width) {
      return in.Error("a constant without elements has bytes of several");
    }
    ASSIGN_OR_RETURN(dense.data, Tensor::Create(t.dtype, t.shape));
  } else if (data.size() == width && (t.dtype != DType::kBool || n == 1 || data == "\xff" ||
                                      data == std::string_view("\0", 1))) {
    const std::string_view one = t.dtype != DType::kBool ? data
                                 : (data[0] & 1) != 0    ? std::string_view("\1", 1)
                                                         : std::string_view("\0", 1);
    const Result<Tensor> value = Tensor::FromBytes(t.dtype, Shape{}, one);
    if (!value.ok()) return bad_value(value.status());
    dense.data = *value;
  } else {
    const Result<Tensor> value = t.dtype == DType::kBool
                                     ? UnpackBools(in, t.shape, n, data)
                                     : Tensor::FromBytes(t.dtype, t.shape, data);
    if (!value.ok()) return bad_value(value.status());
    dense = Attr::OfTensor(*value).AsDense();
    dense.is_index = is_index;
  }
  out->value = Attr::OfDense(std::move(dense));
  return OkStatus();
}

std::string Entities::LocationText(uint32_t index) {
  for (int steps = 0; steps < 16; ++steps) {
    const Entry& entry = file_.attributes[index];
    if (!IsDialect(entry, "builtin") || !entry.encoded) return "";
    Cursor in(entry.bytes, entry.offset);
    const auto code = in.Varint();
    if (!code.ok()) return "";
    if (*code == builtin::kFusedLoc && !in.Count().ok()) return "";
    const bool nested = *code == builtin::kCallSiteLoc || *code == builtin::kFusedLoc ||
                        *code == builtin::kFusedMetadataLoc || *code == builtin::kNameLoc;
    const bool file = *code == builtin::kFileLineLoc || *code == builtin::kFileRangeLoc;
    if (!nested && !file) return "";
    if (*code == builtin::kFusedMetadataLoc && !in.Count().ok()) return "";
    const auto first = in.Index(attributes_.size(), "attributes");
    if (!first.ok()) return "";
    if (file) {
      const auto name = Resolve(*first);
      if (!name.ok() || (*name)->value.kind() != AttrKind::kString) return "";
      if (*code == builtin::kFileRangeLoc && !in.Varint().ok()) return "";  // how many numbers
      const auto line = in.Varint();
      return StrCat(Printable((*name)->value.AsText(), 200), line.ok() ? StrCat(":", *line) : "");
    }
    if (*code == builtin::kNameLoc) {
      const auto child = in.Index(attributes_.size(), "attributes");
      if (!child.ok()) return "";
      index = *child;
    } else {
      index = *first;
    }
  }
  return "";
}

}  // namespace megalith::stablehlo::artifact
