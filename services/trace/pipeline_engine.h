// Binds the trace service to common/programs/pipeline.
#pragma once

#include <memory>

#include "services/trace/config.h"
#include "services/trace/trace_engine.h"

namespace megalith::services {

// Parses, transforms and lowers. The limits of `config` apply.
std::shared_ptr<TraceEngine> MakePipelineEngine(const TraceServiceConfig& config);

}  // namespace megalith::services
