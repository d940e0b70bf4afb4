#include "common/learning/serving/example_parser.h"

#include <map>
#include <string_view>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::serving {
namespace {

using records::WireField;
using records::WireReader;
using records::WireType;

// Largest argument that Examples are unpacked into.
constexpr uint64_t kMaxArgumentBytes = 1ull << 30;

// Fields of Example, Features, a map entry and Feature (persistent: owned by TensorFlow).
constexpr uint32_t kFeaturesField = 1, kMapField = 1, kKeyField = 1, kValueField = 2;
constexpr uint32_t kListValue = 1;
enum class Kind : uint32_t { kNone = 0, kBytes = 1, kFloat = 2, kInt64 = 3 };

DataType TypeOf(Kind kind) {
  switch (kind) {
    case Kind::kBytes:
      return DataType::kString;
    case Kind::kFloat:
      return DataType::kFloat;
    case Kind::kInt64:
      return DataType::kInt64;
    case Kind::kNone:
      break;
  }
  return DataType::kInvalid;
}

// The kind of list that a feature for arguments of this type has.
Kind KindFor(DataType dtype) {
  if (dtype == DataType::kString) return Kind::kBytes;
  const DataTypeInfo* info = FindDataType(dtype);
  return info != nullptr && tensor::IsFloat(info->dtype) ? Kind::kFloat : Kind::kInt64;
}

uint64_t ElementBytes(DataType dtype) {
  if (dtype == DataType::kString) return sizeof(std::string);
  return static_cast<uint64_t>(tensor::ByteWidth(FindDataType(dtype)->dtype));
}

// One Feature message as it stands in an Example.
struct Found {
  Kind kind = Kind::kNone;
  std::string_view list;  // the message that holds the values
};

Status NoExample(size_t index) {
  return InvalidArgument(StrCat("Could not parse example input, value: example ", index));
}

Status ReadFeature(std::string_view bytes, Found* out) {
  WireReader in(bytes);
  while (in.Next()) {
    const WireField& f = in.field();
    if (f.number < 1 || f.number > 3) continue;
    RETURN_IF_ERROR(records::ExpectType(f, WireType::kBytes));
    *out = {static_cast<Kind>(f.number), f.bytes};
  }
  return in.status();
}

Status ReadMap(std::string_view features, std::map<std::string_view, Found>* out) {
  WireReader in(features);
  while (in.Next()) {
    if (in.field().number != kMapField) continue;
    RETURN_IF_ERROR(records::ExpectType(in.field(), WireType::kBytes));
    std::string_view key, value;
    WireReader entry(in.field().bytes);
    while (entry.Next()) {
      const WireField& f = entry.field();
      if (f.number != kKeyField && f.number != kValueField) continue;
      RETURN_IF_ERROR(records::ExpectType(f, WireType::kBytes));
      (f.number == kKeyField ? key : value) = f.bytes;
    }
    RETURN_IF_ERROR(entry.status());
    Found found;
    RETURN_IF_ERROR(ReadFeature(value, &found));
    (*out)[key] = found;
  }
  return in.status();
}

Status ReadExample(std::string_view bytes, std::map<std::string_view, Found>* out) {
  WireReader in(bytes);
  while (in.Next()) {
    if (in.field().number != kFeaturesField) continue;
    RETURN_IF_ERROR(records::ExpectType(in.field(), WireType::kBytes));
    RETURN_IF_ERROR(ReadMap(in.field().bytes, out));
  }
  return in.status();
}

// Values of one list; only one of the vectors is used.
struct Values {
  std::vector<float> floats;
  std::vector<uint64_t> integers;
  std::vector<std::string_view> strings;
  size_t size() const { return floats.size() + integers.size() + strings.size(); }
};

Result<Values> ReadValues(const Found& found) {
  Values out;
  WireReader in(found.list);
  while (in.Next()) {
    const WireField& f = in.field();
    if (f.number != kListValue) continue;
    if (found.kind == Kind::kFloat) {
      RETURN_IF_ERROR(records::AppendFloats(f, &out.floats));
    } else if (found.kind == Kind::kInt64) {
      RETURN_IF_ERROR(records::AppendVarints(f, &out.integers));
    } else {
      RETURN_IF_ERROR(records::ExpectType(f, WireType::kBytes));
      out.strings.push_back(f.bytes);
    }
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

// The argument of one feature while it is filled.
class Column {
 public:
  static Result<Column> Make(const Feature& feature, int64_t rows) {
    Shape shape{rows};
    if (!feature.scalar) shape.push_back(feature.length);
    Column out(feature);
    const std::optional<int64_t> size = tensor::NumElements(shape);
    if (!size.has_value() ||
        static_cast<uint64_t>(*size) > kMaxArgumentBytes / ElementBytes(feature.dtype)) {
      return ResourceExhausted(StrCat("feature \"", Printable(feature.key), "\" of ", rows,
                                      " examples takes more than ", kMaxArgumentBytes, " bytes"));
    }
    if (feature.dtype == DataType::kString) {
      out.value_ = Value::OfStrings(shape, std::vector<std::string>(static_cast<size_t>(*size)));
      return out;
    }
    ASSIGN_OR_RETURN(
        tensor::Tensor zeros,
        tensor::Tensor::Create(FindDataType(feature.dtype)->dtype, shape, kMaxArgumentBytes));
    out.value_ = Value::Of(std::move(zeros));
    return out;
  }

  Status Fill(size_t row, const Found& found) {
    const int64_t at = static_cast<int64_t>(row) * feature_->length;
    if (found.kind == Kind::kNone) return FillMissing(row, at);
    if (found.kind != KindFor(feature_->dtype)) {
      return InvalidArgument(
          StrCat("Name: <unknown>, Key: ", feature_->key, ", Index: ", row,
                 ".  Data types don't match. Data type: ", NameOf(TypeOf(found.kind)),
                 " but expected type: ", NameOf(TypeOf(KindFor(feature_->dtype)))));
    }
    ASSIGN_OR_RETURN(const Values values, ReadValues(found));
    if (values.size() != static_cast<size_t>(feature_->length)) {
      return InvalidArgument(
          StrCat("Name: <unknown>, Key: ", feature_->key, ", Index: ", row, ".  Number of ",
                 NameOf(TypeOf(found.kind)), " values != expected.  Values size: ", values.size(),
                 " but output shape: [", feature_->scalar ? "" : StrCat(feature_->length), "]"));
    }
    for (size_t i = 0; i < values.floats.size(); ++i)
      value_.tensor.SetDouble(at + static_cast<int64_t>(i), values.floats[i]);
    for (size_t i = 0; i < values.integers.size(); ++i)
      value_.tensor.SetInt(at + static_cast<int64_t>(i), static_cast<int64_t>(values.integers[i]));
    for (size_t i = 0; i < values.strings.size(); ++i)
      value_.strings[static_cast<size_t>(at) + i] = values.strings[i];
    return OkStatus();
  }

  Value Take() { return std::move(value_); }

 private:
  explicit Column(const Feature& feature) : feature_(&feature) {}

  Status FillMissing(size_t row, int64_t at) {
    if (feature_->required) {
      return InvalidArgument(StrCat("Name: <unknown>, Feature: ", feature_->key,
                                    " (data type: ", NameOf(TypeOf(KindFor(feature_->dtype))),
                                    ") is required but could not be found."));
    }
    if (!feature_->default_value.has_value()) return OkStatus();
    const Value& from = *feature_->default_value;
    if (from.dtype == DataType::kString) {
      for (size_t i = 0; i < from.strings.size(); ++i)
        value_.strings[static_cast<size_t>(at) + i] = from.strings[i];
      return OkStatus();
    }
    const std::string_view bytes = from.tensor.bytes();
    std::memcpy(static_cast<char*>(value_.tensor.mutable_data()) + row * bytes.size(), bytes.data(),
                bytes.size());
    return OkStatus();
  }

  const Feature* feature_;
  Value value_;
};

}  // namespace

Status ParseExamples(const std::vector<Feature>& features,
                     const std::vector<std::string>& serialized, std::vector<Value>* arguments) {
  std::vector<Column> columns;
  for (const Feature& feature : features) {
    ASSIGN_OR_RETURN(Column column, Column::Make(feature, static_cast<int64_t>(serialized.size())));
    columns.push_back(std::move(column));
  }
  for (size_t row = 0; row < serialized.size(); ++row) {
    std::map<std::string_view, Found> found;
    if (!ReadExample(serialized[row], &found).ok()) return NoExample(row);
    for (size_t i = 0; i < features.size(); ++i) {
      const auto at = found.find(features[i].key);
      const Status filled = columns[i].Fill(row, at == found.end() ? Found() : at->second);
      if (filled.code() == Code::kDataLoss) return NoExample(row);
      RETURN_IF_ERROR(filled);
    }
  }
  for (size_t i = 0; i < features.size(); ++i)
    (*arguments)[features[i].argument] = columns[i].Take();
  return OkStatus();
}

}  // namespace megalith::serving
