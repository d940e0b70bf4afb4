#include "common/learning/embedding/fid.h"

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

constexpr uint64_t kSignatureMaskV1 = (uint64_t{1} << kSignatureBitsV1) - 1;
constexpr uint64_t kSignatureMaskV2 = (uint64_t{1} << kSignatureBitsV2) - 1;

Status CheckSlot(int64_t slot, int bits) {
  if (slot >= 0 && slot < (int64_t{1} << bits)) return OkStatus();
  return InvalidArgument(
      StrCat("slot ", slot, " does not fit a fid: wanted 0 to ", (int64_t{1} << bits) - 1));
}

Fid Compose(int64_t slot, int signature_bits, uint64_t signature) {
  return static_cast<Fid>((static_cast<uint64_t>(slot) << signature_bits) | signature);
}

}  // namespace

Result<Fid> MakeFidV1(int64_t slot, uint64_t signature) {
  RETURN_IF_ERROR(CheckSlot(slot, kSlotBitsV1));
  return Compose(slot, kSignatureBitsV1, signature & kSignatureMaskV1);
}

Result<Fid> MakeFidV2(int64_t slot, uint64_t signature) {
  RETURN_IF_ERROR(CheckSlot(slot, kSlotBitsV2));
  return Compose(slot, kSignatureBitsV2, signature & kSignatureMaskV2);
}

Fid ConvertV1ToV2(Fid fid) {
  return Compose(SlotV1(fid), kSignatureBitsV2, static_cast<uint64_t>(fid) & kSignatureMaskV2);
}

Result<Fid> ConvertV1ToV2(Fid fid, int64_t slot) {
  return MakeFidV2(slot, static_cast<uint64_t>(fid));
}

Status CheckFidV2(Fid fid) {
  if (fid >= 0) return OkStatus();
  return InvalidArgument(
      StrCat("fid ", static_cast<uint64_t>(fid),
             " has bit 63 set, which layout v2 reserves; convert v1 fids first"));
}

}  // namespace megalith::embedding
