// Asks a process whether it serves, by gRPC's health protocol.
#pragma once

#include <memory>
#include <string>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

// Thread-safe.
class HealthClient {
 public:
  explicit HealthClient(std::shared_ptr<rpc::Channel> channel);
  ~HealthClient();
  // True if `service` (a full name; empty: the process as a whole) accepts calls.
  // Errors: kNotFound  the process has no such service; those of rpc::UnaryMethod.
  Result<bool> IsServing(const std::string& service, const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs
