// reduce_window. Rows of results (the last windowed dimension with what follows it) are folded at
// once: for each position of the window, the results it touches take a row of elements. A window
// over a whole dimension with one-sided padding is a running reduction (running.h).
#include <algorithm>
#include <optional>

#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/running.h"
#include "common/machines/kernels/window_kernels.h"
#include "common/machines/kernels/window_plan.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kPollElements = 1 << 21;

template <typename Element, typename Op>
class WindowRunner {
 public:
  using T = typename Element::Stored;
  using C = typename Element::Computed;

  WindowRunner(const WindowPlan& plan, const KernelCall& call)
      : plan_(plan),
        call_(call),
        in_(static_cast<const T*>(call.in[0])),
        last_(plan.dims.back()),
        row_(last_.out * plan.inner) {
    if constexpr (!std::is_same_v<T, C>) narrow_.resize(static_cast<size_t>(row_));
  }

  // Rows [begin, end) of the result.
  Status Rows(int64_t begin, int64_t end) {
    const C initial = static_cast<C>(*static_cast<const T*>(call_.in[1]));
    for (int64_t r = begin; r < end; ++r) {
      T* out = static_cast<T*>(call_.out[0]) + r * row_;
      if constexpr (std::is_same_v<T, C>) {
        sums_ = out;
      } else {
        sums_ = narrow_.data();
      }
      std::fill_n(sums_, row_, initial);
      if (!plan_.empty_window) {
        output_ = r;
        RETURN_IF_ERROR(Positions(0, 0, plan_.out_rows));
      }
      if constexpr (!std::is_same_v<T, C>) {
        for (int64_t i = 0; i < row_; ++i) out[i] = static_cast<T>(sums_[i]);
      }
      RETURN_IF_ERROR(Spend(row_));
    }
    return OkStatus();
  }

 private:
  // All positions of the window along dimensions from `dim` on, with the array offset of those
  // before. `rows`: results over dimensions from `dim` to the last but one.
  Status Positions(size_t dim, int64_t offset, int64_t rows) {
    if (dim + 1 == plan_.dims.size()) return Row(offset);
    const WindowDim& d = plan_.dims[dim];
    rows /= d.out;
    const int64_t o = output_ / rows % d.out;
    for (int64_t w = 0; w < d.size; ++w) {
      const int64_t i = d.Input(o, w);
      if (i >= 0) {
        RETURN_IF_ERROR(Positions(dim + 1, offset + i * plan_.in_strides[dim], rows));
      } else {
        RETURN_IF_ERROR(Spend(1));
      }
    }
    return OkStatus();
  }

  Status Row(int64_t offset) {
    const T* in = in_ + offset;
    for (int64_t w = 0; w < last_.size; ++w) {
      int64_t low = 0, high = 0;
      last_.Inside(w, &low, &high);
      OnBestIsa([&]() __attribute__((always_inline)) { Fold(in, w, low, high); });
      RETURN_IF_ERROR(Spend((high - low) * plan_.inner + 1));
    }
    return OkStatus();
  }

  [[gnu::always_inline]] void Fold(const T* in, int64_t w, int64_t low, int64_t high) {
    const int64_t inner = plan_.inner;
    if (last_.base_dilation != 1) {
      for (int64_t o = low; o < high; ++o) {
        const int64_t i = last_.Input(o, w);
        if (i >= 0) FoldRun(in + i * inner, sums_ + o * inner, inner);
      }
      return;
    }
    const int64_t shift = w * last_.window_dilation - last_.pad_low;
    if (last_.stride == 1) {
      FoldRun(in + (low + shift) * inner, sums_ + low * inner, (high - low) * inner);
    } else if (inner == 1) {
      const T* from = in + low * last_.stride + shift;
      C* to = sums_ + low;
      const int64_t stride = last_.stride;
      for (int64_t o = 0; o < high - low; ++o)
        to[o] = Op::Apply(to[o], static_cast<C>(from[o * stride]));
    } else {
      for (int64_t o = low; o < high; ++o)
        FoldRun(in + (o * last_.stride + shift) * inner, sums_ + o * inner, inner);
    }
  }

  [[gnu::always_inline]] static void FoldRun(const T* from, C* to, int64_t n) {
#ifndef __clang__
#pragma GCC ivdep
#endif
    for (int64_t i = 0; i < n; ++i) to[i] = Op::Apply(to[i], static_cast<C>(from[i]));
  }

  Status Spend(int64_t elements) {
    if ((spent_ += elements) < kPollElements) return OkStatus();
    spent_ = 0;
    return call_.Poll();
  }

  const WindowPlan& plan_;
  const KernelCall& call_;
  const T* in_;
  const WindowDim& last_;
  const int64_t row_;
  std::vector<C> narrow_;
  C* sums_ = nullptr;
  int64_t output_ = 0;
  int64_t spent_ = 0;
};

using WindowFn = Status (*)(const WindowPlan&, const KernelCall&);

template <typename Element, typename Op>
Status RunWindows(const WindowPlan& plan, const KernelCall& call) {
  const int64_t row = plan.dims.back().out * plan.inner;
  int64_t positions = 1;
  for (const WindowDim& d : plan.dims) positions = std::min(positions * d.size, int64_t{1} << 20);
  const int64_t grain = std::max<int64_t>(65536 / std::max<int64_t>(row * positions, 1), 1);
  FirstError error;
  call.pool.For(plan.out_rows, grain, [&](int64_t begin, int64_t end) {
    const Status status = WindowRunner<Element, Op>(plan, call).Rows(begin, end);
    if (!status.ok()) error.Set(status);
  });
  return error.Take();
}

struct WindowState {
  WindowPlan plan;
  WindowFn run = nullptr;
  RunningFn running = nullptr;  // if the window is one
  LineLayout lines;
  bool reverse = false;
  bool empty = false;
};

Status RunReduceWindow(const void* state, const KernelCall& call) {
  const WindowState& s = *static_cast<const WindowState*>(state);
  if (s.empty) return OkStatus();
  if (s.running != nullptr)
    return s.running(call, call.in[0], call.in[1], call.out[0], s.lines, s.reverse);
  return s.run(s.plan, call);
}

// Recognises a running reduction.
bool FindLines(const WindowPlan& plan, WindowState* s) {
  size_t at = plan.dims.size();
  for (size_t i = 0; i < plan.dims.size(); ++i) {
    const WindowDim& d = plan.dims[i];
    if (d.trivial()) continue;
    const bool plain = d.stride == 1 && d.base_dilation == 1 && d.window_dilation == 1;
    const bool forward = d.pad_low == d.in - 1 && d.pad_high == 0;
    const bool backward = d.pad_high == d.in - 1 && d.pad_low == 0;
    if (at != plan.dims.size() || !plain || d.size != d.in || (!forward && !backward)) return false;
    at = i;
    s->reverse = !forward;
  }
  if (at == plan.dims.size()) return false;
  s->lines = {1, plan.dims[at].in, plan.inner};
  for (size_t i = 0; i < plan.dims.size(); ++i) {
    if (i != at) (i < at ? s->lines.outer : s->lines.inner) *= plan.dims[i].in;
  }
  return true;
}

Result<PreparedKernel> PrepareReduceWindow(std::string_view params, std::span<const ArraySpec> in,
                                           std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("reduce_window", in, 2, out, 1));
  if (in[0].dtype != out[0].dtype || in[1].dtype != out[0].dtype || Elements(in[1]) != 1)
    return InvalidArgument("reduce_window: types or initial value do not fit");
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("reduce_window", params));
  ASSIGN_OR_RETURN(const int64_t kind, reader.Next("combination", 1, kNumCombineKinds - 1));
  auto s = std::make_shared<WindowState>();
  ASSIGN_OR_RETURN(s->plan, ReadWindow("reduce_window", &reader, in[0].shape, out[0].shape, true));
  RETURN_IF_ERROR(reader.Done());
  const auto find = [&]<typename Element, typename Op>() {
    if constexpr (!std::is_same_v<Op, combine::Replace>) s->run = RunWindows<Element, Op>;
  };
  combine::Visit(out[0].dtype, static_cast<CombineKind>(kind), find);
  if (s->run == nullptr) return Unimplemented("reduce_window: no such combination of the type");
  s->empty = Elements(out[0]) == 0;
  if (!s->empty && Elements(in[0]) > 0 && FindLines(s->plan, s.get()))
    s->running = FindRunning(out[0].dtype, static_cast<CombineKind>(kind));
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunReduceWindow;
  return kernel;
}

}  // namespace

const LibraryKernel kReduceWindowKernel = {"reduce_window", PrepareReduceWindow};

}  // namespace megalith::kernels
