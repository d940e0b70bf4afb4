// Conversion between what a model server knows and TensorFlow Serving's messages; nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/inference.h"
#include "common/learning/serving/model_manager.h"
#include "common/learning/serving/signature_spec.h"
#include "common/learning/serving/warmup.h"
#include "tensorflow_serving/apis/classification.pb.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/input.pb.h"
#include "tensorflow_serving/apis/model.pb.h"
#include "tensorflow_serving/apis/regression.pb.h"
#include "tensorflow_serving/config/model_server_config.pb.h"

namespace megalith::serving {

// signatures.pbtxt. Errors: kInvalidArgument, with line and column; another format than 1.
Result<std::vector<SignatureSpec>> ParseSignatureFile(std::string_view text);

// The text form of a ModelServerConfig (the --model_config_file). Errors: kInvalidArgument, with
// line and column.
Result<tensorflow::serving::ModelServerConfig> ParseModelServerConfig(std::string_view text);

// What a list of models says. A deprecated model_type of TENSORFLOW counts as that platform.
// Errors: kInvalidArgument  both model_type and model_platform.
Result<std::vector<ModelConfig>> ModelConfigsOf(const tensorflow::serving::ModelConfigList& list);

ServableRequest RequestOf(const tensorflow::serving::ModelSpec& spec);

// Errors in place of values for what cannot be decoded; at most `max_bytes` for all together.
Inputs InputsOf(const google::protobuf::Map<std::string, tensorflow::TensorProto>& inputs,
                uint64_t max_bytes);

// Each Example as bytes, the context's in front of each.
std::vector<std::string> ExamplesOf(const tensorflow::serving::Input& input);

// A serialized PredictionLog, as WarmupParser. The inputs of one take at most `max_bytes`.
Result<std::vector<WarmupRequest>> ParsePredictionLog(std::string_view record, uint64_t max_bytes);

void FillClasses(const std::vector<std::vector<Class>>& classes,
                 tensorflow::serving::ClassificationResult* result);
void FillRegressions(const std::vector<float>& values,
                     tensorflow::serving::RegressionResult* result);
void FillStatus(const Status& status, tensorflow::serving::StatusProto* proto);
void FillVersion(const VersionStatus& version, tensorflow::serving::ModelVersionStatus* proto);
tensorflow::serving::SignatureDefMap SignatureDefsOf(const Servable& servable);

}  // namespace megalith::serving
