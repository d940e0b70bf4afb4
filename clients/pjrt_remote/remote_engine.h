// Programs compiled and run by a fleet; arrays stay with the executor that made them.
#pragma once

#include <memory>

#include "clients/pjrt/remote_options.h"

namespace megalith::pjrt {

// Connects within options.connect_timeout_ms. An executor that is lost takes its arrays with it:
// whoever uses one gets kUnavailable. The next call connects again and makes known again what it
// runs. Errors: kUnavailable (nobody answers; names the address), kInvalidArgument (TLS files).
Result<std::shared_ptr<Engine>> MakeRemoteEngine(const RemoteOptions& options);

}  // namespace megalith::pjrt
