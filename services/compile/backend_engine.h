// Binds the compile service to the backends of common/machines.
#pragma once

#include <memory>

#include "services/compile/compile_engine.h"

namespace megalith::runtime {
class BackendRegistry;
}

namespace megalith::services {

// Compiles by the backend that a request's target names; the first of `backends` is the default
// target.
std::shared_ptr<CompileEngine> MakeBackendCompileEngine(
    std::shared_ptr<const runtime::BackendRegistry> backends);

}  // namespace megalith::services
