// select_and_scatter. Dimensions before the first windowed one are independent and shared over the
// threads; windows of a row (the last windowed dimension with what follows it) look side by side.
#include <algorithm>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/strided.h"
#include "common/machines/kernels/window_kernels.h"
#include "common/machines/kernels/window_plan.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kPollElements = 1 << 21;

template <SelectKind kind, typename C>
[[gnu::always_inline]] inline bool Keeps(C a, C b) {
  if constexpr (kind == SelectKind::kGreaterEqual) return a >= b;
  if constexpr (kind == SelectKind::kLessEqual) return a <= b;
  if constexpr (kind == SelectKind::kGreater) return a > b;
  return a < b;
}

struct SelectState {
  WindowPlan plan;
  size_t shared = 0;        // dimensions of `plan` before the first windowed one
  int64_t shared_size = 1;  // elements over those
  int64_t out_elements = 0, source_elements = 0;
  int width = 1;
  Status (*run)(const SelectState&, const KernelCall&) = nullptr;
};

template <typename Element, typename Op, SelectKind kind>
class Selector {
 public:
  using T = typename Element::Stored;
  using C = typename Element::Computed;

  Selector(const SelectState& s, const KernelCall& call)
      : s_(s),
        call_(call),
        in_(static_cast<const T*>(call.in[0])),
        source_(static_cast<const T*>(call.in[1])),
        out_(static_cast<T*>(call.out[0])),
        last_(s.plan.dims.back()),
        row_(last_.out * s.plan.inner),
        best_(static_cast<size_t>(row_)),
        place_(static_cast<size_t>(row_)) {}

  // All windows at positions [begin, end) of the shared dimensions, a row of them at a time.
  Status Run(int64_t begin, int64_t end) {
    const int64_t rows = s_.source_elements / row_ / s_.shared_size;
    for (int64_t r = begin * rows; r < end * rows; ++r) {
      std::ranges::fill(place_, -1);
      RETURN_IF_ERROR(Positions(0, 0, r, s_.plan.out_rows));
      for (int64_t l = 0; l < row_; ++l) {
        if (place_[l] < 0) continue;
        T* to = out_ + place_[l];
        *to = static_cast<T>(Op::Apply(static_cast<C>(*to), static_cast<C>(source_[r * row_ + l])));
      }
    }
    return OkStatus();
  }

 private:
  // `rows`: how many rows of windows there are over dimensions from `dim`.
  Status Positions(size_t dim, int64_t offset, int64_t row, int64_t rows) {
    if (dim + 1 == s_.plan.dims.size()) return Row(offset);
    const WindowDim& d = s_.plan.dims[dim];
    rows /= d.out;
    const int64_t o = row / rows % d.out;
    for (int64_t w = 0; w < d.size; ++w) {
      const int64_t i = d.Input(o, w);
      if (i >= 0) {
        RETURN_IF_ERROR(Positions(dim + 1, offset + i * s_.plan.in_strides[dim], row, rows));
      } else {
        RETURN_IF_ERROR(Spend(1));
      }
    }
    return OkStatus();
  }

  // All positions along the last dimension, for a row of elements.
  Status Row(int64_t offset) {
    const int64_t inner = s_.plan.inner;
    for (int64_t w = 0; w < last_.size; ++w) {
      int64_t low = 0, high = 0;
      last_.Inside(w, &low, &high);
      OnBestIsa([&]() __attribute__((always_inline)) {
        const int64_t first = offset + (low * last_.stride + w - last_.pad_low) * inner;
        if (inner == 1) {
          Look(low, first, last_.stride, high - low);
        } else {
          for (int64_t o = low; o < high; ++o)
            Look(o * inner, first + (o - low) * last_.stride * inner, 1, inner);
        }
      });
      RETURN_IF_ERROR(Spend((high - low) * inner + 1));
    }
    return OkStatus();
  }

  // Compares what windows from number `lane` of the row on have selected with the elements at
  // `from`, `from` + step, ...
  [[gnu::always_inline]] void Look(int64_t lane, int64_t from, int64_t step, int64_t n) {
    C* __restrict best = best_.data() + lane;
    int64_t* __restrict place = place_.data() + lane;
    const T* in = in_ + from;
    for (int64_t l = 0; l < n; ++l) {
      const C v = static_cast<C>(in[l * step]);
      const bool keep = (place[l] >= 0) & Keeps<kind>(best[l], v);
      best[l] = keep ? best[l] : v;
      place[l] = keep ? place[l] : from + l * step;
    }
  }

  Status Spend(int64_t elements) {
    if ((spent_ += elements) < kPollElements) return OkStatus();
    spent_ = 0;
    return call_.Poll();
  }

  const SelectState& s_;
  const KernelCall& call_;
  const T* in_;
  const T* source_;
  T* out_;
  const WindowDim& last_;
  const int64_t row_;
  int64_t spent_ = 0;
  std::vector<C> best_;
  std::vector<int64_t> place_;
};

template <typename Element, typename Op, SelectKind kind>
Status RunAs(const SelectState& s, const KernelCall& call) {
  FirstError error;
  const int64_t each = s.source_elements / s.shared_size;
  call.pool.For(s.shared_size, std::max<int64_t>(16384 / each, 1), [&](int64_t begin, int64_t end) {
    const Status status = Selector<Element, Op, kind>(s, call).Run(begin, end);
    if (!status.ok()) error.Set(status);
  });
  return error.Take();
}

Status RunSelect(const void* state, const KernelCall& call) {
  const SelectState& s = *static_cast<const SelectState*>(state);
  FillElements(call.out[0], call.in[2], s.out_elements, s.width, call.pool);
  if (s.source_elements == 0 || s.out_elements == 0 || s.plan.empty_window) return OkStatus();
  return s.run(s, call);
}

template <typename Element, typename Op>
auto FindSelect(SelectKind kind) {
  switch (kind) {
    case SelectKind::kGreaterEqual:
      return RunAs<Element, Op, SelectKind::kGreaterEqual>;
    case SelectKind::kLessEqual:
      return RunAs<Element, Op, SelectKind::kLessEqual>;
    case SelectKind::kGreater:
      return RunAs<Element, Op, SelectKind::kGreater>;
    default:
      return RunAs<Element, Op, SelectKind::kLess>;
  }
}

Result<PreparedKernel> PrepareSelect(std::string_view params, std::span<const ArraySpec> in,
                                     std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("select_and_scatter", in, 3, out, 1));
  RETURN_IF_ERROR(CheckSame("select_and_scatter: operand and result", in[0], out[0]));
  if (in[1].dtype != in[0].dtype || in[2].dtype != in[0].dtype || Elements(in[2]) != 1)
    return InvalidArgument("select_and_scatter: types or initial value do not fit");
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("select_and_scatter", params));
  ASSIGN_OR_RETURN(const int64_t select, reader.Next("selection", 0, 3));
  ASSIGN_OR_RETURN(const int64_t kind, reader.Next("combination", 1, kNumCombineKinds - 1));
  auto s = std::make_shared<SelectState>();
  ASSIGN_OR_RETURN(s->plan,
                   ReadWindow("select_and_scatter", &reader, in[0].shape, in[1].shape, false));
  RETURN_IF_ERROR(reader.Done());
  const auto find = [&]<typename Element, typename Op>() {
    if constexpr (std::is_same_v<Op, combine::Add>)
      s->run = FindSelect<Element, Op>(static_cast<SelectKind>(select));
  };
  combine::Visit(in[0].dtype, static_cast<CombineKind>(kind), find);
  if (s->run == nullptr) {
    return Unimplemented(
        StrCat("select_and_scatter: combination ", kind, " of ", tensor::Name(in[0].dtype)));
  }
  s->width = tensor::ByteWidth(in[0].dtype);
  s->out_elements = Elements(out[0]);
  s->source_elements = Elements(in[1]);
  if (s->source_elements > 0) {
    while (s->shared + 1 < s->plan.dims.size() && s->plan.dims[s->shared].trivial())
      s->shared_size *= s->plan.dims[s->shared++].out;
  }
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunSelect;
  return kernel;
}

}  // namespace

const LibraryKernel kSelectAndScatterKernel = {"select_and_scatter", PrepareSelect};

}  // namespace megalith::kernels
