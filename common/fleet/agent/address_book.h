// What AgentService answers from: one interface for the three versions of the agent (spec
// agent-service.md, section 2).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::agent {

// What GetResource says of this container.
struct Resource {
  std::string address;  // of the agent
  int64_t shard_id = -1;
  int64_t replica_id = -1;
  int64_t memory = 0;  // bytes available
  double cpu = -1;     // -1: not measured, as of the others
  double network = -1;
  double work_load = -1;
};

// Thread-safe; answers come from memory, never from ZooKeeper.
class AddressBook {
 public:
  virtual ~AddressBook() = default;
  // Addresses by task ("ps:0") or sub-graph ("model:ps_0").
  virtual std::map<std::string, std::vector<std::string>> HeartBeat(
      std::string_view server_type) const = 0;
  // Of one task; empty for one that is not known. Errors: kUnknown  the version has no such answer,
  // in the words of the Python agent.
  virtual Result<std::vector<std::string>> Replicas(const std::string& model,
                                                    std::string_view server_type,
                                                    int64_t task) const = 0;
  // nullopt: the version tells nothing.
  virtual std::optional<Resource> GetResource() const = 0;
};

}  // namespace megalith::agent
