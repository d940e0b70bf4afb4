#include "services/common/ledger_service.h"

#include <algorithm>

#include "common/fleet/ledger/ledger_proto.h"
#include "common/foundation/base/strings.h"

namespace megalith::services {

namespace v1 = ledger::v1;

namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;
// Evidence is rare and small; a few threads do.
constexpr rpc::ServiceThreads kThreads{.unary = 2, .max_queued = 100, .max_streams = 1};

}  // namespace

LedgerService::LedgerService(ledger::Ledger& ledger)
    : Service("megalith.ledger.v1.LedgerService", kThreads), ledger_(ledger) {
  Unary("Append", this, &LedgerService::Append);
  Unary("Query", this, &LedgerService::Query);
  Unary("Verify", this, &LedgerService::Verify);
}

Result<v1::AppendResponse> LedgerService::Append(const v1::AppendRequest& request,
                                                 const rpc::Call& call) {
  ASSIGN_OR_RETURN(ledger::Entry entry, ledger::EntryFromProto(request.entry()));
  entry.service.clear();
  if (entry.trace_id.empty()) entry.trace_id = call.trace_id();
  ASSIGN_OR_RETURN(const ledger::Appended appended, ledger_.Append(std::move(entry)));
  v1::AppendResponse response;
  response.set_sequence(appended.sequence);
  response.set_sha256(appended.hash.Hex());
  return response;
}

Result<v1::QueryResponse> LedgerService::Query(const v1::QueryRequest& request,
                                               const rpc::Call& call) {
  uint64_t from = 0;
  if (!request.page_token().empty()) {
    const std::optional<uint64_t> token = ParseUint(request.page_token());
    if (!token)
      return InvalidArgument(
          StrCat("page token '", Printable(request.page_token()), "' is none of ours"));
    from = *token;
  }
  // What a caller has been told is there to be found; a device that fails is no reason to hide the
  // rest.
  if (from == 0) (void)ledger_.Flush();
  const uint32_t size =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kMaxPage);
  ASSIGN_OR_RETURN(const ledger::Page page, ledger_.Query(ledger::FilterFromProto(request), from,
                                                          size, call.cancellation()));
  v1::QueryResponse response;
  for (const ledger::Entry& entry : page.entries)
    *response.add_entries() = ledger::EntryToProto(entry);
  if (page.next_sequence) response.set_next_page_token(StrCat(*page.next_sequence));
  return response;
}

Result<v1::VerifyResponse> LedgerService::Verify(const v1::VerifyRequest&, const rpc::Call& call) {
  ASSIGN_OR_RETURN(const ledger::VerifyReport report, ledger_.Verify(call.cancellation()));
  return ledger::ReportToProto(report);
}

}  // namespace megalith::services
