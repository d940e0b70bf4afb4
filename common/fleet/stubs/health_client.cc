#include "common/fleet/stubs/health_client.h"

#include "grpc/health/v1/health.pb.h"

namespace megalith::stubs {

namespace v1 = grpc::health::v1;

struct HealthClient::Methods {
  rpc::UnaryMethod<v1::HealthCheckRequest, v1::HealthCheckResponse> check;
};

HealthClient::HealthClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(new Methods{.check = {std::move(channel), "grpc.health.v1.Health", "Check"}}) {}
HealthClient::~HealthClient() = default;

Result<bool> HealthClient::IsServing(const std::string& service,
                                     const rpc::CallOptions& options) const {
  v1::HealthCheckRequest request;
  request.set_service(service);
  ASSIGN_OR_RETURN(const v1::HealthCheckResponse response, methods_->check(request, options));
  return response.status() == v1::HealthCheckResponse::SERVING;
}

}  // namespace megalith::stubs
