#include "services/execute/serving/rest_api.h"

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/learning/serving/rest/rest_proto.h"
#include "common/learning/serving/rest/rest_request.h"
#include "common/learning/serving/rest/rest_response.h"

namespace megalith::services {

using serving::RestAction;
using ServablePtr = std::shared_ptr<const serving::Servable>;

namespace {

// The label of metrics.
std::string_view ApiOf(RestAction action) {
  switch (action) {
    case RestAction::kPredict:
      return "predict";
    case RestAction::kClassify:
      return "classify";
    case RestAction::kRegress:
      return "regress";
    case RestAction::kStatus:
    case RestAction::kMetadata:
      break;
  }
  return "";
}

}  // namespace

http::Response RestApi::JsonResponse(int status, std::string body) const {
  http::Response out{.status = status, .headers = {{"Content-Type", "application/json"}}};
  if (options_.cors) {
    out.headers.emplace_back("Access-Control-Allow-Origin", "*");
    out.headers.emplace_back("Access-Control-Allow-Methods", "POST, GET");
    out.headers.emplace_back("Access-Control-Allow-Headers", "Content-Type");
  }
  out.body = std::move(body);
  return out;
}

http::Response RestApi::Refuse(int status, std::string_view sentence) const {
  return JsonResponse(status, serving::RestError(sentence));
}

http::Response RestApi::Preflight(const http::Request& request) const {
  const std::string_view origin = request.header("Origin");
  const bool from_page = origin.find("http://") != std::string_view::npos ||
                         origin.find("https://") != std::string_view::npos;
  return JsonResponse(from_page ? 200 : 400, "");
}

http::Response RestApi::Metrics(const http::Request& request) const {
  http::Response out{.headers = {{"Content-Type", "text/plain"}}};
  if (request.path != options_.metrics_path) {
    out.status = 400;
    out.body = StrCat("Unexpected path: ", Printable(request.path, 512), ". Should be ",
                      options_.metrics_path);
  } else if (options_.metrics != nullptr) {
    out.body = options_.metrics->Render();
  }
  return out;
}

http::Response RestApi::Handle(const http::Request& request, const Cancellation& cancellation) {
  if (!options_.metrics_path.empty() &&
      (StrCat(request.path, "/").starts_with(StrCat(options_.metrics_path, "/"))))
    return Metrics(request);
  if (!serving::IsRestPath(request.path)) {
    return {.status = 404,
            .headers = {{"Content-Type", "text/plain"}},
            .body = "there is nothing at this path; models are below /v1/models\n"};
  }
  if (request.method == "OPTIONS") return Preflight(request);
  const Stopwatch watch;
  const Result<serving::RestTarget> target = serving::ParseRestPath(request.method, request.path);
  Result<std::string> answer =
      target.ok() ? Answer(*target, request.body, cancellation) : target.status();
  CountRequest(target, answer.status(), watch.Seconds());
  if (answer.ok()) return JsonResponse(200, *std::move(answer));
  return Refuse(serving::HttpStatusOf(answer.status().code()), answer.status().message());
}

void RestApi::CountRun(const std::string& model, RestAction action, double seconds) {
  if (options_.metrics != nullptr) options_.metrics->OnRun(model, ApiOf(action), seconds);
}

void RestApi::CountRequest(const Result<serving::RestTarget>& target, const Status& status,
                           double seconds) {
  if (options_.metrics == nullptr) return;
  const std::string model = target.ok() ? target->servable.name : "";
  const std::string_view api = target.ok() ? ApiOf(target->action) : "";
  options_.metrics->OnRequest(model, status.code(), api, "REST", seconds);
}

Result<std::string> RestApi::Answer(const serving::RestTarget& target, const std::string& body,
                                    const Cancellation& cancellation) {
  switch (target.action) {
    case RestAction::kStatus: {
      // A label is ignored here, as over gRPC.
      ASSIGN_OR_RETURN(const auto versions,
                       models_.StatusOf(target.servable.name, target.servable.version));
      return serving::RestStatus(versions);
    }
    case RestAction::kMetadata: {
      ASSIGN_OR_RETURN(const ServablePtr servable, models_.Find(target.servable));
      return serving::RestMetadata(*servable);
    }
    case RestAction::kPredict:
      return Predict(target.servable, body, cancellation);
    case RestAction::kClassify:
    case RestAction::kRegress:
      break;
  }
  return Infer(target, body, cancellation);
}

Result<std::string> RestApi::Predict(const serving::ServableRequest& target,
                                     const std::string& body, const Cancellation& cancellation) {
  ServablePtr servable;
  using Fields = std::map<std::string, serving::Field>;
  const auto find = [&](const std::string& name) -> Result<const Fields*> {
    ASSIGN_OR_RETURN(servable, models_.Find(target));
    const auto found = servable->signatures.find(serving::EffectiveSignature(name));
    if (found != servable->signatures.end()) return &found->second.inputs;
    return InvalidArgument(StrCat("Serving signature name: \"", serving::EffectiveSignature(name),
                                  "\" not found in signature def"));
  };
  ASSIGN_OR_RETURN(serving::RestPredictRequest request,
                   serving::ParseRestPredict(body, find, options_.max_input_bytes));
  serving::Inputs inputs;
  for (auto& [alias, value] : request.inputs) inputs.emplace(alias, std::move(value));
  const Stopwatch watch;
  const Result<serving::Outputs> outputs = serving::Predict(
      *servable, request.signature, inputs, /*filter=*/{}, options_.inference, cancellation);
  CountRun(servable->name, RestAction::kPredict, watch.Seconds());
  if (!outputs.ok()) return outputs.status();
  return serving::RestPredictions(*outputs, request.format);
}

Result<std::string> RestApi::Infer(const serving::RestTarget& target, const std::string& body,
                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const serving::RestExamplesRequest request,
                   serving::ParseRestExamples(body, options_.max_input_bytes));
  ASSIGN_OR_RETURN(const ServablePtr servable, models_.Find(target.servable));
  if (options_.metrics != nullptr)
    options_.metrics->OnExamples(servable->name, request.examples.size());
  const Stopwatch watch;
  Result<std::string> out = std::string();
  if (target.action == RestAction::kClassify) {
    const auto classes = serving::Classify(*servable, request.signature, request.examples,
                                           options_.inference, cancellation);
    out = classes.ok() ? serving::RestClasses(*classes) : classes.status();
  } else {
    const auto values = serving::Regress(*servable, request.signature, request.examples,
                                         options_.inference, cancellation);
    out = values.ok() ? serving::RestRegressions(*values) : values.status();
  }
  CountRun(servable->name, target.action, watch.Seconds());
  return out;
}

}  // namespace megalith::services
