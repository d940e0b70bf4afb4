#include "common/machines/kernels/fft_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace megalith::kernels {
namespace {

using c128 = std::complex<double>;

constexpr int kMaxLanes = 8;
constexpr double kGrainPoints = 16384;  // of one thread, at least

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// exp(-2 pi i k / n), for 0 <= k.
c128 Root(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

// What n is made of, fours first; empty if a prime above 7 is left.
std::vector<int> Radices(int64_t n) {
  std::vector<int> out;
  for (const int r : {4, 2, 3, 5, 7}) {
    while (n % r == 0) {
      out.push_back(r);
      n /= r;
    }
  }
  if (n != 1) out.clear();
  return out;
}

template <typename T>
LineFft<T> MakeLineFft(int64_t n) {
  LineFft<T> f;
  f.n = n;
  const std::vector<int> radices = n == 1 ? std::vector<int>() : Radices(n);
  std::vector<size_t> starts;
  int64_t left = n;
  for (const int r : radices) {
    starts.push_back(f.table.size());
    for (int64_t p = 0; p < left / r; ++p) {
      for (int j = 1; j < r; ++j) {
        const c128 w = Root(j * p, left);
        f.table.push_back(static_cast<T>(w.real()));
        f.table.push_back(static_cast<T>(w.imag()));
      }
    }
    left /= r;
  }
  int64_t run = 1;
  left = n;
  for (size_t i = 0; i < radices.size(); ++i) {
    const int r = radices[i];
    f.passes[f.pass_count++] = {r, left / r, run, f.table.data() + starts[i]};
    left /= r;
    run *= r;
  }
  return f;
}

// The divisor of n nearest its square root for which both halves are short enough; 0 if there is
// none.
int64_t Half(int64_t n) {
  for (auto d = static_cast<int64_t>(std::sqrt(static_cast<double>(n))); d >= 2; --d) {
    if (n % d == 0) return n / d <= kMaxFftFactor ? d : 0;
  }
  return 0;
}

LineLayout Layout(const FftLines& lines, int64_t n, bool swap) {
  LineLayout l;
  l.kind = lines.kind;
  l.n = n;
  l.line = lines.line;
  l.step = lines.step;
  l.count = n;
  l.swap = swap;
  return l;
}

template <typename T>
const T* LineStart(const FftLines& lines, const T* data, int64_t line) {
  return data + line * lines.line * (lines.kind == LineKind::kReal ? 1 : 2);
}

}  // namespace

template <typename T>
std::unique_ptr<const FftPlan<T>> FftPlan<T>::Make(int64_t n, int64_t lines) {
  auto plan = std::make_unique<FftPlan>();
  plan->n_ = n;
  const int64_t lanes = FftLanesFor<T>(MachineIsa()).lanes;
  const bool smooth = n == 1 || !Radices(n).empty();
  if (!smooth) {
    const auto m = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(2 * n - 1)));
    plan->inner_ = FftPlan<double>::Make(m, 1);
    plan->kernel_.assign(static_cast<size_t>(m), c128());
    for (int64_t k = 0; k < n; ++k) {
      plan->chirp_.push_back(Root(k * k % (2 * n), 2 * n));
      const c128 c = std::conj(plan->chirp_.back()) / static_cast<double>(m);
      plan->kernel_[static_cast<size_t>(k)] = c;
      if (k > 0) plan->kernel_[static_cast<size_t>(m - k)] = c;
    }
    auto* kernel = reinterpret_cast<double*>(plan->kernel_.data());
    WorkPool here(1);
    std::vector<char> scratch(plan->inner_->scratch_bytes() + 64);
    const auto address = reinterpret_cast<uintptr_t>(scratch.data());
    const FftLines flat = {LineKind::kComplex, m, 1};
    plan->inner_->Run(1, flat, kernel, flat, kernel, false, 1,
                      scratch.data() + (64 - address % 64) % 64, {nullptr, nullptr, nullptr, here});
    return plan;
  }
  const int64_t half = Half(n);
  plan->whole_ = n <= kMaxFftLine && (2 * lines >= lanes || n < 64 || half < 4);
  if (plan->whole_) {
    plan->line_ = MakeLineFft<T>(n);
    return plan;
  }
  plan->n1_ = half;
  plan->n2_ = n / half;
  plan->first_ = MakeLineFft<T>(plan->n1_);
  plan->second_ = MakeLineFft<T>(plan->n2_);
  plan->fine_count_ = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(plan->n1_))));
  const int64_t coarse = CeilDiv(plan->n1_, plan->fine_count_);
  for (int64_t g = 0; g < CeilDiv(plan->n2_, lanes); ++g) {
    const auto block = [&](int64_t k1, std::vector<T>* to) {
      for (int part = 0; part < 2; ++part) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const c128 w = Root(k1 * (g * lanes + lane), n);
          to->push_back(static_cast<T>(part == 0 ? w.real() : w.imag()));
        }
      }
    };
    for (int64_t a = 0; a < coarse; ++a) block(a * plan->fine_count_, &plan->coarse_);
    for (int64_t b = 0; b < plan->fine_count_; ++b) block(b, &plan->fine_);
  }
  return plan;
}

template <typename T>
uint64_t FftPlan<T>::scratch_bytes() const {
  if (inner_ != nullptr) {
    return 2 * kernel_.size() * sizeof(c128) + inner_->scratch_bytes();
  }
  if (whole_) return 0;
  const int64_t lanes = FftLanesFor<T>(MachineIsa()).lanes;
  return static_cast<uint64_t>(CeilDiv(n1_, lanes) * lanes * n2_) * 2 * sizeof(T);
}

template <typename T>
bool FftPlan<T>::works_in_results() const {
  return inner_ == nullptr && (whole_ || n1_ % FftLanesFor<T>(MachineIsa()).lanes == 0);
}

template <typename T>
void FftPlan<T>::Run(int64_t lines, const FftLines& in, const T* from, const FftLines& out, T* to,
                     bool inverse, T scale, void* scratch, const KernelCall& call) const {
  if (whole_) return RunWhole(lines, in, from, out, to, inverse, scale, call);
  for (int64_t line = 0; line < lines && call.Poll().ok(); ++line) {
    const T* source = LineStart(in, from, line);
    T* target = const_cast<T*>(LineStart<T>(out, to, line));
    if (inner_ != nullptr) {
      RunChirp(in, source, out, target, inverse, scale, scratch, call);
    } else {
      RunSplit(in, source, out, target, inverse, scale, static_cast<T*>(scratch), call);
    }
  }
}

template <typename T>
void FftPlan<T>::RunWhole(int64_t lines, const FftLines& in, const T* from, const FftLines& out,
                          T* to, bool inverse, T scale, const KernelCall& call) const {
  const FftLanes<T>& lanes = FftLanesFor<T>(MachineIsa());
  const LineLayout load = Layout(in, n_, inverse);
  const LineLayout store = Layout(out, n_, inverse);
  const auto grain = static_cast<int64_t>(kGrainPoints / static_cast<double>(n_ * lanes.lanes));
  call.pool.For(
      CeilDiv(lines, lanes.lanes), std::max<int64_t>(grain, 1), [&](int64_t begin, int64_t end) {
        alignas(64) T a[kMaxFftLine * 64 / sizeof(T)];
        alignas(64) T b[kMaxFftLine * 64 / sizeof(T)];
        for (int64_t g = begin; g < end && call.Poll().ok(); ++g) {
          const int64_t line = g * lanes.lanes;
          const int64_t used = std::min<int64_t>(lanes.lanes, lines - line);
          lanes.load(load, LineStart(in, from, line), used, a);
          const T* done = lanes.transform(line_, a, a, b);
          lanes.store(store, done, used, scale, const_cast<T*>(LineStart<T>(out, to, line)));
        }
      });
}

// With i = i1 n2 + i2 and k = k1 + n1 k2: transforms over i1, factors w^(i2 k1), transforms over
// i2. Without scratch the first half puts (k1, i2) where (k1, k2 = i2) of the result will be, so
// that the second reads and writes the same places.
template <typename T>
void FftPlan<T>::RunSplit(const FftLines& in, const T* from, const FftLines& out, T* to,
                          bool inverse, T scale, T* scratch, const KernelCall& call) const {
  const FftLanes<T>& lanes = FftLanesFor<T>(MachineIsa());
  const int64_t w = lanes.lanes;
  const int64_t block = 2 * w;
  const int64_t coarse = CeilDiv(n1_, fine_count_);
  const bool in_results = scratch == nullptr;
  const Between between =
      in_results ? Between{to, block, 2 * n1_} : Between{scratch, n2_ * block, block};
  const auto grain = [&](int64_t n) {
    return std::max<int64_t>(1, static_cast<int64_t>(kGrainPoints / static_cast<double>(n * w)));
  };
  call.pool.For(CeilDiv(n2_, w), grain(n1_), [&](int64_t begin, int64_t end) {
    alignas(64) T a[kMaxFftFactor * 64 / sizeof(T)];
    alignas(64) T b[kMaxFftFactor * 64 / sizeof(T)];
    LineLayout load = Layout({in.kind, 0, in.step}, n_, inverse);
    load.stride = n2_;
    load.across = 1;
    load.count = n1_;
    for (int64_t g = begin; g < end; ++g) {
      load.first = g * w;
      const int64_t used = std::min(w, n2_ - g * w);
      lanes.load(load, from, used, a);
      const T* done = lanes.transform(first_, a, a, b);
      lanes.turn(done, n1_, coarse_.data() + g * coarse * block,
                 fine_.data() + g * fine_count_ * block, fine_count_, used,
                 between.at + g * w * between.line, between.group, between.line);
    }
  });
  call.pool.For(CeilDiv(n1_, w), grain(n2_), [&](int64_t begin, int64_t end) {
    alignas(64) T a[kMaxFftFactor * 64 / sizeof(T)];
    alignas(64) T b[kMaxFftFactor * 64 / sizeof(T)];
    LineLayout store = Layout({out.kind, 0, out.step}, n_, inverse);
    store.stride = n1_;
    store.across = 1;
    store.count = n2_;
    for (int64_t g = begin; g < end; ++g) {
      store.first = g * w;
      const T* from = between.at + g * between.group;
      if (in_results) {
        for (int64_t i = 0; i < n2_; ++i)
          std::copy_n(from + i * between.line, block, a + i * block);
        from = a;
      }
      const T* done = lanes.transform(second_, from, a, b);
      lanes.store(store, done, std::min(w, n1_ - g * w), scale, to);
    }
  });
}

// x_k = w^(k^2/2) sum_j (x_j w^(j^2/2)) w^(-(k-j)^2/2): a convolution with the chirp.
template <typename T>
void FftPlan<T>::RunChirp(const FftLines& in, const T* from, const FftLines& out, T* to,
                          bool inverse, T scale, void* scratch, const KernelCall& call) const {
  const auto m = static_cast<int64_t>(kernel_.size());
  auto* a = static_cast<c128*>(scratch);
  c128* b = a + m;
  void* rest = b + m;
  const auto times = [](c128 x, c128 y) {
    return c128(x.real() * y.real() - x.imag() * y.imag(),
                x.real() * y.imag() + x.imag() * y.real());
  };
  for (int64_t i = 0; i < n_; ++i) {
    c128 x;
    if (in.kind == LineKind::kReal) {
      x = static_cast<double>(from[i * in.step]);
    } else {
      const bool mirror = in.kind == LineKind::kHermitian && i > n_ / 2;
      const T* at = from + 2 * (mirror ? n_ - i : i) * in.step;
      const bool real = in.kind == LineKind::kHermitian && (i == 0 || 2 * i == n_);
      x = {static_cast<double>(at[0]), real ? 0 : static_cast<double>(mirror ? -at[1] : at[1])};
    }
    if (inverse) x = {x.imag(), x.real()};
    a[i] = times(x, chirp_[static_cast<size_t>(i)]);
  }
  std::fill(a + n_, a + m, c128());
  const FftLines flat = {LineKind::kComplex, m, 1};
  auto* as = reinterpret_cast<double*>(a);
  auto* bs = reinterpret_cast<double*>(b);
  inner_->Run(1, flat, as, flat, bs, false, 1, rest, call);
  for (int64_t i = 0; i < m; ++i) b[i] = times(b[i], kernel_[static_cast<size_t>(i)]);
  inner_->Run(1, flat, bs, flat, as, true, 1, rest, call);
  const int64_t stored = out.kind == LineKind::kHermitian ? n_ / 2 + 1 : n_;
  for (int64_t k = 0; k < stored; ++k) {
    c128 x = times(a[k], chirp_[static_cast<size_t>(k)]);
    if (inverse) x = {x.imag(), x.real()};
    x *= static_cast<double>(scale);
    if (out.kind == LineKind::kReal) {
      to[k * out.step] = static_cast<T>(x.real());
    } else {
      to[2 * k * out.step] = static_cast<T>(x.real());
      to[2 * k * out.step + 1] = static_cast<T>(x.imag());
    }
  }
}

template class FftPlan<float>;
template class FftPlan<double>;

}  // namespace megalith::kernels
