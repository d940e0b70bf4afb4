// Building blocks of the elementwise loops. For spans_*.cc only.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <type_traits>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/dtype.h"
#include "common/programs/stablehlo/kernels/spans.h"

namespace megalith::stablehlo {

using c64 = std::complex<float>;
using c128 = std::complex<double>;

// The unsigned type in which arithmetic on T wraps without undefined behaviour.
template <typename T>
using Wrap = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;

// F::Apply per element. The same index is read before it is written, so `out` may be an input.
template <typename F, typename Out, typename A>
void Loop1(const void* const* in, void* out, int64_t n, const void*) {
  const A* a = static_cast<const A*>(in[0]);
  Out* o = static_cast<Out*>(out);
#ifndef __clang__
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n; ++i) o[i] = F::Apply(a[i]);
}

template <typename F, typename Out, typename A, typename B>
void Loop2(const void* const* in, void* out, int64_t n, const void*) {
  const A* a = static_cast<const A*>(in[0]);
  const B* b = static_cast<const B*>(in[1]);
  Out* o = static_cast<Out*>(out);
#ifndef __clang__
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n; ++i) o[i] = F::Apply(a[i], b[i]);
}

template <typename F, typename Out, typename A, typename B, typename C>
void Loop3(const void* const* in, void* out, int64_t n, const void*) {
  const A* a = static_cast<const A*>(in[0]);
  const B* b = static_cast<const B*>(in[1]);
  const C* c = static_cast<const C*>(in[2]);
  Out* o = static_cast<Out*>(out);
#ifndef __clang__
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n; ++i) o[i] = F::Apply(a[i], b[i], c[i]);
}

// The loop of F for operands of one dtype; nullptr if it is none of the listed types. `Same` keeps
// the operand's type as the result's; give bool-like results as uint8_t.
struct Same {};
template <typename Result, typename T>
using ResultType = std::conditional_t<std::is_same_v<Result, Same>, T, Result>;

template <typename F, int arity, typename Result, typename T>
constexpr SpanFn LoopFor() {
  using R = ResultType<Result, T>;
  if constexpr (arity == 1) return Loop1<F, R, T>;
  if constexpr (arity == 2) return Loop2<F, R, T, T>;
  if constexpr (arity == 3) return Loop3<F, R, T, T, T>;
}

template <typename F, int arity, typename Result = Same>
SpanFn IntLoops(DType d) {
  switch (d) {
    case DType::kI8:
      return LoopFor<F, arity, Result, int8_t>();
    case DType::kI16:
      return LoopFor<F, arity, Result, int16_t>();
    case DType::kI32:
      return LoopFor<F, arity, Result, int32_t>();
    case DType::kI64:
      return LoopFor<F, arity, Result, int64_t>();
    case DType::kU8:
      return LoopFor<F, arity, Result, uint8_t>();
    case DType::kU16:
      return LoopFor<F, arity, Result, uint16_t>();
    case DType::kU32:
      return LoopFor<F, arity, Result, uint32_t>();
    case DType::kU64:
      return LoopFor<F, arity, Result, uint64_t>();
    default:
      return nullptr;
  }
}

template <typename F, int arity, typename Result = Same>
SpanFn FloatLoops(DType d) {
  switch (d) {
    case DType::kF32:
      return LoopFor<F, arity, Result, float>();
    case DType::kF64:
      return LoopFor<F, arity, Result, double>();
    default:
      return nullptr;
  }
}

template <typename F, int arity, typename Result = Same>
SpanFn ComplexLoops(DType d) {
  switch (d) {
    case DType::kC64:
      return LoopFor<F, arity, Result, c64>();
    case DType::kC128:
      return LoopFor<F, arity, Result, c128>();
    default:
      return nullptr;
  }
}

template <typename F, int arity, typename Result = Same>
SpanFn BoolLoop(DType d) {
  return d == DType::kBool ? LoopFor<F, arity, Result, uint8_t>() : nullptr;
}

// The type an element is computed in: f32 for narrow floats, 8 bits for narrow integers, else
// itself.
DType ComputeType(DType d);

// Wraps a loop over compute types so that it reads and writes storage types: elements are converted
// in chunks before and after. `operands` and `result` are storage types. Gives `inner` itself if
// nothing is narrow.
SpanKernel Widen(SpanKernel inner, std::span<const DType> operands, DType result);

// The loop `find` knows for the compute type of operand 0, widened. Errors: kUnimplemented if there
// is none.
Result<SpanKernel> FindLoop(const Op& op, std::span<const DType> operands, DType result,
                            SpanFn (*find)(DType));

// Converts n elements between a storage type and its compute type.
void DecodeChunk(DType storage, const void* from, void* to, int64_t n);
void EncodeChunk(DType storage, const void* from, void* to, int64_t n);

}  // namespace megalith::stablehlo
