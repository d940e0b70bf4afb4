#include "common/fleet/agent/model_status.h"

#include <utility>

#include "common/fleet/discovery/zookeeper/records.h"

namespace megalith::agent {

const ModelVersion* ChooseVersion(const std::vector<ModelVersion>& versions) {
  const ModelVersion* best = nullptr;
  const auto available = [](const ModelVersion& v) {
    return v.state == static_cast<int64_t>(discovery::ModelState::kAvailable);
  };
  for (const ModelVersion& v : versions) {
    if (best == nullptr ||
        std::pair(available(v), v.version) > std::pair(available(*best), best->version)) {
      best = &v;
    }
  }
  return best;
}

}  // namespace megalith::agent
