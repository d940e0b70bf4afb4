#include "services/allinone/engines.h"

#include "common/machines/backends/backends.h"
#include "services/compile/backend_engine.h"
#include "services/execute/backend_engine.h"
#include "services/trace/pipeline_engine.h"

namespace megalith::services {

Engines RealEngines() {
  const std::shared_ptr<const runtime::BackendRegistry> backends = machines::AllBackends();
  return {.trace = [](const TraceServiceConfig& config) -> Result<std::shared_ptr<TraceEngine>> {
            return MakePipelineEngine(config);
          },
          .compile = [backends]() -> Result<std::shared_ptr<CompileEngine>> {
            return MakeBackendCompileEngine(backends);
          },
          .execute = [backends]() -> Result<std::shared_ptr<ExecuteEngine>> {
            return MakeBackendExecuteEngine(backends);
          }};
}

}  // namespace megalith::services
