// Loops compiled once per instruction set and chosen when a record is bound, outside of any loop.
//
// A body is a type with `[[gnu::always_inline]] static R Run(const A&)`; what Run calls in its hot
// loop must be always_inline too: only inlined code is compiled for the wider instructions.
// Products and sums are never fused, so every level gives the same bits.
#pragma once

#include <bit>
#include <cstdint>

namespace megalith::embedding {

// Each level includes those before it.
enum class VectorLevel : uint8_t { kBaseline, kAvx2, kAvx512 };

// The best level that the machine has and the environment variable MEGALITH_ISA (sse2, avx2 or
// avx512) allows; found once.
VectorLevel MachineVectorLevel();

// One function per level.
template <typename R, typename A>
struct Leveled {
  using Function = R (*)(const A&);
  Function at[3] = {};
  Function Best() const { return at[static_cast<int>(MachineVectorLevel())]; }
  explicit operator bool() const { return at[0] != nullptr; }
};

namespace internal {

template <typename Body, typename R, typename A>
[[gnu::noinline]] R OnBaseline(const A& a) {
  return Body::Run(a);
}
#if defined(__x86_64__)
template <typename Body, typename R, typename A>
[[gnu::target("avx2,bmi,bmi2"), gnu::noinline]] R OnAvx2(const A& a) {
  return Body::Run(a);
}
template <typename Body, typename R, typename A>
#if defined(__clang__)
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2")]]
#else
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,prefer-vector-width=512")]]
#endif
[[gnu::noinline]] R
OnAvx512(const A& a) {
  return Body::Run(a);
}

template <typename Body, typename R, typename A>
constexpr Leveled<R, A> Compile(R (*)(const A&)) {
  return {{OnBaseline<Body, R, A>, OnAvx2<Body, R, A>, OnAvx512<Body, R, A>}};
}
#else
template <typename Body, typename R, typename A>
constexpr Leveled<R, A> Compile(R (*)(const A&)) {
  return {{OnBaseline<Body, R, A>, OnBaseline<Body, R, A>, OnBaseline<Body, R, A>}};
}
#endif

}  // namespace internal

// One of the two, both computed: a conditional expression whose sides cost something becomes a
// branch, and the loop around it stays scalar.
[[gnu::always_inline]] inline float Select(bool first, float a, float b) {
  const uint32_t mask = 0U - static_cast<uint32_t>(first);
  return std::bit_cast<float>((std::bit_cast<uint32_t>(a) & mask) |
                              (std::bit_cast<uint32_t>(b) & ~mask));
}

template <typename Body>
inline constexpr auto kLevels = internal::Compile<Body>(&Body::Run);

}  // namespace megalith::embedding
