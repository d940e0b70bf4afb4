#include "common/programs/spmd/writer.h"

#include <utility>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::spmd {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::Op;
using stablehlo::TensorType;

std::vector<Op>* FuncWriter::Enter(std::vector<Op>* region) { return std::exchange(ops_, region); }

Op& FuncWriter::Add(std::string_view name, std::vector<ValueId> operands, AttrDict attrs,
                    const std::vector<TensorType>& results) {
  Op op;
  op.def = stablehlo::FindOp(name);
  op.operands = std::move(operands);
  op.attrs = std::move(attrs);
  SetResults(&op, results);
  ops_->push_back(std::move(op));
  return ops_->back();
}

void FuncWriter::SetResults(Op* op, const std::vector<TensorType>& results) {
  op->num_results = static_cast<uint32_t>(results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const ValueId v = out_->AddValue(results[i]);
    if (i == 0) op->first_result = v;
  }
}

ValueId FuncWriter::Slice(ValueId v, const Dims& start, const Shape& shape) {
  if (Type(v).shape == shape) return v;
  Dims limit;
  for (size_t d = 0; d < shape.size(); ++d) limit.push_back(start[d] + shape[d]);
  AttrDict attrs;
  SetAttr(&attrs, "start_indices", Attr::Ints(start));
  SetAttr(&attrs, "limit_indices", Attr::Ints(limit));
  SetAttr(&attrs, "strides", Attr::Ints(Dims(shape.size(), 1)));
  return Add("stablehlo.slice", {v}, std::move(attrs), {{Type(v).dtype, shape}}).result();
}

ValueId FuncWriter::Chunk(ValueId v, size_t dim, int64_t n, int64_t i) {
  Shape shape = Type(v).shape;
  shape[dim] /= n;
  Dims start(shape.size(), 0);
  start[dim] = shape[dim] * i;
  return Slice(v, start, shape);
}

ValueId FuncWriter::Concat(const std::vector<ValueId>& parts, size_t dim) {
  if (parts.size() == 1) return parts[0];
  TensorType type = Type(parts[0]);
  type.shape[dim] = 0;
  for (const ValueId p : parts) type.shape[dim] += Type(p).shape[dim];
  AttrDict attrs;
  SetAttr(&attrs, "dimension", Attr::Int(static_cast<int64_t>(dim)));
  return Add("stablehlo.concatenate", parts, std::move(attrs), {type}).result();
}

ValueId FuncWriter::Splat(const TensorType& type, const tensor::Tensor& scalar) {
  AttrDict attrs;
  SetAttr(&attrs, "value", Attr::OfDense(stablehlo::Dense{type, scalar, true, false}));
  return Add("stablehlo.constant", {}, std::move(attrs), {type}).result();
}

ValueId FuncWriter::Reshape(ValueId v, const TensorType& type) {
  return Add("stablehlo.reshape", {v}, {}, {type}).result();
}

Result<ValueId> FuncWriter::Zeros(const TensorType& type) {
  ASSIGN_OR_RETURN(const tensor::Tensor scalar, tensor::Tensor::Create(type.dtype, Shape{}));
  return Splat(type, scalar);
}

}  // namespace megalith::spmd
