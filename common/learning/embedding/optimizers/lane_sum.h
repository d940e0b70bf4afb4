// Reductions over a row that vectorise: 16 chains by index modulo 16, joined pairwise, and in a row
// of fewer elements one chain. The order is the same at every vector level, and so is the result.
#pragma once

#include <cstdint>

namespace megalith::embedding {

inline constexpr int64_t kSumLanes = 16;

// combine(...combine(T(0), term(i))...) over i < dim, in that order.
template <typename T, typename Term, typename Combine>
[[gnu::always_inline]] inline T ReduceLanes(int64_t dim, Term term, Combine combine) {
  int64_t i = 0;
  if (dim < kSumLanes) {
    T chain = 0;
    for (; i < dim; ++i) chain = combine(chain, term(i));
    return chain;
  }
  T lanes[kSumLanes] = {};
  for (; i + kSumLanes <= dim; i += kSumLanes) {
    for (int64_t j = 0; j < kSumLanes; ++j) lanes[j] = combine(lanes[j], term(i + j));
  }
  for (int64_t j = 0; i + j < dim; ++j) lanes[j] = combine(lanes[j], term(i + j));
  for (int64_t width = kSumLanes / 2; width > 0; width /= 2) {
    for (int64_t j = 0; j < width; ++j) lanes[j] = combine(lanes[j], lanes[j + width]);
  }
  return lanes[0];
}

// The sum of the squares of value(i), in double: no square of a float overflows it.
template <typename Value>
[[gnu::always_inline]] inline double SumOfSquares(int64_t dim, Value value) {
  return ReduceLanes<double>(
      dim,
      [&](int64_t i) __attribute__((always_inline)) {
        const double x = value(i);
        return x * x;
      },
      [](double a, double b) __attribute__((always_inline)) { return a + b; });
}

// The largest of the non-negative value(i), 0 of none.
template <typename Value>
[[gnu::always_inline]] inline float Largest(int64_t dim, Value value) {
  return ReduceLanes<float>(
      dim, value, [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
}

}  // namespace megalith::embedding
