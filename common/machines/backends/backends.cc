#include "common/machines/backends/backends.h"

#include "common/foundation/base/status.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/reference/reference.h"

namespace megalith::machines {

std::shared_ptr<const runtime::BackendRegistry> AllBackends() {
  auto backends = std::make_shared<runtime::BackendRegistry>();
  CHECK(backends->Add(codegen::MakeCpuBackend()).ok());
  CHECK(backends->Add(reference::MakeReferenceBackend()).ok());
  return backends;
}

}  // namespace megalith::machines
