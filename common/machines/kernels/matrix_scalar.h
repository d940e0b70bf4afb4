// Elements of the matrices that are factored; not for users of the library.
#pragma once

#include <complex>
#include <type_traits>

namespace megalith::kernels {

using c64 = std::complex<float>;
using c128 = std::complex<double>;

template <typename T>
constexpr bool kComplex = std::is_same_v<T, c64> || std::is_same_v<T, c128>;

// The type small matrices are computed in.
template <typename T>
using Wide = std::conditional_t<kComplex<T>, c128, double>;

// The product without the rescue of infinities and NaN that operator* of complex numbers does.
template <typename T>
[[gnu::always_inline]] inline T Times(T a, T b) {
  if constexpr (kComplex<T>) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  } else {
    return a * b;
  }
}

}  // namespace megalith::kernels
