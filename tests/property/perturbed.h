// How far may two right answers to one program lie apart?
//
// Integers, booleans, data movement and the correctly rounded float operations (add, subtract,
// multiply, divide, square root, remainder, comparisons, conversions, ...) have one right answer.
// Functions (exponential, tanh, ...) and sums of products have many: an implementation may be a few
// units in the last place off, or add in another order. What such a difference does to the results
// further on, through cancellation, comparisons or a sort, no fixed tolerance can say. So the
// program is evaluated several times, operation by operation with the reference kernels, and each
// inexact result is moved by what it may differ:
//
//   functions            4 units in the last place; 64 of the special functions (kSpecialUlps)
//   complex arithmetic   the same number of eps of the element's modulus
//   sums of n terms      2 + 2 sqrt(n) eps of the sum of the absolute terms (n + 2 if every step
//                        of a narrow float sum rounds), plus one unit in the last place; anything,
//                        infinities and NaN included, where that sum leaves the range
//   products of n terms  n + 2 units in the last place; anything where another order leaves the
//                        range
//   factorizations, FFT  8 sqrt(n) eps of the largest element
//   signs of NaNs        either, where arithmetic gave them
//
// Evaluations come in pairs that move every element in opposite directions. Where they agree with
// the unmoved result bit by bit, there is one right answer; else the distance between them says how
// far others may be.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/programs/stablehlo/module.h"
#include "tests/property/random_values.h"

namespace megalith::property {

// One program, operation by operation. Not thread-safe.
class PerturbedProgram {
 public:
  // Requires a module that Verify accepts.
  static Result<PerturbedProgram> Create(const stablehlo::Module& module);
  ~PerturbedProgram();
  PerturbedProgram(PerturbedProgram&&) noexcept;

  // True if some operation that ran in the last call is inexact.
  bool inexact() const;
  // `variant` 0 moves nothing; 1 and 2, 3 and 4, ... are pairs of opposite directions. `scale`
  // multiplies every movement.
  Result<std::vector<Tensor>> Run(std::span<const Tensor> inputs, int variant, double scale = 1);

 private:
  struct State;
  explicit PerturbedProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace megalith::property
