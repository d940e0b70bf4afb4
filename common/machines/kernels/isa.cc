#include "common/machines/kernels/isa.h"

#include <algorithm>
#include <cstdlib>

namespace megalith::kernels {
namespace {

Isa Detect() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
                    __builtin_cpu_supports("f16c") != 0 && __builtin_cpu_supports("bmi") != 0 &&
                    __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("popcnt") != 0;
  if (!avx2) return Isa::kSse2;
  const bool avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return avx512 ? Isa::kAvx512 : Isa::kAvx2;
}

Isa Wanted() {
  const char* const wanted = std::getenv("MEGALITH_ISA");
  for (const Isa isa : {Isa::kSse2, Isa::kAvx2}) {
    if (wanted != nullptr && IsaName(isa) == wanted) return isa;
  }
  return Isa::kAvx512;
}

}  // namespace

Isa MostIsa() {
  static const Isa isa = Wanted();
  return isa;
}

Isa MachineIsa() {
  static const Isa isa = std::min(Detect(), MostIsa());
  return isa;
}

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "sse2";
  }
}

}  // namespace megalith::kernels
