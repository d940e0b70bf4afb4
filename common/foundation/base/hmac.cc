// HMAC-SHA-256, on whichever SHA-256 the build has.
#include <algorithm>

#include "common/foundation/base/sha256.h"

namespace megalith {
namespace {

constexpr size_t kBlockBytes = 64;  // of SHA-256

}  // namespace

Sha256Digest HmacSha256(std::string_view key, std::initializer_list<std::string_view> pieces) {
  std::string block(kBlockBytes, '\0');
  if (key.size() > kBlockBytes) {
    std::ranges::copy(Sha256::Of(key).bytes, block.begin());
  } else {
    std::ranges::copy(key, block.begin());
  }
  const auto padded = [&block](uint8_t with) {
    std::string out = block;
    for (char& c : out) c = static_cast<char>(static_cast<uint8_t>(c) ^ with);
    return out;
  };
  Sha256 inner;
  inner.Update(padded(0x36));
  for (const std::string_view piece : pieces) inner.Update(piece);
  const Sha256Digest digest = inner.Finish();
  Sha256 outer;
  outer.Update(padded(0x5c));
  outer.Update({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
  return outer.Finish();
}

bool EqualInConstantTime(const Sha256Digest& a, const Sha256Digest& b) {
  uint8_t different = 0;
  for (size_t i = 0; i < a.bytes.size(); ++i) different |= a.bytes[i] ^ b.bytes[i];
  return different == 0;
}

}  // namespace megalith
