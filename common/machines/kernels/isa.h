// Running hot loops with the best instructions of this machine.
//
// The build's baseline is SSE2. OnBestIsa(body) calls a copy of `body` compiled for AVX-512, AVX2
// or the baseline, whichever the processor has. The body must be a lambda marked
// [[gnu::always_inline]], and so must be what it calls in hot loops: only inlined code is compiled
// for the wider instructions.
#pragma once

#include <cstdint>

namespace megalith::kernels {

enum class Isa : uint8_t { kBaseline, kAvx2, kAvx512 };

// What this processor and operating system can run; asked once.
Isa MachineIsa();

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
