// One entry of the ledger, and its bytes on disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"

namespace megalith::ledger {

// Numbers are on disk and in the proto (persistent: never change, append only).
enum class Kind : uint8_t {
  kAny = 0,  // in filters only
  kTransform = 1,
  kLower = 2,
  kCompile = 3,
  kCache = 4,
  kExecute = 5,
  kRepair = 6,
  kLifecycle = 7,
};
inline constexpr int kNumKinds = 8;
// "transform"; "" for kAny.
std::string_view KindName(Kind kind);

// What was decided, on what grounds, by which policy. Sequence, time and hashes are set by the
// ledger, and the service if it is empty.
struct Entry {
  uint64_t sequence = 0;
  int64_t unix_nanos = 0;
  std::string service;
  Kind kind = Kind::kLifecycle;
  std::string trace_id;
  std::vector<std::pair<std::string, Sha256Digest>> inputs;  // names and digests of what went in
  std::string policy;
  std::vector<std::string> alternatives;
  std::string decision;
  std::string outcome;
  std::vector<std::pair<std::string, std::string>> evidence;
  std::string key;  // content key, hexadecimal; empty if the entry is about none
  Sha256Digest previous_hash;
  Sha256Digest hash;
};

// Largest encoded entry.
inline constexpr uint32_t kMaxEntryBytes = 1 << 20;

// The body of a frame (docs/formats/ledger.md): all fields but the hashes.
std::string EncodeBody(const Entry& entry);
// Errors: kDataLoss, naming what is missing or too long.
Result<Entry> DecodeBody(std::string_view body);

// SHA-256 of previous hash, body length and body.
Sha256Digest ChainHash(const Sha256Digest& previous, std::string_view body);

}  // namespace megalith::ledger
