// What became of a damaged cache entry: the evidence that a repair leaves.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/sha256.h"
#include "common/foundation/durability/sidecar.h"

namespace megalith::cache {

struct Repair {
  Sha256Digest key;
  int64_t unix_nanos = 0;
  bool repaired = false;  // false: put aside
  std::string reason;     // what was wrong with the entry
  std::string source;     // "sidecar", "memory"; empty if it was put aside
  std::string failure;    // why it could not be restored, if it was put aside
  // Symbols, digests and sizes of the entry's file. Of a sidecar's work the whole proof; otherwise
  // sizes and digests only.
  durability::DecodeProof proof;
  std::string proof_file;       // where this record is kept, empty if it could not be written
  std::string quarantine_file;  // where the damaged entry went, if it was put aside
};

// The proof file's text: one JSON object (docs/formats/cache-entry.md). Deterministic.
std::string RepairJson(const Repair& repair);

}  // namespace megalith::cache
