// Arrays as NumPy prints them, for people.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/tensor/tensor.h"

namespace megalith::cli {

struct ArrayTextOptions {
  int64_t threshold = 1000;  // arrays with more elements are shortened
  int64_t edge_items = 3;    // kept at each end of a shortened dimension
  size_t width = 75;         // columns
  int precision = 8;         // digits after the point
};

// "[[1.  2.5]\n [3.  4. ]]". Floats share one form and their points stand in one column, with as
// many digits as tell neighbours apart; keys print as their words.
std::string ArrayText(const tensor::Tensor& tensor, const ArrayTextOptions& options = {});

}  // namespace megalith::cli
