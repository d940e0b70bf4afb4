// Panels of A (4 rows) and B (two vectors wide) are packed so that the inner loop reads both in
// order; the 4 x 2 vectors of sums stay in registers. Vectors are 16 bytes, which every x86-64 has.
#include "common/programs/stablehlo/kernels/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace megalith::stablehlo {
namespace {

constexpr int64_t kRows = 4;         // of a panel of A
constexpr int64_t kDepth = 256;      // of a block along k
constexpr int64_t kBlockRows = 64;   // of A per block, a multiple of kRows
constexpr int64_t kBlockCols = 512;  // of B per block

template <typename T>
struct Vectors {
  typedef T V __attribute__((vector_size(16)));
  static constexpr int64_t kLanes = 16 / static_cast<int64_t>(sizeof(T));
  static constexpr int64_t kCols = 2 * kLanes;  // of a panel of B
};

// sums[4][kCols] = panel_a (depth x 4) times panel_b (depth x kCols).
template <typename T>
void MicroKernel(int64_t depth, const T* panel_a, const T* panel_b, T* sums) {
  using V = typename Vectors<T>::V;
  constexpr int64_t kCols = Vectors<T>::kCols;
  V s00{}, s01{}, s10{}, s11{}, s20{}, s21{}, s30{}, s31{};
  for (int64_t k = 0; k < depth; ++k) {
    V b0, b1;
    std::memcpy(&b0, panel_b, 16);
    std::memcpy(&b1, panel_b + Vectors<T>::kLanes, 16);
    const T* a = panel_a;
    s00 += a[0] * b0;
    s01 += a[0] * b1;
    s10 += a[1] * b0;
    s11 += a[1] * b1;
    s20 += a[2] * b0;
    s21 += a[2] * b1;
    s30 += a[3] * b0;
    s31 += a[3] * b1;
    panel_a += kRows;
    panel_b += kCols;
  }
  const V all[8] = {s00, s01, s10, s11, s20, s21, s30, s31};
  std::memcpy(sums, all, sizeof(all));
}

// Rows [0, rows) of a, as panels of 4 interleaved rows, missing rows zero.
template <typename T>
void PackA(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  for (int64_t i = 0; i < rows; i += kRows) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t r = 0; r < kRows; ++r) *out++ = i + r < rows ? a[(i + r) * lda + k] : T(0);
    }
  }
}

template <typename T>
void PackB(const T* b, int64_t ldb, int64_t depth, int64_t cols, T* out) {
  constexpr int64_t kCols = Vectors<T>::kCols;
  for (int64_t j = 0; j < cols; j += kCols) {
    const int64_t width = std::min(kCols, cols - j);
    for (int64_t k = 0; k < depth; ++k) {
      const T* row = b + k * ldb + j;
      for (int64_t c = 0; c < width; ++c) out[c] = row[c];
      for (int64_t c = width; c < kCols; ++c) out[c] = T(0);
      out += kCols;
    }
  }
}

int64_t RoundUp(int64_t v, int64_t multiple) { return (v + multiple - 1) / multiple * multiple; }

// One block of C from packed blocks of A and B.
template <typename T>
void Block(int64_t rows, int64_t cols, int64_t depth, const T* packed_a, const T* packed_b, T* c,
           int64_t ldc, bool first) {
  constexpr int64_t kCols = Vectors<T>::kCols;
  alignas(64) T sums[kRows * kCols];
  for (int64_t j = 0; j < cols; j += kCols) {
    const int64_t width = std::min(kCols, cols - j);
    for (int64_t i = 0; i < rows; i += kRows) {
      MicroKernel<T>(depth, packed_a + i * depth, packed_b + j * depth, sums);
      const int64_t height = std::min(kRows, rows - i);
      for (int64_t r = 0; r < height; ++r) {
        T* to = c + (i + r) * ldc + j;
        const T* from = sums + r * kCols;
        if (first) {
          for (int64_t x = 0; x < width; ++x) to[x] = from[x];
        } else {
          for (int64_t x = 0; x < width; ++x) to[x] += from[x];
        }
      }
    }
  }
}

}  // namespace

template <typename T>
Status Gemm(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
            int64_t ldc, const Run& run) {
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * ldc, n, T(0));
    return OkStatus();
  }
  const int64_t depth_max = std::min(k, kDepth);
  std::vector<T> packed_a(static_cast<size_t>(RoundUp(std::min(m, kBlockRows), kRows) * depth_max));
  std::vector<T> packed_b(
      static_cast<size_t>(RoundUp(std::min(n, kBlockCols), Vectors<T>::kCols) * depth_max));
  for (int64_t j = 0; j < n; j += kBlockCols) {
    const int64_t cols = std::min(kBlockCols, n - j);
    for (int64_t p = 0; p < k; p += kDepth) {
      const int64_t depth = std::min(kDepth, k - p);
      PackB(b + p * ldb + j, ldb, depth, cols, packed_b.data());
      for (int64_t i = 0; i < m; i += kBlockRows) {
        const int64_t rows = std::min(kBlockRows, m - i);
        PackA(a + i * lda + p, lda, rows, depth, packed_a.data());
        Block(rows, cols, depth, packed_a.data(), packed_b.data(), c + i * ldc + j, ldc, p == 0);
      }
      RETURN_IF_ERROR(run.Poll());
    }
  }
  return OkStatus();
}

template Status Gemm<float>(int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t,
                            float*, int64_t, const Run&);
template Status Gemm<double>(int64_t, int64_t, int64_t, const double*, int64_t, const double*,
                             int64_t, double*, int64_t, const Run&);
template Status Gemm<uint32_t>(int64_t, int64_t, int64_t, const uint32_t*, int64_t, const uint32_t*,
                               int64_t, uint32_t*, int64_t, const Run&);
template Status Gemm<uint64_t>(int64_t, int64_t, int64_t, const uint64_t*, int64_t, const uint64_t*,
                               int64_t, uint64_t*, int64_t, const Run&);

}  // namespace megalith::stablehlo
