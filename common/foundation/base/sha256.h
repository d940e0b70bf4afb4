// SHA-256 (FIPS 180-4). Uses libcrypto when the build found it, a portable implementation
// otherwise; same digests.
#pragma once

#include <array>
#include <cstdint>
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

}  // namespace megalith
