#include "services/compile/compile_proto.h"

#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::services {

compile::v1::Signature SignatureToProto(const Signature& signature) {
  compile::v1::Signature proto;
  for (const tensor::ArrayType& t : signature.inputs) *proto.add_inputs() = tensor::TypeToProto(t);
  for (const tensor::ArrayType& t : signature.outputs)
    *proto.add_outputs() = tensor::TypeToProto(t);
  return proto;
}

compile::v1::CostEstimate CostToProto(const CostEstimate& cost) {
  compile::v1::CostEstimate proto;
  proto.set_flops(cost.flops);
  proto.set_transcendentals(cost.transcendentals);
  proto.set_bytes_accessed(cost.bytes_accessed);
  proto.set_peak_bytes(cost.peak_bytes);
  return proto;
}

}  // namespace megalith::services
