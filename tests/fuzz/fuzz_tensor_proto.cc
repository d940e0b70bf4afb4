// Tensors from the wire: what is accepted goes out as it came in.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor_proto.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  megalith::common::v1::TensorProto proto;
  if (!proto.ParseFromArray(data, static_cast<int>(size))) return 0;
  const auto tensor = megalith::tensor::TensorFromProto(proto, 1 << 20);
  if (!tensor.ok()) return 0;
  const auto back = megalith::tensor::TensorFromProto(megalith::tensor::TensorToProto(*tensor));
  CHECK(back.ok() && back->BitEquals(*tensor));
  return 0;
}
