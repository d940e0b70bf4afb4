#include "common/foundation/tensor/narrow.h"

#include <algorithm>

namespace megalith::tensor {
namespace {

uint8_t Extended(uint8_t byte, int unused, bool is_signed) {
  const auto shifted = static_cast<uint8_t>(byte << unused);
  return is_signed ? static_cast<uint8_t>(static_cast<int8_t>(shifted) >> unused)
                   : static_cast<uint8_t>(shifted >> unused);
}

}  // namespace

bool IsNarrow(DType dtype) {
  return dtype != DType::kBool && BitWidth(dtype) > 0 && BitWidth(dtype) < 8;
}

Status ExtendNarrow(Tensor* t) {
  RETURN_IF_ERROR(t->MakeUnique());
  const int unused = 8 - BitWidth(t->dtype());
  const bool is_signed = IsSigned(t->dtype());
  for (uint8_t& byte : t->MutableAs<uint8_t>()) byte = Extended(byte, unused, is_signed);
  return OkStatus();
}

Status NormalizeElements(Tensor* t) {
  if (IsNarrow(t->dtype())) return ExtendNarrow(t);
  if (t->dtype() != DType::kBool) return OkStatus();
  uint8_t seen = 0;
  for (const uint8_t byte : t->As<uint8_t>()) seen |= byte;
  if (seen <= 1) return OkStatus();
  RETURN_IF_ERROR(t->MakeUnique());
  for (uint8_t& byte : t->MutableAs<uint8_t>()) byte = byte != 0 ? 1 : 0;
  return OkStatus();
}

void RecutBits(const Tensor& from, Tensor* to) {
  // Of the bits in one byte: all, or those of a narrow element. The smaller of both divides each.
  const int read = std::min(BitWidth(from.dtype()), 8);
  const int written = std::min(BitWidth(to->dtype()), 8);
  const int piece = std::min(read, written);
  const unsigned mask = (1U << piece) - 1;
  const auto* in = static_cast<const uint8_t*>(from.data());
  auto* out = static_cast<uint8_t*>(to->mutable_data());
  int filled = 0;
  for (size_t i = 0; i < from.byte_size(); ++i) {
    for (int at = 0; at < read; at += piece) {
      *out = static_cast<uint8_t>(*out | ((in[i] >> at & mask) << filled));
      filled += piece;
      if (filled < written) continue;
      filled = 0;
      if (IsSigned(to->dtype())) *out = Extended(*out, 8 - written, true);
      ++out;
    }
  }
}

}  // namespace megalith::tensor
