// Fourier transforms of several lines at once, one per vector lane: compiled once per instruction
// set (fft_lanes_*.cc).
//
// Lines in work live in blocks: element i of all lanes is lanes real parts, then lanes imaginary
// parts, at i * 2 * lanes. Stockham's algorithm with radices 2, 3, 4, 5 and 7 and twiddle factors
// rounded from double: errors grow like the number of passes.
#pragma once

#include <cstdint>
#include <vector>

#include "common/machines/kernels/isa.h"

namespace megalith::kernels {

// Radices and twiddle factors of one length; made by MakeLineFft.
template <typename T>
struct LineFft {
  struct Pass {
    int radix;
    int64_t groups;     // butterflies with different factors
    int64_t run;        // neighbours that share one
    const T* twiddles;  // (radix - 1) complex numbers per group
  };
  static constexpr int kMaxPasses = 16;
  int64_t n = 1;
  int pass_count = 0;
  Pass passes[kMaxPasses];
  std::vector<T> table;  // what `twiddles` point into
};

// What the elements of a line are in memory.
enum class LineKind : uint8_t {
  kComplex,
  kReal,       // loads: no imaginary parts; stores: they are dropped
  kHermitian,  // the first n / 2 + 1 of a line with x[n - i] = conj x[i]
};

// Lines in memory: block element e of lane l is element i = first + e * stride + l * across of its
// line, at data[l * line + i * step], in complex numbers (real ones for kReal). Stores to a
// Hermitian line leave out what its first half implies.
struct LineLayout {
  LineKind kind = LineKind::kComplex;
  int64_t n = 0;  // elements of a whole line
  int64_t line = 0, step = 0;
  int64_t first = 0, stride = 1, across = 0;
  int64_t count = 0;
  bool swap = false;  // exchange real and imaginary parts: turns forward into inverse
};

template <typename T>
struct FftLanes {
  int lanes = 0;
  // The transform of block `from`, which is left alone unless it is a or b; in a or b.
  const T* (*transform)(const LineFft<T>& plan, const T* from, T* a, T* b) = nullptr;
  // Lines 0..used of memory to or from a block.
  void (*load)(const LineLayout& layout, const T* data, int64_t used, T* block) = nullptr;
  void (*store)(const LineLayout& layout, const T* block, int64_t used, T scale, T* data) = nullptr;
  // Between the two halves of a transform of n1 * n2 elements: block element k1 (n1 of them), lane
  // l is multiplied by coarse[k1 / fine_count] * fine[k1 % fine_count] (blocks of factors) and goes
  // to out + (k1 / lanes) * out_group + l * out_line, lane k1 % lanes.
  void (*turn)(const T* block, int64_t n1, const T* coarse, const T* fine, int64_t fine_count,
               int64_t used, T* out, int64_t out_group, int64_t out_line) = nullptr;
};

template <typename T>
const FftLanes<T>& FftLanesFor(Isa isa);

}  // namespace megalith::kernels
