// stablehlo.reduce.
//
// Two orders of work. Rows: one commutative op over elements that lie one after the other: the row
// is folded in blocks into a vector of lanes, the lanes pairwise (so that a float sum of n elements
// has an error of the order of n / 256 roundings, not n). Columns: many results at once, each
// accumulating its elements in order.
#include <algorithm>
#include <cstring>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/region_body.h"
#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

constexpr int64_t kLanes = 256;

// Dimensions of the input, neighbours merged: those that stay and those that are folded, outermost
// first. Strides are in elements.
struct Layout {
  struct Dim {
    int64_t size, stride;
  };
  std::vector<Dim> kept, folded;
  int64_t outputs = 1;
  int64_t depth = 1;
};

Layout MakeLayout(const Shape& shape, std::span<const int64_t> dims) {
  Layout l;
  const Dims strides = tensor::RowMajorStrides(shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool fold = std::ranges::find(dims, static_cast<int64_t>(i)) != dims.end();
    (fold ? l.depth : l.outputs) *= shape[i];
    if (shape[i] == 1) continue;
    auto& list = fold ? l.folded : l.kept;
    if (!list.empty() && list.back().stride == strides[i] * shape[i]) {
      list.back() = {list.back().size * shape[i], strides[i]};
    } else {
      list.push_back({shape[i], strides[i]});
    }
  }
  return l;
}

// Steps through positions of `dims` in row-major order, keeping the offset.
class Odometer {
 public:
  explicit Odometer(const std::vector<Layout::Dim>& dims) : dims_(dims), index_(dims.size(), 0) {}
  int64_t offset() const { return offset_; }
  void Next() {
    for (size_t d = dims_.size(); d-- > 0;) {
      offset_ += dims_[d].stride;
      if (++index_[d] < dims_[d].size) return;
      offset_ -= dims_[d].stride * dims_[d].size;
      index_[d] = 0;
    }
  }
  void Reset() {
    std::ranges::fill(index_, 0);
    offset_ = 0;
  }

 private:
  const std::vector<Layout::Dim>& dims_;
  std::vector<int64_t> index_;
  int64_t offset_ = 0;
};

// Folds n elements at `row` with `step`, starting from `*init`, into `*out`. `lanes` is room for
// kLanes elements.
void FoldRow(const SpanKernel& step, const char* row, int64_t n, const void* init, void* out,
             char* lanes, int width) {
  int64_t live = std::min(n, kLanes);
  std::memcpy(lanes, row, static_cast<size_t>(live * width));
  for (int64_t at = live; at < n; at += kLanes) {
    const void* in[] = {lanes, row + at * width};
    step(in, lanes, std::min(kLanes, n - at));
  }
  while (live > 1) {
    const int64_t half = live / 2;
    const void* in[] = {lanes, lanes + (live - half) * width};
    step(in, lanes, half);
    live -= half;
  }
  const void* in[] = {init, lanes};
  step(in, out, 1);
}

struct ReducePlan {
  std::vector<Fold> folds;
  std::vector<TensorType> out;
  Layout layout;
};

// Gathers n elements at the given offsets.
void GatherLanes(const char* base, const int64_t* offsets, int64_t n, int width, char* to) {
  const auto copy = [&]<typename T>(T*) {
    const T* from = reinterpret_cast<const T*>(base);
    T* out = reinterpret_cast<T*>(to);
    for (int64_t i = 0; i < n; ++i) out[i] = from[offsets[i]];
  };
  switch (width) {
    case 1:
      return copy(static_cast<uint8_t*>(nullptr));
    case 2:
      return copy(static_cast<uint16_t*>(nullptr));
    case 4:
      return copy(static_cast<uint32_t*>(nullptr));
    case 8:
      return copy(static_cast<uint64_t*>(nullptr));
    default:
      return copy(static_cast<c128*>(nullptr));
  }
}

// `in` and `out` have the body's types; `out` is allocated.
Status RunRows(const Layout& layout, const RegionBody& body, const Tensor& in, const Tensor& init,
               Tensor* out, Run& run) {
  const int width = tensor::ByteWidth(in.dtype());
  std::vector<char> lanes(static_cast<size_t>(kLanes * width));
  Odometer row(layout.kept);
  const char* base = static_cast<const char*>(in.data());
  char* to = static_cast<char*>(out->mutable_data());
  for (int64_t o = 0; o < layout.outputs; ++o, row.Next()) {
    FoldRow(*body.one_step, base + row.offset() * width, layout.depth, init.data(), to + o * width,
            lanes.data(), width);
    if (o % 4096 == 4095) RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

Status RunColumns(const Layout& layout, const RegionBody& fold, std::span<const Tensor> in,
                  std::span<const Tensor> inits, std::span<Tensor> out, Run& run, Frame& frame) {
  const size_t n = in.size();
  BodyRunner body(fold, run, frame, std::min(kLanes, layout.outputs));
  std::vector<std::vector<char>> gathered(n);
  for (size_t k = 0; k < n; ++k)
    gathered[k].resize(static_cast<size_t>(kLanes * tensor::ByteWidth(in[k].dtype())));
  std::vector<const void*> arguments(2 * n);
  std::vector<void*> results(n);
  int64_t offsets[kLanes];
  Odometer output(layout.kept);
  Odometer element(layout.folded);
  int64_t since_poll = 0;
  for (int64_t at = 0; at < layout.outputs; at += kLanes) {
    const int64_t lanes = std::min(kLanes, layout.outputs - at);
    bool contiguous = true;
    for (int64_t i = 0; i < lanes; ++i, output.Next()) {
      offsets[i] = output.offset();
      contiguous = contiguous && offsets[i] == offsets[0] + i;
    }
    for (size_t k = 0; k < n; ++k) {
      const int width = tensor::ByteWidth(in[k].dtype());
      results[k] = static_cast<char*>(out[k].mutable_data()) + at * width;
      Fill(results[k], inits[k].data(), lanes, width);
      arguments[k] = results[k];
    }
    element.Reset();
    for (int64_t r = 0; r < layout.depth; ++r, element.Next()) {
      for (size_t k = 0; k < n; ++k) {
        const int width = tensor::ByteWidth(in[k].dtype());
        const char* base = static_cast<const char*>(in[k].data()) + element.offset() * width;
        if (contiguous) {
          arguments[n + k] = base + offsets[0] * width;
        } else {
          GatherLanes(base, offsets, lanes, width, gathered[k].data());
          arguments[n + k] = gathered[k].data();
        }
      }
      RETURN_IF_ERROR(body.Apply(arguments.data(), results.data(), lanes));
      if ((since_poll += lanes) > (1 << 20)) {
        since_poll = 0;
        RETURN_IF_ERROR(run.Poll());
      }
    }
  }
  return OkStatus();
}

// One op over elements that lie one after the other, enough of them.
bool FoldsRows(const Layout& layout, const Fold& fold) {
  constexpr int64_t kLongRow = 32;
  return fold.count == 1 && fold.body.commutative && layout.depth >= kLongRow &&
         layout.folded.size() == 1 && layout.folded[0].stride == 1;
}

Status RunReduce(const ReducePlan& p, KernelCall& call) {
  const size_t n = p.out.size();
  for (size_t k = 0; k < n; ++k) {
    ASSIGN_OR_RETURN(call.out[k], call.run.Allocate(p.out[k]));
  }
  if (p.layout.outputs == 0) return OkStatus();
  if (p.layout.depth == 0) {
    for (size_t k = 0; k < n; ++k) {
      Fill(call.out[k].mutable_data(), call.in[n + k].data(), p.layout.outputs,
           tensor::ByteWidth(p.out[k].dtype));
    }
    return OkStatus();
  }
  for (const Fold& fold : p.folds) {
    RETURN_IF_ERROR(RunFold(
        fold, call,
        [&](std::span<const Tensor> in, std::span<const Tensor> inits, std::span<Tensor> out) {
          return FoldsRows(p.layout, fold)
                     ? RunRows(p.layout, fold.body, in[0], inits[0], &out[0], call.run)
                     : RunColumns(p.layout, fold.body, in, inits, out, call.run, call.frame);
        }));
  }
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareReduce(Planner& planner, const Op& op) {
  auto p = std::make_shared<ReducePlan>();
  ASSIGN_OR_RETURN(p->folds, MakeFolds(planner, op.regions[0]));
  for (uint32_t i = 0; i < op.num_results; ++i) p->out.push_back(planner.result(op, i));
  p->layout = MakeLayout(planner.operand(op, 0).shape, op.attr("dimensions").AsInts());
  return Kernel{[p](KernelCall& call) { return RunReduce(*p, call); }};
}

}  // namespace megalith::stablehlo
