#include "common/learning/embedding/server/value_format.h"

#include <bit>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/half.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::embedding {
namespace {

static_assert(std::endian::native == std::endian::little, "payloads are used as they lie");

// Borrows where the bytes lie as T wants them.
template <typename T>
Unpacked<T> Borrow(std::string_view bytes) {
  Unpacked<T> out;
  const size_t count = bytes.size() / sizeof(T);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(T) == 0) {
    out.view_ = {reinterpret_cast<const T*>(bytes.data()), count};
    return out;
  }
  out.copy_.resize(count);
  if (count != 0) std::memcpy(out.copy_.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace

void PackValues(std::span<const float> values, ValueFormat format, char* to) {
  if (values.empty()) return;
  if (format == ValueFormat::kFp32) {
    std::memcpy(to, values.data(), values.size_bytes());
    return;
  }
  const bool half = format == ValueFormat::kFp16;
  for (const float value : values) {
    const uint16_t word = half ? tensor::HalfOf(value) : tensor::BF16(value).bits;
    std::memcpy(to, &word, sizeof(word));
    to += sizeof(word);
  }
}

void AppendValues(std::span<const float> values, ValueFormat format, std::string* out) {
  const size_t at = out->size();
  out->resize(at + values.size() * BytesOf(format));
  PackValues(values, format, out->data() + at);
}

Result<Unpacked<float>> UnpackValues(std::string_view bytes, ValueFormat format) {
  const size_t width = BytesOf(format);
  if (bytes.size() % width != 0) {
    return InvalidArgument(
        StrCat(bytes.size(), " bytes are no whole number of values of ", width, " bytes"));
  }
  if (format == ValueFormat::kFp32) return Borrow<float>(bytes);
  Unpacked<float> out;
  out.copy_.resize(bytes.size() / width);
  const bool half = format == ValueFormat::kFp16;
  for (size_t i = 0; i < out.copy_.size(); ++i) {
    uint16_t word;
    std::memcpy(&word, bytes.data() + i * sizeof(word), sizeof(word));
    out.copy_[i] =
        half ? tensor::FloatOf(word) : std::bit_cast<float>(static_cast<uint32_t>(word) << 16);
  }
  return out;
}

Result<Unpacked<Fid>> UnpackIds(std::string_view bytes) {
  if (bytes.size() % sizeof(Fid) != 0) {
    return InvalidArgument(
        StrCat("ids take 8 bytes each, got ", bytes.size(), " bytes, which is no multiple"));
  }
  return Borrow<Fid>(bytes);
}

void AppendIds(std::span<const Fid> ids, std::string* out) {
  if (!ids.empty()) out->append(reinterpret_cast<const char*>(ids.data()), ids.size_bytes());
}

}  // namespace megalith::embedding
