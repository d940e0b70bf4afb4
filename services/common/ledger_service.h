// megalith.ledger.v1: every process serves its own ledger.
#pragma once

#include <memory>

#include "common/fleet/ledger/ledger.h"
#include "common/fleet/rpc/service.h"

namespace megalith::ledger::v1 {
class AppendRequest;
class AppendResponse;
class QueryRequest;
class QueryResponse;
class VerifyRequest;
class VerifyResponse;
}  // namespace megalith::ledger::v1

namespace megalith::services {

// Thread-safe.
class LedgerService final : public rpc::Service {
 public:
  // `ledger` must outlive the service.
  explicit LedgerService(ledger::Ledger& ledger);

  Result<ledger::v1::AppendResponse> Append(const ledger::v1::AppendRequest& request,
                                            const rpc::Call& call);
  Result<ledger::v1::QueryResponse> Query(const ledger::v1::QueryRequest& request,
                                          const rpc::Call& call);
  Result<ledger::v1::VerifyResponse> Verify(const ledger::v1::VerifyRequest& request,
                                            const rpc::Call& call);

 private:
  ledger::Ledger& ledger_;
};

}  // namespace megalith::services
