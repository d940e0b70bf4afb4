// Programs compiled and run in this process: no server, no copies of what is in memory already.
#pragma once

#include <memory>

#include "clients/pjrt/engine.h"
#include "clients/pjrt/host_callbacks.h"

namespace megalith::pjrt {

// `backend` is "cpu" or "reference"; kNotFound for another. Programs may call what `callbacks`
// offers, which outlives the engine.
Result<std::shared_ptr<Engine>> MakeEmbeddedEngine(std::string_view backend,
                                                   HostCallbacks& callbacks);

}  // namespace megalith::pjrt
