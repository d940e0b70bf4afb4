// Sidecars: files of RaptorQ repair symbols beside an object, from which a damaged object is
// restored bit for bit. Byte layout: docs/formats/raptorq-sidecar.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"

namespace megalith::durability {

// Persistent: never change.
inline constexpr std::string_view kSidecarMagic = "MGRAPTQ1";
inline constexpr uint64_t kSidecarHeaderBytes = 8 + 4 + 4 + 8 + 4 + 4 + 32 + 32;
inline constexpr uint32_t kSidecarVersion = 1;

struct SidecarOptions {
  // Share of the object's symbols that may be damaged, anywhere.
  double overhead = 0.1;
  // At least so many consecutive bytes may be damaged, however small the object is: a disk block.
  uint64_t min_burst_bytes = 4096;
};

// What a sidecar's header says.
struct SidecarHeader {
  uint64_t object_bytes = 0;
  uint32_t symbol_bytes = 0;
  uint32_t source_symbols = 0;
  uint32_t repair_symbols = 0;
  Sha256Digest object_digest;
  friend bool operator==(const SidecarHeader&, const SidecarHeader&) = default;
};

// More repair symbols than the options promise to make up for: RaptorQ needs two or three symbols
// more than a block has, or else fails once in 100 cases; with four, once in 10^10.
inline constexpr uint32_t kSpareSymbols = 4;

// Errors: kInvalidArgument  an empty object, one above 56403 symbols of 1 MiB, an overhead outside
// (0, 4]. Reads the object three times (two digests, one encoding); memory: the sidecar and 2 MiB.
Result<std::string> MakeSidecar(std::string_view object, const SidecarOptions& options = {});

// The size of the sidecar that MakeSidecar would make; 0 if it would refuse.
uint64_t SidecarBytes(uint64_t object_bytes, const SidecarOptions& options = {});

struct SidecarReport {
  SidecarHeader header;
  // Every byte of the sidecar is as it was written.
  bool intact = false;
  uint32_t good_repair_symbols = 0;
};
// Checks every part of a sidecar by itself. Errors: kDataLoss  both copies of the header are
// damaged: it is of no use.
Result<SidecarReport> CheckSidecar(std::string_view sidecar);

// What was wrong with an object and what it was restored from. Symbols are numbered as in RFC 6330:
// the object's own from 0, repair symbols after them.
struct DecodeProof {
  uint32_t source_symbols = 0;
  uint32_t symbol_bytes = 0;
  std::vector<uint32_t> damaged;         // source symbols whose bytes were wrong or missing
  std::vector<uint32_t> unverifiable;    // source symbols whose digests are damaged: replaced too
  std::vector<uint32_t> used_repair;     // repair symbols that went into the decoding
  std::vector<uint32_t> damaged_repair;  // repair symbols that are damaged themselves
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
  Sha256Digest digest_before;
  Sha256Digest digest_after;  // the one the sidecar was made for
};

struct Restored {
  std::string object;
  DecodeProof proof;
};
// Restores the object that `sidecar` was made for from what is left of both. An object that is
// whole is returned as it is, with an empty proof. Errors: kDataLoss  it cannot be restored; says
// why. Never returns bytes whose SHA-256 is not the header's.
Result<Restored> RestoreObject(std::string_view object, std::string_view sidecar);

// "0-3,7": ascending numbers as ranges.
std::string RangesText(const std::vector<uint32_t>& numbers);

}  // namespace megalith::durability
