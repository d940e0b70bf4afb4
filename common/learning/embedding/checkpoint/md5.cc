#include "common/learning/embedding/checkpoint/md5.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

constexpr size_t kBlockBytes = 64;
constexpr std::array<int, 16> kShifts = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

// floor(2^32 * |sin(i + 1)|), as the RFC defines its table.
const std::array<uint32_t, 64>& Sines() {
  static const std::array<uint32_t, 64> sines = [] {
    std::array<uint32_t, 64> out{};
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<uint32_t>(std::fabs(std::sin(static_cast<double>(i + 1))) * 0x1p32);
    return out;
  }();
  return sines;
}

struct Round {
  uint32_t mixed;
  size_t word;
};
Round RoundOf(size_t i, uint32_t b, uint32_t c, uint32_t d) {
  switch (i / 16) {
    case 0:
      return {(b & c) | (~b & d), i};
    case 1:
      return {(d & b) | (~d & c), (5 * i + 1) % 16};
    case 2:
      return {b ^ c ^ d, (3 * i + 5) % 16};
    default:
      return {c ^ (b | ~d), (7 * i) % 16};
  }
}

void AddBlock(const char* block, std::array<uint32_t, 4>* state) {
  uint32_t words[16];
  std::memcpy(words, block, kBlockBytes);
  auto [a, b, c, d] = *state;
  for (size_t i = 0; i < 64; ++i) {
    const Round round = RoundOf(i, b, c, d);
    const uint32_t sum = a + round.mixed + Sines()[i] + words[round.word];
    a = d;
    d = c;
    c = b;
    b += std::rotl(sum, kShifts[i / 16 * 4 + i % 4]);
  }
  const uint32_t added[4] = {a, b, c, d};
  for (size_t i = 0; i < 4; ++i) (*state)[i] += added[i];
}

}  // namespace

std::string Md5Hex(std::string_view bytes) {
  std::string padded(bytes);
  padded += '\x80';
  while (padded.size() % kBlockBytes != kBlockBytes - sizeof(uint64_t)) padded += '\0';
  ByteWriter length;
  length.U64(static_cast<uint64_t>(bytes.size()) * 8);
  padded += length.data();
  std::array<uint32_t, 4> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (size_t at = 0; at < padded.size(); at += kBlockBytes) AddBlock(padded.data() + at, &state);
  ByteWriter digest;
  for (const uint32_t word : state) digest.U32(word);
  return HexEncode(AsBytes(digest.data()));
}

}  // namespace megalith::embedding
