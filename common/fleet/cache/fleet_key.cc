#include "common/fleet/cache/fleet_key.h"

#include <algorithm>
#include <random>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"

namespace megalith::cache {
namespace {

// Persistent: never change.
constexpr std::string_view kMagic = "MGSEAL01";
constexpr std::string_view kContext = "megalith package seal 1";

constexpr size_t kLeastSecret = 32;
constexpr size_t kMostSecret = 4096;

Sha256Digest SealOf(std::string_view secret, std::string_view key, std::string_view value) {
  const char end = '\0';  // of texts, so that no two lists of pieces are one text
  const std::string_view stop(&end, 1);
  return HmacSha256(secret, {kContext, stop, key, stop, value});
}

std::string NewSecret() {
  std::random_device device;  // the system's
  std::string secret;
  for (int i = 0; i < 8; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (uint32_t word = device(), digit = 0; digit < 8; ++digit, word >>= 4) {
      secret += kDigits[word & 15];
    }
  }
  return secret;
}

}  // namespace

Result<FleetKey> FleetKey::Read(const std::string& path, FileSystem& files) {
  ASSIGN_OR_RETURN(std::string secret, files.Read(path, kMostSecret).Annotate("key of the fleet"));
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r' ||
                             secret.back() == ' ' || secret.back() == '\t')) {
    secret.pop_back();
  }
  if (secret.size() < kLeastSecret) {
    return InvalidArgument(StrCat("the key of the fleet in '", Printable(path, 200), "' has ",
                                  secret.size(), " bytes, wanted at least ", kLeastSecret,
                                  "; make one by: openssl rand -hex 32"));
  }
  FleetKey key;
  key.secret_ = std::move(secret);
  return key;
}

Result<FleetKey> FleetKey::ReadOrMake(const std::string& path, FileSystem& files) {
  Result<FleetKey> key = Read(path, files);
  if (key.status().code() != Code::kNotFound) return key;
  RETURN_IF_ERROR(
      files.WritePrivately(path, StrCat(NewSecret(), "\n")).Annotate("key of the fleet"));
  return Read(path, files);
}

std::string FleetKey::Seal(std::string_view key, std::string value) const {
  if (!present()) return value;
  const Sha256Digest seal = SealOf(secret_, key, value);
  value.append(reinterpret_cast<const char*>(seal.bytes.data()), seal.bytes.size());
  value.append(kMagic);
  return value;
}

Result<std::string_view> FleetKey::Open(std::string_view key, std::string_view sealed) const {
  if (!present()) return FailedPrecondition("this process has no key of the fleet");
  const std::string_view value = WithoutSeal(sealed);
  if (value.size() == sealed.size()) {
    return DataLoss("the package carries no seal: no compiler of this fleet made it");
  }
  Sha256Digest seal;
  std::copy_n(sealed.begin() + static_cast<ptrdiff_t>(value.size()), seal.bytes.size(),
              seal.bytes.begin());
  if (!EqualInConstantTime(seal, SealOf(secret_, key, value))) {
    return DataLoss(
        "the package's seal is not that of this fleet for this key: it was made by another fleet, "
        "for another program, or changed since");
  }
  return value;
}

std::string_view WithoutSeal(std::string_view bytes) {
  if (bytes.size() < kSealBytes || !bytes.ends_with(kMagic)) return bytes;
  return bytes.substr(0, bytes.size() - kSealBytes);
}

}  // namespace megalith::cache
