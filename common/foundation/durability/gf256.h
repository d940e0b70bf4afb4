// Arithmetic on bytes as elements of GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1 (RFC 6330, section
// 5.7), on whole rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace megalith::durability {

// Powers and logarithms of the generator 2. Pure; thread-safe.
uint8_t Gf256Multiply(uint8_t a, uint8_t b);
uint8_t Gf256Inverse(uint8_t a);  // a != 0
uint8_t Gf256Power(uint32_t exponent);

// Row kernels of one instruction set. Rows may have any length and alignment and must not overlap,
// unless they are equal. All sets give the same bytes.
struct Gf256Kernels {
  std::string_view name;
  // into ^= sum of the sources, or into = their sum if `overwrite` (zeros without sources).
  void (*sum)(uint8_t* into, const uint8_t* const* sources, size_t count, size_t bytes,
              bool overwrite);
  // into ^= factor * source
  void (*multiply_add)(uint8_t* into, const uint8_t* source, uint8_t factor, size_t bytes);
  // row *= factor
  void (*scale)(uint8_t* row, uint8_t factor, size_t bytes);
  // into = 2 * into ^ source; a null source counts as zeros
  void (*double_add)(uint8_t* into, const uint8_t* source, size_t bytes);
};

// The fastest set this machine has, found by CPUID once.
const Gf256Kernels& BestGf256Kernels();
// All sets this machine can run, the portable one first; for tests and benchmarks.
std::span<const Gf256Kernels* const> AllGf256Kernels();

}  // namespace megalith::durability
