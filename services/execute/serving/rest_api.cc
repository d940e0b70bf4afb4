#include "services/execute/serving/rest_api.h"

#include "common/foundation/base/strings.h"
#include "common/learning/serving/rest/rest_proto.h"
#include "common/learning/serving/rest/rest_request.h"
#include "common/learning/serving/rest/rest_response.h"

namespace megalith::services {

using serving::RestAction;
using ServablePtr = std::shared_ptr<const serving::Servable>;

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

http::Response RestApi::Handle(const http::Request& request, const Cancellation& cancellation) {
  if (!serving::IsRestPath(request.path)) {
    return {.status = 404,
            .headers = {{"Content-Type", "text/plain"}},
            .body = "there is nothing at this path; models are below /v1/models\n"};
  }
  if (request.method == "OPTIONS") return Preflight(request);
  Result<std::string> answer = Answer(request, cancellation);
  if (answer.ok()) return JsonResponse(200, *std::move(answer));
  return Refuse(serving::HttpStatusOf(answer.status().code()), answer.status().message());
}

Result<std::string> RestApi::Answer(const http::Request& request,
                                    const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const serving::RestTarget target,
                   serving::ParseRestPath(request.method, request.path));
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
      return Predict(target.servable, request.body, cancellation);
    case RestAction::kClassify:
    case RestAction::kRegress:
      break;
  }
  return Infer(target, request.body, cancellation);
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
  ASSIGN_OR_RETURN(const serving::Outputs outputs,
                   serving::Predict(*servable, request.signature, inputs, /*filter=*/{},
                                    options_.inference, cancellation));
  return serving::RestPredictions(outputs, request.format);
}

Result<std::string> RestApi::Infer(const serving::RestTarget& target, const std::string& body,
                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const serving::RestExamplesRequest request,
                   serving::ParseRestExamples(body, options_.max_input_bytes));
  ASSIGN_OR_RETURN(const ServablePtr servable, models_.Find(target.servable));
  if (target.action == RestAction::kClassify) {
    ASSIGN_OR_RETURN(const auto classes,
                     serving::Classify(*servable, request.signature, request.examples,
                                       options_.inference, cancellation));
    return serving::RestClasses(classes);
  }
  ASSIGN_OR_RETURN(const auto values,
                   serving::Regress(*servable, request.signature, request.examples,
                                    options_.inference, cancellation));
  return serving::RestRegressions(values);
}

}  // namespace megalith::services
