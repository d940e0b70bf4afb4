#include "common/foundation/tensor/tensor_proto.h"

#include <string>

#include "common/foundation/base/strings.h"

namespace megalith::tensor {
namespace {

// `Proto` has dtype and dims.
template <typename Proto>
Result<ArrayType> ParseType(const Proto& proto) {
  const std::optional<DType> dtype = DTypeFromName(proto.dtype());
  if (!dtype) return InvalidArgument(StrCat("unknown dtype '", Printable(proto.dtype()), "'"));
  if (proto.dims_size() > kMaxWireRank) {
    return InvalidArgument(StrCat("array has ", proto.dims_size(), " dimensions, at most ",
                                  kMaxWireRank, " are allowed"));
  }
  ArrayType out{.dtype = *dtype, .shape = {}, .weak_type = false};
  for (const int64_t size : proto.dims()) {
    if (size < 0) return InvalidArgument(StrCat("array has a dimension of negative size ", size));
    out.shape.push_back(size);
  }
  return out;
}

}  // namespace

Result<ArrayType> TypeFromProto(const common::v1::TypeProto& proto) {
  ASSIGN_OR_RETURN(ArrayType type, ParseType(proto));
  type.weak_type = proto.weak_type();
  return type;
}

common::v1::TypeProto TypeToProto(const ArrayType& type) {
  common::v1::TypeProto proto;
  proto.set_dtype(std::string(Name(type.dtype)));
  proto.mutable_dims()->Add(type.shape.begin(), type.shape.end());
  proto.set_weak_type(type.weak_type);
  return proto;
}

Result<Tensor> TensorFromProto(const common::v1::TensorProto& proto, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const ArrayType type, ParseType(proto));
  if (proto.data().size() > max_bytes) {
    return ResourceExhausted(
        StrCat("array has ", proto.data().size(), " bytes, at most ", max_bytes, " are allowed"));
  }
  return Tensor::FromBytes(type.dtype, type.shape, proto.data());
}

common::v1::TensorProto TensorToProto(const Tensor& tensor) {
  common::v1::TensorProto proto;
  proto.set_dtype(std::string(Name(tensor.dtype())));
  proto.mutable_dims()->Add(tensor.shape().begin(), tensor.shape().end());
  proto.set_data(std::string(tensor.bytes()));
  return proto;
}

}  // namespace megalith::tensor
