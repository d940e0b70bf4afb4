// Bodies of TensorFlow Serving's REST answers, byte for byte (tf-serving.md section 7.3).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/learning/serving/inference.h"
#include "common/learning/serving/rest/rest_request.h"

namespace megalith::serving {

// The outputs of a prediction in the form of its request. Errors: kInvalidArgument  no output, an
// output without rows or with another number of them (kRows), a type that JSON has no form for.
Result<std::string> RestPredictions(const Outputs& outputs, RestFormat format);

// Errors: kInvalidArgument  there is none.
Result<std::string> RestClasses(const std::vector<std::vector<Class>>& classes);
Result<std::string> RestRegressions(const std::vector<float>& values);

// {"error": "..."}.
std::string RestError(std::string_view message);

// The status line's number for a code: 404 for kNotFound.
int HttpStatusOf(Code code);

}  // namespace megalith::serving
