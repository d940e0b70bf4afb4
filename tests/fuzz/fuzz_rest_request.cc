// Bodies of TensorFlow Serving's REST API: what is understood is written as JSON that reads back,
// and Examples become bytes that the parser of Examples takes. The same bytes as a path.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/serving/example_parser.h"
#include "common/learning/serving/rest/json_writer.h"
#include "common/learning/serving/rest/rest_request.h"
#include "common/learning/serving/rest/rest_response.h"
#include "common/learning/serving/rest/rest_url.h"

namespace {

using namespace megalith::serving;
using megalith::Code;
using megalith::Status;

constexpr uint64_t kMaxBytes = 1 << 20;
using Fields = std::map<std::string, Field>;

Fields FieldsOf(const std::vector<std::pair<std::string, DataType>>& types) {
  Fields out;
  for (const auto& [alias, dtype] : types) out[alias].dtype = dtype;
  return out;
}

// Whatever a client sends is its own fault, never ours.
void CheckCode(const Status& status) {
  CHECK(status.code() == Code::kInvalidArgument || status.code() == Code::kUnimplemented ||
        status.code() == Code::kResourceExhausted);
}

void CheckPredict(std::string_view body, const Fields& fields) {
  const auto find = [&fields](const std::string&) {
    return megalith::Result<const Fields*>(&fields);
  };
  const auto request = ParseRestPredict(body, find, kMaxBytes);
  if (!request.ok()) return CheckCode(request.status());
  CHECK(request->inputs.size() == fields.size());
  for (const RestFormat format : {RestFormat::kRows, RestFormat::kColumns}) {
    const auto answer = RestPredictions(request->inputs, format);
    if (!answer.ok()) {
      CheckCode(answer.status());
    } else {
      CHECK(JsonDocument::Parse(*answer).ok());
    }
  }
}

void CheckExamples(std::string_view body) {
  const auto request = ParseRestExamples(body, kMaxBytes);
  if (!request.ok()) return CheckCode(request.status());
  const std::vector<Feature> features = {
      {.key = "x", .argument = 0, .dtype = DataType::kFloat, .length = 1, .required = false},
      {.key = "s", .argument = 1, .dtype = DataType::kString, .length = 1, .required = false}};
  std::vector<Value> arguments(2);
  const Status parsed = ParseExamples(features, request->examples, &arguments);
  if (!parsed.ok()) CheckCode(parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Fields kOne = FieldsOf({{"x", DataType::kFloat}}),
                      kText = FieldsOf({{"text", DataType::kString}}),
                      kMany = FieldsOf({{"a", DataType::kInt8}, {"scale", DataType::kUint64}}),
                      kOther = FieldsOf({{"x", DataType::kHalf}});
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const Fields* fields : {&kOne, &kText, &kMany, &kOther}) CheckPredict(bytes, *fields);
  CheckExamples(bytes);
  for (const char* method : {"GET", "POST"}) {
    const auto target = ParseRestPath(method, bytes);
    if (!target.ok()) CheckCode(target.status());
  }
  const auto document = JsonDocument::Parse(bytes);
  if (document.ok()) {
    std::string copy;
    JsonWriter(&copy).Copy(document->root(), SIZE_MAX);
    CHECK(JsonDocument::Parse(copy).ok());
  }
  return 0;
}
