#include "common/fleet/stubs/ledger_client.h"

#include <algorithm>

#include "common/fleet/ledger/ledger_proto.h"

namespace megalith::stubs {

namespace v1 = ledger::v1;

namespace {

constexpr char kService[] = "megalith.ledger.v1.LedgerService";
constexpr size_t kPage = 1000;

}  // namespace

struct LedgerClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : append(c, kService, "Append"), query(c, kService, "Query"), verify(c, kService, "Verify") {}
  rpc::UnaryMethod<v1::AppendRequest, v1::AppendResponse> append;
  rpc::UnaryMethod<v1::QueryRequest, v1::QueryResponse> query;
  rpc::UnaryMethod<v1::VerifyRequest, v1::VerifyResponse> verify;
};

LedgerClient::LedgerClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(std::make_unique<const Methods>(channel)) {}
LedgerClient::~LedgerClient() = default;

Result<ledger::Appended> LedgerClient::Append(const ledger::Entry& entry,
                                              const rpc::CallOptions& options) const {
  v1::AppendRequest request;
  *request.mutable_entry() = ledger::EntryToProto(entry);
  ASSIGN_OR_RETURN(const v1::AppendResponse response, methods_->append(request, options));
  v1::Entry echo = request.entry();
  echo.set_sha256(response.sha256());
  ASSIGN_OR_RETURN(const ledger::Entry parsed, ledger::EntryFromProto(echo));
  return ledger::Appended{.sequence = response.sequence(), .hash = parsed.hash};
}

Result<std::vector<ledger::Entry>> LedgerClient::Query(const ledger::Filter& filter, size_t limit,
                                                       const rpc::CallOptions& options) const {
  v1::QueryRequest request;
  request.set_kind(static_cast<v1::Kind>(filter.kind));
  request.set_service(filter.service);
  request.set_trace_id(filter.trace_id);
  request.set_key(filter.key);
  request.set_since_unix_nanos(filter.since_unix_nanos == INT64_MIN ? 0 : filter.since_unix_nanos);
  request.set_until_unix_nanos(filter.until_unix_nanos == INT64_MAX ? 0 : filter.until_unix_nanos);
  std::vector<ledger::Entry> out;
  while (out.size() < limit) {
    request.set_page_size(static_cast<uint32_t>(std::min(kPage, limit - out.size())));
    ASSIGN_OR_RETURN(const v1::QueryResponse response, methods_->query(request, options));
    for (const v1::Entry& e : response.entries()) {
      ASSIGN_OR_RETURN(ledger::Entry entry, ledger::EntryFromProto(e));
      out.push_back(std::move(entry));
    }
    if (response.next_page_token().empty()) break;
    request.set_page_token(response.next_page_token());
  }
  return out;
}

Result<ledger::VerifyReport> LedgerClient::Verify(const rpc::CallOptions& options) const {
  ASSIGN_OR_RETURN(const v1::VerifyResponse response,
                   methods_->verify(v1::VerifyRequest(), options));
  return ledger::ReportFromProto(response);
}

}  // namespace megalith::stubs
