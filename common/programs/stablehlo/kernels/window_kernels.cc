// stablehlo.reduce_window and stablehlo.select_and_scatter.
//
// Windows run over the innermost dimension as whole rows: for each position of the window, the
// outputs it touches are updated together. Elements in the padding or in the holes of a dilation
// take no part. A window that covers a whole axis with one-sided padding (a cumulative sum and its
// kin) is a recurrence, done in one pass.
#include <algorithm>
#include <cstring>

#include "common/programs/stablehlo/kernels/prepare.h"
#include "common/programs/stablehlo/kernels/region_body.h"
#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/kernels/strided.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

// Index of the input element that output `o` sees through window position `w`; -1 if that is
// padding or a hole.
int64_t InputIndex(const WindowDim& d, int64_t o, int64_t w, int64_t size) {
  const int64_t p = o * d.stride + w * d.window_dilation - d.pad_low;
  if (p < 0 || p % d.base_dilation != 0) return -1;
  const int64_t i = p / d.base_dilation;
  return i < size ? i : -1;
}

struct WindowPlan {
  std::vector<Fold> folds;
  std::vector<WindowDim> window;
  Shape in, out;
  Dims in_strides;  // elements
  std::vector<TensorType> types;
  std::optional<Recurrence> recurrence;
};

Status RunCumulative(const WindowPlan& p, const RegionBody& fold, std::span<const Tensor> in,
                     std::span<const Tensor> inits, std::span<Tensor> out, Run& run, Frame& frame) {
  const size_t n = in.size();
  const size_t dim = p.recurrence->dim;
  const bool reverse = p.recurrence->reverse;
  int64_t outer = 1;
  int64_t inner = 1;
  for (size_t i = 0; i < p.in.size(); ++i) (i < dim ? outer : inner) *= i == dim ? 1 : p.in[i];
  const int64_t length = p.in[dim];
  constexpr int64_t kLanes = 1024;
  BodyRunner body(fold, run, frame, std::min(inner, kLanes));
  std::vector<std::vector<char>> first(n);  // initial values, spread over the lanes
  for (size_t k = 0; k < n; ++k) {
    const int width = tensor::ByteWidth(in[k].dtype());
    first[k].resize(static_cast<size_t>(body.lanes() * width));
    Fill(first[k].data(), inits[k].data(), body.lanes(), width);
  }
  std::vector<const void*> arguments(2 * n);
  std::vector<void*> results(n);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t lane = 0; lane < inner; lane += body.lanes()) {
      const int64_t lanes = std::min(body.lanes(), inner - lane);
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = reverse ? length - 1 - i : i;
        for (size_t k = 0; k < n; ++k) {
          const int width = tensor::ByteWidth(in[k].dtype());
          const int64_t offset = ((o * length + at) * inner + lane) * width;
          const int64_t previous = offset + (reverse ? inner : -inner) * width;
          const void* element = static_cast<const char*>(in[k].data()) + offset;
          char* to = static_cast<char*>(out[k].mutable_data());
          const void* sum = i == 0 ? first[k].data() : to + previous;
          // Elements keep their order: what was folded so far stands on its own side.
          const bool swap = reverse && i > 0;
          arguments[k] = swap ? element : sum;
          arguments[n + k] = swap ? sum : element;
          results[k] = to + offset;
        }
        RETURN_IF_ERROR(body.Apply(arguments.data(), results.data(), lanes));
        if (i % 65536 == 65535) RETURN_IF_ERROR(run.Poll());
      }
    }
    if (o % 1024 == 1023) RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

// Steps an index over `shape` without its last dimension; false after the last.
bool NextOuter(const Shape& shape, std::vector<int64_t>* index) {
  for (size_t d = shape.size() - 1; d-- > 0;) {
    if (++(*index)[d] < shape[d]) return true;
    (*index)[d] = 0;
  }
  return false;
}

class WindowRunner {
 public:
  WindowRunner(const WindowPlan& p, const RegionBody& body, std::span<const Tensor> in,
               std::span<Tensor> out, Run& run, Frame& frame)
      : p_(p),
        in_(in),
        out_(out),
        run_(run),
        body_(body, run, frame, std::max<int64_t>(p.out.back(), 1)),
        arguments_(2 * in.size()),
        results_(in.size()),
        gathered_(in.size()) {}

  Status RunAll() {
    const size_t rank = p_.out.size();
    Shape window_shape;
    for (const WindowDim& w : p_.window) window_shape.push_back(w.size);
    std::vector<int64_t> output(rank, 0), position(rank, 0);
    int64_t row = 0;
    do {
      std::ranges::fill(position, 0);
      do {
        int64_t base = 0;  // offset of the input row, if the window position lands on one
        bool inside = true;
        for (size_t d = 0; d + 1 < rank && inside; ++d) {
          const int64_t i = InputIndex(p_.window[d], output[d], position[d], p_.in[d]);
          inside = i >= 0;
          base += i * p_.in_strides[d];
        }
        if (inside) RETURN_IF_ERROR(Row(base, row));
        if (++steps_ % 65536 == 0) RETURN_IF_ERROR(run_.Poll());
      } while (NextOuter(window_shape, &position));
      RETURN_IF_ERROR(run_.Poll());
      row += p_.out.back();
    } while (NextOuter(p_.out, &output));
    return OkStatus();
  }

 private:
  // All positions of the window along the last dimension: `base` is the input row, `row` the output
  // row (elements).
  Status Row(int64_t base, int64_t row) {
    const WindowDim& w = p_.window.back();
    const int64_t size = p_.in.back();
    const int64_t outputs = p_.out.back();
    for (int64_t position = 0; position < w.size; ++position) {
      const int64_t shift =
          position * w.window_dilation - w.pad_low;  // o * stride + shift is the place
      // Outputs whose place is within the dilated input.
      const int64_t extent = (size - 1) * w.base_dilation + 1;
      const int64_t low = shift >= 0 ? 0 : (-shift + w.stride - 1) / w.stride;
      const int64_t high =
          extent - 1 - shift < 0 ? -1 : std::min(outputs - 1, (extent - 1 - shift) / w.stride);
      if (++steps_ % 65536 == 0) RETURN_IF_ERROR(run_.Poll());
      if (low > high) continue;
      if (w.base_dilation == 1) {
        RETURN_IF_ERROR(Lanes(base + low * w.stride + shift, w.stride, row + low, high - low + 1));
        continue;
      }
      for (int64_t o = low; o <= high; ++o) {
        const int64_t i = InputIndex(w, o, position, size);
        if (i >= 0) RETURN_IF_ERROR(Lanes(base + i, 1, row + o, 1));
      }
    }
    return OkStatus();
  }

  // n outputs from `to` on take the inputs at `from`, `from` + step, ...
  Status Lanes(int64_t from, int64_t step, int64_t to, int64_t n) {
    for (size_t k = 0; k < in_.size(); ++k) {
      const int width = tensor::ByteWidth(in_[k].dtype());
      const char* source = static_cast<const char*>(in_[k].data()) + from * width;
      if (step != 1 && n > 1) {
        gathered_[k].resize(static_cast<size_t>(n * width));
        StridedCopy(gathered_[k].data(), {width}, source, {step * width}, {n}, width);
        source = gathered_[k].data();
      }
      results_[k] = static_cast<char*>(out_[k].mutable_data()) + to * width;
      arguments_[k] = results_[k];
      arguments_[in_.size() + k] = source;
    }
    return body_.Apply(arguments_.data(), results_.data(), n);
  }

  const WindowPlan& p_;
  std::span<const Tensor> in_;
  std::span<Tensor> out_;
  Run& run_;
  BodyRunner body_;
  std::vector<const void*> arguments_;
  std::vector<void*> results_;
  std::vector<std::vector<char>> gathered_;
  uint64_t steps_ = 0;
};

// `in`, `inits` and `out` have the body's types; `out` is allocated.
Status RunWindow(const WindowPlan& p, const RegionBody& body, std::span<const Tensor> in,
                 std::span<const Tensor> inits, std::span<Tensor> out, Run& run, Frame& frame) {
  if (out[0].size() == 0) return OkStatus();
  if (p.recurrence) return RunCumulative(p, body, in, inits, out, run, frame);
  for (size_t k = 0; k < in.size(); ++k) {
    Fill(out[k].mutable_data(), inits[k].data(), out[k].size(), tensor::ByteWidth(out[k].dtype()));
  }
  for (const WindowDim& w : p.window) {
    if (w.size == 0) return OkStatus();
  }
  if (in[0].size() == 0) return OkStatus();
  return WindowRunner(p, body, in, out, run, frame).RunAll();
}

Status RunReduceWindow(const WindowPlan& p, KernelCall& call) {
  for (size_t k = 0; k < p.types.size(); ++k) {
    ASSIGN_OR_RETURN(call.out[k], call.run.Allocate(p.types[k]));
  }
  for (const Fold& fold : p.folds) {
    RETURN_IF_ERROR(RunFold(
        fold, call,
        [&](std::span<const Tensor> in, std::span<const Tensor> inits, std::span<Tensor> out) {
          return RunWindow(p, fold.body, in, inits, out, call.run, call.frame);
        }));
  }
  return OkStatus();
}

// --- select_and_scatter ---

struct SelectPlan {
  RegionBody select, scatter;
  std::vector<WindowDim> window;
  Shape in, source;
  Dims in_strides;
  DType dtype = DType::kInvalid;
};

// Finds the element each window selects and folds the source's element into it, one window after
// the other.
Status RunSelectAndScatter(const SelectPlan& p, KernelCall& call) {
  const TensorType type{p.dtype, p.in};
  const int width = tensor::ByteWidth(p.dtype);
  ASSIGN_OR_RETURN(call.out[0], call.run.Allocate(type));
  Fill(call.out[0].mutable_data(), call.in[2].data(), call.out[0].size(), width);
  if (call.in[1].size() == 0 || call.out[0].size() == 0) return OkStatus();
  if (std::ranges::any_of(p.window, [](const WindowDim& w) { return w.size == 0; }))
    return OkStatus();
  const char* in = static_cast<const char*>(call.in[0].data());
  char* out = static_cast<char*>(call.out[0].mutable_data());
  BodyRunner select(p.select, call.run, call.frame, 1);
  BodyRunner scatter(p.scatter, call.run, call.frame, 1);
  const size_t rank = p.in.size();
  const auto next = [&](const auto& size, std::vector<int64_t>* index) {
    for (size_t d = rank; d-- > 0;) {
      if (++(*index)[d] < size(d)) return true;
      (*index)[d] = 0;
    }
    return false;
  };
  std::vector<int64_t> at(rank, 0), position(rank, 0);
  int64_t source = 0;
  uint64_t steps = 0;
  do {
    std::ranges::fill(position, 0);
    int64_t chosen = -1;
    do {
      int64_t offset = 0;
      bool inside = true;
      for (size_t d = 0; d < rank && inside; ++d) {
        const int64_t i = InputIndex(p.window[d], at[d], position[d], p.in[d]);
        inside = i >= 0;
        offset += i * p.in_strides[d];
      }
      if (inside && chosen >= 0) {
        const void* pair[] = {in + chosen * width, in + offset * width};
        uint8_t keep = 0;
        void* result = &keep;
        RETURN_IF_ERROR(select.Apply(pair, &result, 1));
        if (keep == 0) chosen = offset;
      } else if (inside) {
        chosen = offset;
      }
      if (++steps % 65536 == 0) RETURN_IF_ERROR(call.run.Poll());
    } while (next([&](size_t d) { return p.window[d].size; }, &position));
    if (chosen >= 0) {
      const void* pair[] = {out + chosen * width,
                            static_cast<const char*>(call.in[1].data()) + source * width};
      void* result = out + chosen * width;
      RETURN_IF_ERROR(scatter.Apply(pair, &result, 1));
    }
    if (++source % 1024 == 0) RETURN_IF_ERROR(call.run.Poll());
  } while (next([&](size_t d) { return p.source[d]; }, &at));
  return OkStatus();
}

}  // namespace

Result<Kernel> PrepareReduceWindow(Planner& planner, const Op& op) {
  auto p = std::make_shared<WindowPlan>();
  ASSIGN_OR_RETURN(p->folds, MakeFolds(planner, op.regions[0]));
  ASSIGN_OR_RETURN(p->window, ReadWindow(op, planner.func()));
  p->in = planner.operand(op, 0).shape;
  for (uint32_t i = 0; i < op.num_results; ++i) p->types.push_back(planner.result(op, i));
  p->out = p->types[0].shape;
  if (p->in.empty()) {  // a scalar is one row of one element
    p->in = p->out = Shape{1};
    p->window.emplace_back();
  }
  p->in_strides = tensor::RowMajorStrides(p->in);
  p->recurrence = FindRecurrence(p->window, p->in);
  return Kernel{[p](KernelCall& call) { return RunReduceWindow(*p, call); }};
}

Result<Kernel> PrepareSelectAndScatter(Planner& planner, const Op& op) {
  auto p = std::make_shared<SelectPlan>();
  ASSIGN_OR_RETURN(p->select, MakeBody(planner, op.regions[0]));
  ASSIGN_OR_RETURN(p->scatter, MakeBody(planner, op.regions[1]));
  ASSIGN_OR_RETURN(p->window, ReadWindow(op, planner.func()));
  p->in = planner.operand(op, 0).shape;
  p->source = planner.operand(op, 1).shape;
  p->in_strides = tensor::RowMajorStrides(p->in);
  p->dtype = planner.operand(op, 0).dtype;
  return Kernel{[p](KernelCall& call) { return RunSelectAndScatter(*p, call); }};
}

}  // namespace megalith::stablehlo
