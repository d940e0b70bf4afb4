// IEEE binary16, to nearest with ties to even.
#include <cstring>

#include "common/foundation/tensor/half.h"
#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {
namespace {

size_t Bytes(int64_t dim) { return static_cast<size_t>(dim) * sizeof(uint16_t); }

struct Encode {
  [[gnu::always_inline]] static int Run(const Encoding& e) {
    const float* const values = e.values;
    std::byte* const stored = e.stored;
    return EachElement(e.dim, [&](int64_t i) __attribute__((always_inline)) {
      const uint16_t half = tensor::HalfOf(values[i]);
      std::memcpy(stored + i * 2, &half, sizeof(half));
    });
  }
};

struct Decode {
  [[gnu::always_inline]] static int Run(const Decoding& d) {
    const std::byte* const stored = d.stored;
    float* const values = d.values;
    return EachElement(d.dim, [&](int64_t i) __attribute__((always_inline)) {
      uint16_t half = 0;
      std::memcpy(&half, stored + i * 2, sizeof(half));
      values[i] = tensor::FloatOf(half);
    });
  }
};

}  // namespace

extern const CompressorDef kFp16;
constexpr CompressorDef kFp16 = {
    .name = "fp16",
    .config_number = 2,
    .bytes = Bytes,
    .encode = kLevels<Encode>,
    .decode = kLevels<Decode>,
    .rule = "IEEE binary16, to nearest",
    .spec = "embedding-tables.md 6",
};

}  // namespace megalith::embedding
