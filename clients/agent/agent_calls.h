// AgentService from a client's side.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::agent_tools {

struct AgentResource {
  std::string address;
  int32_t shard_id = 0;
  int32_t replica_id = 0;
  int64_t memory_bytes = 0;
};

// Thread-safe. `server_type` is "ps", "entry" or "dense". Errors: kInvalidArgument  another server
// type; those of rpc::UnaryMethod.
class AgentCalls {
 public:
  explicit AgentCalls(std::shared_ptr<rpc::Channel> channel, rpc::CallOptions options = {});
  static Result<AgentCalls> Dial(const std::string& address);

  // Addresses by task, "ps:0".
  Result<std::map<std::string, std::vector<std::string>>> HeartBeat(
      const std::string& server_type) const;
  Result<std::vector<std::string>> GetReplicas(const std::string& server_type, int64_t task,
                                               const std::string& model) const;
  Result<AgentResource> GetResource() const;

 private:
  std::shared_ptr<rpc::Channel> channel_;
  rpc::CallOptions options_;
};

}  // namespace megalith::agent_tools
