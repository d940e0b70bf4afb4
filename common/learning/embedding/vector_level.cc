#include "common/learning/embedding/vector_level.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace megalith::embedding {
namespace {

VectorLevel Detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("bmi") == 0 ||
      __builtin_cpu_supports("bmi2") == 0)
    return VectorLevel::kBaseline;
  const bool wide =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return wide ? VectorLevel::kAvx512 : VectorLevel::kAvx2;
#else
  return VectorLevel::kBaseline;
#endif
}

VectorLevel Allowed() {
  const char* const text = std::getenv("MEGALITH_ISA");
  const std::string_view wanted = text == nullptr ? "" : text;
  if (wanted == "sse2") return VectorLevel::kBaseline;
  if (wanted == "avx2") return VectorLevel::kAvx2;
  return VectorLevel::kAvx512;
}

}  // namespace

VectorLevel MachineVectorLevel() {
  static const VectorLevel level = std::min(Detect(), Allowed());
  return level;
}

}  // namespace megalith::embedding
