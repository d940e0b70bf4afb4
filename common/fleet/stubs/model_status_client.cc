#include "common/fleet/stubs/model_status_client.h"

#include <google/protobuf/text_format.h>

#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"

namespace megalith::stubs {

namespace ts = tensorflow::serving;

struct ModelStatusClient::Methods {
  rpc::UnaryMethod<ts::GetModelStatusRequest, ts::GetModelStatusResponse> status;
  rpc::UnaryMethod<ts::ReloadConfigRequest, ts::ReloadConfigResponse> reload;
};

ModelStatusClient::ModelStatusClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(new Methods{
          .status = {channel, "tensorflow.serving.ModelService", "GetModelStatus"},
          .reload = {channel, "tensorflow.serving.ModelService", "HandleReloadConfigRequest"}}) {}
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

Status ModelStatusClient::ReloadConfig(const std::string& config_text,
                                       const rpc::CallOptions& options) const {
  ts::ReloadConfigRequest request;
  if (!google::protobuf::TextFormat::ParseFromString(config_text, request.mutable_config())) {
    return InvalidArgument("the configuration is no tensorflow.serving.ModelServerConfig");
  }
  ASSIGN_OR_RETURN(const ts::ReloadConfigResponse response, methods_->reload(request, options));
  if (response.status().error_code() == 0) return OkStatus();
  const int code = response.status().error_code();
  return Status(code > 0 && code <= 16 ? static_cast<Code>(code) : Code::kUnknown,
                response.status().error_message());
}

}  // namespace megalith::stubs
