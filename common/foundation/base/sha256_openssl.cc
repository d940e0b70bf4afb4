// SHA-256 through libcrypto, which uses the processor's SHA instructions.
#include <openssl/evp.h>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"

namespace megalith {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { CHECK(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::Finish() {
  Sha256Digest out;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(state_->context, out.bytes.data(), &size) == 1 &&
        size == out.bytes.size());
  return out;
}

Sha256Digest Sha256::Of(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

std::string Sha256Digest::Hex() const { return HexEncode(bytes); }

}  // namespace megalith
