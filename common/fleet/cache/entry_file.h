// The bytes of one cache entry on disk (docs/formats/cache-entry.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/fleet/cache/key.h"
#include "common/foundation/base/status.h"

namespace megalith::cache {

// Persistent: never change.
inline constexpr std::string_view kEntryMagic = "MGCACHE1";
// Magic, header length, SHA-256 of the header.
inline constexpr uint64_t kEntryPrefixBytes = 8 + 4 + 32;
inline constexpr uint32_t kMaxEntryHeaderBytes = 64 << 10;

struct EntryHeader {
  Key key;
  int64_t created_unix_nanos = 0;
  uint64_t value_bytes = 0;
  Sha256Digest value_digest;
};

std::string EncodeEntry(const Key& key, int64_t created_unix_nanos, std::string_view value);

// Errors: kDataLoss  too short, wrong magic or checksum, or components that do not hash to the key.
Result<EntryHeader> DecodeHeader(std::string_view file);

struct DecodedEntry {
  EntryHeader header;
  std::string_view value;  // of the file's bytes
};
// Errors: as DecodeHeader; kDataLoss  the value has the wrong size or checksum.
Result<DecodedEntry> DecodeEntry(std::string_view file);

}  // namespace megalith::cache
