// Inputs of TensorFlow Serving's PredictRequest, and the same bytes as an Example: what is decoded
// reads back equal from both forms of an answer.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/serving/example_parser.h"
#include "common/learning/serving/tensor_value_proto.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace {

using namespace megalith::serving;

constexpr uint64_t kMaxBytes = 1 << 20;

bool Equal(const Value& a, const Value& b) {
  if (a.dtype != b.dtype || !(a.shape() == b.shape())) return false;
  return a.dtype == DataType::kString ? a.strings == b.strings : a.tensor.BitEquals(b.tensor);
}

void CheckTensor(const tensorflow::TensorProto& proto) {
  const auto value = DecodeTensor(proto, kMaxBytes);
  if (!value.ok()) return;
  for (const bool as_content : {false, true}) {
    tensorflow::TensorProto answer;
    EncodeTensor(*value, as_content, &answer);
    const auto back = DecodeTensor(answer, kMaxBytes);
    CHECK(back.ok());
    // Signalling NaNs may become quiet on the way through a list of floats.
    CHECK(back->shape() == value->shape());
    if (as_content) CHECK(Equal(*back, *value));
  }
}

void CheckExample(const std::string& bytes) {
  std::vector<Value> arguments(3);
  const std::vector<Feature> features = {
      {.key = "x", .argument = 0, .dtype = DataType::kFloat, .length = 2, .required = false},
      {.key = "n", .argument = 1, .dtype = DataType::kInt64, .length = 1, .required = false},
      {.key = "s", .argument = 2, .dtype = DataType::kString, .length = 1, .required = false}};
  (void)ParseExamples(features, {bytes, bytes}, &arguments);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  CheckExample(std::string(reinterpret_cast<const char*>(data), size));
  tensorflow::serving::PredictRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return 0;
  for (const auto& [alias, proto] : request.inputs()) CheckTensor(proto);
  return 0;
}
