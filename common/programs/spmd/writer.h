// Appends operations to a function; not for users of the library.
#pragma once

#include <string_view>
#include <vector>

#include "common/programs/stablehlo/module.h"

namespace megalith::spmd {

using stablehlo::Dims;
using stablehlo::Shape;
using stablehlo::ValueId;

// Requires operands that the function has, of types that fit. Not thread-safe.
class FuncWriter {
 public:
  // `out` must outlive it.
  explicit FuncWriter(stablehlo::Func* out) : out_(out), ops_(&out->body.ops) {}

  const stablehlo::TensorType& Type(ValueId v) const { return out_->type(v); }
  std::vector<stablehlo::Op>& ops() { return *ops_; }  // of the region that is being written
  // Goes on in another region; gives the one before.
  std::vector<stablehlo::Op>* Enter(std::vector<stablehlo::Op>* region);

  ValueId NewValue(stablehlo::TensorType type) { return out_->AddValue(std::move(type)); }
  // Gives `op` results of these types.
  void SetResults(stablehlo::Op* op, const std::vector<stablehlo::TensorType>& results);
  // Valid until the next one.
  stablehlo::Op& Add(std::string_view name, std::vector<ValueId> operands,
                     stablehlo::AttrDict attrs, const std::vector<stablehlo::TensorType>& results);
  ValueId Slice(ValueId v, const Dims& start, const Shape& shape);
  // Part `i` of `n` along a dimension, which they divide.
  ValueId Chunk(ValueId v, size_t dim, int64_t n, int64_t i);
  ValueId Concat(const std::vector<ValueId>& parts, size_t dim);
  ValueId Reshape(ValueId v, const stablehlo::TensorType& type);
  // Every element is `scalar`, which is of the type's element type.
  ValueId Splat(const stablehlo::TensorType& type, const tensor::Tensor& scalar);
  // kResourceExhausted without memory for one element.
  Result<ValueId> Zeros(const stablehlo::TensorType& type);

 private:
  stablehlo::Func* const out_;
  std::vector<stablehlo::Op>* ops_;
};

}  // namespace megalith::spmd
