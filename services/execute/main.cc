// megalith-execute: runs programs, as a process.
#include "common/machines/backends/backends.h"
#include "services/execute/backend_engine.h"
#include "services/execute/execute_service.h"
#include "services/execute/serving/model_serving.h"

int main(int argc, char** argv) {
  using namespace megalith;
  using namespace megalith::services;
  ServiceSpec spec = ExecuteSpec([]() -> Result<std::shared_ptr<ExecuteEngine>> {
    return MakeBackendExecuteEngine(machines::AllBackends());
  });
  AddModelServing(machines::AllBackends, &spec);
  return RunService(argc, argv, spec);
}
