#include "common/fleet/stubs/model_status_client.h"

#include "tensorflow_serving/apis/get_model_status.pb.h"

namespace megalith::stubs {

namespace ts = tensorflow::serving;

struct ModelStatusClient::Methods {
  rpc::UnaryMethod<ts::GetModelStatusRequest, ts::GetModelStatusResponse> status;
};

ModelStatusClient::ModelStatusClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(
          new Methods{.status = {channel, "tensorflow.serving.ModelService", "GetModelStatus"}}) {}
ModelStatusClient::~ModelStatusClient() = default;

Result<std::vector<ModelVersionState>> ModelStatusClient::GetModelStatus(
    const std::string& model, const rpc::CallOptions& options) const {
  ts::GetModelStatusRequest request;
  request.mutable_model_spec()->set_name(model);
  ASSIGN_OR_RETURN(const ts::GetModelStatusResponse response, methods_->status(request, options));
  std::vector<ModelVersionState> out;
  for (const ts::ModelVersionStatus& v : response.model_version_status()) {
    out.push_back({.version = v.version(),
                   .state = v.state(),
                   .error_code = v.status().error_code(),
                   .error = v.status().error_message()});
  }
  return out;
}

}  // namespace megalith::stubs
