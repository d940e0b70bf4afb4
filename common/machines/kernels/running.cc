// Several running values at a time, so that one need not wait for the other: neighbours in memory
// in vectors; otherwise streams, which are eight lines or eight segments of a long line. A segment
// starts from the fold of those before it, which is made first.
#include "common/machines/kernels/running.h"

#include <algorithm>
#include <array>
#include <vector>

#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/window_kernels.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kStreams = 8;
constexpr int64_t kLanes = 256;
constexpr int64_t kSegmented = 1 << 13;  // lines at least this long are cut into segments
constexpr int64_t kPollElements = 1 << 21;

template <typename Element, typename Op>
class Runner {
 public:
  using T = typename Element::Stored;
  using C = typename Element::Computed;

  Runner(const KernelCall& call, const void* in, const void* initial, void* out,
         const LineLayout& lines, bool reverse)
      : call_(call),
        in_(static_cast<const T*>(in)),
        out_(static_cast<T*>(out)),
        lines_(lines),
        reverse_(reverse),
        has_initial_(initial != nullptr) {
    if (has_initial_) initial_ = static_cast<C>(*static_cast<const T*>(initial));
  }

  Status Run() {
    if (lines_.inner > 1) return RunColumns();
    if (lines_.length >= kSegmented && lines_.outer < 2 * kStreams * call_.pool.threads()) {
      for (int64_t o = 0; o < lines_.outer; ++o) {
        RETURN_IF_ERROR(call_.Poll());
        RunSegments(o * lines_.length);
      }
      return OkStatus();
    }
    FirstError error;
    const int64_t groups = (lines_.outer + kStreams - 1) / kStreams;
    const int64_t grain = std::max<int64_t>(65536 / (kStreams * lines_.length), 1);
    call_.pool.For(groups, grain, [&](int64_t begin, int64_t end) {
      int64_t since_poll = 0;
      for (int64_t g = begin; g < end && !error.failed(); ++g) {
        if ((since_poll += kStreams * lines_.length) > kPollElements) {
          since_poll = 0;
          const Status status = call_.Poll();
          if (!status.ok()) return error.Set(status);
        }
        RunLines(g * kStreams, std::min((g + 1) * kStreams, lines_.outer));
      }
    });
    return error.Take();
  }

 private:
  // Position i of a line that runs backwards or not.
  int64_t Step() const { return reverse_ ? -1 : 1; }
  int64_t First(int64_t line) const { return line + (reverse_ ? lines_.length - 1 : 0); }

  C Start(const T& first) const {
    const C v = static_cast<C>(first);
    return has_initial_ ? Op::Apply(initial_, v) : v;
  }

  // One stream of n elements from offset `at`, the running value after it in *sum.
  void Alone(int64_t at, int64_t n, C* sum) {
    const int64_t step = Step();
    for (int64_t i = 0; i < n; ++i) {
      *sum = Op::Apply(*sum, static_cast<C>(in_[at + i * step]));
      out_[at + i * step] = static_cast<T>(*sum);
    }
  }

  // kStreams streams of n elements.
  void Together(const std::array<int64_t, kStreams>& at, int64_t n, std::array<C, kStreams>* sums) {
    const int64_t step = Step();
    std::array<C, kStreams> sum = *sums;
    const T* in = in_;
    T* out = out_;
    for (int64_t i = 0; i < n; ++i) {
      for (size_t s = 0; s < kStreams; ++s) {
        const int64_t place = at[s] + i * step;
        sum[s] = Op::Apply(sum[s], static_cast<C>(in[place]));
        out[place] = static_cast<T>(sum[s]);
      }
    }
    *sums = sum;
  }

  void RunLines(int64_t begin, int64_t end) {
    std::array<int64_t, kStreams> at;
    std::array<C, kStreams> sums;
    const int64_t step = Step();
    for (int64_t l = begin; l < end; ++l) {
      const auto s = static_cast<size_t>(l - begin);
      at[s] = First(l * lines_.length);
      sums[s] = Start(in_[at[s]]);
      out_[at[s]] = static_cast<T>(sums[s]);
      at[s] += step;
    }
    if (end - begin == kStreams) return Together(at, lines_.length - 1, &sums);
    for (size_t s = 0; s < static_cast<size_t>(end - begin); ++s)
      Alone(at[s], lines_.length - 1, &sums[s]);
  }

  // The fold of n > 0 elements, in lanes.
  C Fold(int64_t at, int64_t n) const {
    const T* p = in_ + (reverse_ ? at - n + 1 : at);
    constexpr int64_t kWide = 32;
    C lanes[kWide];
    const int64_t live = std::min(n, kWide);
    OnBestIsa([&]() __attribute__((always_inline)) {
      for (int64_t i = 0; i < live; ++i) lanes[i] = static_cast<C>(p[i]);
      int64_t i = live;
      for (; i + kWide <= n; i += kWide) {
        for (int64_t l = 0; l < kWide; ++l)
          lanes[l] = Op::Apply(lanes[l], static_cast<C>(p[i + l]));
      }
      for (int64_t l = 0; i + l < n; ++l) lanes[l] = Op::Apply(lanes[l], static_cast<C>(p[i + l]));
    });
    C sum = lanes[0];
    for (int64_t l = 1; l < live; ++l) sum = Op::Apply(sum, lanes[l]);
    return sum;
  }

  // A long line: as many segments as threads, of kStreams streams each, and what is left over.
  void RunSegments(int64_t line) {
    const int64_t step = Step();
    const int64_t first = First(line);
    const int64_t groups =
        std::clamp<int64_t>(lines_.length / (4 * kSegmented), 1, call_.pool.threads());
    const int64_t streams = groups * kStreams;
    const int64_t each = (lines_.length - 1) / streams;
    std::vector<C> starts(static_cast<size_t>(streams));
    const auto place = [&](int64_t stream) { return first + (1 + stream * each) * step; };
    call_.pool.For(streams, kStreams, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) starts[static_cast<size_t>(s)] = Fold(place(s), each);
    });
    C sum = Start(in_[first]);
    out_[first] = static_cast<T>(sum);
    for (C& start : starts) {
      const C fold = start;
      start = sum;
      sum = Op::Apply(sum, fold);
    }
    call_.pool.For(groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        std::array<int64_t, kStreams> at;
        std::array<C, kStreams> sums;
        for (int64_t s = 0; s < kStreams; ++s) {
          at[static_cast<size_t>(s)] = place(g * kStreams + s);
          sums[static_cast<size_t>(s)] = starts[static_cast<size_t>(g * kStreams + s)];
        }
        Together(at, each, &sums);
        if (g == groups - 1)
          Alone(place(streams), lines_.length - 1 - streams * each, &sums[kStreams - 1]);
      }
    });
  }

  // Lines side by side: a block of them at a time, a vector of running values.
  Status RunColumns() {
    const int64_t blocks = (lines_.inner + kLanes - 1) / kLanes;
    const int64_t grain =
        std::max<int64_t>(32768 / (std::min(lines_.inner, kLanes) * lines_.length), 1);
    FirstError error;
    call_.pool.For(lines_.outer * blocks, grain, [&](int64_t begin, int64_t end) {
      int64_t since_poll = 0;
      for (int64_t b = begin; b < end && !error.failed(); ++b) {
        const int64_t lane = b % blocks * kLanes;
        const int64_t n = std::min(kLanes, lines_.inner - lane);
        const int64_t at = b / blocks * lines_.length * lines_.inner + lane;
        if ((since_poll += n * lines_.length) > kPollElements) {
          since_poll = 0;
          const Status status = call_.Poll();
          if (!status.ok()) return error.Set(status);
        }
        OnBestIsa([&]() __attribute__((always_inline)) { Columns(at, n); });
      }
    });
    return error.Take();
  }

  [[gnu::always_inline]] void Columns(int64_t at, int64_t n) {
    C sums[kLanes];
    const int64_t step = reverse_ ? -lines_.inner : lines_.inner;
    const T* in = in_ + at + (reverse_ ? (lines_.length - 1) * lines_.inner : 0);
    T* out = out_ + at + (reverse_ ? (lines_.length - 1) * lines_.inner : 0);
    if (has_initial_) {
      const C initial = initial_;
      for (int64_t l = 0; l < n; ++l) sums[l] = Op::Apply(initial, static_cast<C>(in[l]));
    } else {
      for (int64_t l = 0; l < n; ++l) sums[l] = static_cast<C>(in[l]);
    }
    for (int64_t l = 0; l < n; ++l) out[l] = static_cast<T>(sums[l]);
    for (int64_t i = 1; i < lines_.length; ++i) {
      in += step;
      out += step;
#ifndef __clang__
#pragma GCC ivdep
#endif
      for (int64_t l = 0; l < n; ++l) {
        sums[l] = Op::Apply(sums[l], static_cast<C>(in[l]));
        out[l] = static_cast<T>(sums[l]);
      }
    }
  }

  const KernelCall& call_;
  const T* in_;
  T* out_;
  LineLayout lines_;
  bool reverse_;
  bool has_initial_;
  C initial_{};
};

template <typename Element, typename Op>
Status RunRunning(const KernelCall& call, const void* in, const void* initial, void* out,
                  const LineLayout& lines, bool reverse) {
  if (lines.outer == 0) return OkStatus();
  return Runner<Element, Op>(call, in, initial, out, lines, reverse).Run();
}

struct CumulativeState {
  RunningFn run = nullptr;
  LineLayout lines;
  bool reverse = false;
  bool has_initial = false;
};

Status RunCumulative(const void* state, const KernelCall& call) {
  const CumulativeState& s = *static_cast<const CumulativeState*>(state);
  return s.run(call, call.in[0], s.has_initial ? call.in[1] : nullptr, call.out[0], s.lines,
               s.reverse);
}

Result<PreparedKernel> PrepareCumulative(std::string_view params, std::span<const ArraySpec> in,
                                         std::span<const ArraySpec> out) {
  const bool has_initial = in.size() == 2;
  RETURN_IF_ERROR(CheckArrays("cumulative", in, has_initial ? 2 : 1, out, 1));
  RETURN_IF_ERROR(CheckSame("cumulative: operand and result", in[0], out[0]));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("cumulative", params));
  ASSIGN_OR_RETURN(const int64_t kind, reader.Next("combination", 1, kNumCombineKinds - 1));
  ASSIGN_OR_RETURN(const int64_t dim,
                   reader.Next("dimension", 0, static_cast<int64_t>(in[0].shape.size()) - 1));
  ASSIGN_OR_RETURN(const int64_t reverse, reader.Next("reverse", 0, 1));
  RETURN_IF_ERROR(reader.Done());
  if (has_initial && (in[1].dtype != in[0].dtype || Elements(in[1]) != 1))
    return InvalidArgument("cumulative: wanted one initial value of the operand's type");
  auto s = std::make_shared<CumulativeState>();
  s->run = FindRunning(in[0].dtype, static_cast<CombineKind>(kind));
  if (s->run == nullptr) return Unimplemented("cumulative: no such combination of the type");
  s->lines = LinesAlong(in[0].shape, static_cast<size_t>(dim));
  s->reverse = reverse != 0;
  s->has_initial = has_initial;
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunCumulative;
  return kernel;
}

}  // namespace

RunningFn FindRunning(DType dtype, CombineKind kind) {
  RunningFn fn = nullptr;
  const auto find = [&]<typename Element, typename Op>() {
    if constexpr (!std::is_same_v<Op, combine::Replace>) fn = RunRunning<Element, Op>;
  };
  combine::Visit(dtype, kind, find);
  return fn;
}

const LibraryKernel kCumulativeKernel = {"cumulative", PrepareCumulative};

}  // namespace megalith::kernels
