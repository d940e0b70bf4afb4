#include "clients/cli/array_spec.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npy.h"
#include "common/foundation/tensor/npz.h"
#include "common/programs/ir/parse.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;
using tensor::ArrayType;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

// What is read into memory from one file, and what one inline array may take.
constexpr uint64_t kMaxFileBytes = uint64_t{8} << 30;
constexpr uint64_t kMaxInlineBytes = uint64_t{4} << 30;

// Numbers that make up one element: complex ones have two, keys their words.
struct Carrier {
  DType dtype = DType::kInvalid;
  int64_t per_element = 1;
};

Carrier CarrierOf(DType dtype) {
  if (tensor::IsComplex(dtype)) return {tensor::RealPart(dtype), 2};
  if (tensor::IsKey(dtype)) return {DType::kU32, tensor::ByteWidth(dtype) / 4};
  return {dtype, 1};
}

Shape CarrierShape(const ArrayType& type) {
  Shape shape = type.shape;
  if (CarrierOf(type.dtype).per_element > 1) shape.push_back(CarrierOf(type.dtype).per_element);
  return shape;
}

Result<Tensor> FromCarrier(const ArrayType& type, const Tensor& carrier) {
  if (CarrierOf(type.dtype).per_element == 1) return carrier;
  return Tensor::FromBytes(type.dtype, type.shape, carrier.bytes());
}

Status OutOfRange(std::string_view text, DType dtype) {
  return InvalidArgument(StrCat(text, " does not fit ", tensor::Name(dtype)));
}

Status StoreInteger(const Json& value, int64_t at, Tensor* out) {
  const DType dtype = out->dtype();
  if (value.is_number_float() || !value.is_number()) {
    return InvalidArgument(StrCat("expects whole numbers for ", tensor::Name(dtype), ", got ",
                                  Printable(value.dump(), 30)));
  }
  const int bits = tensor::BitWidth(dtype);
  if (value.is_number_unsigned()) {
    const uint64_t v = value.get<uint64_t>();
    const int magnitude_bits = bits - (tensor::IsSigned(dtype) ? 1 : 0);
    if (magnitude_bits < 64 && (v >> magnitude_bits) != 0) return OutOfRange(value.dump(), dtype);
    out->SetInt(at, static_cast<int64_t>(v));
    return OkStatus();
  }
  const int64_t v = value.get<int64_t>();
  if (v < 0 && (!tensor::IsSigned(dtype) || (bits < 64 && v < -(int64_t{1} << (bits - 1)))))
    return OutOfRange(value.dump(), dtype);
  out->SetInt(at, v);
  return OkStatus();
}

Status StoreBool(const Json& value, int64_t at, Tensor* out) {
  const bool is_digit = value.is_number_integer() && (value == 0 || value == 1);
  if (!value.is_boolean() && !is_digit)
    return InvalidArgument(StrCat("expects true or false, got ", Printable(value.dump(), 30)));
  out->SetInt(at, value.is_boolean() ? (value.get<bool>() ? 1 : 0) : value.get<int>());
  return OkStatus();
}

Status StoreFloat(const Json& value, int64_t at, Tensor* out) {
  double number = 0;
  if (value.is_string()) {
    const auto parsed = ParseDouble(value.get<std::string>());
    if (!parsed)
      return InvalidArgument(StrCat("expects numbers, got ", Printable(value.dump(), 30)));
    number = *parsed;
  } else if (value.is_number()) {
    number = value.get<double>();
  } else {
    return InvalidArgument(StrCat("expects numbers, got ", Printable(value.dump(), 30)));
  }
  out->SetDouble(at, number);
  return OkStatus();
}

Status Store(const Json& value, int64_t at, Tensor* out) {
  if (tensor::IsBool(out->dtype())) return StoreBool(value, at, out);
  if (tensor::IsInteger(out->dtype())) return StoreInteger(value, at, out);
  if (tensor::IsFloat(out->dtype())) return StoreFloat(value, at, out);
  return InvalidArgument(StrCat(tensor::Name(out->dtype()), " has no values to write down"));
}

// Sizes of nested lists by their first elements.
Shape ShapeOf(const Json& value) {
  Shape shape;
  for (const Json* v = &value; v->is_array() && shape.size() < 64; v = &(*v)[0]) {
    shape.push_back(static_cast<int64_t>(v->size()));
    if (v->empty()) break;
  }
  return shape;
}

Status StoreNested(const Json& value, size_t dim, int64_t* next, Tensor* out) {
  if (dim == out->rank()) return Store(value, (*next)++, out);
  if (!value.is_array() || static_cast<int64_t>(value.size()) != out->shape()[dim]) {
    return InvalidArgument(
        StrCat("expects lists of ", out->shape()[dim], " in dimension ", dim, ", got ",
               value.is_array() ? StrCat("one of ", value.size()) : Printable(value.dump(), 30)));
  }
  for (const Json& element : value) RETURN_IF_ERROR(StoreNested(element, dim + 1, next, out));
  return OkStatus();
}

Result<Tensor> FromLists(const Json& lists, const ArrayType& type) {
  const Carrier carrier = CarrierOf(type.dtype);
  ASSIGN_OR_RETURN(Tensor out, Tensor::Create(carrier.dtype, CarrierShape(type), kMaxInlineBytes));
  int64_t next = 0;
  RETURN_IF_ERROR(StoreNested(lists, 0, &next, &out));
  return FromCarrier(type, out);
}

// zeros, ones, iota and a number everywhere.
Result<Tensor> Filled(std::string_view word, const ArrayType& type) {
  const Carrier carrier = CarrierOf(type.dtype);
  ASSIGN_OR_RETURN(Tensor out, Tensor::Create(carrier.dtype, CarrierShape(type), kMaxInlineBytes));
  if (word == "zeros") return FromCarrier(type, out);
  if (tensor::IsKey(type.dtype) || tensor::IsFloat0(type.dtype)) {
    return InvalidArgument(StrCat(tensor::Name(type.dtype), " knows zeros",
                                  tensor::IsKey(type.dtype) ? " and lists of words" : "", ", not '",
                                  Printable(word), "'"));
  }
  const bool is_iota = word == "iota";
  Json value = is_iota ? Json(0) : word == "ones" ? Json(1) : Json::parse(word, nullptr, false);
  if (value.is_discarded()) {
    if (!ParseDouble(word))
      return InvalidArgument(StrCat("expects zeros, ones, iota, a number, a list or @FILE, got '",
                                    Printable(word), "'"));
    value = std::string(word);  // nan, inf
  }
  const int64_t elements = out.size() / carrier.per_element;
  for (int64_t i = 0; i < elements; ++i) {
    if (is_iota && tensor::IsBool(out.dtype())) return InvalidArgument("bool has no iota");
    RETURN_IF_ERROR(Store(is_iota ? Json(i) : value, i * carrier.per_element, &out));
  }
  return FromCarrier(type, out);
}

Result<Tensor> FileOfType(const std::string& path, const ArrayType& type, FileSystem& files) {
  ASSIGN_OR_RETURN(const std::string bytes, files.Read(path, kMaxFileBytes));
  ASSIGN_OR_RETURN(const Tensor t,
                   tensor::ParseNpy(bytes, {.max_bytes = kMaxFileBytes, .void_dtype = type.dtype}));
  const ArrayType carrier = {tensor::IsKey(type.dtype) ? DType::kU32 : type.dtype,
                             tensor::IsKey(type.dtype) ? CarrierShape(type) : type.shape, false};
  if (t.dtype() != carrier.dtype || !(t.shape() == carrier.shape)) {
    return InvalidArgument(StrCat("file has ", t.TypeText(), ", expected ",
                                  tensor::TypeText(carrier.dtype, carrier.shape)));
  }
  return tensor::IsKey(type.dtype) ? Tensor::FromBytes(type.dtype, type.shape, t.bytes())
                                   : Result<Tensor>(t);
}

Result<std::vector<ArrayValue>> Typed(std::string_view type_text, std::string_view values,
                                      FileSystem& files) {
  ASSIGN_OR_RETURN(const ArrayType type, ParseArrayType(type_text));
  Result<Tensor> t = Tensor();
  if (values.starts_with("@")) {
    t = FileOfType(std::string(values.substr(1)), type, files);
  } else if (values.starts_with("[")) {
    const Json lists = Json::parse(values, nullptr, /*allow_exceptions=*/false);
    if (lists.is_discarded()) return InvalidArgument("the list is not JSON");
    t = FromLists(lists, type);
  } else {
    t = Filled(values, type);
  }
  if (!t.ok()) return t.status();
  return std::vector<ArrayValue>{{*std::move(t), type.weak_type}};
}

// Kinds of scalars in nested lists, for the type that jnp.array would give.
void Scan(const Json& value, bool* any_float, bool* any_int) {
  if (value.is_array()) {
    for (const Json& element : value) Scan(element, any_float, any_int);
    return;
  }
  *any_float = *any_float || value.is_number_float() || value.is_string();
  *any_int = *any_int || value.is_number_integer();
}

Result<std::vector<ArrayValue>> Untyped(const Json& value, bool x64) {
  bool any_float = false;
  bool any_int = false;
  Scan(value, &any_float, &any_int);
  const bool is_empty_list =
      value.is_array() && !any_float && !any_int && ShapeOf(value).back() == 0;
  ArrayType type;
  type.dtype = any_float || is_empty_list ? (x64 ? DType::kF64 : DType::kF32)
               : any_int                  ? (x64 ? DType::kI64 : DType::kI32)
                                          : DType::kBool;
  type.shape = ShapeOf(value);
  ASSIGN_OR_RETURN(Tensor t, FromLists(value, type));
  const bool weak = !value.is_array() && !tensor::IsBool(type.dtype);
  return std::vector<ArrayValue>{{std::move(t), weak}};
}

Result<std::vector<ArrayValue>> FromFile(std::string_view word, FileSystem& files) {
  const size_t npz = word.find(".npz:");
  const std::string path(word.substr(0, npz == std::string_view::npos ? npz : npz + 4));
  if (!path.ends_with(".npy") && !path.ends_with(".npz")) {
    return InvalidArgument(
        "expects FILE.npy, FILE.npz[:NAME], TYPE:VALUES such as 'f32[2,3]:ones', a number or a "
        "list");
  }
  ASSIGN_OR_RETURN(const std::string bytes, files.Read(path, kMaxFileBytes));
  std::vector<ArrayValue> out;
  if (path.ends_with(".npy")) {
    ASSIGN_OR_RETURN(Tensor t, tensor::ParseNpy(bytes, {.max_bytes = kMaxFileBytes,
                                                        .void_dtype = std::nullopt}));
    out.push_back({std::move(t), false});
    return out;
  }
  ASSIGN_OR_RETURN(
      const tensor::NamedTensors members,
      tensor::ParseNpz(bytes, {.max_bytes = kMaxFileBytes, .void_dtype = std::nullopt}));
  const std::string_view wanted = npz == std::string_view::npos ? "" : word.substr(npz + 5);
  std::vector<std::string> names;
  for (const auto& [name, t] : members) {
    names.push_back(name);
    if (npz == std::string_view::npos || name == wanted) out.push_back({t, false});
  }
  if (out.empty() && npz != std::string_view::npos)
    return NotFound(
        StrCat("archive has no array '", Printable(wanted), "', only ", Join(names, ", ")));
  return out;
}

// Where a type ends that `word` may begin with: the colon after "f32[2]", "f32[2]~" or "f32".
size_t TypeEnd(std::string_view word) {
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos) return colon;
  const std::string_view head = word.substr(0, colon);
  const std::string_view dtype = head.substr(0, std::min(head.find('['), head.find('~')));
  return tensor::DTypeFromName(dtype) ? colon : std::string_view::npos;
}

Result<std::vector<ArrayValue>> ReadWord(std::string_view word, FileSystem& files, bool x64) {
  if (const size_t colon = TypeEnd(word); colon != std::string_view::npos)
    return Typed(word.substr(0, colon), word.substr(colon + 1), files);
  Json value = Json::parse(word, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() && ParseDouble(word)) value = std::string(word);  // nan, inf, .5
  const bool is_value = value.is_number() || value.is_boolean() || value.is_array() ||
                        (value.is_string() && ParseDouble(value.get<std::string>()));
  return is_value ? Untyped(value, x64) : FromFile(word, files);
}

// What a file can hold: keys become their words.
Result<Tensor> Storable(const Tensor& t) {
  if (!tensor::IsKey(t.dtype())) return t;
  const ArrayType type = {t.dtype(), t.shape(), false};
  return Tensor::FromBytes(DType::kU32, CarrierShape(type), t.bytes());
}

}  // namespace

Result<ArrayType> ParseArrayType(std::string_view text) {
  const bool weak = text.ends_with("~");
  std::string full(weak ? text.substr(0, text.size() - 1) : text);
  if (full.find('[') == std::string::npos) full += "[]";
  const Result<ir::Aval> aval = ir::ParseAval(full);
  if (!aval.ok())
    return InvalidArgument(StrCat("type '", Printable(text), "': ", aval.status().message()));
  return ArrayType{aval->dtype, aval->shape, weak};
}

Result<std::vector<ArrayValue>> ReadArrays(std::string_view word, FileSystem& files, bool x64) {
  return ReadWord(word, files, x64).Annotate(StrCat("'", Printable(word, 60), "'"));
}

Status WriteArrays(const std::string& path, const std::vector<Tensor>& arrays, FileSystem& files) {
  if (path.ends_with(".npy")) {
    if (arrays.size() != 1) {
      return InvalidArgument(StrCat("'", Printable(path), "' holds one array, the result has ",
                                    arrays.size(), "; use .npz"));
    }
    ASSIGN_OR_RETURN(const Tensor t, Storable(arrays[0]));
    ASSIGN_OR_RETURN(const std::string bytes, tensor::EncodeNpy(t));
    return files.WriteAtomically(path, bytes);
  }
  if (!path.ends_with(".npz"))
    return InvalidArgument(StrCat("'", Printable(path), "' is neither .npy nor .npz"));
  tensor::NamedTensors members;
  for (const Tensor& array : arrays) {
    ASSIGN_OR_RETURN(Tensor t, Storable(array));
    members.emplace_back(StrCat("arr_", members.size()), std::move(t));
  }
  ASSIGN_OR_RETURN(const std::string bytes, tensor::EncodeNpz(members, /*compress=*/false));
  return files.WriteAtomically(path, bytes);
}

}  // namespace megalith::cli
