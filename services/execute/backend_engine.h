// Binds the execute service to the backends of common/machines.
#pragma once

#include <memory>

#include "services/execute/execute_engine.h"

namespace megalith::runtime {
class BackendRegistry;
}

namespace megalith::services {

// Loads packages by the backend that made them.
std::shared_ptr<ExecuteEngine> MakeBackendExecuteEngine(
    std::shared_ptr<const runtime::BackendRegistry> backends);

}  // namespace megalith::services
