// Checks in a process of their own, for programs that may crash or hang a backend.
#pragma once

#include <optional>
#include <vector>

#include "tests/property/agreement.h"

namespace megalith::property {

// As Check (agreement.h), in a forked process, which gets `seconds`. A process that dies of a
// signal is a disagreement of stage kCrash; its message names the signal. The calling process must
// not have run a backend itself: threads do not survive a fork.
std::optional<Disagreement> CheckIsolated(const RandomProgram& program,
                                          const std::vector<Engine>& engines,
                                          unsigned seconds = 120);

}  // namespace megalith::property
