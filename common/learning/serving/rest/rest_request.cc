#include "common/learning/serving/rest/rest_request.h"

#include <cstring>
#include <limits>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/rest/json.h"
#include "common/learning/serving/rest/json_writer.h"

namespace megalith::serving {
namespace {

constexpr std::string_view kSignatureKey = "signature_name";
constexpr std::string_view kInstancesKey = "instances";
constexpr std::string_view kInputsKey = "inputs";

// The text of a shape in messages.
std::string ShapeText(const Shape& shape) { return StrCat("[", tensor::DimsText(shape), "]"); }

Status TypeError(JsonValue value, DataType dtype) {
  return InvalidArgument(StrCat("JSON Value: ", JsonTextOf(value), " Type: ", JsonTypeName(value),
                                " is not of expected type: ", NameOf(dtype)));
}

Status FormatError(JsonValue value, std::string_view what) {
  return InvalidArgument(StrCat("JSON Value: ", JsonTextOf(value), " ", what));
}

// Bytes that the tensors of one request may take, shared by them.
struct Budget {
  uint64_t left;
  Status Take(uint64_t bytes) {
    if (bytes > left) {
      return ResourceExhausted(
          "the tensors of the request take more memory than a request may: send fewer values");
    }
    left -= bytes;
    return OkStatus();
  }
};

// Elements of one tensor, in the order in which they come.
class Elements {
 public:
  Elements(DataType dtype, Budget* budget) : dtype_(dtype), budget_(budget) {}

  Status Add(JsonValue value) {
    switch (dtype_) {
      case DataType::kFloat:
        return AddNumber<float>(value);
      case DataType::kDouble:
        return AddNumber<double>(value);
      case DataType::kInt32:
        return AddSmall<int32_t>(value);
      case DataType::kInt16:
        return AddSmall<int16_t>(value);
      case DataType::kInt8:
        return AddSmall<int8_t>(value);
      case DataType::kUint8:
        return AddSmall<uint8_t>(value);
      case DataType::kInt64: {
        const auto number = IntegerOf(value);
        return number ? Append(*number) : TypeError(value, dtype_);
      }
      case DataType::kUint32:
      case DataType::kUint64:
        return AddUnsigned(value);
      case DataType::kBool:
        if (!value.is_bool()) return TypeError(value, dtype_);
        return Append(static_cast<uint8_t>(value.kind() == JsonKind::kTrue));
      case DataType::kString:
        return AddString(value);
      default:
        return Unimplemented(
            StrCat("Conversion of JSON Value: ", JsonTextOf(value), " to type: ", NameOf(dtype_)));
    }
  }

  uint64_t count() const { return count_; }

  // Requires as many elements as `shape` has.
  Result<Value> Take(const Shape& shape) {
    if (dtype_ == DataType::kString) return Value::OfStrings(shape, std::move(strings_));
    const DataTypeInfo* info = FindDataType(dtype_);
    if (info == nullptr) {
      return Unimplemented(
          StrCat("Conversion of JSON Value: [] to type: ", static_cast<int>(dtype_)));
    }
    ASSIGN_OR_RETURN(tensor::Tensor out, tensor::Tensor::FromBytes(info->dtype, shape, bytes_));
    bytes_ = std::string();
    return Value::Of(std::move(out));
  }

 private:
  static std::optional<int64_t> IntegerOf(JsonValue value) {
    return value.kind() == JsonKind::kInteger ? value.as_int64() : std::nullopt;
  }

  template <typename T>
  Status Append(T value) {
    RETURN_IF_ERROR(budget_->Take(sizeof(value)));
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    ++count_;
    return OkStatus();
  }
  template <typename T>
  Status AddNumber(JsonValue value) {
    if (!value.is_number()) return TypeError(value, dtype_);
    return Append(static_cast<T>(value.number()));
  }
  // Numbers that fit 32 bits; narrower types keep the low ones, as the stock server does.
  template <typename T>
  Status AddSmall(JsonValue value) {
    const auto number = IntegerOf(value);
    if (!number || *number < std::numeric_limits<int32_t>::min() ||
        *number > std::numeric_limits<int32_t>::max())
      return TypeError(value, dtype_);
    return Append(static_cast<T>(*number));
  }
  Status AddUnsigned(JsonValue value) {
    const std::optional<uint64_t> number =
        value.kind() == JsonKind::kInteger ? value.as_uint64() : std::nullopt;
    if (!number) return TypeError(value, dtype_);
    if (dtype_ == DataType::kUint64) return Append(*number);
    if (*number > std::numeric_limits<uint32_t>::max()) return TypeError(value, dtype_);
    return Append(static_cast<uint32_t>(*number));
  }
  Status AddString(JsonValue value) {
    std::string text;
    if (value.is_object()) {
      if (!IsBase64Object(value)) {
        return InvalidArgument(
            StrCat("JSON Value: ", JsonTextOf(value), " not formatted correctly for base64 data"));
      }
      ASSIGN_OR_RETURN(text, Base64Of(value));
    } else if (value.is_string()) {
      text = value.text();
    } else {
      return TypeError(value, dtype_);
    }
    RETURN_IF_ERROR(budget_->Take(sizeof(std::string) + text.size()));
    strings_.push_back(std::move(text));
    ++count_;
    return OkStatus();
  }

  const DataType dtype_;
  Budget* const budget_;
  uint64_t count_ = 0;
  std::string bytes_;
  std::vector<std::string> strings_;
};

// The shape that a value would have if all of it were as its first elements are.
Shape ShapeOf(JsonValue value) {
  Shape out;
  while (value.is_array()) {
    out.push_back(value.size());
    if (value.size() == 0) break;
    value = value.front();
  }
  return out;
}

// Adds all elements of `value`, whose shape is `shape`.
Status AddAll(JsonValue value, const Shape& shape, size_t level, Elements* out) {
  if (!value.is_array()) {
    if (level == shape.size()) {
      return out->Add(value);
    }
    return InvalidArgument(StrCat("JSON Value: ", JsonTextOf(value),
                                  " found at incorrect level: ", level + 1,
                                  " in the JSON DOM. Expected at level: ", shape.size()));
  }
  if (level >= shape.size()) {
    return InvalidArgument(
        StrCat("Encountered list at unexpected level: ", level, " expected < ", shape.size()));
  }
  if (value.size() != static_cast<uint64_t>(shape[level])) {
    return InvalidArgument(StrCat("Encountered list at unexpected size: ", value.size(),
                                  " at level: ", level, " expected size: ", shape[level]));
  }
  return value.ForEach([&](JsonValue element) { return AddAll(element, shape, level + 1, out); });
}

Result<Value> TensorOf(JsonValue value, DataType dtype, Budget* budget) {
  const Shape shape = ShapeOf(value);
  Elements elements(dtype, budget);
  RETURN_IF_ERROR(AddAll(value, shape, 0, &elements));
  return elements.Take(shape);
}

// One input while the rows of "instances" come.
struct RowInput {
  explicit RowInput(Elements e) : elements(std::move(e)) {}
  Elements elements;
  std::optional<Shape> shape;  // of one row, once there is one
  uint64_t row_elements = 0;
};

class RowReader {
 public:
  RowReader(const std::map<std::string, Field>& inputs, Budget* budget) {
    for (const auto& [alias, field] : inputs)
      inputs_.emplace(alias, RowInput(Elements(field.dtype, budget)));
  }

  Status Read(JsonValue instances) {
    if (!instances.front().is_object() && inputs_.size() > 1) {
      return InvalidArgument(
          "instances is a plain list, but expecting list of objects as multiple input tensors "
          "required as per tensorinfo_map");
    }
    const bool objects = IsRowObject(instances.front());
    return instances.ForEach([&](JsonValue element) {
      RETURN_IF_ERROR(objects ? ReadObject(element) : ReadPlain(element));
      ++rows_;
      return OkStatus();
    });
  }

  Result<std::map<std::string, Value>> Take() {
    std::map<std::string, Value> out;
    for (auto& [alias, input] : inputs_) {
      Shape shape = {static_cast<int64_t>(rows_)};
      for (const int64_t d : *input.shape) shape.push_back(d);
      ASSIGN_OR_RETURN(Value value, input.elements.Take(shape));
      out.emplace(alias, std::move(value));
    }
    return out;
  }

 private:
  static bool IsRowObject(JsonValue value) { return value.is_object() && !IsBase64Object(value); }

  Status ReadPlain(JsonValue element) {
    if (IsRowObject(element)) {
      return InvalidArgument(
          StrCat("Expecting value/list but got object at item ", rows_, " of input list"));
    }
    const Status status = Add(element, &inputs_.begin()->second);
    if (status.ok() || status.code() == Code::kResourceExhausted) return status;
    return InvalidArgument(StrCat("Failed to process element: ", rows_,
                                  " of 'instances' list. Error: ", status.ToString()));
  }

  Status ReadObject(JsonValue element) {
    if (!IsRowObject(element)) {
      return InvalidArgument(
          StrCat("Expecting object but got list at item ", rows_, " of input list"));
    }
    std::set<std::string_view> seen;
    RETURN_IF_ERROR(element.ForEachMember([&](std::string_view key, JsonValue value) {
      const auto input = inputs_.find(key);
      Status status;
      if (input == inputs_.end()) {
        status = InvalidArgument(StrCat("JSON object: does not have named input: ", key));
      } else if (seen.insert(key).second) {
        status = Add(value, &input->second);
      } else {
        status = InvalidArgument(StrCat("JSON object: has named input twice: ", key));
      }
      if (status.ok() || status.code() == Code::kResourceExhausted) return status;
      return InvalidArgument(StrCat("Failed to process element: ", rows_, " key: ", key,
                                    " of 'instances' list. Error: ", status.ToString()));
    }));
    if (seen.size() == inputs_.size()) return OkStatus();
    std::vector<std::string_view> names;
    for (const auto& [alias, input] : inputs_) names.push_back(alias);
    return InvalidArgument(StrCat("Failed to process element: ", rows_,
                                  " of 'instances' list. JSON object: ", JsonTextOf(element),
                                  " keys must be equal to: ", Join(names, ",")));
  }

  static Status Add(JsonValue value, RowInput* input) {
    const Shape shape = ShapeOf(value);
    const uint64_t before = input->elements.count();
    RETURN_IF_ERROR(AddAll(value, shape, 0, &input->elements));
    const uint64_t added = input->elements.count() - before;
    if (!input->shape) {
      input->shape = shape;
      input->row_elements = added;
    } else if (added != input->row_elements) {
      return InvalidArgument(
          StrCat("Expecting tensor size: ", input->row_elements, " but got: ", added));
    } else if (shape != *input->shape) {
      return InvalidArgument(
          StrCat("Expecting shape ", ShapeText(*input->shape), " but got: ", ShapeText(shape)));
    }
    return OkStatus();
  }

  std::map<std::string, RowInput, std::less<>> inputs_;
  uint64_t rows_ = 0;
};

Result<std::map<std::string, Value>> ReadColumns(JsonValue value,
                                                 const std::map<std::string, Field>& inputs,
                                                 Budget* budget) {
  std::map<std::string, Value> out;
  if (!value.is_object() || IsBase64Object(value)) {
    if (inputs.size() > 1) {
      return InvalidArgument(
          "inputs is a plain value/list, but expecting an object as multiple input tensors "
          "required as per tensorinfo_map");
    }
    ASSIGN_OR_RETURN(Value tensor, TensorOf(value, inputs.begin()->second.dtype, budget));
    out.emplace(inputs.begin()->first, std::move(tensor));
    return out;
  }
  for (const auto& [alias, field] : inputs) {
    const std::optional<JsonValue> item = value.Find(alias);
    if (!item)
      return InvalidArgument(StrCat("Missing named input: ", alias, " in 'inputs' object."));
    ASSIGN_OR_RETURN(Value tensor, TensorOf(*item, field.dtype, budget));
    out.emplace(alias, std::move(tensor));
  }
  return out;
}

}  // namespace

Result<std::string> RestSignatureOf(JsonValue root) {
  if (!root.is_object()) return FormatError(root, "Is not object");
  const std::optional<JsonValue> name = root.Find(kSignatureKey);
  if (!name) return std::string();
  if (name->is_string()) return std::string(name->text());
  return FormatError(root, "not formatted correctly. 'signature_name' key must be a string value.");
}

Result<RestPredictRequest> ParseRestPredict(std::string_view body, const FindInputs& find,
                                            uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(body));
  const JsonValue root = document.root();
  RestPredictRequest out;
  ASSIGN_OR_RETURN(out.signature, RestSignatureOf(root));
  using Fields = std::map<std::string, Field>;
  ASSIGN_OR_RETURN(const Fields* inputs, find(out.signature));
  if (inputs->empty()) {
    return InvalidArgument(StrCat("Failed to get input map for signature: ",
                                  out.signature.empty() ? "DEFAULT" : out.signature));
  }
  Budget budget{max_bytes};
  const std::optional<JsonValue> rows = root.Find(kInstancesKey), columns = root.Find(kInputsKey);
  if (!rows && !columns) return InvalidArgument("Missing 'inputs' or 'instances' key");
  if (rows && columns) {
    return FormatError(root,
                       "Not formatted correctly expecting only one of 'inputs' or 'instances' "
                       "keys to exist ");
  }
  if (columns) {
    out.format = RestFormat::kColumns;
    ASSIGN_OR_RETURN(out.inputs, ReadColumns(*columns, *inputs, &budget));
    return out;
  }
  if (!rows->is_array()) return FormatError(root, "Expecting 'instances' to be an list/array");
  if (rows->size() == 0) return FormatError(root, "No values in 'instances' array");
  RowReader reader(*inputs, &budget);
  RETURN_IF_ERROR(reader.Read(*rows));
  ASSIGN_OR_RETURN(out.inputs, reader.Take());
  return out;
}

}  // namespace megalith::serving
