// Windows that are the same or apart can be shared over threads by place: each thread looks at all
// indices and applies, in their order, those of its own part of the operand. The result does not
// depend on how many threads there are.
#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/index_plan.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kChunk = 512;
constexpr int64_t kAhead = 16;                 // windows fetched ahead
constexpr int64_t kParallelBytes = 256 << 10;  // of updates; below, one thread does all

// Runs of n elements with strides in elements, `count` windows at byte offsets `to` and `from`.
struct Runs {
  char* base;
  const char* updates;
  const int64_t* to;
  const int64_t* from;
  int64_t count;
  int64_t n, to_step, from_step;
};
using ApplyFn = void (*)(const Runs&);

struct ScatterState {
  explicit ScatterState(IndexPlan p) : plan(std::move(p)) {}
  IndexPlan plan;
  ApplyFn apply = nullptr;
  // The window as runs, one for each position of the outer dimensions.
  struct Dim {
    int64_t size, to, from;
  };
  std::vector<Dim> outer;
  int64_t outer_count = 1;
  int64_t run = 1, run_to = 1, run_from = 1;  // elements
  int64_t operand_bytes = 0, update_bytes = 0, window_bytes = 0;
};

template <typename Element, typename Op>
void Apply(const Runs& r) {
  using T = typename Element::Stored;
  using C = typename Element::Computed;
  const auto one = [](T* t, const T* f) __attribute__((always_inline)) {
    if constexpr (std::is_same_v<Op, combine::Replace>) {
      *t = *f;
    } else {
      *t = static_cast<T>(Op::Apply(static_cast<C>(*t), static_cast<C>(*f)));
    }
  };
  const auto width = static_cast<int64_t>(sizeof(T));
  OnBestIsa<Isa::kAvx2>([&]() __attribute__((always_inline)) {
    if (r.n == 1) {
      for (int64_t w = 0; w < r.count; ++w) {
        one(reinterpret_cast<T*>(r.base + r.to[w]),
            reinterpret_cast<const T*>(r.updates + r.from[w]));
      }
      return;
    }
    for (int64_t w = 0; w < r.count; ++w) {
      // Updates are read in order; places are not in any.
      const char* ahead = r.base + r.to[std::min(w + kAhead, r.count - 1)];
      for (int64_t at = 0; at < std::min<int64_t>(r.n * width, 256); at += 64)
        __builtin_prefetch(ahead + at, 1);
      T* t = reinterpret_cast<T*>(r.base + r.to[w]);
      const T* f = reinterpret_cast<const T*>(r.updates + r.from[w]);
      if (r.to_step == 1 && r.from_step == 1) {
#ifndef __clang__
#pragma GCC ivdep
#endif
        for (int64_t i = 0; i < r.n; ++i) one(t + i, f + i);
      } else {
        for (int64_t i = 0; i < r.n; ++i) one(t + i * r.to_step, f + i * r.from_step);
      }
    }
  });
}

// Replacing needs no arithmetic: elements of 16 bytes are two words each, next to each other.
ApplyFn FindApply(DType dtype, CombineKind kind) {
  ApplyFn fn = nullptr;
  const auto find = [&]<typename Element, typename Op>() { fn = Apply<Element, Op>; };
  if (kind == CombineKind::kReplace) {
    switch (tensor::ByteWidth(dtype)) {
      case 1:
        return Apply<combine::Plain<uint8_t>, combine::Replace>;
      case 2:
        return Apply<combine::Plain<uint16_t>, combine::Replace>;
      case 4:
        return Apply<combine::Plain<uint32_t>, combine::Replace>;
      default:
        return Apply<combine::Plain<uint64_t>, combine::Replace>;
    }
  }
  if (tensor::IsComplex(dtype) && kind == CombineKind::kAdd) dtype = tensor::RealPart(dtype);
  combine::Visit(dtype, kind, find);
  return fn;
}

// Parts of an element that FindApply's function treats as elements.
int PartsPerElement(DType dtype, CombineKind kind) {
  if (kind == CombineKind::kReplace) return std::max(tensor::ByteWidth(dtype) / 8, 1);
  return tensor::IsComplex(dtype) ? 2 : 1;
}

class Scatterer {
 public:
  Scatterer(const ScatterState& s, const KernelCall& call) : s_(s), call_(call) {}

  // Applies the updates whose windows start in bytes [low, high) of the operand.
  Status ApplyRange(int64_t low, int64_t high) {
    int64_t since_poll = 0;
    for (int64_t at = 0; at < s_.plan.count(); at += kChunk) {
      const int64_t n = std::min(kChunk, s_.plan.count() - at);
      if ((since_poll += n * (s_.window_bytes + 64)) > (4 << 20)) {
        since_poll = 0;
        RETURN_IF_ERROR(call_.Poll());
      }
      s_.plan.Offsets(call_.in[1], at, n, true, offsets_);
      int64_t kept = 0;
      for (int64_t i = 0; i < n; ++i) {
        to_[kept] = offsets_[i];
        position_[kept] = at + i;
        kept += offsets_[i] >= low && offsets_[i] < high;
      }
      for (int64_t i = 0; i < kept; ++i) from_[i] = s_.plan.ArrayOffset(position_[i]);
      if (kept > 0) ApplyWindows(kept);
    }
    return OkStatus();
  }

 private:
  void ApplyWindows(int64_t kept) {
    Runs runs{static_cast<char*>(call_.out[0]),
              static_cast<const char*>(call_.in[2]),
              to_,
              from_,
              kept,
              s_.run,
              s_.run_to,
              s_.run_from};
    if (s_.outer.empty()) return s_.apply(runs);
    // Windows one after the other: two of them may be the same.
    for (int64_t i = 0; i < kept; ++i) {
      for (int64_t o = 0; o < s_.outer_count; ++o) {
        int64_t to = to_[i];
        int64_t from = from_[i];
        int64_t rest = o;
        for (const ScatterState::Dim& d : s_.outer) {  // innermost first
          to += rest % d.size * d.to;
          from += rest % d.size * d.from;
          rest /= d.size;
        }
        runs.to = &to;
        runs.from = &from;
        runs.count = 1;
        s_.apply(runs);
      }
    }
  }

  const ScatterState& s_;
  const KernelCall& call_;
  int64_t offsets_[kChunk], to_[kChunk], from_[kChunk], position_[kChunk];
};

Status RunScatter(const void* state, const KernelCall& call) {
  const ScatterState& s = *static_cast<const ScatterState*>(state);
  if (call.out[0] != call.in[0])
    ParallelMemcpy(call.pool, call.out[0], call.in[0], s.operand_bytes);
  if (s.update_bytes == 0 || s.operand_bytes == 0) return OkStatus();
  const int64_t threads = call.pool.threads();
  if (threads == 1 || !s.plan.disjoint() || s.update_bytes < kParallelBytes)
    return Scatterer(s, call).ApplyRange(0, s.operand_bytes);
  FirstError error;
  call.pool.For(threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto bound = [&](int64_t i) {
        return static_cast<int64_t>(static_cast<__int128>(s.operand_bytes) * i / threads);
      };
      const Status status = Scatterer(s, call).ApplyRange(bound(t), bound(t + 1));
      if (!status.ok()) error.Set(status);
    }
  });
  return error.Take();
}

// The window without dimensions of size one as a run and the dimensions around it, those innermost
// first.
void SplitRuns(ScatterState* s, int width, int parts) {
  std::vector<ScatterState::Dim> dims;
  for (size_t d = s->plan.window().size(); d-- > 0;) {
    if (s->plan.window()[d] == 1) continue;
    const ScatterState::Dim dim{s->plan.window()[d], s->plan.operand_strides()[d],
                                s->plan.array_strides()[d]};
    if (!dims.empty() && dim.to == dims.back().to * dims.back().size &&
        dim.from == dims.back().from * dims.back().size) {
      dims.back().size *= dim.size;
    } else {
      dims.push_back(dim);
    }
  }
  const int part = width / parts;
  if (parts > 1) {
    if (!dims.empty() && dims[0].to == width && dims[0].from == width) {
      dims[0] = {dims[0].size * parts, part, part};
    } else {
      dims.insert(dims.begin(), {parts, part, part});
    }
  }
  if (dims.empty()) return;
  s->run = dims[0].size;
  s->run_to = dims[0].to / part;
  s->run_from = dims[0].from / part;
  s->outer.assign(dims.begin() + 1, dims.end());
  for (const ScatterState::Dim& d : s->outer) s->outer_count *= d.size;
}

Result<PreparedKernel> PrepareScatter(std::string_view params, std::span<const ArraySpec> in,
                                      std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("scatter", in, 3, out, 1));
  RETURN_IF_ERROR(CheckSame("scatter: operand and result", in[0], out[0]));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("scatter", params));
  const auto rank = static_cast<int64_t>(in[0].shape.size());
  const auto indices_rank = static_cast<int64_t>(in[1].shape.size());
  IndexDims d;
  ASSIGN_OR_RETURN(d.offset_dims,
                   reader.NextDims("update_window_dims", static_cast<int64_t>(in[2].shape.size())));
  ASSIGN_OR_RETURN(d.collapsed, reader.NextDims("inserted_window_dims", rank));
  ASSIGN_OR_RETURN(d.operand_batching, reader.NextDims("input_batching_dims", rank));
  ASSIGN_OR_RETURN(d.indices_batching,
                   reader.NextDims("scatter_indices_batching_dims", indices_rank));
  ASSIGN_OR_RETURN(d.index_map, reader.NextDims("scatter_dims_to_operand_dims", rank));
  ASSIGN_OR_RETURN(d.index_vector_dim, reader.Next("index_vector_dim", 0, indices_rank));
  ASSIGN_OR_RETURN(const int64_t kind, reader.Next("combination", 0, kNumCombineKinds - 1));
  RETURN_IF_ERROR(reader.Done());
  ASSIGN_OR_RETURN(IndexPlan plan, IndexPlan::Create("scatter", d, in[0], in[1], in[2], {}));
  auto s = std::make_shared<ScatterState>(std::move(plan));
  s->apply = FindApply(in[0].dtype, static_cast<CombineKind>(kind));
  if (s->apply == nullptr) {
    return Unimplemented(StrCat("scatter: combination ", kind, " of ", tensor::Name(in[0].dtype)));
  }
  const int width = tensor::ByteWidth(in[0].dtype);
  SplitRuns(s.get(), width, PartsPerElement(in[0].dtype, static_cast<CombineKind>(kind)));
  s->operand_bytes = Bytes(in[0]);
  s->update_bytes = Bytes(in[2]);
  s->window_bytes = Elements(s->plan.window()) * width;
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunScatter;
  kernel.in_place = 1;
  return kernel;
}

}  // namespace

const LibraryKernel kScatterKernel = {"scatter", PrepareScatter};

}  // namespace megalith::kernels
