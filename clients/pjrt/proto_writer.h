// Writes messages in protobuf's encoding, field by field: this library links no protobuf.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace megalith::pjrt {

inline void AppendVarint(uint64_t v, std::string* out) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>(v | 0x80));
  out->push_back(static_cast<char>(v));
}

// One message. Fields are written in the order of the calls, also those with default values.
class ProtoWriter {
 public:
  ProtoWriter& Int(uint32_t field, int64_t value) {
    AppendVarint(uint64_t{field} << 3, &bytes_);
    AppendVarint(static_cast<uint64_t>(value), &bytes_);
    return *this;
  }
  // Texts, bytes and messages.
  ProtoWriter& Bytes(uint32_t field, std::string_view value) {
    AppendVarint(uint64_t{field} << 3 | 2, &bytes_);
    AppendVarint(value.size(), &bytes_);
    bytes_.append(value);
    return *this;
  }
  ProtoWriter& Message(uint32_t field, const ProtoWriter& value) {
    return Bytes(field, value.bytes_);
  }
  // A packed list; nothing if it is empty.
  ProtoWriter& Ints(uint32_t field, std::span<const int64_t> values) {
    if (values.empty()) return *this;
    std::string packed;
    for (const int64_t v : values) AppendVarint(static_cast<uint64_t>(v), &packed);
    return Bytes(field, packed);
  }
  // Fields that were written elsewhere.
  ProtoWriter& Raw(std::string_view fields) {
    bytes_.append(fields);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace megalith::pjrt
