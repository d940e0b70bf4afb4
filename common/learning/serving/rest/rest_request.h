// Bodies of TensorFlow Serving's REST requests as what a model takes (tf-serving.md section 7.2).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/rest/json.h"
#include "common/learning/serving/signature.h"

namespace megalith::serving {

// How the tensors of a request, and then those of its answer, are written.
enum class RestFormat : uint8_t {
  kRows,     // "instances": one element for each row
  kColumns,  // "inputs": one value for each tensor
};

struct RestPredictRequest {
  std::string signature;  // as it was sent; may be empty
  RestFormat format = RestFormat::kRows;
  std::map<std::string, Value> inputs;  // by alias
};

// The inputs of the signature of that name; how long they live is the caller's matter.
using FindInputs =
    std::function<Result<const std::map<std::string, Field>*>(const std::string& signature)>;

// Asks `find` once the body turns out to be JSON. The tensors take at most `max_bytes` together.
// Errors: kInvalidArgument    with the texts of section 7.2;
//         kUnimplemented      a type that JSON has no form for, in "inputs";
//         kResourceExhausted  more than `max_bytes`; those of `find`.
Result<RestPredictRequest> ParseRestPredict(std::string_view body, const FindInputs& find,
                                            uint64_t max_bytes);

struct RestExamplesRequest {
  std::string signature;
  // Serialized tensorflow.Example each, with the context's bytes in front.
  std::vector<std::string> examples;
};

// A body of classify or regress. The Examples take at most `max_bytes` together.
// Errors: kInvalidArgument, with the texts of section 7.2; kResourceExhausted.
Result<RestExamplesRequest> ParseRestExamples(std::string_view body, uint64_t max_bytes);

// What both kinds of bodies have: the signature's name; empty if there is none.
// Errors: kInvalidArgument  the body is no object, the name is no string.
Result<std::string> RestSignatureOf(JsonValue root);

}  // namespace megalith::serving
