// Answers of a model server, without its wire: the checks of TensorFlow Serving in its order and
// with its texts (tf-serving.md sections 3.2 to 3.4), then the run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/signature.h"

namespace megalith::serving {

struct InferenceOptions {
  // Signatures must have the method of the call (a flag of the stock server, off by default).
  bool check_method_name = false;
};

// What a request holds under one alias: a value, or why its bytes are none.
using Inputs = std::map<std::string, Result<Value>>;

// Outputs of `signature` ("serving_default" if empty): those of `filter`, or all.
// Errors: kFailedPrecondition  no such signature; kInvalidArgument  inputs or filter that do not
//         fit; those of RunSignature.
Result<Outputs> Predict(const Servable& servable, std::string_view signature, const Inputs& inputs,
                        const std::vector<std::string>& filter, const InferenceOptions& options,
                        const Cancellation& cancellation);

struct Class {
  std::string label;
  float score = 0;
};

// The classes of each Example, in the order of the model's output. `examples` are serialized, with
// the context's bytes in front. Errors: kInvalidArgument, with the texts of section 3.3.
Result<std::vector<std::vector<Class>>> Classify(const Servable& servable,
                                                 std::string_view signature,
                                                 const std::vector<std::string>& examples,
                                                 const InferenceOptions& options,
                                                 const Cancellation& cancellation);

// One value for each Example. Errors: as above.
Result<std::vector<float>> Regress(const Servable& servable, std::string_view signature,
                                   const std::vector<std::string>& examples,
                                   const InferenceOptions& options,
                                   const Cancellation& cancellation);

// `signature`, or serving_default if it is empty.
std::string EffectiveSignature(std::string_view signature);

}  // namespace megalith::serving
