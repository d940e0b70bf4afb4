#include "common/foundation/base/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace megalith {
namespace {

constexpr uint32_t kReflectedPolynomial = 0x82f63b78u;
constexpr size_t kSlices = 8;

// Row s, entry b: the checksum of byte b followed by s zero bytes, without the final inversion.
constexpr std::array<std::array<uint32_t, 256>, kSlices> MakeTables() {
  std::array<std::array<uint32_t, 256>, kSlices> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
    tables[0][b] = crc;
  }
  for (size_t s = 1; s < kSlices; ++s) {
    for (uint32_t b = 0; b < 256; ++b) {
      const uint32_t previous = tables[s - 1][b];
      tables[s][b] = (previous >> 8) ^ tables[0][previous & 0xff];
    }
  }
  return tables;
}
constexpr auto kTables = MakeTables();

uint32_t OneByte(uint32_t crc, char byte) {
  return (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(byte)) & 0xff];
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc,
                                                               std::string_view bytes) {
  uint64_t state = ~crc;
  const char* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, 8);
    state = __builtin_ia32_crc32di(state, word);
  }
  uint32_t narrow = static_cast<uint32_t>(state);
  for (; left != 0; --left, ++p) narrow = __builtin_ia32_crc32qi(narrow, static_cast<uint8_t>(*p));
  return ~narrow;
}
bool HasInstruction() {
  static const bool has = __builtin_cpu_supports("sse4.2");
  return has;
}
#else
uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) {
  return internal::ExtendCrc32cPortable(crc, bytes);
}
bool HasInstruction() { return false; }
#endif

}  // namespace

namespace internal {

uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  const char* p = bytes.data();
  size_t left = bytes.size();
  if constexpr (std::endian::native == std::endian::little) {
    for (; left >= 8; left -= 8, p += 8) {
      uint32_t low = 0;
      uint32_t high = 0;
      std::memcpy(&low, p, 4);
      std::memcpy(&high, p + 4, 4);
      low ^= crc;
      crc = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^
            kTables[5][(low >> 16) & 0xff] ^ kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^
            kTables[2][(high >> 8) & 0xff] ^ kTables[1][(high >> 16) & 0xff] ^
            kTables[0][high >> 24];
    }
  }
  for (; left != 0; --left, ++p) crc = OneByte(crc, *p);
  return ~crc;
}

bool HasCrc32cInstruction() { return HasInstruction(); }

}  // namespace internal

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  return HasInstruction() ? ExtendByInstruction(crc, bytes)
                          : internal::ExtendCrc32cPortable(crc, bytes);
}

}  // namespace megalith
