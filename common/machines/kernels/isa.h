// The instruction sets kernels are compiled for, and the one this machine has.
#pragma once

#include <cstdint>
#include <string_view>

namespace megalith::kernels {

// Each level includes those before it.
enum class Isa : uint8_t {
  kSse2 = 0,    // every x86-64 machine
  kAvx2 = 1,    // with FMA and F16C
  kAvx512 = 2,  // F, BW, DQ and VL
};

// The best level that both processor and operating system support; found once.
Isa MachineIsa();
std::string_view IsaName(Isa isa);

}  // namespace megalith::kernels
