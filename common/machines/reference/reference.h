// The StableHLO evaluator as a backend: slow, and right. The oracle of all others.
#pragma once

#include <memory>

#include "common/machines/runtime/backend.h"

namespace megalith::reference {

// Compile verifies the program, brings it into canonical form and plans it once, to find out about
// unsupported ops; the package holds the canonical bytes (section "program") and the limits
// (section "settings"). It runs on any machine.
//
// Settings, all positive integers, no limit if absent: max_steps (operations executed per run,
// loops included), max_bytes_per_value, max_live_bytes (values alive at once).
std::shared_ptr<const runtime::Backend> MakeReferenceBackend();

}  // namespace megalith::reference
