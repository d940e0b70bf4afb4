// Little-endian bytes in and out, every read bounds-checked.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith {

inline std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Appends fixed-width little-endian numbers and length-prefixed bytes. Not thread-safe.
class ByteWriter {
 public:
  void U8(uint8_t v) { out_ += static_cast<char>(v); }
  void U32(uint32_t v) { Fixed(&v, 4); }
  void U64(uint64_t v) { Fixed(&v, 8); }
  void I64(int64_t v) { U64(static_cast<uint64_t>(v)); }
  void Raw(std::string_view bytes) { out_ += bytes; }
  // u64 length, then the bytes.
  void Sized(std::string_view bytes) {
    U64(bytes.size());
    Raw(bytes);
  }
  const std::string& data() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Fixed(const void* p, size_t n) {
    char buffer[8];
    std::memcpy(buffer, p, n);
    out_.append(buffer, n);
  }
  std::string out_;
};

// Reads what ByteWriter wrote. Borrows the bytes. Every method returns kDataLoss, naming the
// offset, when fewer bytes are left than it needs.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  Result<uint8_t> U8();
  Result<uint32_t> U32();
  Result<uint64_t> U64();
  Result<std::string_view> Raw(uint64_t size);
  Result<std::string_view> Sized();
  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }

 private:
  std::string_view bytes_;
  size_t offset_ = 0;
};

}  // namespace megalith
