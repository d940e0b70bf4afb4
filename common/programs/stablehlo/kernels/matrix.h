// Matrices of the factorization kernels: dense, row-major, in double or complex128 whatever the
// element type of the tensors they come from. For kernels/*.cc only.
#pragma once

#include <cmath>
#include <complex>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

using c128 = std::complex<double>;

inline double Conj(double v) { return v; }
inline c128 Conj(c128 v) { return std::conj(v); }
inline double RealOf(double v) { return v; }
inline double RealOf(c128 v) { return v.real(); }
inline double ImagOf(double) { return 0; }
inline double ImagOf(c128 v) { return v.imag(); }

template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), values_(static_cast<size_t>(rows * columns)) {}
  static Matrix Identity(int64_t rows, int64_t columns) {
    Matrix m(rows, columns);
    for (int64_t i = 0; i < std::min(rows, columns); ++i) m(i, i) = T(1);
    return m;
  }

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t size() const { return rows_ * columns_; }
  T& operator()(int64_t i, int64_t j) { return values_[static_cast<size_t>(i * columns_ + j)]; }
  const T& operator()(int64_t i, int64_t j) const {
    return values_[static_cast<size_t>(i * columns_ + j)];
  }
  T* row(int64_t i) { return values_.data() + i * columns_; }
  const T* row(int64_t i) const { return values_.data() + i * columns_; }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }

  Matrix Adjoint() const {
    Matrix out(columns_, rows_);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) out(j, i) = Conj((*this)(i, j));
    }
    return out;
  }
  // Rows and columns in the opposite order.
  Matrix Reversed() const {
    Matrix out(rows_, columns_);
    for (int64_t i = 0; i < size(); ++i)
      out.values_[static_cast<size_t>(size() - 1 - i)] = values_[static_cast<size_t>(i)];
    return out;
  }
  // The leading rows and columns, zeros beyond the edge.
  Matrix Resized(int64_t rows, int64_t columns) const {
    Matrix out(rows, columns);
    for (int64_t i = 0; i < std::min(rows, rows_); ++i) {
      for (int64_t j = 0; j < std::min(columns, columns_); ++j) out(i, j) = (*this)(i, j);
    }
    return out;
  }

 private:
  int64_t rows_ = 0, columns_ = 0;
  std::vector<T> values_;
};

template <typename T>
void Load(const Tensor& t, int64_t first, int64_t n, T* out) {
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<T, double>)
      out[i] = t.DoubleAt(first + i);
    else
      out[i] = t.ComplexAt(first + i);
  }
}
template <typename T>
void Store(const T* values, int64_t first, int64_t n, Tensor* t) {
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<T, double>)
      t->SetDouble(first + i, values[i]);
    else
      t->SetComplex(first + i, values[i]);
  }
}

// x' = c x + s y, y' = c y - s x: a plane rotation of two vectors.
template <typename T>
void Rotate(int64_t n, T* x, T* y, double c, double s) {
  for (int64_t i = 0; i < n; ++i) {
    const T old = x[i];
    x[i] = c * old + s * y[i];
    y[i] = c * y[i] - s * old;
  }
}
// The rotation with c f + s g = r, c g - s f = 0; c is not negative and r has the sign of f.
struct Rotation {
  double c = 1, s = 0, r = 0;
};
inline Rotation RotationOf(double f, double g) {
  if (g == 0) return {1, 0, f};
  if (f == 0) return {0, std::copysign(1.0, g), std::abs(g)};
  const double r = std::copysign(std::hypot(f, g), f);
  return {f / r, g / r, r};
}

}  // namespace megalith::stablehlo
