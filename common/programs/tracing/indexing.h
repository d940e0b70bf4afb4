// Reading and writing parts of arrays.
#pragma once

#include "common/programs/tracing/numpy.h"

namespace megalith::tracing {

// x[begin:end:step] along one axis. Absent ends are the array's; negative ones count from its end;
// what lies outside is cut off, as in Python. The step must be positive.
struct Range {
  std::optional<int64_t> begin;
  std::optional<int64_t> end;
  int64_t step = 1;
};
Array Slice(Operand x, std::initializer_list<Range> ranges);

// What becomes of indices outside the array.
enum class TakeMode : uint8_t { kFill, kClip };
// Slices of x at the places that the integer array `indices` holds: its shape takes the place of
// `axis`. Without an axis x is read in row-major order. kFill gives NaN (the smallest integer, for
// integers) outside and counts negative indices from the end.
Array Take(Operand x, Operand indices, std::optional<int64_t> axis = {},
           TakeMode mode = TakeMode::kFill);

// A box of x whose corner is known when the program runs; it is moved so that it lies inside. One
// start per dimension: arrays or numbers of one integer type. Negative starts count from the end.
Array DynamicSlice(Operand x, const Arrays& starts, const Shape& sizes);
Array DynamicUpdateSlice(Operand x, Operand update, const Arrays& starts);
// x[index] along an axis, `index` known when the program runs.
Array DynamicIndex(Operand x, Operand index, int64_t axis = 0, bool keepdims = false);

}  // namespace megalith::tracing
