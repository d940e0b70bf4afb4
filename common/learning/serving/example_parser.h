// Examples as input of a program: serialized tensorflow.Example messages to one argument per
// feature, as TensorFlow's parser does (tf-serving.md section 3.3).
#pragma once

#include <string>
#include <vector>

#include "common/learning/serving/signature.h"

namespace megalith::serving {

// Sets (*arguments)[f.argument] for each feature: [examples] for scalars, else [examples, length].
// A feature that an Example does not have takes its default, or zeros; features that no one asks
// for are skipped. Where bytes of two messages stand one after the other, the later one's features
// win. Requires that every f.argument is in range.
// Errors: kInvalidArgument  bytes that are no Example, a feature of another kind or length, a
//         required one that is missing, with TensorFlow's texts; kResourceExhausted.
Status ParseExamples(const std::vector<Feature>& features,
                     const std::vector<std::string>& serialized, std::vector<Value>* arguments);

}  // namespace megalith::serving
