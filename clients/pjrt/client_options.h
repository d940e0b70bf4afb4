// What a host says when it makes a client.
#pragma once

#include <cstdint>

#include "clients/pjrt/abi.h"
#include "clients/pjrt/remote_options.h"
#include "common/foundation/base/status.h"

namespace megalith::pjrt {

struct ClientOptions {
  int64_t devices = 1;
  // Its `backend` is that of the embedded engine too; an address makes the client a remote one.
  RemoteOptions remote;
};

// Errors: kInvalidArgument  an unknown option (the message lists them) or a value out of range.
Result<ClientOptions> ParseClientOptions(const abi::NamedValue* options, size_t count);

}  // namespace megalith::pjrt
