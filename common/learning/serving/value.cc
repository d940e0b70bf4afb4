#include "common/learning/serving/value.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::serving {

using tensor::DType;
using tensor::Tensor;

namespace {

constexpr DataTypeInfo kTypes[] = {
    {DataType::kFloat, "DT_FLOAT", "float", DType::kF32, ValueList::kFloat},
    {DataType::kDouble, "DT_DOUBLE", "double", DType::kF64, ValueList::kDouble},
    {DataType::kInt32, "DT_INT32", "int32", DType::kI32, ValueList::kInt},
    {DataType::kUint8, "DT_UINT8", "uint8", DType::kU8, ValueList::kInt},
    {DataType::kInt16, "DT_INT16", "int16", DType::kI16, ValueList::kInt},
    {DataType::kInt8, "DT_INT8", "int8", DType::kI8, ValueList::kInt},
    {DataType::kString, "DT_STRING", "string", DType::kInvalid, ValueList::kString},
    {DataType::kComplex64, "DT_COMPLEX64", "complex64", DType::kC64, ValueList::kComplex64},
    {DataType::kInt64, "DT_INT64", "int64", DType::kI64, ValueList::kInt64},
    {DataType::kBool, "DT_BOOL", "bool", DType::kBool, ValueList::kBool},
    {DataType::kBfloat16, "DT_BFLOAT16", "bfloat16", DType::kBF16, ValueList::kHalf},
    {DataType::kUint16, "DT_UINT16", "uint16", DType::kU16, ValueList::kInt},
    {DataType::kComplex128, "DT_COMPLEX128", "complex128", DType::kC128, ValueList::kComplex128},
    {DataType::kHalf, "DT_HALF", "half", DType::kF16, ValueList::kHalf},
    {DataType::kUint32, "DT_UINT32", "uint32", DType::kU32, ValueList::kUint32},
    {DataType::kUint64, "DT_UINT64", "uint64", DType::kU64, ValueList::kUint64},
    {DataType::kFloat8E5m2, "DT_FLOAT8_E5M2", "float8_e5m2", DType::kF8E5M2, ValueList::kFloat8},
    {DataType::kFloat8E4m3fn, "DT_FLOAT8_E4M3FN", "float8_e4m3fn", DType::kF8E4M3FN,
     ValueList::kFloat8},
    {DataType::kFloat8E4m3fnuz, "DT_FLOAT8_E4M3FNUZ", "float8_e4m3fnuz", DType::kF8E4M3FNUZ,
     ValueList::kFloat8},
    {DataType::kFloat8E4m3b11fnuz, "DT_FLOAT8_E4M3B11FNUZ", "float8_e4m3b11fnuz",
     DType::kF8E4M3B11FNUZ, ValueList::kFloat8},
    {DataType::kFloat8E5m2fnuz, "DT_FLOAT8_E5M2FNUZ", "float8_e5m2fnuz", DType::kF8E5M2FNUZ,
     ValueList::kFloat8},
    {DataType::kInt4, "DT_INT4", "int4", DType::kI4, ValueList::kInt},
    {DataType::kUint4, "DT_UINT4", "uint4", DType::kU4, ValueList::kInt},
};

Shape WithRows(const Shape& shape, int64_t rows) {
  Shape out = shape;
  out[0] = rows;
  return out;
}

// Elements of one row.
size_t RowSize(const Shape& shape) {
  size_t out = 1;
  for (size_t d = 1; d < shape.size(); ++d) out *= static_cast<size_t>(shape[d]);
  return out;
}

}  // namespace

const DataTypeInfo* FindDataType(DataType type) {
  const auto at = std::ranges::find(kTypes, type, &DataTypeInfo::type);
  return at == std::end(kTypes) ? nullptr : at;
}

DataType DataTypeOf(DType dtype) {
  if (dtype == DType::kInvalid) return DataType::kInvalid;
  const auto at = std::ranges::find(kTypes, dtype, &DataTypeInfo::dtype);
  return at == std::end(kTypes) ? DataType::kInvalid : at->type;
}

std::string NameOf(DataType type) {
  const DataTypeInfo* info = FindDataType(type);
  return info == nullptr ? StrCat(static_cast<int>(type)) : std::string(info->name);
}

std::string EnumNameOf(DataType type) {
  const DataTypeInfo* info = FindDataType(type);
  return info == nullptr ? StrCat(static_cast<int>(type)) : std::string(info->enum_name);
}

Value Value::Of(Tensor tensor) {
  Value out;
  out.dtype = DataTypeOf(tensor.dtype());
  out.tensor = std::move(tensor);
  return out;
}

Value Value::OfStrings(const Shape& shape, std::vector<std::string> strings) {
  Value out;
  out.dtype = DataType::kString;
  out.string_shape = shape;
  out.strings = std::move(strings);
  return out;
}

Result<Value> SliceRows(const Value& value, int64_t begin, int64_t end) {
  const Shape shape = WithRows(value.shape(), end - begin);
  const size_t row = RowSize(shape);
  const size_t first = static_cast<size_t>(begin) * row, last = static_cast<size_t>(end) * row;
  if (value.dtype == DataType::kString) {
    return Value::OfStrings(shape, {value.strings.begin() + static_cast<ptrdiff_t>(first),
                                    value.strings.begin() + static_cast<ptrdiff_t>(last)});
  }
  const auto width = static_cast<size_t>(tensor::ByteWidth(value.tensor.dtype()));
  ASSIGN_OR_RETURN(Tensor rows, Tensor::FromBytes(value.tensor.dtype(), shape,
                                                  value.tensor.bytes().substr(
                                                      first * width, (last - first) * width)));
  return Value::Of(std::move(rows));
}

Result<Value> ConcatenateRows(const std::vector<Value>& values) {
  if (values.size() == 1) return values.front();
  int64_t rows = 0;
  for (const Value& v : values) rows += v.shape()[0];
  const Shape shape = WithRows(values.front().shape(), rows);
  if (values.front().dtype == DataType::kString) {
    std::vector<std::string> strings;
    for (const Value& v : values) strings.insert(strings.end(), v.strings.begin(), v.strings.end());
    return Value::OfStrings(shape, std::move(strings));
  }
  ASSIGN_OR_RETURN(Tensor out, Tensor::CreateUninitialized(values.front().tensor.dtype(), shape));
  auto* to = static_cast<char*>(out.mutable_data());
  for (const Value& v : values) {
    const std::string_view bytes = v.tensor.bytes();
    if (bytes.empty()) continue;
    std::memcpy(to, bytes.data(), bytes.size());
    to += bytes.size();
  }
  return Value::Of(std::move(out));
}

}  // namespace megalith::serving
