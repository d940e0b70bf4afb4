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
    kUlps,    // `amount` units in the last place of each element
    kSum,     // `amount` eps of the sum of absolute terms
    kNormed,  // `amount` eps of the largest element
  };
  Kind kind = kExact;
  double amount = 0;
  double eps = 0;  // of the type that sums are computed in
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
// those of kSum. An element that other orders of summation may make infinite, or that an
// unfinished number of a norm touches, becomes something different in every variant.
void MoveElements(const Inexactness& inexactness, const Movement& movement,
                  std::span<const Tensor> operands, const Tensor* magnitudes, Tensor* out);

// |x| with 0 in place of NaN and infinities; integers and booleans as they are.
Tensor FiniteMagnitude(const Tensor& t);

// The distance from |v| to the next larger number of `dtype`.
double UlpOf(double v, DType dtype);

}  // namespace megalith::property
