// select_and_scatter. Dimensions before the first windowed one are independent and shared over the
// threads; elements after the last one are handled side by side.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/strided.h"
#include "common/machines/kernels/window_kernels.h"
#include "common/machines/kernels/window_plan.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kLanes = 128;
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
        out_(static_cast<T*>(call.out[0])) {}

  // All windows at positions [begin, end) of the shared dimensions.
  Status Run(int64_t begin, int64_t end) {
    const int64_t windows = s_.source_elements / s_.plan.inner / s_.shared_size;
    for (int64_t w = begin * windows; w < end * windows; ++w) {
      for (lane_ = 0; lane_ < s_.plan.inner; lane_ += kLanes) {
        lanes_ = std::min(kLanes, s_.plan.inner - lane_);
        any_ = false;
        RETURN_IF_ERROR(Positions(0, lane_, w, s_.source_elements / s_.plan.inner));
        if (any_) Scatter(w * s_.plan.inner + lane_);
      }
    }
    return OkStatus();
  }

 private:
  // `window` is the number of the window, `windows` how many there are over dimensions from `dim`.
  Status Positions(size_t dim, int64_t offset, int64_t window, int64_t windows) {
    if (dim == s_.plan.dims.size()) {
      OnBestIsa([&]() __attribute__((always_inline)) { Look(offset); });
      return Spend(lanes_);
    }
    const WindowDim& d = s_.plan.dims[dim];
    windows /= d.out;
    const int64_t o = window / windows % d.out;
    for (int64_t w = 0; w < d.size; ++w) {
      const int64_t i = d.Input(o, w);
      if (i >= 0) {
        RETURN_IF_ERROR(Positions(dim + 1, offset + i * s_.plan.in_strides[dim], window, windows));
      } else {
        RETURN_IF_ERROR(Spend(1));
      }
    }
    return OkStatus();
  }

  // Compares what the lanes have selected with the elements from `offset` on.
  [[gnu::always_inline]] void Look(int64_t offset) {
    const T* in = in_ + offset;
    if (!any_) {
      any_ = true;
      for (int64_t l = 0; l < lanes_; ++l) best_[l] = static_cast<C>(in[l]);
      std::fill_n(place_, lanes_, offset);
      return;
    }
    for (int64_t l = 0; l < lanes_; ++l) {
      const C v = static_cast<C>(in[l]);
      const bool keep = Keeps<kind>(best_[l], v);
      best_[l] = keep ? best_[l] : v;
      place_[l] = keep ? place_[l] : offset;
    }
  }

  void Scatter(int64_t source) {
    for (int64_t l = 0; l < lanes_; ++l) {
      T* to = out_ + place_[l] + l;
      *to = static_cast<T>(Op::Apply(static_cast<C>(*to), static_cast<C>(source_[source + l])));
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
  int64_t lane_ = 0, lanes_ = 0;
  bool any_ = false;
  int64_t spent_ = 0;
  C best_[kLanes];
  int64_t place_[kLanes];
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
    while (s->shared < s->plan.dims.size() && s->plan.dims[s->shared].trivial())
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
