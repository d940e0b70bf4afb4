// Conversion between arrays and their wire form; nothing else.
#pragma once

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"
#include "common/foundation/tensor/tensor.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::tensor {

// Largest number of dimensions that the wire form may have.
inline constexpr int kMaxWireRank = 64;

// Errors: kInvalidArgument  unknown dtype, negative size, more than kMaxWireRank dimensions.
Result<ArrayType> TypeFromProto(const common::v1::TypeProto& proto);
common::v1::TypeProto TypeToProto(const ArrayType& type);

// Copies the bytes.
// Errors: kInvalidArgument  as TypeFromProto; bytes that are not as many as dtype and dims say; a
// bool that is neither
//   0 nor 1. kResourceExhausted  more than `max_bytes` bytes of elements.
Result<Tensor> TensorFromProto(const common::v1::TensorProto& proto,
                               uint64_t max_bytes = UINT64_MAX);
common::v1::TensorProto TensorToProto(const Tensor& tensor);

}  // namespace megalith::tensor
