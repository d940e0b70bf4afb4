#include "services/common/info_service.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/version.h"
#include "megalith/info/v1/info.pb.h"
#include "services/common/ledger_service.h"

namespace megalith::services {

InfoService::InfoService(std::string process, std::vector<std::string> services,
                         int64_t started_unix_nanos)
    : Service("megalith.info.v1.InfoService", {.unary = 1, .max_queued = 100, .max_streams = 1}),
      process_(std::move(process)),
      services_(std::move(services)),
      started_unix_nanos_(started_unix_nanos) {
  services_.push_back(full_name());
  std::sort(services_.begin(), services_.end());
  Unary("GetInfo", this, &InfoService::GetInfo);
}

Result<info::v1::GetInfoResponse> InfoService::GetInfo(const info::v1::GetInfoRequest&,
                                                       const rpc::Call&) {
  info::v1::GetInfoResponse response;
  response.set_process(process_);
  response.set_version(std::string(kVersion));
  for (const std::string& name : services_) response.add_services(name);
  response.set_started_unix_nanos(started_unix_nanos_);
  return response;
}

void AddCommonServices(const std::string& process, ServiceContext& context,
                       std::vector<std::unique_ptr<rpc::Service>>* list) {
  list->push_back(std::make_unique<LedgerService>(context.ledger));
  std::vector<std::string> names;
  for (const auto& service : *list) names.push_back(service->full_name());
  list->push_back(std::make_unique<InfoService>(process, std::move(names),
                                                context.process.clock().UnixNanos()));
}

}  // namespace megalith::services
