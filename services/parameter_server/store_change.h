// The path that every change of a ParameterStore takes; for its own files only.
#pragma once

#include <string>
#include <utility>

#include "common/foundation/base/strings.h"
#include "services/parameter_server/parameter_store.h"

namespace megalith::services {

// The request's UpdateId; nullptr without one.
template <typename Request>
const table::v1::UpdateId* IdOf(const Request& request) {
  if constexpr (requires { request.id(); }) {
    return request.has_id() && !request.id().client().empty() ? &request.id() : nullptr;
  } else {
    return nullptr;
  }
}

// `plan` and `response` outlive what comes back.
template <typename Request, typename Plan, typename Response>
embedding::TableStore::Change ChangeOf(const Request& request, const Plan& plan,
                                       Response* response) {
  embedding::TableStore::Change change;
  if (const table::v1::UpdateId* id = IdOf(request)) {
    change.client = id->client();
    change.sequence = id->sequence();
  }
  change.tables = plan.tables;
  change.catalog = plan.catalog;
  if (plan.part) {
    change.prepare = plan.prepare;
    change.check = plan.check;
    change.part = plan.part;
    return change;
  }
  change.run = [&plan, response]() -> Status {
    ASSIGN_OR_RETURN(*response, plan.run());
    return OkStatus();
  };
  return change;
}

template <typename Request, typename Response>
Result<Response> ParameterStore::Change(Kind kind, const Request& request,
                                        Planner<Request, Response> planner,
                                        const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Plan<Response> plan, (this->*planner)(request));
  Response response;
  embedding::TableStore::Change change = ChangeOf(request, plan, &response);
  change.record = [&]() -> Result<std::string> {
    std::string record(1, static_cast<char>(kind));
    if (!request.AppendToString(&record)) return ResourceExhausted("the request is above 2 GiB");
    return record;
  };
  ASSIGN_OR_RETURN(const bool now, store_->Make(change, cancellation));
  if (now && plan.finish) response = plan.finish();
  if constexpr (requires { response.set_already_applied(true); }) {
    if (!now) {
      metrics_.Repeated();
      response.set_already_applied(true);
    }
  }
  return response;
}

template <typename Request, typename Response>
Status ParameterStore::ReplayAs(std::string_view bytes, Planner<Request, Response> planner) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return DataLoss(StrCat("the bytes are no ", Request::descriptor()->name()));
  }
  ASSIGN_OR_RETURN(const Plan<Response> plan, (this->*planner)(request));
  Response response;
  return store_->MakeAgain(ChangeOf(request, plan, &response));
}

}  // namespace megalith::services
