// Values as they are.
#include <cstring>

#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {
namespace {

size_t Bytes(int64_t dim) { return static_cast<size_t>(dim) * sizeof(float); }

struct Encode {
  [[gnu::always_inline]] static int Run(const Encoding& e) {
    std::memcpy(e.stored, e.values, Bytes(e.dim));
    return 0;
  }
};

struct Decode {
  [[gnu::always_inline]] static int Run(const Decoding& d) {
    std::memcpy(d.values, d.stored, Bytes(d.dim));
    return 0;
  }
};

}  // namespace

extern const CompressorDef kFp32;
constexpr CompressorDef kFp32 = {
    .name = "fp32",
    .config_number = 1,
    .bytes = Bytes,
    .encode = kLevels<Encode>,
    .decode = kLevels<Decode>,
    .rule = "as it is",
    .spec = "embedding-tables.md 6",
};

}  // namespace megalith::embedding
