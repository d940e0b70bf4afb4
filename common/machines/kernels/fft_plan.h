// How transforms of one length are computed: tables made once, read by any number of threads.
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/machines/kernels/fft_lanes.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// The longest line that is transformed within a thread's stack, and the longest factor.
inline constexpr int64_t kMaxFftLine = 1024;
inline constexpr int64_t kMaxFftFactor = 4096;

// Either side of a set of lines: line g * lanes.. of `lines`, element i at
// data[line * layout.line + i * layout.step].
struct FftLines {
  LineKind kind = LineKind::kComplex;
  int64_t line = 0, step = 0;
};

template <typename T>
class FftPlan {
 public:
  // Requires 0 < n <= 2^24. `lines`: how many are transformed at a time.
  static std::unique_ptr<const FftPlan> Make(int64_t n, int64_t lines);

  int64_t n() const { return n_; }
  // Bytes of scratch that Run wants, aligned to 64.
  uint64_t scratch_bytes() const;

  // True if Run needs no scratch where the results are complex, lie side by side (step 1), and are
  // not the operand.
  bool works_in_results() const;

  // Transforms `lines` lines, forward or inverse, times `scale`. in and out may be the same memory
  // if they are laid out the same. `scratch`: nullptr as works_in_results() says.
  void Run(int64_t lines, const FftLines& in, const T* from, const FftLines& out, T* to,
           bool inverse, T scale, void* scratch, const KernelCall& call) const;

 private:
  void RunWhole(int64_t lines, const FftLines& in, const T* from, const FftLines& out, T* to,
                bool inverse, T scale, const KernelCall& call) const;
  void RunSplit(const FftLines& in, const T* from, const FftLines& out, T* to, bool inverse,
                T scale, T* scratch, const KernelCall& call) const;
  void RunChirp(const FftLines& in, const T* from, const FftLines& out, T* to, bool inverse,
                T scale, void* scratch, const KernelCall& call) const;

  // Where the second half of a split transform finds what the first has made.
  struct Between {
    T* at;
    int64_t group, line;  // distances of groups of columns, and of rows
  };

  int64_t n_ = 1;
  bool whole_ = false;       // can be and, for enough lines, is transformed in one piece
  LineFft<T> line_;          // of n_, if whole_
  int64_t n1_ = 0, n2_ = 0;  // n_ = n1_ * n2_ in two halves; 0: not so
  LineFft<T> first_, second_;
  int64_t fine_count_ = 0;
  std::vector<T> coarse_, fine_;  // blocks of factors, by group of columns
  // Bluestein: a convolution with the chirp, by way of a power of two.
  std::unique_ptr<const FftPlan<double>> inner_;
  std::vector<std::complex<double>> chirp_, kernel_;
  template <typename>
  friend class FftPlan;
};

}  // namespace megalith::kernels
