// Opens the library of the remote engine, which only clients with an address need.
#pragma once

#include <memory>

#include "clients/pjrt/remote_options.h"

namespace megalith::pjrt {

// The library lies beside this one and stays open. Errors: kNotFound (no library, or one of another
// build), those of the engine (kUnavailable: nobody answers at the address in time).
Result<std::shared_ptr<Engine>> OpenRemoteEngine(const RemoteOptions& options);

}  // namespace megalith::pjrt
