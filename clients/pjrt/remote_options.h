// Between the client and the library of the remote engine (clients/pjrt_remote), which are one
// build in two pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "clients/pjrt/engine.h"

namespace megalith::pjrt {

struct RemoteOptions {
  std::string address;          // of the execute service: "host:port" or "unix:/path"
  std::string compile_address;  // empty: the same
  std::string backend = "cpu";  // target of compilations
  int64_t connect_timeout_ms = 10'000;
  // TLS, as in rpc::ClientTls; all empty: plain text.
  std::string ca_file, certificate_file, key_file, server_name;
};

// What the library exports as `MegalithPjrtRemote`.
struct RemoteLibrary {
  const char* build;  // kRemoteBuild of the library
  Result<std::shared_ptr<Engine>> (*make)(const RemoteOptions& options);
};

// Objects pass between the two pieces: they must come from one compiler and one version.
inline constexpr char kRemoteBuild[] = "megalith pjrt remote 1, " __VERSION__;

}  // namespace megalith::pjrt
