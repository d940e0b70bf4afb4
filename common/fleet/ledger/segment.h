// One file of the ledger: a header, then frames (docs/formats/ledger.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/fleet/ledger/entry.h"
#include "common/foundation/base/status.h"

namespace megalith::ledger {

// magic, first sequence, creation time, hash of the entry before, SHA-256 of the header's other
// bytes. Persistent: never change.
inline constexpr std::string_view kSegmentMagic = "MGLEDGR1";
inline constexpr uint64_t kSegmentHeaderBytes = 8 + 8 + 8 + 32 + 32;
// u32 body length, body, hash.
inline constexpr uint64_t kFrameOverheadBytes = 4 + 32;

struct SegmentHeader {
  uint64_t first_sequence = 0;
  int64_t created_unix_nanos = 0;
  Sha256Digest previous_hash;
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
Result<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

// "ledger-00000000000000000042.log".
std::string SegmentName(uint64_t first_sequence);
// nullopt if `name` is no segment.
std::optional<uint64_t> FirstSequenceOf(std::string_view name);

// The frame of an entry that follows `previous`.
std::string EncodeFrame(std::string_view body, const Sha256Digest& hash);

struct Frame {
  uint64_t offset = 0;  // in the file
  uint64_t size = 0;
  Entry entry;  // with hashes
};

// The frame at `offset`. With `previous`, its hash must chain to it.
// Errors: kDataLoss  too short, too long, wrong hash, or a body that does not decode.
Result<Frame> ReadFrame(std::string_view file, uint64_t offset, const Sha256Digest& previous);

// The first offset at or after `from` at which a whole frame stands whose hash chains to the 32
// bytes before it and whose sequence is at least `min_sequence`: where reading can go on behind
// damage.
std::optional<uint64_t> FindFrame(std::string_view file, uint64_t from, uint64_t min_sequence);

// True if the length at `offset` says that a frame ends exactly where the file does, and not all of
// it is zeros. A write that a crash cut short does not look so.
bool EndsWithWholeFrame(std::string_view file, uint64_t offset);

// The 32 bytes before `offset`: the hash of the frame that ends there.
Sha256Digest HashBefore(std::string_view file, uint64_t offset);

}  // namespace megalith::ledger
