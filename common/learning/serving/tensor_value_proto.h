// Conversion between TensorFlow's TensorProto and values; nothing else (tf-serving.md section 2).
#pragma once

#include <cstdint>

#include "common/learning/serving/value.h"
#include "tensorflow/core/framework/tensor.pb.h"

namespace megalith::serving {

// The tensor that TensorFlow's own decoder makes of `proto`: typed lists are repeated or cut,
// tensor_content must fit exactly. Never allocates more than `max_bytes` for elements.
// Errors: kInvalidArgument    what TensorFlow does not decode either, and types without a row in
//                             value.h;
//         kResourceExhausted  more than `max_bytes`.
Result<Value> DecodeTensor(const tensorflow::TensorProto& proto, uint64_t max_bytes);

// As a stock server answers: typed lists with every element, or `as_content`. Requires a value
// whose dtype has a row.
void EncodeTensor(const Value& value, bool as_content, tensorflow::TensorProto* proto);

}  // namespace megalith::serving
