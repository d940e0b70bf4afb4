#include "common/foundation/tensor/physical.h"

#include "common/foundation/base/strings.h"

namespace megalith::tensor {

ArrayType PhysicalType(const ArrayType& type) {
  if (IsFloat0(type.dtype))
    return {.dtype = DType::kBool, .shape = type.shape, .weak_type = type.weak_type};
  if (!IsKey(type.dtype)) return type;
  Shape shape = type.shape;
  shape.push_back(ByteWidth(type.dtype) / 4);
  return {.dtype = DType::kU32, .shape = shape, .weak_type = type.weak_type};
}

Tensor ToPhysical(const Tensor& t) {
  if (IsFloat0(t.dtype())) return *Tensor::Create(DType::kBool, t.shape());
  if (!IsKey(t.dtype())) return t;
  const ArrayType type = PhysicalType({.dtype = t.dtype(), .shape = t.shape(), .weak_type = false});
  return Tensor::View(type.dtype, type.shape, t.data(), std::make_shared<Tensor>(t));
}

Result<Tensor> FromPhysical(const Tensor& t, const ArrayType& type) {
  const ArrayType physical = PhysicalType(type);
  if (t.dtype() != physical.dtype || !(t.shape() == physical.shape)) {
    return Internal(StrCat("a result has type ", t.TypeText(), ", the program says ",
                           TypeText(type.dtype, type.shape)));
  }
  if (IsFloat0(type.dtype)) return Tensor::Create(DType::kFloat0, type.shape);
  if (!IsKey(type.dtype)) return t;
  return Tensor::View(type.dtype, type.shape, t.data(), std::make_shared<Tensor>(t));
}

}  // namespace megalith::tensor
