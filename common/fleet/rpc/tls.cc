#include "common/fleet/rpc/tls.h"

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

namespace megalith::rpc {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;

// "" for an empty path.
Result<std::string> ReadPem(const std::string& path, FileSystem& files) {
  if (path.empty()) return std::string();
  return files.Read(path, kMaxPemBytes);
}

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const ServerTls& tls,
                                                                       FileSystem& files) {
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return InvalidArgument("TLS needs a certificate file and a key file, only one is given");
  }
  if (tls.certificate_file.empty()) {
    if (!tls.client_ca_file.empty())
      return InvalidArgument("mutual TLS needs a certificate file and a key file");
    return grpc::InsecureServerCredentials();
  }
  grpc::SslServerCredentialsOptions options(
      tls.client_ca_file.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                 : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(tls.client_ca_file, files));
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(tls.certificate_file, files));
  ASSIGN_OR_RETURN(pair.private_key, ReadPem(tls.key_file, files));
  options.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(options);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(const ClientTls& tls,
                                                                         FileSystem& files) {
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return InvalidArgument("mutual TLS needs a certificate file and a key file, only one is given");
  }
  if (tls.ca_file.empty()) {
    if (!tls.certificate_file.empty())
      return InvalidArgument("mutual TLS needs the server's authority file too");
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(tls.ca_file, files));
  ASSIGN_OR_RETURN(options.pem_cert_chain, ReadPem(tls.certificate_file, files));
  ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(tls.key_file, files));
  return grpc::SslCredentials(options);
}

}  // namespace megalith::rpc
