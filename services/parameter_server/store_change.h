// The path that every change of a ParameterStore takes; for its own files only.
#pragma once

#include <optional>
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

template <typename Request, typename Response>
Result<Response> ParameterStore::Change(Kind kind, const Request& request,
                                        Planner<Request, Response> planner,
                                        const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Plan<Response> plan, (this->*planner)(request));
  embedding::AppliedSequences::Ticket ticket;
  const table::v1::UpdateId* const id = IdOf(request);
  if (id != nullptr) {
    ASSIGN_OR_RETURN(ticket, applied_.Begin(id->client(), id->sequence(), cancellation));
    if constexpr (requires(Response r) { r.set_already_applied(true); }) {
      if (ticket.already_applied()) {
        // Whoever applied it may not have waited for the log.
        if (log_ != nullptr) RETURN_IF_ERROR(log_->Wait(log_->last()));
        metrics_.Repeated();
        Response response;
        response.set_already_applied(true);
        return response;
      }
    }
  }
  std::string record;
  if (log_ != nullptr) {
    RETURN_IF_ERROR(log_->Ready());
    record += static_cast<char>(kind);
    if (!request.AppendToString(&record)) return ResourceExhausted("the request is above 2 GiB");
  }
  RETURN_IF_ERROR(cancellation.Check());
  uint64_t number = 0;
  std::optional<Response> response;
  {
    std::optional<Order> order;
    if (log_ != nullptr) order.emplace(*this, plan.tables, plan.catalog);
    // A snapshot has the rows, the mark and the record's number, or none of them.
    std::optional<embedding::WriteGate::Shared> gate;
    if (!plan.catalog) gate.emplace(tables_->gate());
    Result<Response> result = plan.run();
    if (!result.ok()) return result.status();
    response = *std::move(result);
    if (id != nullptr) ticket.Commit();
    if (log_ != nullptr) number = log_->Append(record);
  }
  if (log_ != nullptr) RETURN_IF_ERROR(log_->Wait(number));
  return *std::move(response);
}

template <typename Request, typename Response>
Status ParameterStore::ReplayAs(std::string_view bytes, Planner<Request, Response> planner) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return DataLoss(StrCat("the bytes are no ", Request::descriptor()->name()));
  }
  ASSIGN_OR_RETURN(const Plan<Response> plan, (this->*planner)(request));
  RETURN_IF_ERROR(plan.run().status());
  if (const table::v1::UpdateId* id = IdOf(request)) applied_.Record(id->client(), id->sequence());
  return OkStatus();
}

}  // namespace megalith::services
