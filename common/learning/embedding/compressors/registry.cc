// Every compressor, by name.
#include <array>

#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {

extern const CompressorDef kFixedR8;
extern const CompressorDef kFp16;
extern const CompressorDef kFp32;
extern const CompressorDef kOneBit;

std::span<const CompressorDef* const> Compressors() {
  static constexpr std::array kAll = {&kFp32, &kFp16, &kFixedR8, &kOneBit};
  return kAll;
}

}  // namespace megalith::embedding
