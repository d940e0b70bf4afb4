// What every service of the fleet is made with, and how it leaves evidence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/fleet/cache/fleet_key.h"
#include "common/fleet/ledger/ledger.h"
#include "common/fleet/rpc/call.h"
#include "common/fleet/rpc/process.h"

namespace megalith::services {

// Outlives the services made with it.
struct ServiceContext {
  rpc::Process& process;
  ledger::Ledger& ledger;
  std::string data_directory;      // of this process; exists
  bool data_is_temporary = false;  // and is removed at exit
  cache::FleetKey fleet_key = {};  // none, if none was configured
};

// What is in front of the seal of a package that was stored or sent under `key`. Who refuses it
// (`service`) leaves a log event. Errors: those of FleetKey::Open.
Result<std::string_view> OpenPackage(const cache::FleetKey& fleet_key, std::string_view service,
                                     std::string_view key, std::string_view bytes);

// Tells the operator when packages are not sealed.
void WarnWithoutFleetKey(const ServiceContext& context, std::string_view service);

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
