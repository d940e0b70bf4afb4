#include "common/learning/serving/tensor_value_proto.h"

#include <algorithm>
#include <bit>
#include <complex>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

using tensor::Tensor;
using tensorflow::TensorProto;

static_assert(std::endian::native == std::endian::little, "tensor_content is little-endian");

constexpr int kMaxRank = 254;  // TensorFlow's
// What one string takes beside its bytes.
constexpr uint64_t kStringBytes = sizeof(std::string);

Status NotDecodable(std::string why) { return InvalidArgument(std::move(why)); }

Result<Shape> DecodeShape(const tensorflow::TensorShapeProto& proto) {
  Shape shape;
  if (proto.unknown_rank()) return shape;
  if (proto.dim_size() > kMaxRank)
    return NotDecodable(StrCat("a tensor of rank ", proto.dim_size()));
  for (const auto& dim : proto.dim()) {
    if (dim.size() < 0) return NotDecodable(StrCat("a dimension of size ", dim.size()));
    shape.push_back(dim.size());
  }
  return shape;
}

// Element i of a list that is shorter than the tensor: the last one again.
template <typename List>
auto ElementOr(const List& list, int64_t i) {
  return list.Get(static_cast<int>(std::min<int64_t>(i, list.size() - 1)));
}

template <typename To, typename List>
void Fill(const List& list, Tensor* out) {
  if (list.size() == 0) return;
  const std::span<To> to = out->MutableAs<To>();
  for (size_t i = 0; i < to.size(); ++i)
    to[i] = static_cast<To>(ElementOr(list, static_cast<int64_t>(i)));
}

template <typename Part, typename List>
void FillComplex(const List& list, Tensor* out) {
  const int64_t pairs = list.size() / 2;
  if (pairs == 0) return;
  const std::span<std::complex<Part>> to = out->MutableAs<std::complex<Part>>();
  for (size_t i = 0; i < to.size(); ++i) {
    const auto pair = static_cast<int>(std::min<int64_t>(static_cast<int64_t>(i), pairs - 1));
    to[i] = {list.Get(2 * pair), list.Get(2 * pair + 1)};
  }
}

void FillInts(const TensorProto& proto, Tensor* out) {
  using tensor::DType;
  switch (out->dtype()) {
    case DType::kI32:
      return Fill<int32_t>(proto.int_val(), out);
    case DType::kI16:
      return Fill<int16_t>(proto.int_val(), out);
    case DType::kU16:
      return Fill<uint16_t>(proto.int_val(), out);
    case DType::kU8:
      return Fill<uint8_t>(proto.int_val(), out);
    case DType::kI8:
      return Fill<int8_t>(proto.int_val(), out);
    default:  // four bits in a byte each
      for (int64_t i = 0; proto.int_val_size() > 0 && i < out->size(); ++i)
        out->SetInt(i, ElementOr(proto.int_val(), i));
  }
}

void FillFromLists(ValueList list, const TensorProto& proto, Tensor* out) {
  switch (list) {
    case ValueList::kFloat:
      return Fill<float>(proto.float_val(), out);
    case ValueList::kDouble:
      return Fill<double>(proto.double_val(), out);
    case ValueList::kInt:
      return FillInts(proto, out);
    case ValueList::kInt64:
      return Fill<int64_t>(proto.int64_val(), out);
    case ValueList::kUint32:
      return Fill<uint32_t>(proto.uint32_val(), out);
    case ValueList::kUint64:
      return Fill<uint64_t>(proto.uint64_val(), out);
    case ValueList::kBool:
      return Fill<bool>(proto.bool_val(), out);
    case ValueList::kHalf:
      return Fill<uint16_t>(proto.half_val(), out);
    case ValueList::kFloat8: {
      const std::string& bytes = proto.float8_val();
      const std::span<char> to = out->MutableAs<char>();
      for (size_t i = 0; !bytes.empty() && i < to.size(); ++i)
        to[i] = bytes[std::min(i, bytes.size() - 1)];
      return;
    }
    case ValueList::kComplex64:
      return FillComplex<float>(proto.scomplex_val(), out);
    case ValueList::kComplex128:
      return FillComplex<double>(proto.dcomplex_val(), out);
    case ValueList::kString:
      return;
  }
}

// All lengths as varints, then all bytes.
Result<std::vector<std::string>> StringsFromContent(std::string_view content, size_t count) {
  std::vector<uint64_t> lengths;
  size_t at = 0;
  uint64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t length = 0;
    for (int shift = 0;; shift += 7) {
      if (at >= content.size() || shift > 28) return NotDecodable("lengths of strings end early");
      const auto byte = static_cast<uint8_t>(content[at++]);
      length |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    total += length;
    if (total > content.size()) return NotDecodable("strings are longer than their bytes");
    lengths.push_back(length);
  }
  if (content.size() - at != total)
    return NotDecodable("bytes of strings do not fit their lengths");
  std::vector<std::string> out;
  out.reserve(count);
  for (const uint64_t length : lengths) {
    out.emplace_back(content.substr(at, length));
    at += length;
  }
  return out;
}

Result<Value> DecodeStrings(const TensorProto& proto, const Shape& shape, int64_t size,
                            uint64_t max_bytes) {
  uint64_t bytes = static_cast<uint64_t>(size) * kStringBytes;
  const auto count = static_cast<size_t>(size);
  const uint64_t last =
      proto.string_val_size() == 0 ? 0 : proto.string_val(proto.string_val_size() - 1).size();
  // The last one stands for all that are missing.
  const uint64_t missing =
      count - std::min<size_t>(count, static_cast<size_t>(proto.string_val_size()));
  if (proto.tensor_content().empty() && last > 0 && missing > (max_bytes - bytes) / last) {
    return ResourceExhausted(StrCat("a tensor of ", size, " strings of ", last,
                                    " bytes is larger than the limit of ", max_bytes, " bytes"));
  }
  if (!proto.tensor_content().empty()) {
    if (count > proto.tensor_content().size())
      return NotDecodable("tensor_content has fewer bytes than there are strings");
    ASSIGN_OR_RETURN(std::vector<std::string> strings,
                     StringsFromContent(proto.tensor_content(), count));
    return Value::OfStrings(shape, std::move(strings));
  }
  std::vector<std::string> strings(count);
  for (size_t i = 0; proto.string_val_size() > 0 && i < count; ++i)
    strings[i] = proto.string_val(
        static_cast<int>(std::min(i, static_cast<size_t>(proto.string_val_size() - 1))));
  return Value::OfStrings(shape, std::move(strings));
}

template <typename From, typename List>
void Append(const Tensor& tensor, List* list) {
  const std::span<const From> from = tensor.As<From>();
  list->Reserve(static_cast<int>(from.size()));
  for (const From v : from) list->AddAlreadyReserved(v);
}

template <typename Part, typename List>
void AppendComplex(const Tensor& tensor, List* list) {
  for (const std::complex<Part>& v : tensor.As<std::complex<Part>>()) {
    list->Add(v.real());
    list->Add(v.imag());
  }
}

void AppendLists(ValueList list, const Tensor& tensor, TensorProto* proto) {
  switch (list) {
    case ValueList::kFloat:
      return Append<float>(tensor, proto->mutable_float_val());
    case ValueList::kDouble:
      return Append<double>(tensor, proto->mutable_double_val());
    case ValueList::kInt:
      for (int64_t i = 0; i < tensor.size(); ++i)
        proto->add_int_val(static_cast<int32_t>(tensor.IntAt(i)));
      return;
    case ValueList::kInt64:
      return Append<int64_t>(tensor, proto->mutable_int64_val());
    case ValueList::kUint32:
      return Append<uint32_t>(tensor, proto->mutable_uint32_val());
    case ValueList::kUint64:
      return Append<uint64_t>(tensor, proto->mutable_uint64_val());
    case ValueList::kBool:
      return Append<bool>(tensor, proto->mutable_bool_val());
    case ValueList::kHalf:
      return Append<uint16_t>(tensor, proto->mutable_half_val());
    case ValueList::kFloat8:
      proto->set_float8_val(std::string(tensor.bytes()));
      return;
    case ValueList::kComplex64:
      return AppendComplex<float>(tensor, proto->mutable_scomplex_val());
    case ValueList::kComplex128:
      return AppendComplex<double>(tensor, proto->mutable_dcomplex_val());
    case ValueList::kString:
      return;
  }
}

void AppendVarint(uint64_t v, std::string* out) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>(v | 0x80));
  out->push_back(static_cast<char>(v));
}

}  // namespace

Result<Value> DecodeTensor(const TensorProto& proto, uint64_t max_bytes) {
  const auto dtype = static_cast<DataType>(proto.dtype());
  const DataTypeInfo* info = FindDataType(dtype);
  if (info == nullptr)
    return NotDecodable(StrCat("dtype ", static_cast<int>(proto.dtype()), " cannot be decoded"));
  ASSIGN_OR_RETURN(const Shape shape, DecodeShape(proto.tensor_shape()));
  const std::optional<int64_t> size = tensor::NumElements(shape);
  const uint64_t width = dtype == DataType::kString
                             ? kStringBytes
                             : static_cast<uint64_t>(tensor::ByteWidth(info->dtype));
  if (!size.has_value() || static_cast<uint64_t>(*size) > max_bytes / width) {
    return ResourceExhausted(StrCat("a tensor of shape [", tensor::DimsText(shape), "] and type ",
                                    info->enum_name, " is larger than the limit of ", max_bytes,
                                    " bytes"));
  }
  if (dtype == DataType::kString) return DecodeStrings(proto, shape, *size, max_bytes);
  if (!proto.tensor_content().empty()) {
    // FromBytes holds the number of bytes, and the values of booleans, against the type.
    ASSIGN_OR_RETURN(Tensor out, Tensor::FromBytes(info->dtype, shape, proto.tensor_content()));
    return Value::Of(std::move(out));
  }
  ASSIGN_OR_RETURN(Tensor out, Tensor::Create(info->dtype, shape, max_bytes));
  FillFromLists(info->list, proto, &out);
  return Value::Of(std::move(out));
}

void EncodeTensor(const Value& value, bool as_content, TensorProto* proto) {
  const DataTypeInfo& info = *FindDataType(value.dtype);
  proto->set_dtype(static_cast<tensorflow::DataType>(value.dtype));
  tensorflow::TensorShapeProto* shape = proto->mutable_tensor_shape();
  for (const int64_t d : value.shape()) shape->add_dim()->set_size(d);
  if (value.dtype == DataType::kString) {
    if (!as_content) {
      for (const std::string& s : value.strings) proto->add_string_val(s);
      return;
    }
    std::string* content = proto->mutable_tensor_content();
    for (const std::string& s : value.strings) AppendVarint(s.size(), content);
    for (const std::string& s : value.strings) *content += s;
    return;
  }
  if (as_content) {
    proto->set_tensor_content(std::string(value.tensor.bytes()));
  } else {
    AppendLists(info.list, value.tensor, proto);
  }
}

}  // namespace megalith::serving
