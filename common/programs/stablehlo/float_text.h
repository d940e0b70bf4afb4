// Floating-point numbers as MLIR prints them.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/tensor/dtype.h"

namespace megalith::stablehlo {

// Appends the value with these bits: six significant digits in exponent notation (1.500000e+00) if
// they read back to the same value, otherwise enough digits to (3.33333325, 1.30002498E-8),
// otherwise, and for infinities and NaN, the bit pattern (0x7F800000). `bits` holds the dtype's
// width; dtype is a float.
void AppendFloatText(tensor::DType dtype, uint64_t bits, std::string* out);

}  // namespace megalith::stablehlo
