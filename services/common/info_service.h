// megalith.info.v1: every process tells what it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/fleet/rpc/service.h"
#include "services/common/service_context.h"

namespace megalith::info::v1 {
class GetInfoRequest;
class GetInfoResponse;
}  // namespace megalith::info::v1

namespace megalith::services {

// Thread-safe.
class InfoService final : public rpc::Service {
 public:
  // `services` are the full names of the other services of this process.
  InfoService(std::string process, std::vector<std::string> services, int64_t started_unix_nanos);
  Result<info::v1::GetInfoResponse> GetInfo(const info::v1::GetInfoRequest& request,
                                            const rpc::Call& call);

 private:
  const std::string process_;
  std::vector<std::string> services_;
  const int64_t started_unix_nanos_;
};

// Adds to `list` what every process has: the services of its ledger and of itself.
void AddCommonServices(const std::string& process, ServiceContext& context,
                       std::vector<std::unique_ptr<rpc::Service>>* list);

}  // namespace megalith::services
