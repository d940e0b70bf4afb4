// Programs compiled and run in this process: no server, no copies of what is in memory already.
#pragma once

#include <memory>

#include "clients/pjrt/engine.h"

namespace megalith::pjrt {

// `backend` is "cpu" or "reference"; kNotFound for another.
Result<std::shared_ptr<Engine>> MakeEmbeddedEngine(std::string_view backend);

}  // namespace megalith::pjrt
