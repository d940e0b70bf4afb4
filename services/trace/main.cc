// megalith-trace: programs transformed and lowered, as a process.
#include "services/trace/pipeline_engine.h"
#include "services/trace/trace_service.h"

int main(int argc, char** argv) {
  using namespace megalith;
  using namespace megalith::services;
  return RunService(
      argc, argv,
      TraceSpec([](const TraceServiceConfig& config) -> Result<std::shared_ptr<TraceEngine>> {
        return MakePipelineEngine(config);
      }));
}
