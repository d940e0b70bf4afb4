// What every service of the fleet is made with, and how it leaves evidence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/fleet/ledger/ledger.h"
#include "common/fleet/rpc/call.h"
#include "common/fleet/rpc/process.h"

namespace megalith::services {

// Outlives the services made with it.
struct ServiceContext {
  rpc::Process& process;
  ledger::Ledger& ledger;
  std::string data_directory;  // of this process; exists
};

// Adds an entry to the ledger under the service's own name and the call's trace id, without waiting
// for the disk. Evidence that cannot be written is logged, never an error to the caller. Returns
// the entry's sequence, nullopt if it was not added. Thread-safe.
class Recorder {
 public:
  // `ledger` must outlive the recorder.
  Recorder(ledger::Ledger& ledger, std::string service)
      : ledger_(ledger), service_(std::move(service)) {}
  std::optional<uint64_t> Record(const rpc::Call& call, ledger::Entry entry) const;

 private:
  ledger::Ledger& ledger_;
  const std::string service_;
};

}  // namespace megalith::services
