// Certificates made on the spot, for tests of TLS.
#pragma once

#include <memory>
#include <string>

namespace megalith::rpc::testing {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
};

// A fresh authority and certificates signed by it. Not thread-safe.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  const std::string& pem() const { return pem_; }
  // Valid for a day, for the DNS name `name` and for 127.0.0.1.
  Certificate Issue(const std::string& name);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string pem_;
};

}  // namespace megalith::rpc::testing
