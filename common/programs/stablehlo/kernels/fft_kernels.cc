// stablehlo.fft, in complex128 whatever the element type, rounded once at the end.
//
// Lengths that are powers of two: iterative radix 2. Others: Bluestein's chirp transform by way of
// a power of two. Twiddle factors are computed one by one, so errors grow like log n roundings.
#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

using c128 = std::complex<double>;

c128 Multiply(c128 a, c128 b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

// exp(-2 pi i k / n)
c128 Root(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

// Forward transforms of one length, unnormalised; immutable.
class Transform {
 public:
  explicit Transform(int64_t n) : n_(n) {
    if (n <= 1) return;
    const auto un = static_cast<uint64_t>(n);
    if (std::has_single_bit(un)) {
      for (int64_t k = 0; k < n / 2; ++k) roots_.push_back(Root(k, n));
      return;
    }
    // x_k = w^(k^2/2) sum_j (x_j w^(j^2/2)) w^(-(k-j)^2/2): a convolution with the chirp.
    const auto m = static_cast<int64_t>(std::bit_ceil(2 * un - 1));
    inner_ = std::make_unique<Transform>(m);
    for (int64_t k = 0; k < n; ++k) {
      chirp_.push_back(
          Root(static_cast<int64_t>(static_cast<uint64_t>(k) * static_cast<uint64_t>(k) % (2 * un)),
               2 * n));
    }
    kernel_.assign(static_cast<size_t>(m), c128(0, 0));
    for (int64_t k = 0; k < n; ++k) {
      kernel_[static_cast<size_t>(k)] = std::conj(chirp_[static_cast<size_t>(k)]);
      if (k > 0) kernel_[static_cast<size_t>(m - k)] = kernel_[static_cast<size_t>(k)];
    }
    inner_->Forward(kernel_.data());
  }

  void Forward(c128* x) const {
    if (n_ <= 1) return;
    if (inner_ == nullptr) {
      Radix2(x);
    } else {
      Bluestein(x);
    }
  }

 private:
  void Radix2(c128* x) const {
    const int bits = std::countr_zero(static_cast<uint64_t>(n_));
    for (int64_t i = 0; i < n_; ++i) {
      int64_t j = 0;
      for (int b = 0; b < bits; ++b) j |= ((i >> b) & 1) << (bits - 1 - b);
      if (j > i) std::swap(x[i], x[j]);
    }
    for (int64_t half = 1; half < n_; half *= 2) {
      const int64_t step = n_ / (2 * half);
      for (int64_t start = 0; start < n_; start += 2 * half) {
        for (int64_t k = 0; k < half; ++k) {
          const c128 odd = Multiply(x[start + half + k], roots_[static_cast<size_t>(k * step)]);
          x[start + half + k] = x[start + k] - odd;
          x[start + k] += odd;
        }
      }
    }
  }

  void Bluestein(c128* x) const {
    const auto m = static_cast<int64_t>(kernel_.size());
    std::vector<c128> work(kernel_.size(), c128(0, 0));
    for (int64_t k = 0; k < n_; ++k)
      work[static_cast<size_t>(k)] = Multiply(x[k], chirp_[static_cast<size_t>(k)]);
    inner_->Forward(work.data());
    for (size_t k = 0; k < work.size(); ++k) work[k] = std::conj(Multiply(work[k], kernel_[k]));
    inner_->Forward(work.data());  // conjugate, transform, conjugate: the inverse
    for (int64_t k = 0; k < n_; ++k) {
      x[k] = Multiply(std::conj(work[static_cast<size_t>(k)]) / static_cast<double>(m),
                      chirp_[static_cast<size_t>(k)]);
    }
  }

  int64_t n_;
  std::vector<c128> roots_, chirp_, kernel_;
  std::unique_ptr<Transform> inner_;
};

struct FftPlan {
  FftType type = FftType::kFft;
  TensorType out;
  Shape grid;          // sizes of the transformed dimensions, of the complex data
  int64_t length = 0;  // of the real side of RFFT and IRFFT
  std::vector<std::shared_ptr<const Transform>> transforms;
};

// Transforms dimension d of a grid in place.
void AlongDim(const FftPlan& p, size_t d, bool inverse, std::vector<c128>* grid) {
  int64_t inner = 1;
  for (size_t i = d + 1; i < p.grid.size(); ++i) inner *= p.grid[i];
  const int64_t n = p.grid[d];
  const auto total = static_cast<int64_t>(grid->size());
  std::vector<c128> line(static_cast<size_t>(n));
  for (int64_t start = 0; start < total; start += n * inner) {
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t k = 0; k < n; ++k) {
        const c128 v = (*grid)[static_cast<size_t>(start + k * inner + i)];
        line[static_cast<size_t>(k)] = inverse ? std::conj(v) : v;
      }
      p.transforms[d]->Forward(line.data());
      for (int64_t k = 0; k < n; ++k) {
        const c128 v = line[static_cast<size_t>(k)];
        (*grid)[static_cast<size_t>(start + k * inner + i)] =
            inverse ? std::conj(v) / static_cast<double>(n) : v;
      }
    }
  }
}

// The full spectrum of a real signal's last dimension from its first half: X[n - k] = conj X[k].
void Unfold(const FftPlan& p, const Tensor& in, int64_t first, std::vector<c128>* grid) {
  const int64_t half = p.length / 2 + 1;
  const int64_t rows = static_cast<int64_t>(grid->size()) / std::max<int64_t>(p.length, 1);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < half; ++k) {
      (*grid)[static_cast<size_t>(r * p.length + k)] = in.ComplexAt(first + r * half + k);
    }
  }
}

Status RunFft(const FftPlan& p, KernelCall& call) {
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(p.out));
  const Tensor& in = call.in[0];
  Tensor& out = call.out[0];
  if (out.size() == 0) return OkStatus();
  const bool inverse = p.type == FftType::kIfft || p.type == FftType::kIrfft;
  const size_t last = p.grid.size() - 1;
  const int64_t points = tensor::NumElements(p.grid).value_or(0);
  const int64_t half = p.length / 2 + 1;
  const int64_t rows = points / p.grid[last];
  const int64_t in_points = p.type == FftType::kIrfft ? rows * half : points;
  const int64_t out_points = p.type == FftType::kRfft ? rows * half : points;
  for (int64_t batch = 0; batch < out.size() / out_points; ++batch) {
    std::vector<c128> grid(static_cast<size_t>(points), c128(0, 0));
    const int64_t first = batch * in_points;
    if (p.type == FftType::kIrfft) {
      Unfold(p, in, first, &grid);
      // Outer dimensions first, on the half that is given; then each row is completed by symmetry.
      for (size_t d = 0; d < last; ++d) AlongDim(p, d, true, &grid);
      for (int64_t r = 0; r < rows; ++r) {
        c128* row = grid.data() + r * p.length;
        row[0] = row[0].real();
        if (p.length % 2 == 0) row[p.length / 2] = row[p.length / 2].real();
        for (int64_t k = half; k < p.length; ++k) row[k] = std::conj(row[p.length - k]);
      }
      AlongDim(p, last, true, &grid);
    } else {
      for (int64_t i = 0; i < points; ++i) grid[static_cast<size_t>(i)] = in.ComplexAt(first + i);
      for (size_t d = p.grid.size(); d-- > 0;) AlongDim(p, d, inverse, &grid);
    }
    for (int64_t i = 0; i < out_points; ++i) {
      const int64_t at = p.type == FftType::kRfft ? i / half * p.length + i % half : i;
      out.SetComplex(batch * out_points + i, grid[static_cast<size_t>(at)]);
    }
    RETURN_IF_ERROR(call.run.Poll());
  }
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareFft(Planner& planner, const Op& op) {
  auto p = std::make_shared<FftPlan>();
  p->type = static_cast<FftType>(op.attr("fft_type").AsEnum());
  p->out = planner.result(op);
  const auto lengths = op.attr("fft_length").AsInts();
  for (const int64_t n : lengths) {
    p->grid.push_back(n);
    p->transforms.push_back(ElementCount(p->out) == 0 ? nullptr
                                                      : std::make_shared<const Transform>(n));
  }
  p->length = lengths.back();
  return Kernel{[p](KernelCall& call) { return RunFft(*p, call); }};
}

}  // namespace megalith::stablehlo
