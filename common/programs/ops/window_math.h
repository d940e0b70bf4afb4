// Arithmetic of windows sliding over padded and dilated dimensions, shared by convolutions and
// window reductions.
#pragma once

#include <vector>

#include "common/programs/ir/emit.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Beyond this, sums of sizes and paddings could leave int64.
inline constexpr int64_t kMaxWindowNumber = int64_t{1} << 60;

// Low and high padding of each dimension.
struct Pads {
  Dims low;
  Dims high;
};

// max(0, 1 + dilation * (size - 1)): a size after holes are put between elements. Exact for sizes
// and dilations up to kMaxWindowNumber whose result is; kMaxWindowNumber + 1 beyond that.
int64_t DilateDim(int64_t size, int64_t dilation);
Shape DilateShape(const Shape& shape, const Dims& dilation);
// max(0, (size - window) / stride + 1), rounded down: how many windows fit.
int64_t StrideDim(int64_t size, int64_t window, int64_t stride);

// Reads ((lo, hi), ...); every number within kMaxWindowNumber.
Result<Pads> ParsePads(const ParamValue& padding);
// Of an equation whose types have been checked.
Pads PadsOf(const Params& params);
ParamValue PadsParam(const Pads& pads);
// low, high of each dimension in one list.
Dims InterleavedPads(const Pads& pads);

// TypeError unless every number is from `least` to kMaxWindowNumber.
Status CheckWindowNumbers(std::string_view op, std::string_view what, const Dims& values,
                          int64_t least);

}  // namespace megalith::ops
