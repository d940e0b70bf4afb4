// How a host learns where a program wants its arguments and leaves its results.
#pragma once

#include <string>
#include <vector>

#include "common/programs/spmd/sharding.h"

namespace megalith::pjrt {

// An empty module in MLIR text that carries these shardings: all that hosts read of the optimized
// program on several devices. `inputs` and `outputs` come with the ranks of their arrays.
struct PlacedArray {
  spmd::Sharding sharding;
  size_t rank = 0;
};
std::string ModuleWithShardings(const std::vector<PlacedArray>& inputs,
                                const std::vector<PlacedArray>& outputs, int devices);

}  // namespace megalith::pjrt
