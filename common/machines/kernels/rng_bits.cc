// Blocks of the counter are independent: ranges of them go to threads, and within a range sixteen
// blocks at a time run through the rounds side by side.
#include "common/machines/kernels/rng_bits.h"

#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/params.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kGroup = 64;           // blocks side by side
constexpr int64_t kGrain = kGroup * 64;  // blocks worth a thread

// words[w][i] = word w of block i.
template <int kWords>
struct Blocks {
  alignas(64) uint32_t words[kWords][kGroup];
};

[[gnu::always_inline]] inline uint32_t Rotate(uint32_t x, int r) { return x << r | x >> (32 - r); }

[[gnu::always_inline]] inline void ThreeFry(uint64_t key, uint64_t counter, Blocks<2>* out) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const auto k0 = static_cast<uint32_t>(key);
  const auto k1 = static_cast<uint32_t>(key >> 32);
  const uint32_t ks[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
  for (int64_t i = 0; i < kGroup; ++i) {
    const uint64_t c = counter + static_cast<uint64_t>(i);
    uint32_t x0 = static_cast<uint32_t>(c) + ks[0];
    uint32_t x1 = static_cast<uint32_t>(c >> 32) + ks[1];
#pragma GCC unroll 5
    for (uint32_t round = 0; round < 5; ++round) {
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        x0 += x1;
        x1 = Rotate(x1, kRotations[round % 2][r]) ^ x0;
      }
      x0 += ks[(round + 1) % 3];
      x1 += ks[(round + 2) % 3] + round + 1;
    }
    out->words[0][i] = x0;
    out->words[1][i] = x1;
  }
}

[[gnu::always_inline]] inline void Philox(uint64_t key, uint64_t low, uint64_t high, uint64_t block,
                                          Blocks<4>* out) {
  for (int64_t i = 0; i < kGroup; ++i) {
    const uint64_t c = low + block + static_cast<uint64_t>(i);
    const uint64_t h = high + (c < low ? 1 : 0);
    auto k0 = static_cast<uint32_t>(key);
    auto k1 = static_cast<uint32_t>(key >> 32);
    uint32_t x0 = static_cast<uint32_t>(c), x1 = static_cast<uint32_t>(c >> 32);
    uint32_t x2 = static_cast<uint32_t>(h), x3 = static_cast<uint32_t>(h >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * x0;
      const uint64_t p1 = uint64_t{0xCD9E8D57u} * x2;
      x0 = static_cast<uint32_t>(p1 >> 32) ^ x1 ^ k0;
      x1 = static_cast<uint32_t>(p1);
      x2 = static_cast<uint32_t>(p0 >> 32) ^ x3 ^ k1;
      x3 = static_cast<uint32_t>(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    out->words[0][i] = x0;
    out->words[1][i] = x1;
    out->words[2][i] = x2;
    out->words[3][i] = x3;
  }
}

struct RngState {
  RngKind kind = RngKind::kThreeFry;
  bool long_state = false;
  int width = 4;  // bytes per element
  int64_t elements = 0;
  int64_t blocks = 0;
  // threefry, less than 64 bits: the words of a block go to two elements that are neighbours along
  // one dimension of the result, seen as [outer, length, inner].
  LineLayout lines;
};

template <typename T>
void FillThreeFryPairs(const RngState& s, uint64_t key, uint64_t counter, int64_t begin,
                       int64_t end, T* out) {
  OnBestIsa([&]() __attribute__((always_inline)) {
    Blocks<2> blocks;
    const int64_t pairs = (s.lines.length + 1) / 2;
    for (int64_t b = begin; b < end; b += kGroup) {
      ThreeFry(key, counter + static_cast<uint64_t>(b), &blocks);
      const int64_t n = std::min(kGroup, end - b);
      // Runs of blocks with the same pair of positions.
      for (int64_t i = 0; i < n;) {
        const int64_t at = b + i;
        const int64_t inner = at % s.lines.inner;
        const int64_t pair = at / s.lines.inner % pairs;
        const int64_t outer = at / s.lines.inner / pairs;
        T* first = out + (outer * s.lines.length + 2 * pair) * s.lines.inner + inner;
        if (s.lines.inner == 1) {
          // The next pairs of the same line follow one after the other.
          const int64_t whole = std::min(n - i, s.lines.length / 2 - pair);
          for (int64_t j = 0; j < whole; ++j) {
            first[2 * j] = static_cast<T>(blocks.words[0][i + j]);
            first[2 * j + 1] = static_cast<T>(blocks.words[1][i + j]);
          }
          if (whole == 0) *first = static_cast<T>(blocks.words[0][i]);
          i += std::max<int64_t>(whole, 1);
          continue;
        }
        const int64_t run = std::min(n - i, s.lines.inner - inner);
        for (int64_t j = 0; j < run; ++j) first[j] = static_cast<T>(blocks.words[0][i + j]);
        if (2 * pair + 1 < s.lines.length) {
          T* second = first + s.lines.inner;
          for (int64_t j = 0; j < run; ++j) second[j] = static_cast<T>(blocks.words[1][i + j]);
        }
        i += run;
      }
    }
  });
}

void FillThreeFryWide(uint64_t key, uint64_t counter, int64_t begin, int64_t end, uint64_t* out) {
  OnBestIsa([&]() __attribute__((always_inline)) {
    Blocks<2> blocks;
    for (int64_t b = begin; b < end; b += kGroup) {
      ThreeFry(key, counter + static_cast<uint64_t>(b), &blocks);
      const int64_t n = std::min(kGroup, end - b);
      for (int64_t i = 0; i < n; ++i)
        out[b + i] = uint64_t{blocks.words[1][i]} << 32 | blocks.words[0][i];
    }
  });
}

template <typename T>
void FillPhilox(const RngState& s, uint64_t key, uint64_t low, uint64_t high, int64_t begin,
                int64_t end, T* out) {
  OnBestIsa([&]() __attribute__((always_inline)) {
    Blocks<4> blocks;
    constexpr int64_t kPerBlock = sizeof(T) == 8 ? 2 : 4;
    T values[kGroup * kPerBlock];
    for (int64_t b = begin; b < end; b += kGroup) {
      Philox(key, low, high, static_cast<uint64_t>(b), &blocks);
      for (int64_t i = 0; i < kGroup; ++i) {
        for (int64_t j = 0; j < kPerBlock; ++j) {
          if constexpr (sizeof(T) == 8) {
            values[2 * i + j] = uint64_t{blocks.words[2 * j + 1][i]} << 32 | blocks.words[2 * j][i];
          } else {
            values[4 * i + j] = static_cast<T>(blocks.words[j][i]);
          }
        }
      }
      const int64_t first = b * kPerBlock;
      const int64_t n = std::min(std::min(kGroup, end - b) * kPerBlock, s.elements - first);
      std::memcpy(out + first, values, static_cast<size_t>(n) * sizeof(T));
    }
  });
}

void FillBlocks(const RngState& s, const uint64_t* state, int64_t begin, int64_t end, void* out) {
  if (s.kind == RngKind::kThreeFry) {
    switch (s.width) {
      case 1:
        return FillThreeFryPairs(s, state[0], state[1], begin, end, static_cast<uint8_t*>(out));
      case 2:
        return FillThreeFryPairs(s, state[0], state[1], begin, end, static_cast<uint16_t*>(out));
      case 4:
        return FillThreeFryPairs(s, state[0], state[1], begin, end, static_cast<uint32_t*>(out));
      default:
        return FillThreeFryWide(state[0], state[1], begin, end, static_cast<uint64_t*>(out));
    }
  }
  // With two words of state the key is the high half of the counter, too.
  const uint64_t high = s.long_state ? state[2] : state[0];
  switch (s.width) {
    case 1:
      return FillPhilox(s, state[0], state[1], high, begin, end, static_cast<uint8_t*>(out));
    case 2:
      return FillPhilox(s, state[0], state[1], high, begin, end, static_cast<uint16_t*>(out));
    case 4:
      return FillPhilox(s, state[0], state[1], high, begin, end, static_cast<uint32_t*>(out));
    default:
      return FillPhilox(s, state[0], state[1], high, begin, end, static_cast<uint64_t*>(out));
  }
}

Status RunRng(const void* state, const KernelCall& call) {
  const RngState& s = *static_cast<const RngState*>(state);
  uint64_t words[3] = {};
  std::memcpy(words, call.in[0], s.long_state ? 24 : 16);
  FirstError error;
  call.pool.For(s.blocks, kGrain, [&](int64_t begin, int64_t end) {
    constexpr int64_t kPart = 1 << 20;
    for (int64_t b = begin; b < end && !error.failed(); b += kPart) {
      const Status status = call.Poll();
      if (!status.ok()) return error.Set(status);
      FillBlocks(s, words, b, std::min(end, b + kPart), call.out[1]);
    }
  });
  const uint64_t low = words[1];
  words[1] += static_cast<uint64_t>(s.blocks);
  if (s.kind == RngKind::kPhilox && s.long_state && words[1] < low) ++words[2];
  std::memcpy(call.out[0], words, s.long_state ? 24 : 16);
  return error.Take();
}

// The dimension whose neighbours share a block: the first of even size, or else the largest.
size_t PairDimension(const Shape& shape) {
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] % 2 == 0) return d;
  }
  size_t dim = 0;
  for (size_t d = 1; d < shape.size(); ++d) {
    if (shape[d] > shape[dim]) dim = d;
  }
  return dim;
}

Result<PreparedKernel> PrepareRng(std::string_view params, std::span<const ArraySpec> in,
                                  std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("rng_bit_generator", in, 1, out, 2));
  RETURN_IF_ERROR(CheckSame("rng_bit_generator: state before and after", in[0], out[0]));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("rng_bit_generator", params));
  ASSIGN_OR_RETURN(const int64_t kind, reader.Next("kind", 0, 1));
  RETURN_IF_ERROR(reader.Done());
  auto s = std::make_shared<RngState>();
  s->kind = static_cast<RngKind>(kind);
  const int64_t words = Elements(in[0]);
  if (in[0].dtype != DType::kU64 || in[0].shape.size() != 1 ||
      (words != 2 && (words != 3 || s->kind == RngKind::kThreeFry))) {
    return InvalidArgument("rng_bit_generator: wanted a state of two or three u64");
  }
  const DType dtype = out[1].dtype;
  const bool known = tensor::IsInteger(dtype) || tensor::IsFloat(dtype);
  if (!known || tensor::BitWidth(dtype) != 8 * tensor::ByteWidth(dtype))
    return Unimplemented(StrCat("rng_bit_generator: bits of type ", tensor::Name(dtype)));
  s->long_state = words == 3;
  s->width = tensor::ByteWidth(dtype);
  s->elements = Elements(out[1]);
  const Shape shape = out[1].shape.empty() ? Shape{1} : out[1].shape;
  s->lines = LinesAlong(shape, PairDimension(shape));
  if (s->kind == RngKind::kThreeFry) {
    s->blocks =
        s->width == 8 ? s->elements : s->lines.outer * ((s->lines.length + 1) / 2) * s->lines.inner;
  } else {
    const int64_t per_block = s->width == 8 ? 2 : 4;
    s->blocks = (s->elements + per_block - 1) / per_block;
  }
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunRng;
  kernel.in_place = 1;
  return kernel;
}

}  // namespace

const LibraryKernel kRngBitsKernel = {"rng_bit_generator", PrepareRng};

}  // namespace megalith::kernels
