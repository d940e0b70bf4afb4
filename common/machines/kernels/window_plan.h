// Windows that slide over padded, dilated arrays.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/params.h"

namespace megalith::kernels {

struct WindowDim {
  int64_t in = 1, out = 1;  // sizes of the array and of the result
  int64_t size = 1, stride = 1, pad_low = 0, pad_high = 0, base_dilation = 1, window_dilation = 1;

  // The element that output `o` sees through window position `w`; -1 if that is padding or a hole.
  int64_t Input(int64_t o, int64_t w) const {
    const int64_t p = o * stride + w * window_dilation - pad_low;
    if (p < 0) return -1;
    if (base_dilation == 1) return p < in ? p : -1;
    if (p % base_dilation != 0) return -1;
    return p / base_dilation < in ? p / base_dilation : -1;
  }
  // Outputs [low, high) whose place seen through `w` is inside the dilated array.
  void Inside(int64_t w, int64_t* low, int64_t* high) const;
  bool trivial() const {
    return size == 1 && stride == 1 && pad_low == 0 && pad_high == 0 && base_dilation == 1;
  }
};

// The window dimensions of an array; those at the end that leave the array as it is are merged into
// `inner`, elements that are treated alike.
struct WindowPlan {
  std::vector<WindowDim> dims;                   // at least one
  std::vector<int64_t> in_strides, out_strides;  // elements, by entry of `dims`
  int64_t inner = 1;
  int64_t out_rows = 1;  // outputs over all dims but the last
  bool empty_window = false;
};

// Reads the lists of a window (`dilations`: also those) and checks that they take `in` to `out`.
// Errors: kInvalidArgument.
Result<WindowPlan> ReadWindow(std::string_view kernel, ParamReader* reader, const Shape& in,
                              const Shape& out, bool dilations);

}  // namespace megalith::kernels
