#include "common/machines/kernels/window_plan.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::kernels {

void WindowDim::Inside(int64_t w, int64_t* low, int64_t* high) const {
  const int64_t shift = w * window_dilation - pad_low;  // o * stride + shift is the place
  const int64_t room = (in - 1) * base_dilation - shift;
  *low = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  *high = in == 0 || room < 0 ? 0 : std::min(out, room / stride + 1);
  *low = std::min(*low, *high);
}

Result<WindowPlan> ReadWindow(std::string_view kernel, ParamReader* reader, const Shape& in,
                              const Shape& out, bool dilations) {
  constexpr int64_t kMost = int64_t{1} << 30;  // products of two and sums of a few stay in range
  const auto rank = static_cast<int64_t>(in.size());
  if (in.size() != out.size()) return InvalidArgument(StrCat(kernel, ": ranks differ"));
  std::vector<WindowDim> dims(in.size());
  struct Field {
    std::string_view name;
    int64_t WindowDim::* field;
    int64_t low;
  };
  const Field fields[] = {{"window size", &WindowDim::size, 0},
                          {"stride", &WindowDim::stride, 1},
                          {"padding before", &WindowDim::pad_low, -kMost},
                          {"padding after", &WindowDim::pad_high, -kMost},
                          {"base dilation", &WindowDim::base_dilation, 1},
                          {"window dilation", &WindowDim::window_dilation, 1}};
  for (const Field& f : std::span(fields).first(dilations ? 6 : 4)) {
    ASSIGN_OR_RETURN(const Dims list, reader->NextList(f.name, rank, f.low, kMost));
    if (list.size() != in.size())
      return InvalidArgument(StrCat(kernel, ": wanted ", rank, " entries for ", f.name));
    for (size_t i = 0; i < in.size(); ++i) dims[i].*f.field = list[i];
  }
  WindowPlan plan;
  for (size_t i = 0; i < in.size(); ++i) {
    WindowDim& d = dims[i];
    d.in = in[i];
    d.out = out[i];
    if (d.in > kMost || d.out > kMost)
      return Unimplemented(StrCat(kernel, ": a dimension of more than 2^30 elements"));
    const int64_t base = d.in == 0 ? 0 : (d.in - 1) * d.base_dilation + 1;
    const int64_t window = d.size == 0 ? 0 : (d.size - 1) * d.window_dilation + 1;
    const int64_t padded = base + d.pad_low + d.pad_high;
    const int64_t want = padded < window || padded <= 0 ? 0 : (padded - window) / d.stride + 1;
    if (d.out != want) {
      return InvalidArgument(StrCat(kernel, ": the window gives ", want,
                                    " results along dimension ", i, ", not ", d.out));
    }
    plan.empty_window = plan.empty_window || d.size == 0;
  }
  while (dims.size() > 1 && dims.back().trivial()) {
    plan.inner *= dims.back().in;
    dims.pop_back();
  }
  if (dims.empty()) dims.emplace_back();  // a scalar is a row of one element
  plan.dims = std::move(dims);
  const size_t n = plan.dims.size();
  plan.in_strides.assign(n, plan.inner);
  plan.out_strides.assign(n, plan.inner);
  for (size_t i = n - 1; i-- > 0;) {
    plan.in_strides[i] = plan.in_strides[i + 1] * plan.dims[i + 1].in;
    plan.out_strides[i] = plan.out_strides[i + 1] * plan.dims[i + 1].out;
  }
  for (size_t i = 0; i + 1 < n; ++i) plan.out_rows *= plan.dims[i].out;
  return plan;
}

}  // namespace megalith::kernels
