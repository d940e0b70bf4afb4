#include "services/execute/serving/model_server.h"

#include <set>

#include "common/fleet/rpc/service.h"
#include "common/foundation/base/strings.h"
#include "common/learning/serving/serving_proto.h"
#include "common/learning/serving/tensor_value_proto.h"

namespace megalith::services {

namespace tfs = tensorflow::serving;
using serving::Servable;

namespace {

constexpr std::string_view kSignatureDefField = "signature_def";

void FillSpec(const Servable& servable, const std::string& signature, tfs::ModelSpec* spec) {
  spec->set_name(servable.name);
  spec->mutable_version()->set_value(servable.version);
  if (!signature.empty()) spec->set_signature_name(signature);
}

// gRPC carries statuses in headers, whose size is limited: stock servers cut at this length.
Status Shortened(const Status& status) {
  constexpr size_t kMaxMessage = 1024;
  if (status.ok() || status.message().size() <= kMaxMessage) return status;
  return Status(status.code(), status.message().substr(0, kMaxMessage) + "...TRUNCATED");
}

template <typename T>
Result<T> Shortened(Result<T> result) {
  if (result.ok()) return result;
  return Shortened(result.status());
}

}  // namespace

Result<std::shared_ptr<const Servable>> ModelServer::Find(bool present,
                                                          const tfs::ModelSpec& spec) const {
  if (!present) return InvalidArgument("Missing ModelSpec");
  return models_.Find(serving::RequestOf(spec));
}

Result<tfs::PredictResponse> ModelServer::Predict(const tfs::PredictRequest& request,
                                                  const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const auto servable, Find(request.has_model_spec(), request.model_spec()));
  const std::string& signature = request.model_spec().signature_name();
  const serving::Inputs inputs = serving::InputsOf(request.inputs(), options_.max_input_bytes);
  const Stopwatch watch;
  Result<serving::Outputs> outputs =
      serving::Predict(*servable, signature, inputs,
                       {request.output_filter().begin(), request.output_filter().end()},
                       options_.inference, cancellation);
  CountRun(servable->name, "Predict", watch.Seconds());
  if (!outputs.ok()) return outputs.status();
  tfs::PredictResponse response;
  for (const auto& [alias, value] : *outputs) {
    serving::EncodeTensor(value, options_.answer_as_content, &(*response.mutable_outputs())[alias]);
  }
  FillSpec(*servable, serving::EffectiveSignature(signature), response.mutable_model_spec());
  return response;
}

Result<tfs::ClassificationResponse> ModelServer::Classify(const tfs::ClassificationRequest& request,
                                                          const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const auto servable, Find(request.has_model_spec(), request.model_spec()));
  const std::string& signature = request.model_spec().signature_name();
  const std::vector<std::string> examples = serving::ExamplesOf(request.input());
  CountExamples(servable->name, examples.size());
  const Stopwatch watch;
  const auto classes =
      serving::Classify(*servable, signature, examples, options_.inference, cancellation);
  CountRun(servable->name, "Classify", watch.Seconds());
  if (!classes.ok()) return classes.status();
  tfs::ClassificationResponse response;
  serving::FillClasses(*classes, response.mutable_result());
  FillSpec(*servable, serving::EffectiveSignature(signature), response.mutable_model_spec());
  return response;
}

Result<tfs::RegressionResponse> ModelServer::Regress(const tfs::RegressionRequest& request,
                                                     const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const auto servable, Find(request.has_model_spec(), request.model_spec()));
  const std::string& signature = request.model_spec().signature_name();
  const std::vector<std::string> examples = serving::ExamplesOf(request.input());
  CountExamples(servable->name, examples.size());
  const Stopwatch watch;
  const auto values =
      serving::Regress(*servable, signature, examples, options_.inference, cancellation);
  CountRun(servable->name, "Regress", watch.Seconds());
  if (!values.ok()) return values.status();
  tfs::RegressionResponse response;
  serving::FillRegressions(*values, response.mutable_result());
  FillSpec(*servable, serving::EffectiveSignature(signature), response.mutable_model_spec());
  return response;
}

Result<tfs::MultiInferenceResponse> ModelServer::MultiInference(
    const tfs::MultiInferenceRequest& request, const Cancellation& cancellation) {
  // The version is the first task's.
  const tfs::ModelSpec no_spec;
  ASSIGN_OR_RETURN(const auto servable,
                   Find(true, request.tasks().empty() ? no_spec : request.tasks(0).model_spec()));
  std::set<std::string> signatures;
  for (const tfs::InferenceTask& task : request.tasks()) {
    const tfs::ModelSpec& spec = task.model_spec();
    if (spec.name().empty()) return InvalidArgument("Found ModelSpec with an empty model name.");
    if (spec.name() != servable->name) {
      return InvalidArgument(
          "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    }
    const std::string signature = serving::EffectiveSignature(spec.signature_name());
    if (!signatures.insert(signature).second)
      return InvalidArgument(StrCat("Duplicate evaluation of signature: ", signature));
    if (servable->signatures.count(signature) == 0) {
      return InvalidArgument(StrCat("Requested signature not found in model graph: ", signature));
    }
    if (task.method_name() != serving::kClassifyMethod &&
        task.method_name() != serving::kRegressMethod) {
      return Unimplemented(StrCat("Unsupported signature method_name: ", task.method_name()));
    }
  }
  const std::vector<std::string> examples = serving::ExamplesOf(request.input());
  CountExamples(servable->name, examples.size());
  tfs::MultiInferenceResponse response;
  for (const tfs::InferenceTask& task : request.tasks()) {
    const std::string signature = serving::EffectiveSignature(task.model_spec().signature_name());
    tfs::InferenceResult* result = response.add_results();
    if (task.method_name() == serving::kClassifyMethod) {
      ASSIGN_OR_RETURN(const auto classes, serving::Classify(*servable, signature, examples,
                                                             options_.inference, cancellation));
      serving::FillClasses(classes, result->mutable_classification_result());
    } else {
      ASSIGN_OR_RETURN(const auto values, serving::Regress(*servable, signature, examples,
                                                           options_.inference, cancellation));
      serving::FillRegressions(values, result->mutable_regression_result());
    }
    FillSpec(*servable, signature, result->mutable_model_spec());
  }
  return response;
}

Result<tfs::GetModelMetadataResponse> ModelServer::GetModelMetadata(
    const tfs::GetModelMetadataRequest& request) {
  if (!request.has_model_spec()) return InvalidArgument("Missing ModelSpec");
  if (request.metadata_field().empty()) {
    return InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field");
  }
  for (const std::string& field : request.metadata_field()) {
    if (field != kSignatureDefField)
      return InvalidArgument(StrCat("Metadata field ", field, " is not supported"));
  }
  ASSIGN_OR_RETURN(const auto servable, Find(true, request.model_spec()));
  tfs::GetModelMetadataResponse response;
  FillSpec(*servable, "", response.mutable_model_spec());
  (*response.mutable_metadata())[std::string(kSignatureDefField)].PackFrom(
      serving::SignatureDefsOf(*servable));
  return response;
}

Result<tfs::GetModelStatusResponse> ModelServer::GetModelStatus(
    const tfs::GetModelStatusRequest& request) {
  if (!request.has_model_spec()) return InvalidArgument("Missing ModelSpec");
  const serving::ServableRequest of = serving::RequestOf(request.model_spec());
  ASSIGN_OR_RETURN(const auto versions, models_.StatusOf(of.name, of.version));
  tfs::GetModelStatusResponse response;
  for (const serving::VersionStatus& version : versions)
    serving::FillVersion(version, response.add_model_version_status());
  return response;
}

Result<tfs::ReloadConfigResponse> ModelServer::HandleReloadConfig(
    const tfs::ReloadConfigRequest& request, const Cancellation& cancellation) {
  if (!request.config().has_model_config_list()) {
    return InvalidArgument(
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList "
        "is currently supported");
  }
  ASSIGN_OR_RETURN(std::vector<serving::ModelConfig> models,
                   serving::ModelConfigsOf(request.config().model_config_list()));
  const auto value_of = [this](const std::string& name) {
    return options_.metrics == nullptr ? 0 : options_.metrics->FirstValueOf(name);
  };
  std::vector<int64_t> before;
  for (const std::string& name : request.metric_names()) before.push_back(value_of(name));
  RETURN_IF_ERROR(models_.Configure(std::move(models), cancellation));
  tfs::ReloadConfigResponse response;
  serving::FillStatus(OkStatus(), response.mutable_status());
  for (int i = 0; i < request.metric_names_size(); ++i) {
    const std::string& name = request.metric_names(i);
    tfs::Metric* metric = response.add_metric();
    metric->set_name(name);
    metric->set_int64_value_increase(value_of(name) - before[static_cast<size_t>(i)]);
  }
  return response;
}

namespace {

using ServerPtr = std::shared_ptr<ModelServer>;

class PredictionService final : public rpc::Service {
 public:
  PredictionService(ServerPtr server, rpc::ServiceThreads threads)
      : Service("tensorflow.serving.PredictionService", threads), server_(std::move(server)) {
    Unary("Predict", this, &PredictionService::Predict);
    Unary("Classify", this, &PredictionService::Classify);
    Unary("Regress", this, &PredictionService::Regress);
    Unary("MultiInference", this, &PredictionService::MultiInference);
    Unary("GetModelMetadata", this, &PredictionService::GetModelMetadata);
  }
  Result<tfs::PredictResponse> Predict(const tfs::PredictRequest& request, const rpc::Call& call) {
    return Counted("Predict", request.model_spec().name(),
                   [&] { return server_->Predict(request, call.cancellation()); });
  }
  Result<tfs::ClassificationResponse> Classify(const tfs::ClassificationRequest& request,
                                               const rpc::Call& call) {
    return Counted("Classify", request.model_spec().name(),
                   [&] { return server_->Classify(request, call.cancellation()); });
  }
  Result<tfs::RegressionResponse> Regress(const tfs::RegressionRequest& request,
                                          const rpc::Call& call) {
    return Counted("Regress", request.model_spec().name(),
                   [&] { return server_->Regress(request, call.cancellation()); });
  }
  Result<tfs::MultiInferenceResponse> MultiInference(const tfs::MultiInferenceRequest& request,
                                                     const rpc::Call& call) {
    return Shortened(server_->MultiInference(request, call.cancellation()));
  }
  Result<tfs::GetModelMetadataResponse> GetModelMetadata(
      const tfs::GetModelMetadataRequest& request, const rpc::Call&) {
    return Shortened(server_->GetModelMetadata(request));
  }

 private:
  // MultiInference and GetModelMetadata are not counted, as in the stock server.
  template <typename F>
  std::invoke_result_t<F> Counted(std::string_view api, const std::string& model, const F& run) {
    const Stopwatch watch;
    auto result = run();
    server_->Count(model, api, result.status(), watch.Seconds());
    return Shortened(std::move(result));
  }

  const ServerPtr server_;
};

class ModelService final : public rpc::Service {
 public:
  ModelService(ServerPtr server, rpc::ServiceThreads threads)
      : Service("tensorflow.serving.ModelService", threads), server_(std::move(server)) {
    Unary("GetModelStatus", this, &ModelService::GetModelStatus);
    Unary("HandleReloadConfigRequest", this, &ModelService::HandleReloadConfigRequest);
  }
  Result<tfs::GetModelStatusResponse> GetModelStatus(const tfs::GetModelStatusRequest& request,
                                                     const rpc::Call&) {
    return Shortened(server_->GetModelStatus(request));
  }
  Result<tfs::ReloadConfigResponse> HandleReloadConfigRequest(
      const tfs::ReloadConfigRequest& request, const rpc::Call& call) {
    return Shortened(server_->HandleReloadConfig(request, call.cancellation()));
  }

 private:
  const ServerPtr server_;
};

}  // namespace

ServiceList MakeModelServices(std::shared_ptr<ModelServer> server, rpc::ServiceThreads threads) {
  ServiceList services;
  services.push_back(std::make_unique<PredictionService>(server, threads));
  services.push_back(std::make_unique<ModelService>(std::move(server), threads));
  return services;
}

}  // namespace megalith::services
