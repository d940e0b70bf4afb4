#include "common/programs/stablehlo/kernels/product.h"

#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// stablehlo.convert and friends as loops, outside of any program.
Result<Tensor> Apply(SpanRule& rule, const Tensor& in, DType to, const Run& run) {
  static const Op* const kNoOp = new Op{.def = FindOp("stablehlo.convert")};
  const DType from[] = {in.dtype()};
  ASSIGN_OR_RETURN(const SpanKernel span, rule(*kNoOp, std::span<const DType>(from), to));
  ASSIGN_OR_RETURN(Tensor out, run.Allocate({to, in.shape()}));
  const void* p = in.data();
  span(&p, out.mutable_data(), in.size());
  return out;
}

bool IsIdentity(const Dims& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

Result<Tensor> Permute(const Tensor& t, const Dims& permutation, const Run& run) {
  if (IsIdentity(permutation)) return t;
  const int width = tensor::ByteWidth(t.dtype());
  const Dims strides = ByteStrides(t.shape(), width);
  Shape shape;
  Dims from;
  for (const int64_t d : permutation) {
    shape.push_back(t.shape()[static_cast<size_t>(d)]);
    from.push_back(strides[static_cast<size_t>(d)]);
  }
  ASSIGN_OR_RETURN(Tensor out, run.Allocate({t.dtype(), shape}));
  StridedCopy(out.mutable_data(), ByteStrides(shape, width), t.data(), from, shape, width);
  return out;
}

Dims Inverse(const Dims& permutation) {
  Dims out(permutation.size(), 0);
  for (size_t i = 0; i < permutation.size(); ++i)
    out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return out;
}

// a = a + sign * b
void Accumulate(Tensor* a, const Tensor& b, int sign) {
  const auto add = [&]<typename T>(T*) {
    T* x = static_cast<T*>(a->mutable_data());
    const T* y = static_cast<const T*>(b.data());
    for (int64_t i = 0; i < b.size(); ++i) x[i] = sign < 0 ? x[i] - y[i] : x[i] + y[i];
  };
  if (a->dtype() == DType::kF64) {
    add(static_cast<double*>(nullptr));
  } else {
    add(static_cast<float*>(nullptr));
  }
}

}  // namespace

DType ProductType(DType lhs, DType rhs, DType result) {
  if (tensor::IsInexact(result)) {
    const auto is_double = [](DType d) { return tensor::RealPart(d) == DType::kF64; };
    return is_double(lhs) || is_double(rhs) || is_double(result) ? DType::kF64 : DType::kF32;
  }
  const bool wide =
      tensor::BitWidth(lhs) == 64 || tensor::BitWidth(rhs) == 64 || tensor::BitWidth(result) == 64;
  return wide ? DType::kU64 : DType::kU32;
}

Result<Planes> ToPlanes(const Tensor& t, const Dims& permutation, DType product, DType round_to,
                        const Run& run) {
  ASSIGN_OR_RETURN(Tensor permuted, Permute(t, permutation, run));
  if (round_to != DType::kInvalid) {
    ASSIGN_OR_RETURN(permuted, Apply(SpanConvert, permuted, round_to, run));
  }
  Planes out;
  if (tensor::IsComplex(t.dtype())) {
    const DType part = tensor::RealPart(t.dtype());
    for (SpanRule* rule : {&SpanReal, &SpanImag}) {
      ASSIGN_OR_RETURN(Tensor plane, Apply(*rule, permuted, part, run));
      if (part != product) {
        ASSIGN_OR_RETURN(plane, Apply(SpanConvert, plane, product, run));
      }
      out.plane.push_back(std::move(plane));
    }
    return out;
  }
  if (permuted.dtype() == product) {
    out.plane.push_back(std::move(permuted));
  } else {
    ASSIGN_OR_RETURN(Tensor plane, Apply(SpanConvert, permuted, product, run));
    out.plane.push_back(std::move(plane));
  }
  return out;
}

Result<Tensor> FromPlanes(Planes planes, const Shape& planes_shape, const Dims& permutation,
                          const TensorType& type, const Run& run) {
  Tensor joined = std::move(planes.plane[0]);
  if (planes.plane.size() == 2) {
    const DType part = joined.dtype();
    const DType parts[] = {part, part};
    ASSIGN_OR_RETURN(const SpanKernel span,
                     SpanComplex(Op(), std::span<const DType>(parts), type.dtype));
    ASSIGN_OR_RETURN(Tensor out, run.Allocate({tensor::ComplexOf(part), joined.shape()}));
    const void* in[] = {joined.data(), planes.plane[1].data()};
    span(in, out.mutable_data(), out.size());
    joined = std::move(out);
  }
  if (joined.dtype() != type.dtype) {
    ASSIGN_OR_RETURN(joined, Apply(SpanConvert, joined, type.dtype, run));
  }
  return Permute(joined.Reshaped(planes_shape), Inverse(permutation), run);
}

Result<Planes> MultiplyPlanes(
    const Planes& lhs, const Planes& rhs, const TensorType& out_plane, const Run& run,
    const std::function<Status(const Tensor& a, const Tensor& b, Tensor* c)>& multiply) {
  const auto product = [&](size_t i, size_t j) -> Result<Tensor> {
    ASSIGN_OR_RETURN(Tensor c, run.Allocate(out_plane));
    RETURN_IF_ERROR(multiply(lhs.plane[i], rhs.plane[j], &c));
    return c;
  };
  Planes out;
  ASSIGN_OR_RETURN(Tensor real, product(0, 0));
  if (lhs.plane.size() == 1) {
    out.plane.push_back(std::move(real));
    return out;
  }
  ASSIGN_OR_RETURN(const Tensor minus, product(1, 1));
  Accumulate(&real, minus, -1);
  ASSIGN_OR_RETURN(Tensor imag, product(0, 1));
  ASSIGN_OR_RETURN(const Tensor plus, product(1, 0));
  Accumulate(&imag, plus, 1);
  out.plane.push_back(std::move(real));
  out.plane.push_back(std::move(imag));
  return out;
}

}  // namespace megalith::stablehlo
