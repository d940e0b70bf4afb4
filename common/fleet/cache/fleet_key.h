// The secret of a fleet, and the seal it leaves on packages (docs/formats/cache-entry.md, "Seals").
//
// Packages hold machine code. Whoever can call the cache service, or a session of the execute
// service, can send one; the seal tells those that the fleet's own compilers made from those that
// anybody made.
#pragma once

#include <string>
#include <string_view>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::cache {

// Bytes a seal adds. Persistent: never change.
inline constexpr size_t kSealBytes = 40;

// Immutable; every method may be called concurrently.
class FleetKey {
 public:
  // None: seals nothing, and finds nothing sealed.
  FleetKey() = default;

  // From a file of at least 32 bytes, white space at its end not counted.
  // Errors: kInvalidArgument  fewer or more than 4096 bytes; those of reading.
  static Result<FleetKey> Read(const std::string& path, FileSystem& files);
  // The same; if there is no such file, makes one from the system's randomness that only the user
  // of this process can read.
  static Result<FleetKey> ReadOrMake(const std::string& path, FileSystem& files);

  bool present() const { return !secret_.empty(); }

  // `value` and behind it the seal for `key` (64 hexadecimal digits); without a secret, `value`.
  // Cost: one pass.
  std::string Seal(std::string_view key, std::string value) const;

  // What is in front of the seal. Errors: kDataLoss  there is none, or not that of this fleet for
  // this key and value; kFailedPrecondition  no secret. Cost: one pass.
  Result<std::string_view> Open(std::string_view key, std::string_view sealed) const;

 private:
  std::string secret_;
};

// What is in front of a seal, whosever it is; all of it if there is none.
std::string_view WithoutSeal(std::string_view bytes);

}  // namespace megalith::cache
