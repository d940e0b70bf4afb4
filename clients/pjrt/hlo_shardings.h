// How a host learns where a program wants its arguments and leaves its results.
#pragma once

#include <string>
#include <vector>

#include "common/programs/spmd/sharding.h"

namespace megalith::pjrt {

struct PlacedArray {
  spmd::Sharding sharding;
  size_t rank = 0;
};

// Fields of an xla.HloModuleProto that hold these shardings: hosts look for them in the optimized
// program (hlo_program.h).
std::string EncodeShardings(const std::vector<PlacedArray>& inputs,
                            const std::vector<PlacedArray>& outputs, int devices);

// xla.OpSharding of an array, and that of a value that devices have of their own in a manual
// computation.
std::string EncodeSharding(const PlacedArray& array, int devices);
std::string EncodeManualSharding();

}  // namespace megalith::pjrt
