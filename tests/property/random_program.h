// Random well-typed StableHLO programs with inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"
#include "tests/property/random_values.h"

namespace megalith::property {

struct ProgramOptions {
  int max_ops = 60;
  int64_t max_elements = 1'500'000;  // of a value; most programs stay far below
};

struct RandomProgram {
  uint64_t seed = 0;
  stablehlo::Module module;
  std::vector<Tensor> inputs;
};

// The same seed and options give the same program. Every program passes Verify, terminates, and
// never divides its control flow on a value that is not finite for ever: loops run at most a few
// dozen times. Errors: kInternal (the generator emitted an op that its own rule refuses).
Result<RandomProgram> MakeRandomProgram(uint64_t seed, const ProgramOptions& options = {});

}  // namespace megalith::property
