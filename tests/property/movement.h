// What one operation may get wrong, and results moved by it; perturbed.h says why.
#pragma once

#include <cstdint>
#include <span>

#include "common/programs/stablehlo/module.h"
#include "tests/property/random_values.h"

namespace megalith::property {

inline constexpr double kFunctionUlps = 4;
inline constexpr double kSpecialUlps = 64;
inline constexpr double kFactorEps = 8;

struct Inexactness {
  enum Kind : uint8_t {
    kExact,
    kUlps,     // `amount` units in the last place of each element
    kSum,      // `amount` eps of the sum of absolute terms
    kProduct,  // as kUlps, and anything where another order may leave the range of the type
    kNormed,   // `amount` eps of the largest element
  };
  Kind kind = kExact;
  double amount = 0;
  double eps = 0;  // of the type that sums are computed in
  // A sum of zeros may have either sign: whether it begins with +0 is open.
  bool either_zero = false;
};
Inexactness InexactnessOf(const stablehlo::Op& op, const stablehlo::Func& func);

// Which way elements are moved.
struct Movement {
  int pair = 0;
  bool opposite = false;
  uint64_t salt = 0;  // distinct for every result
  double scale = 1;
};

// Moves every element of a floating or complex `out`; leaves other dtypes alone. `magnitudes` are
// those of kSum, and of kProduct infinity for elements that another order may make infinite or
// zero. Such an element, and one that an unfinished number of a norm touches, becomes something
// different in every variant. A number that may be zero is exactly that in some variants.
void MoveElements(const Inexactness& inexactness, const Movement& movement,
                  std::span<const Tensor> operands, const Tensor* magnitudes, Tensor* out);

// |x| with 0 in place of NaN and infinities, of complex numbers the sum of both parts; integers and
// booleans as they are.
Tensor FiniteMagnitude(const Tensor& t);
// |x| where that is at least 1 and finite (`large`), or at most 1 and not zero; 1 elsewhere. The
// product of those is as far as a product in any order may go. Real floats only.
Tensor FactorMagnitude(const Tensor& t, bool large);

// The distance from |v| to the next larger number of `dtype`.
double UlpOf(double v, DType dtype);

}  // namespace megalith::property
