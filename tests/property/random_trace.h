// Random functions of the C++ front end under random transforms, lowered to StableHLO.
#pragma once

#include "tests/property/random_program.h"

namespace megalith::property {

// A function of one to three arrays of a few dozen operations, some of them loops, branches and
// nested functions; a stack of up to three transforms around it and inside it (jit, vmap, jvp,
// grad, vjp, Jacobians, checkpoint). The same seed gives the same program.
// Errors: kInternal (a function that does not trace or lower).
Result<RandomProgram> MakeRandomTrace(uint64_t seed);

// A program of either kind: every fifth seed is a trace.
Result<RandomProgram> MakeAnyProgram(uint64_t seed, const ProgramOptions& options = {});

}  // namespace megalith::property
