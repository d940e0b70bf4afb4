// Binds the services to the libraries that do the work: trace to pipeline, compile and execute to the backends of
// machines.
#pragma once

#include <memory>

#include "common/foundation/base/status.h"
#include "services/compile/compile_engine.h"
#include "services/execute/execute_engine.h"
#include "services/trace/config.h"
#include "services/trace/trace_engine.h"

namespace megalith::runtime {
class BackendRegistry;
}

namespace megalith::services {

// Every backend of this build, in the order of preference: the first one is the default target.
std::shared_ptr<const runtime::BackendRegistry> MakeBackends();

// Parses, transforms and lowers by common/programs/pipeline. The limits of `config` apply.
std::shared_ptr<TraceEngine> MakePipelineEngine(const TraceServiceConfig& config);

// Compiles by the backend that a request's target names.
std::shared_ptr<CompileEngine> MakeBackendCompileEngine(std::shared_ptr<const runtime::BackendRegistry> backends);

// Loads packages by the backend that made them.
std::shared_ptr<ExecuteEngine> MakeBackendExecuteEngine(std::shared_ptr<const runtime::BackendRegistry> backends);

}  // namespace megalith::services
