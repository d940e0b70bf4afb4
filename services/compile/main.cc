// megalith-compile: StableHLO in, packages out, as a process.
#include "common/machines/backends/backends.h"
#include "services/compile/backend_engine.h"
#include "services/compile/compile_service.h"

int main(int argc, char** argv) {
  using namespace megalith;
  using namespace megalith::services;
  return RunService(argc, argv, CompileSpec([]() -> Result<std::shared_ptr<CompileEngine>> {
                      return MakeBackendCompileEngine(machines::AllBackends());
                    }));
}
