// The instruction sets kernels are compiled for, the one this machine has, and running hot loops
// with it.
//
// The build's baseline is SSE2. Kernels either have a translation unit per level, or pass a loop to
// OnBestIsa, which calls a copy of it compiled for AVX-512, AVX2 or the baseline. Such a body must
// be a lambda marked [[gnu::always_inline]], and so must be what it calls in hot loops: only
// inlined code is compiled for the wider instructions.
#pragma once

#include <cstdint>
#include <string_view>

namespace megalith::kernels {

// Each level includes those before it.
enum class Isa : uint8_t {
  kSse2 = 0,    // every x86-64 machine
  kAvx2 = 1,    // with FMA, F16C, BMI and BMI2
  kAvx512 = 2,  // F, BW, DQ and VL
};

// The best level that both processor and operating system support, and the environment variable
// MEGALITH_ISA (sse2, avx2 or avx512) allows; found once.
Isa MachineIsa();
// The level MEGALITH_ISA names, whatever the processor has; kAvx512 if it names none.
Isa MostIsa();
std::string_view IsaName(Isa isa);

namespace internal {

#if defined(__x86_64__)
template <typename Body>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt"), gnu::noinline]] void
OnAvx512(const Body& body) {
  body();
}
template <typename Body>
[[gnu::target("avx2,bmi,bmi2,lzcnt,popcnt"), gnu::noinline]] void OnAvx2(const Body& body) {
  body();
}
#endif
template <typename Body>
[[gnu::noinline]] void OnBaseline(const Body& body) {
  body();
}

}  // namespace internal

// `most`: nothing better than this, for loops the compiler makes slower with wider vectors.
template <Isa most = Isa::kAvx512, typename Body>
void OnBestIsa(const Body& body) {
#if defined(__x86_64__)
  const Isa isa = MachineIsa();
  if (most == Isa::kAvx512 && isa == Isa::kAvx512) return internal::OnAvx512(body);
  if (isa >= Isa::kAvx2) return internal::OnAvx2(body);
#endif
  internal::OnBaseline(body);
}

}  // namespace megalith::kernels
