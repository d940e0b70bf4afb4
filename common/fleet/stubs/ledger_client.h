// Typed client of the ledger service, which every process of the fleet has.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/fleet/ledger/ledger.h"
#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

// Thread-safe. Errors: those of the service (protos/megalith/ledger/v1), and those of
// rpc::UnaryMethod.
class LedgerClient {
 public:
  explicit LedgerClient(std::shared_ptr<rpc::Channel> channel);
  ~LedgerClient();

  Result<ledger::Appended> Append(const ledger::Entry& entry,
                                  const rpc::CallOptions& options = {}) const;
  // The first `limit` matching entries, oldest first; fetches as many pages as that takes.
  Result<std::vector<ledger::Entry>> Query(const ledger::Filter& filter, size_t limit,
                                           const rpc::CallOptions& options = {}) const;
  Result<ledger::VerifyReport> Verify(const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs
