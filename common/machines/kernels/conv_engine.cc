#include "common/machines/kernels/conv_engine.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "common/machines/kernels/gemm_blocks.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kMaxRows = 256;  // of a task
constexpr int64_t kFarElements = 1024;
constexpr double kTaskFlops = 2e5;  // smaller tasks go together

int64_t CeilDiv(int64_t a, int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }
int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// The values of x in [begin, end) for which (x * factor + offset) / base is an integer in
// [0, size): first, first + step, ...
struct Progression {
  int64_t first = 0, count = 0, step = 1;
};

Progression Meet(int64_t begin, int64_t end, int64_t factor, int64_t offset, int64_t base,
                 int64_t size) {
  Progression p;
  p.first = std::max(begin, CeilDiv(-offset, factor));
  const int64_t last = std::min(end - 1, FloorDiv((size - 1) * base - offset, factor));
  if (base > 1) {
    p.step = base / std::gcd(factor, base);
    const int64_t stop = p.first + p.step;
    while (p.first < stop && (p.first * factor + offset) % base != 0) ++p.first;
    if (p.first == stop) return {};
  }
  p.count = last < p.first ? 0 : (last - p.first) / p.step + 1;
  return p;
}

// Whether output positions are input positions, so that the dimension is like a batch.
bool IsPlain(const ConvSpatial& d) {
  return d.taps == 1 && d.stride == 1 && d.pad_low == 0 && d.base_dilation == 1 &&
         d.in_size == d.out_size;
}

// One task: rows [row_begin, row_end) of the product at fixed other output coordinates.
template <typename T>
struct Task {
  const ConvShape& s;
  const ConvLoops& loops;
  const GemmKernels<T>& kernels;
  const T* in;
  const T* kernel;
  T* out;
  int64_t row_begin, row_end;
  const int64_t* at;  // output position per spatial dimension

  // Adds the taps of dimension d and the following ones.
  void Taps(size_t d, GemmBlock<T> g) const {
    if (d == s.spatial.size()) return Features(g);
    const ConvSpatial& w = s.spatial[d];
    const int id = static_cast<int>(d);
    if (id == loops.merged && id != loops.rows) {
      const Progression p = Meet(0, w.taps, 1, at[d] * w.stride - w.pad_low, 1, w.in_size);
      if (p.count == 0) return;
      g.k = p.count * s.features;
      g.a += (at[d] * w.stride - w.pad_low + p.first) * w.in_step;
      g.b += p.first * w.kernel_step;
      return Taps(d + 1, g);
    }
    if (id == loops.merged) return MergedRows(d, g);
    if (id == loops.depth) {
      const Progression p = Meet(0, w.taps, w.window_dilation, at[d] * w.stride - w.pad_low,
                                 w.base_dilation, w.in_size);
      if (p.count == 0) return;
      const int64_t place =
          (at[d] * w.stride - w.pad_low + p.first * w.window_dilation) / w.base_dilation;
      g.k = p.count;
      g.a += place * w.in_step;
      g.a_col = w.window_dilation * p.step / w.base_dilation * w.in_step;
      g.b += p.first * w.kernel_step;
      g.b_row = p.step * w.kernel_step;
      return Taps(d + 1, g);
    }
    for (int64_t tap = 0; tap < w.taps; ++tap) {
      GemmBlock<T> next = g;
      const int64_t offset = tap * w.window_dilation - w.pad_low;
      const int64_t begin = id == loops.rows ? row_begin : at[d];
      const int64_t end = id == loops.rows ? row_end : at[d] + 1;
      const Progression p = Meet(begin, end, w.stride, offset, w.base_dilation, w.in_size);
      if (p.count == 0) continue;
      next.a += (p.first * w.stride + offset) / w.base_dilation * w.in_step;
      next.b += tap * w.kernel_step;
      if (id == loops.rows) {
        next.m = p.count;
        next.a_row = w.stride * p.step / w.base_dilation * w.in_step;
        next.c += p.first * w.out_step;
        next.c_row = p.step * w.out_step;
      }
      Taps(d + 1, next);
    }
  }

  // Rows and taps of one dimension: all taps at once where none meets padding.
  void MergedRows(size_t d, const GemmBlock<T>& g) const {
    const ConvSpatial& w = s.spatial[d];
    const int64_t begin = std::max(row_begin, CeilDiv(w.pad_low, w.stride));
    const int64_t end = std::min(row_end, FloorDiv(w.in_size - w.taps + w.pad_low, w.stride) + 1);
    const auto rows = [&](int64_t first, int64_t count) {
      const int64_t start = first * w.stride - w.pad_low;
      const Progression p = Meet(0, w.taps, 1, start, 1, w.in_size);
      if (p.count == 0 || count <= 0) return;
      GemmBlock<T> next = g;
      next.m = count;
      next.k = p.count * s.features;
      next.a += (start + p.first) * w.in_step;
      next.a_row = w.stride * w.in_step;
      next.b += p.first * w.kernel_step;
      next.c += first * w.out_step;
      next.c_row = w.out_step;
      Taps(d + 1, next);
    };
    if (begin >= end) {
      for (int64_t i = row_begin; i < row_end; ++i) rows(i, 1);
      return;
    }
    for (int64_t i = row_begin; i < begin; ++i) rows(i, 1);
    rows(begin, end - begin);
    for (int64_t i = end; i < row_end; ++i) rows(i, 1);
  }

  void Features(GemmBlock<T> g) const {
    if (loops.depthwise) return Depthwise(g);
    if (loops.transposed) {
      std::swap(g.a, g.b);
      g.n = g.m;
      g.m = s.outputs;
      const int64_t in_step = g.a_col;
      g.a_row = s.kernel_output_step;
      g.a_col = g.b_row;
      g.b_row = in_step;
      g.c_row = s.out_feature_step;
    }
    g.a_group = kernels.rows * g.a_row;
    if (loops.depth < 0) return kernels.block(g);
    for (int64_t f = 0; f < s.features; ++f) {
      kernels.block(g);
      g.a += s.in_feature_step;
      g.b += s.kernel_feature_step;
    }
  }

  // Groups are neighbours: a group per lane.
  void Depthwise(const GemmBlock<T>& g) const {
    for (int64_t i = 0; i < g.m; ++i) {
      const T* a = g.a + i * g.a_row;
      T* c = g.c + i * g.c_row;
      for (int64_t j = 0; j < s.feature_groups; ++j) c[j] += a[j] * g.b[j];
    }
  }
};

// The dimension whose taps can be summed over together with the features; -1 if there is none.
int MergedDim(const ConvShape& s, int rows) {
  for (size_t d = s.spatial.size(); d-- > 0;) {
    const ConvSpatial& w = s.spatial[d];
    const bool follows = w.in_step == s.features * s.in_feature_step &&
                         w.kernel_step == s.features * s.kernel_feature_step;
    // Rows at both ends are done one by one.
    const bool worth = static_cast<int>(d) != rows || w.out_size >= 8 * w.taps;
    if (w.taps > 1 && w.window_dilation == 1 && w.base_dilation == 1 && follows && worth) {
      return static_cast<int>(d);
    }
  }
  return -1;
}

// How well blocks run: rows fill register tiles, depth pays for loading and storing the sums.
double Efficiency(int64_t rows, int64_t depth) {
  const double tiles = static_cast<double>((rows + 7) / 8 * 8);
  return static_cast<double>(rows) / tiles * static_cast<double>(depth) /
         static_cast<double>(depth + 4);
}

}  // namespace

bool RowsAreColumns(const ConvShape& s) {
  if (s.spatial.empty()) return false;
  const ConvSpatial& d = s.spatial.back();
  return d.in_step == 1 && d.out_step == 1 && d.stride == 1 && d.base_dilation == 1 &&
         d.out_size >= 24;
}

ConvLoops PlanConv(ConvShape* s) {
  // Dimensions that are like a batch become part of it, from the last to the first, if they follow
  // one another in memory on both sides.
  const bool by_features = s->out_feature_step == 1 && s->kernel_output_step == 1;
  while (by_features && !s->spatial.empty() && s->batch_groups == 1) {
    const auto plain = std::find_if(s->spatial.begin(), s->spatial.end(), [&](const auto& d) {
      const bool follows =
          s->in_batch_step == d.in_size * d.in_step && s->out_batch_step == d.out_size * d.out_step;
      return IsPlain(d) && (follows || s->batch == 1);
    });
    if (plain == s->spatial.end()) break;
    s->batch *= plain->out_size;
    s->in_batch_step = plain->in_step;
    s->out_batch_step = plain->out_step;
    s->spatial.erase(plain);
  }
  ConvLoops best;
  if (s->out_feature_step != 1 || s->kernel_output_step != 1) {
    best.transposed = true;
    best.rows = static_cast<int>(s->spatial.size()) - 1;
    return best;
  }
  best.depthwise =
      s->features == 1 && s->outputs == 1 && s->in_feature_step == 1 && s->feature_groups > 1;
  double most = -1;
  const int rank = static_cast<int>(s->spatial.size());
  for (int rows = -1; rows < rank; ++rows) {
    for (int depth = -1; depth < (best.depthwise ? 0 : rank); ++depth) {
      if (rows >= 0 && rows == depth) continue;
      const int64_t m = rows < 0 ? s->batch : s->spatial[static_cast<size_t>(rows)].out_size;
      const int merged = depth < 0 && !best.depthwise ? MergedDim(*s, rows) : -1;
      int64_t k = depth < 0 ? s->features : s->spatial[static_cast<size_t>(depth)].taps;
      if (merged >= 0) k *= s->spatial[static_cast<size_t>(merged)].taps;
      // A sum over what lies far apart misses caches. Of equal rows the later: closer in memory.
      const int64_t step =
          depth < 0 ? s->in_feature_step : s->spatial[static_cast<size_t>(depth)].in_step;
      const double near = std::abs(step) > kFarElements ? 0.7 : 1.0;
      const double efficiency = Efficiency(m, k) * near + 1e-3 * rows + (depth < 0 ? 1e-2 : 0);
      if (efficiency > most) {
        most = efficiency;
        best.rows = rows;
        best.depth = depth;
        best.merged = merged;
      }
    }
  }
  return best;
}

template <typename T>
void RunConv(const ConvShape& s, const ConvLoops& loops, const T* in, const T* kernel, T* out,
             bool add, const KernelCall& call) {
  const GemmKernels<T>& kernels = GemmKernelsFor<T>(MachineIsa());
  const size_t rank = s.spatial.size();
  const int64_t groups = loops.depthwise ? 1 : s.feature_groups * s.batch_groups;
  const int64_t outputs = loops.depthwise ? s.feature_groups : s.outputs;
  const size_t row_dim = static_cast<size_t>(std::max(loops.rows, 0));
  const int64_t rows = loops.rows < 0 ? s.batch : s.spatial[row_dim].out_size;
  int64_t positions = loops.rows < 0 ? 1 : s.batch;
  double taps = static_cast<double>(loops.depthwise ? 1 : s.features);
  for (size_t d = 0; d < rank; ++d) {
    if (static_cast<int>(d) != loops.rows) positions *= s.spatial[d].out_size;
    taps *= static_cast<double>(s.spatial[d].taps);
  }
  // Enough tasks for the threads, of at least a register tile.
  const int64_t wanted = CeilDiv(8 * call.pool.threads(), std::max<int64_t>(positions * groups, 1));
  int64_t chunk = std::min(kMaxRows, std::max(CeilDiv(rows, wanted), int64_t{8}));
  const int64_t unit = loops.transposed ? kernels.cols : kernels.rows;
  chunk = CeilDiv(chunk, unit) * unit;
  const int64_t chunks = CeilDiv(rows, chunk);
  const double flops = 2 * taps * static_cast<double>(outputs * std::min(chunk, rows));
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>(kTaskFlops / (flops + 1)));
  call.pool.For(groups * positions * chunks, grain, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> at(rank, 0);
    for (int64_t task = begin; task < end; ++task) {
      if ((task - begin) % 16 == 0 && !call.Poll().ok()) return;
      int64_t rest = task;
      const int64_t row_begin = rest % chunks * chunk;
      const int64_t row_end = std::min(rows, row_begin + chunk);
      rest /= chunks;
      T* c = out;
      for (size_t d = rank; d-- > 0;) {
        if (static_cast<int>(d) == loops.rows) continue;
        at[d] = rest % s.spatial[d].out_size;
        rest /= s.spatial[d].out_size;
        c += at[d] * s.spatial[d].out_step;
      }
      const int64_t first = loops.rows < 0 ? row_begin : rest % s.batch;
      const int64_t group = loops.rows < 0 ? rest : rest / s.batch;
      c += first * s.out_batch_step + group * s.outputs * s.out_feature_step;
      const int64_t row_step = loops.rows < 0 ? s.out_batch_step : s.spatial[row_dim].out_step;
      if (!add && loops.transposed) {
        for (int64_t o = 0; o < outputs; ++o) {
          std::fill_n(c + o * s.out_feature_step + row_begin, row_end - row_begin, T{});
        }
      } else if (!add) {
        T* zero = loops.rows < 0 ? c : c + row_begin * row_step;
        for (int64_t i = row_begin; i < row_end; ++i, zero += row_step) {
          std::fill_n(zero, outputs, T{});
        }
      }
      GemmBlock<T> g = {.n = outputs, .k = s.features};
      g.a = in + first * s.in_batch_step;
      if (s.batch_groups > 1) {
        g.a += group * s.batch * s.in_batch_step;
      } else {
        g.a += group * s.features * s.in_feature_step;
      }
      g.a_col = s.in_feature_step;
      g.b = kernel + group * s.outputs * s.kernel_output_step;
      g.b_row = s.kernel_feature_step;
      g.b_group = kernels.cols;
      g.c = c;
      g.add = true;
      if (loops.rows < 0) {
        g.m = row_end - row_begin;
        g.a_row = s.in_batch_step;
        g.c_row = s.out_batch_step;
      }
      const Task<T> work = {s, loops, kernels, in, kernel, out, row_begin, row_end, at.data()};
      work.Taps(0, g);
    }
  });
}

template void RunConv<float>(const ConvShape&, const ConvLoops&, const float*, const float*, float*,
                             bool, const KernelCall&);
template void RunConv<double>(const ConvShape&, const ConvLoops&, const double*, const double*,
                              double*, bool, const KernelCall&);
template void RunConv<uint32_t>(const ConvShape&, const ConvLoops&, const uint32_t*,
                                const uint32_t*, uint32_t*, bool, const KernelCall&);
template void RunConv<uint64_t>(const ConvShape&, const ConvLoops&, const uint64_t*,
                                const uint64_t*, uint64_t*, bool, const KernelCall&);

}  // namespace megalith::kernels
