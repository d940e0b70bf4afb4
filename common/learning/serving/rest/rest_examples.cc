// Examples of classify and regress, written as the bytes that clients of the gRPC API send.
#include <bit>
#include <limits>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"
#include "common/learning/serving/rest/json.h"
#include "common/learning/serving/rest/json_writer.h"
#include "common/learning/serving/rest/rest_request.h"

namespace megalith::serving {
namespace {

constexpr std::string_view kExamplesKey = "examples";
constexpr std::string_view kContextKey = "context";

// Field numbers (persistent: owned by TensorFlow): Example.features, Features.feature, the key and
// value of its entries, and `value` of the three lists.
constexpr uint32_t kFeatures = 1, kFeature = 1, kEntryKey = 1, kEntryValue = 2, kListValue = 1;

// Numbers are the fields of tensorflow.Feature (persistent: owned by TensorFlow).
enum class FeatureKind : uint32_t { kNone = 0, kBytes = 1, kFloat = 2, kInt64 = 3 };

std::string_view NameOf(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::kBytes:
      return "bytes";
    case FeatureKind::kFloat:
      return "float";
    case FeatureKind::kInt64:
      return "int64";
    case FeatureKind::kNone:
      break;
  }
  return "UNKNOWN";
}

// The list of one feature, as wire bytes.
class FeatureWriter {
 public:
  explicit FeatureWriter(std::string_view name) : name_(name), values_(&bytes_) {}

  Status Add(JsonValue value) {
    switch (value.kind()) {
      case JsonKind::kTrue:
      case JsonKind::kFalse:
        RETURN_IF_ERROR(Expect(FeatureKind::kInt64));
        values_.Varint(kListValue, value.kind() == JsonKind::kTrue ? 1 : 0);
        return OkStatus();
      case JsonKind::kInteger: {
        RETURN_IF_ERROR(Expect(FeatureKind::kInt64));
        const std::optional<int64_t> number = value.as_int64();
        if (!number) {
          return InvalidArgument(
              StrCat("Feature: ", name_, " has uint64 element. Only int64 is supported."));
        }
        values_.Varint(kListValue, static_cast<uint64_t>(*number));
        return OkStatus();
      }
      case JsonKind::kDouble:
        RETURN_IF_ERROR(Expect(FeatureKind::kFloat));
        values_.Float(kListValue, static_cast<float>(value.number()));
        return OkStatus();
      case JsonKind::kString:
        RETURN_IF_ERROR(Expect(FeatureKind::kBytes));
        values_.Bytes(kListValue, value.text());
        return OkStatus();
      case JsonKind::kObject:
        if (IsBase64Object(value)) {
          RETURN_IF_ERROR(Expect(FeatureKind::kBytes));
          ASSIGN_OR_RETURN(const std::string bytes, Base64Of(value));
          values_.Bytes(kListValue, bytes);
          return OkStatus();
        }
        break;
      case JsonKind::kArray:
      case JsonKind::kNull:
        break;
    }
    return InvalidArgument(StrCat("Feature: ", name_,
                                  " has element with unexpected JSON type: ", JsonTypeName(value)));
  }

  void WriteTo(records::WireWriter* feature) const {
    if (kind_ != FeatureKind::kNone) feature->Bytes(static_cast<uint32_t>(kind_), bytes_);
  }

 private:
  Status Expect(FeatureKind kind) {
    if (kind_ == FeatureKind::kNone) kind_ = kind;
    if (kind_ == kind) return OkStatus();
    return InvalidArgument(
        StrCat("Unexpected element type in feature: ", name_, " expecting type: ", NameOf(kind_)));
  }

  const std::string_view name_;
  FeatureKind kind_ = FeatureKind::kNone;
  std::string bytes_;
  records::WireWriter values_;
};

Result<std::string> ExampleOf(JsonValue value) {
  if (!value.is_object()) {
    return InvalidArgument(
        StrCat("Example must be JSON object but got JSON ", JsonTypeName(value)));
  }
  std::string out;
  records::WireWriter writer(&out);
  const size_t features = writer.Begin(kFeatures);
  RETURN_IF_ERROR(value.ForEachMember([&](std::string_view name, JsonValue content) {
    FeatureWriter feature(name);
    if (content.is_array()) {
      RETURN_IF_ERROR(content.ForEach([&](JsonValue element) { return feature.Add(element); }));
    } else {
      RETURN_IF_ERROR(feature.Add(content));
    }
    const size_t entry = writer.Begin(kFeature);
    writer.Bytes(kEntryKey, name);
    const size_t entry_value = writer.Begin(kEntryValue);
    feature.WriteTo(&writer);
    writer.End(entry_value);
    writer.End(entry);
    return OkStatus();
  }));
  writer.End(features);
  return out;
}

Status FormatError(JsonValue value, std::string_view what) {
  return InvalidArgument(StrCat("JSON Value: ", JsonTextOf(value), " ", what));
}

// The body is named in messages as a whole, which says "classify" for both methods.
Result<JsonValue> ExamplesOf(JsonValue root) {
  const std::optional<JsonValue> examples = root.Find(kExamplesKey);
  if (!examples) {
    return FormatError(root,
                       "When method is classify, key 'examples' is expected and was not found");
  }
  if (!examples->is_array())
    return FormatError(root, "Expecting 'examples' value to be an list/array");
  if (examples->size() == 0) return FormatError(root, "'examples' value is an empty array");
  return *examples;
}

}  // namespace

Result<RestExamplesRequest> ParseRestExamples(std::string_view body, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(body));
  const JsonValue root = document.root();
  RestExamplesRequest out;
  ASSIGN_OR_RETURN(out.signature, RestSignatureOf(root));
  std::string context;
  if (const std::optional<JsonValue> value = root.Find(kContextKey)) {
    ASSIGN_OR_RETURN(context, ExampleOf(*value));
  }
  ASSIGN_OR_RETURN(const JsonValue examples, ExamplesOf(root));
  uint64_t left = max_bytes;
  RETURN_IF_ERROR(examples.ForEach([&](JsonValue value) -> Status {
    ASSIGN_OR_RETURN(const std::string example, ExampleOf(value));
    const uint64_t bytes = sizeof(std::string) + context.size() + example.size();
    if (bytes > left) {
      return ResourceExhausted(
          "the examples of the request take more memory than a request may: send fewer of them");
    }
    left -= bytes;
    out.examples.push_back(context + example);
    return OkStatus();
  }));
  return out;
}

}  // namespace megalith::serving
