// Feature ids: 64-bit words that carry a slot (which feature) above a signature (which value).
//
// Two layouts exist (embedding-tables.md section 1; persistent: never change):
//   v1  slot in bits 63..54, signature in bits 53..0
//   v2  bit 63 clear, slot in bits 62..48, signature in bits 47..0
// Expiry, occurrence thresholds and filters read every fid as v2.
#pragma once

#include <cstdint>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

using Fid = int64_t;

inline constexpr int kSlotBitsV1 = 10;
inline constexpr int kSlotBitsV2 = 15;
inline constexpr int kSignatureBitsV1 = 54;
inline constexpr int kSignatureBitsV2 = 48;
inline constexpr int kSlotsV2 = 1 << kSlotBitsV2;

// The fid of `slot` and the low bits of `signature`.
// Errors: kInvalidArgument  the slot does not fit the layout.
Result<Fid> MakeFidV1(int64_t slot, uint64_t signature);
Result<Fid> MakeFidV2(int64_t slot, uint64_t signature);

// The same feature value in layout v2: the upper six bits of the signature are dropped.
Fid ConvertV1ToV2(Fid fid);

// The same signature under another v2 slot.
// Errors: kInvalidArgument  the slot does not fit the layout.
Result<Fid> ConvertV1ToV2(Fid fid, int64_t slot);

// Refuses a word that no v2 fid has.
// Errors: kInvalidArgument  bit 63 is set.
Status CheckFidV2(Fid fid);

inline int SlotV1(Fid fid) {
  return static_cast<int>(static_cast<uint64_t>(fid) >> kSignatureBitsV1);
}

// Bit 63 is ignored, so this is defined for every word.
inline int SlotV2(Fid fid) {
  return static_cast<int>((static_cast<uint64_t>(fid) >> kSignatureBitsV2) & (kSlotsV2 - 1));
}

// The server that holds `fid` among `servers` (> 0): the signed remainder, never negative.
// Quirk 1: the original's two paths disagree for fids with bit 63 set; this is the signed one.
inline int ShardOf(Fid fid, int servers) {
  const int64_t remainder = fid % servers;
  return static_cast<int>(remainder < 0 ? remainder + servers : remainder);
}

}  // namespace megalith::embedding
