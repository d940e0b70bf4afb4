// What dot_general and convolution share: the type products are computed in, and operands brought
// into that type and into the order of dimensions the matrix product wants.
#pragma once

#include <vector>

#include "common/programs/stablehlo/kernels/kernel.h"
#include "common/programs/stablehlo/kernels/spans.h"

namespace megalith::stablehlo {

// f64 if an operand or the result is, else f32, for floats (complex: of the parts); u64 if any
// integer has 64 bits, else u32, for integers and booleans, which are exact modulo a power of two.
DType ProductType(DType lhs, DType rhs, DType result);

// An operand as one or two planes (complex: real and imaginary part) of the product type,
// dimensions permuted.
struct Planes {
  std::vector<Tensor> plane;
};
// `round_to` is a narrower float that elements are rounded to first, or kInvalid.
Result<Planes> ToPlanes(const Tensor& t, const Dims& permutation, DType product, DType round_to,
                        const Run& run);

// planes -> a tensor of `type`, whose dimension permutation[i] is dimension i of the planes.
Result<Tensor> FromPlanes(Planes planes, const Shape& planes_shape, const Dims& permutation,
                          const TensorType& type, const Run& run);

// out = product(lhs, rhs) on planes: one real product, or four for complex operands.
// `multiply(a, b, c)` computes into c, all of the product type.
Result<Planes> MultiplyPlanes(
    const Planes& lhs, const Planes& rhs, const TensorType& out_plane, const Run& run,
    const std::function<Status(const Tensor& a, const Tensor& b, Tensor* c)>& multiply);

// Calls `visit` with a null pointer of the product type's C++ type.
template <typename Visit>
Status VisitProductType(DType product, const Visit& visit) {
  switch (product) {
    case DType::kF32:
      return visit(static_cast<float*>(nullptr));
    case DType::kF64:
      return visit(static_cast<double*>(nullptr));
    case DType::kU32:
      return visit(static_cast<uint32_t*>(nullptr));
    default:
      return visit(static_cast<uint64_t*>(nullptr));
  }
}

}  // namespace megalith::stablehlo
