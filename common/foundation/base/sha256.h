// SHA-256 (FIPS 180-4). Uses libcrypto when the build found it, a portable implementation
// otherwise; same digests.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace megalith {

// A digest; compares by value.
struct Sha256Digest {
  std::array<uint8_t, 32> bytes{};
  friend bool operator==(const Sha256Digest&, const Sha256Digest&) = default;
  // 64 lower-case hexadecimal digits.
  std::string Hex() const;
};

// Hashes a stream of pieces. Not thread-safe; Finish may be called once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(std::string_view bytes);
  Sha256Digest Finish();

  static Sha256Digest Of(std::string_view bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// HMAC-SHA-256 (FIPS 198-1, RFC 2104): what only holders of `key` can make for `pieces`, one after
// the other.
Sha256Digest HmacSha256(std::string_view key, std::initializer_list<std::string_view> pieces);

// Takes the same time whatever the digests are, so that nobody learns by trying how much is right.
bool EqualInConstantTime(const Sha256Digest& a, const Sha256Digest& b);

}  // namespace megalith
