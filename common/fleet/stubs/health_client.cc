#include "common/fleet/stubs/health_client.h"

#include "grpc/health/v1/health.pb.h"
#include "megalith/info/v1/info.pb.h"

namespace megalith::stubs {

namespace v1 = grpc::health::v1;

struct HealthClient::Methods {
  rpc::UnaryMethod<v1::HealthCheckRequest, v1::HealthCheckResponse> check;
  rpc::UnaryMethod<info::v1::GetInfoRequest, info::v1::GetInfoResponse> info;
};

HealthClient::HealthClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(new Methods{.check = {channel, "grpc.health.v1.Health", "Check"},
                           .info = {channel, "megalith.info.v1.InfoService", "GetInfo"}}) {}
HealthClient::~HealthClient() = default;

Result<bool> HealthClient::IsServing(const std::string& service,
                                     const rpc::CallOptions& options) const {
  v1::HealthCheckRequest request;
  request.set_service(service);
  ASSIGN_OR_RETURN(const v1::HealthCheckResponse response, methods_->check(request, options));
  return response.status() == v1::HealthCheckResponse::SERVING;
}

Result<ProcessInfo> HealthClient::GetInfo(const rpc::CallOptions& options) const {
  ASSIGN_OR_RETURN(const info::v1::GetInfoResponse r,
                   methods_->info(info::v1::GetInfoRequest(), options));
  return ProcessInfo{.process = r.process(),
                     .version = r.version(),
                     .services = {r.services().begin(), r.services().end()},
                     .started_unix_nanos = r.started_unix_nanos()};
}

}  // namespace megalith::stubs
