// Every compressor, by name.
#include <array>

#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {

extern const CompressorDef kFp32;

std::span<const CompressorDef* const> Compressors() {
  static constexpr std::array kAll = {&kFp32};
  return kAll;
}

}  // namespace megalith::embedding
