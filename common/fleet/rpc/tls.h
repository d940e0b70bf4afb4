// Credentials from PEM files.
#pragma once

#include <memory>
#include <string>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace megalith::rpc {

// All empty: plain text. certificate and key: TLS. With client_ca too: mutual TLS, a caller without
// a certificate of that authority is refused.
struct ServerTls {
  std::string certificate_file;
  std::string key_file;
  std::string client_ca_file;
};

// All empty: plain text. ca: TLS, the server must have a certificate of that authority. With
// certificate and key: the client shows them (mutual TLS).
struct ClientTls {
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // The name the server's certificate must carry, if it is not the host that is dialled.
  std::string server_name;
};

// Errors: kInvalidArgument  an incomplete combination of files; kNotFound, kPermissionDenied  from
// reading them.
Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const ServerTls& tls,
                                                                       FileSystem& files);
Result<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(const ClientTls& tls,
                                                                         FileSystem& files);

}  // namespace megalith::rpc
