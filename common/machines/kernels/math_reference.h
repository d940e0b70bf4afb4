// What the functions of vector_math.h are held against, and how far off they may be. For tests and
// measurements.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/machines/kernels/scalar_ops.h"

namespace megalith::kernels {

struct MathReference {
  ScalarOp op;
  double (*of1)(double);              // for f32; null: two operands
  long double (*wide1)(long double);  // for f64
  double (*of2)(double, double);
  long double (*wide2)(long double, long double);
  double f32_ulps;  // largest error in ulps of the result
  double f64_ulps;
  // The f64 error is in ulps of the larger of the result and this: where a zero of the function
  // lies between two numbers, no digits of it are promised.
  double f64_floor;
};

std::span<const MathReference> MathReferences();

// |got - want| in ulps of the type at the larger of |want| and `floor`; 0 if both are NaN or the
// same infinity or zero of the same sign, infinite where they differ in kind. A result that
// overflows or underflows in rounding may be on either side.
double UlpsOff(float got, double want);
double UlpsOff(double got, long double want, double floor);

// The `index`-th of `count` samples: all special values, then all exponents and signs evenly, with
// mantissas that look random.
float SampleF32(int64_t index, int64_t count);
double SampleF64(int64_t index, int64_t count);

}  // namespace megalith::kernels
