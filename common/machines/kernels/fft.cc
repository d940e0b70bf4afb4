#include "common/machines/kernels/fft.h"

#include <algorithm>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/fft_plan.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kMaxLength = int64_t{1} << 24;

struct FftShape {
  FftKind kind = FftKind::kFft;
  std::vector<int64_t> lengths;
  int64_t batch = 1;
  bool inverse() const { return kind == FftKind::kIfft || kind == FftKind::kIrfft; }
  // Elements of the last dimension on the complex side.
  int64_t row() const {
    const bool half = kind == FftKind::kRfft || kind == FftKind::kIrfft;
    return half ? lengths.back() / 2 + 1 : lengths.back();
  }
};

template <typename T>
struct FftState {
  FftShape shape;
  std::vector<std::unique_ptr<const FftPlan<T>>> plans;
  uint64_t plan_scratch = 0;
  bool rows_in_results = false;  // rows are transformed without scratch
};

// Transforms dimension d (not the last) of complex grids with rows of shape.row().
template <typename T>
void AlongColumns(const FftState<T>& s, size_t d, const T* from, T* to, const KernelCall& call) {
  int64_t inner = s.shape.row();
  for (size_t i = d + 1; i + 1 < s.shape.lengths.size(); ++i) inner *= s.shape.lengths[i];
  int64_t outer = s.shape.batch;
  for (size_t i = 0; i < d; ++i) outer *= s.shape.lengths[i];
  const int64_t n = s.shape.lengths[d];
  const FftLines lines = {LineKind::kComplex, 1, inner};
  const T scale = s.shape.inverse() ? T{1} / static_cast<T>(n) : T{1};
  for (int64_t o = 0; o < outer; ++o) {
    const int64_t at = 2 * o * n * inner;
    s.plans[d]->Run(inner, lines, from + at, lines, to + at, s.shape.inverse(), scale, call.scratch,
                    call);
  }
}

template <typename T>
Status RunFft(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const FftState<T>*>(state);
  const size_t last = s.shape.lengths.size() - 1;
  const int64_t n = s.shape.lengths[last];
  int64_t rows = s.shape.batch;
  for (size_t d = 0; d < last; ++d) rows *= s.shape.lengths[d];
  if (rows == 0) return OkStatus();
  const T* in = static_cast<const T*>(call.in[0]);
  T* out = static_cast<T*>(call.out[0]);
  const FftLines complex = {LineKind::kComplex, n, 1}, real = {LineKind::kReal, n, 1},
                 half = {LineKind::kHermitian, n / 2 + 1, 1};
  const auto rows_to_out = [&](const FftLines& from_lines, const T* from,
                               const FftLines& to_lines) {
    const T scale = s.shape.inverse() ? T{1} / static_cast<T>(n) : T{1};
    s.plans[last]->Run(rows, from_lines, from, to_lines, out, s.shape.inverse(), scale,
                       s.rows_in_results ? nullptr : call.scratch, call);
  };
  if (s.shape.kind == FftKind::kIrfft) {
    // Outer dimensions first, on the half that is given; then each row is completed by symmetry.
    T* copy = reinterpret_cast<T*>(static_cast<char*>(call.scratch) + s.plan_scratch);
    const T* grid = in;
    for (size_t d = 0; d < last; ++d) {
      AlongColumns(s, d, grid, copy, call);
      grid = copy;
    }
    rows_to_out(half, grid, real);
    return call.Poll();
  }
  const bool from_real = s.shape.kind == FftKind::kRfft;
  rows_to_out(from_real ? real : complex, in, from_real ? half : complex);
  for (size_t d = last; d-- > 0;) AlongColumns<T>(s, d, out, out, call);
  return call.Poll();
}

template <typename T>
Result<PreparedKernel> Prepare(const FftShape& shape) {
  auto state = std::make_shared<FftState<T>>();
  state->shape = shape;
  PreparedKernel kernel;
  int64_t grid = shape.batch * shape.row();
  const bool complex = shape.kind == FftKind::kFft || shape.kind == FftKind::kIfft;
  for (size_t d = 0; d < shape.lengths.size(); ++d) {
    const bool last = d + 1 == shape.lengths.size();
    if (!last) grid *= shape.lengths[d];
    int64_t lines = shape.batch;
    for (size_t i = 0; i + 1 < shape.lengths.size() && last; ++i) lines *= shape.lengths[i];
    if (!last) lines = shape.row();
    state->plans.push_back(FftPlan<T>::Make(shape.lengths[d], lines));
    const FftPlan<T>& plan = *state->plans.back();
    if (last && complex && plan.scratch_bytes() > 0 && plan.works_in_results()) {
      state->rows_in_results = true;
    } else {
      state->plan_scratch = std::max(state->plan_scratch, plan.scratch_bytes());
    }
  }
  state->plan_scratch = (state->plan_scratch + 63) / 64 * 64;
  kernel.scratch_bytes = state->plan_scratch;
  if (shape.kind == FftKind::kIrfft && shape.lengths.size() > 1) {
    kernel.scratch_bytes += static_cast<uint64_t>(grid) * 2 * sizeof(T);
  }
  if (complex && !state->rows_in_results) kernel.in_place = 1;
  kernel.state = std::move(state);
  kernel.run = RunFft<T>;
  return kernel;
}

Status CheckShapes(const FftShape& s, const ArraySpec& in, const ArraySpec& out) {
  const size_t count = s.lengths.size();
  const bool from_real = s.kind == FftKind::kRfft;
  const bool to_real = s.kind == FftKind::kIrfft;
  const DType complex = from_real ? out.dtype : in.dtype;
  const DType real = tensor::RealPart(complex);
  bool good = in.shape.size() >= count && in.shape.size() == out.shape.size() &&
              tensor::IsComplex(complex) && in.dtype == (from_real ? real : complex) &&
              out.dtype == (to_real ? real : complex) &&
              tensor::NumElements(in.shape).has_value() &&
              tensor::NumElements(out.shape).has_value();
  for (size_t i = 0; i < in.shape.size() && good; ++i) {
    const size_t from_end = in.shape.size() - i;
    if (from_end > count) {
      good = in.shape[i] == out.shape[i];
      continue;
    }
    const int64_t n = s.lengths[count - from_end];
    const bool last = from_end == 1;
    good = in.shape[i] == (last && to_real ? s.row() : n) &&
           out.shape[i] == (last && from_real ? s.row() : n);
  }
  if (good) return OkStatus();
  return InvalidArgument(StrCat("fft over [", tensor::DimsText(s.lengths), "] does not take ",
                                tensor::Name(in.dtype), "[", tensor::DimsText(in.shape), "] to ",
                                tensor::Name(out.dtype), "[", tensor::DimsText(out.shape), "]"));
}

Result<PreparedKernel> PrepareFft(std::string_view params, std::span<const ArraySpec> in,
                                  std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, UnpackParams(params));
  if (v.size() < 3 || v[0] < 0 || v[0] > 3 || v[1] < 1 || v[1] > 3 ||
      v.size() != static_cast<size_t>(v[1]) + 2 || in.size() != 1 || out.size() != 1) {
    return InvalidArgument("fft wants a type, one to three lengths, one operand and one result");
  }
  FftShape shape;
  shape.kind = static_cast<FftKind>(v[0]);
  shape.lengths.assign(v.begin() + 2, v.end());
  for (const int64_t n : shape.lengths) {
    if (n < 0) return InvalidArgument(StrCat("fft of length ", n));
  }
  RETURN_IF_ERROR(CheckShapes(shape, in[0], out[0]));
  for (const int64_t n : shape.lengths) {
    if (n == 0 || n > kMaxLength) return Unimplemented(StrCat("fft of length ", n));
  }
  for (size_t i = 0; i + shape.lengths.size() < in[0].shape.size(); ++i) {
    shape.batch *= in[0].shape[i];
  }
  const bool single = tensor::RealPart(in[0].dtype) == DType::kF32;
  return single ? Prepare<float>(shape) : Prepare<double>(shape);
}

}  // namespace

const LibraryKernel kFftKernel = {"fft", PrepareFft};

}  // namespace megalith::kernels
