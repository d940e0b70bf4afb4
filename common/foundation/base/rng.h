// Randomness as a dependency: jitter, sampling and ids take an Rng, so that tests repeat.
// (The random numbers of array programs are threefry and have nothing to do with this.)
#pragma once

#include <cstdint>

namespace megalith {

// xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64. Not thread-safe, not for secrets.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t Next();
  // Uniform in [0, bound); bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Normal with mean 0 and variance 1 (Box-Muller, one value per call).
  double Normal();

 private:
  uint64_t s_[4];
};

// A seed from the operating system.
uint64_t EntropySeed();

}  // namespace megalith
