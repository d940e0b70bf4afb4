// Asks a process what it is and whether it serves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

struct ProcessInfo {
  std::string process;  // "cache", "allinone", ...
  std::string version;
  std::vector<std::string> services;  // full names
  int64_t started_unix_nanos = 0;
};

// Thread-safe. Health is gRPC's own protocol, which every gRPC server may have; the rest is ours.
class HealthClient {
 public:
  explicit HealthClient(std::shared_ptr<rpc::Channel> channel);
  ~HealthClient();
  // True if `service` (a full name; empty: the process as a whole) accepts calls.
  // Errors: kNotFound  the process has no such service; those of rpc::UnaryMethod.
  Result<bool> IsServing(const std::string& service, const rpc::CallOptions& options = {}) const;
  // Errors: kUnimplemented  the process is not one of ours; those of rpc::UnaryMethod.
  Result<ProcessInfo> GetInfo(const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs
