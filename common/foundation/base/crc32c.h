// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4): the checksum of
// TFRecord files and of our logs. Uses the processor's instruction where there is one, found by
// CPUID; the same values everywhere.
#pragma once

#include <cstdint>
#include <string_view>

namespace megalith {

// The checksum of A followed by `bytes`, where `crc` is that of A; 0 is that of no bytes.
// Thread-safe.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

inline uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

// What TFRecord files store, so that the checksum of bytes that hold their own checksum is not a
// constant (persistent: never change).
inline uint32_t MaskCrc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }
inline uint32_t UnmaskCrc32c(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

namespace internal {
// The one without special instructions, for tests and other machines.
uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes);
// Whether ExtendCrc32c uses the processor's instruction.
bool HasCrc32cInstruction();
}  // namespace internal

}  // namespace megalith
