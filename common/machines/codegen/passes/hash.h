// Hashes of attributes and types, for tables that merge what is equal.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/programs/stablehlo/attr.h"

namespace megalith::codegen {

inline uint64_t Mix(uint64_t a, uint64_t b) {
  a ^= b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2);
  a *= 0xFF51AFD7ED558CCDu;
  return a ^ (a >> 32);
}

// Equal dense attributes have equal hashes. Reads at most 256 bytes, however long they are.
uint64_t HashDense(const stablehlo::Dense& d);
uint64_t HashAttr(const stablehlo::Attr& a);
uint64_t HashAttrs(const stablehlo::AttrDict& attrs);
uint64_t HashType(const stablehlo::TensorType& type);
bool SameAttrs(const stablehlo::AttrDict& a, const stablehlo::AttrDict& b);

}  // namespace megalith::codegen
