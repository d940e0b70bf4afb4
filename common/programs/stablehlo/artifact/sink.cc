#include "common/programs/stablehlo/artifact/sink.h"

#include <bit>

namespace megalith::stablehlo::artifact {

void Sink::Varint(uint64_t v) {
  const int bits = 64 - std::countl_zero(v | 1);
  const int bytes = (bits + 6) / 7;
  if (bytes > 8) {
    Byte(0);
    for (int i = 0; i < 8; ++i) Byte(static_cast<uint8_t>(v >> (8 * i)));
    return;
  }
  const uint64_t word = (v << 1 | 1) << (bytes - 1);
  for (int i = 0; i < bytes; ++i) Byte(static_cast<uint8_t>(word >> (8 * i)));
}

}  // namespace megalith::stablehlo::artifact
