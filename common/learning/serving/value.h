// What a model takes and gives, as TensorFlow Serving's clients know it: tensors of TensorFlow's
// types, strings included (tf-serving.md section 2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/tensor/tensor.h"

namespace megalith::serving {

using tensor::Shape;

// TensorFlow's numbers (persistent: owned by TensorFlow, never change). Types that no model here
// can have (quantized ones, resources, variants) are not named.
enum class DataType : int {
  kInvalid = 0,
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kBfloat16 = 14,
  kUint16 = 17,
  kComplex128 = 18,
  kHalf = 19,
  kUint32 = 22,
  kUint64 = 23,
  kFloat8E5m2 = 24,
  kFloat8E4m3fn = 25,
  kFloat8E4m3fnuz = 26,
  kFloat8E4m3b11fnuz = 27,
  kFloat8E5m2fnuz = 28,
  kInt4 = 29,
  kUint4 = 30,
};

// Which repeated field of a TensorProto holds the elements of a type.
enum class ValueList : uint8_t {
  kFloat,
  kDouble,
  kInt,
  kInt64,
  kUint32,
  kUint64,
  kBool,
  kHalf,
  kFloat8,
  kComplex64,
  kComplex128,
  kString,
};

// One row per type.
struct DataTypeInfo {
  DataType type;
  std::string_view enum_name;  // "DT_FLOAT"
  std::string_view name;       // "float", as messages of the runtime say it
  tensor::DType dtype;         // kInvalid for strings
  ValueList list;
};

// nullptr for types that are not named above, kInvalid included.
const DataTypeInfo* FindDataType(DataType type);
// kInvalid if TensorFlow has no type for it that models here can have.
DataType DataTypeOf(tensor::DType dtype);
// "float"; the number for types without a row.
std::string NameOf(DataType type);
// "DT_FLOAT"; the number for types without a row.
std::string EnumNameOf(DataType type);

// A tensor of any of these types. Copies share the elements, except strings.
struct Value {
  DataType dtype = DataType::kInvalid;
  tensor::Tensor tensor;             // unless dtype is kString
  Shape string_shape;                // of strings
  std::vector<std::string> strings;  // row-major; any bytes

  const Shape& shape() const { return dtype == DataType::kString ? string_shape : tensor.shape(); }
  int64_t size() const {
    return dtype == DataType::kString ? static_cast<int64_t>(strings.size()) : tensor.size();
  }
  // Requires a tensor whose dtype has a row.
  static Value Of(tensor::Tensor tensor);
  // Requires as many strings as `shape` has elements.
  static Value OfStrings(const Shape& shape, std::vector<std::string> strings);
};

// Rows [begin, end) of dimension 0. Requires rank >= 1 and 0 <= begin <= end <= rows.
// Errors: kResourceExhausted.
Result<Value> SliceRows(const Value& value, int64_t begin, int64_t end);
// The rows of all, one after the other. Requires at least one value; all with equal dtype, rank >=
// 1 and dimensions but the first. Errors: kResourceExhausted.
Result<Value> ConcatenateRows(const std::vector<Value>& values);

}  // namespace megalith::serving
