// Reading one protobuf message's fields without generated code, every length bounded by the bytes
// there are.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5,
};

struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      // of kVarint, kFixed64 and kFixed32
  std::string_view bytes;  // of kBytes
};

// Borrows the message's bytes. Groups, which none of our messages has, count as malformed.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : message_(message) {}

  // Moves to the next field; false at the end and at the first error.
  bool Next() {
    if (at_ == message_.size()) return false;
    uint64_t tag = 0;
    if (!Varint(&tag) || tag >> 32 != 0 || tag >> 3 == 0) return Fail();
    field_.number = static_cast<uint32_t>(tag >> 3);
    field_.type = static_cast<WireType>(tag & 7);
    switch (field_.type) {
      case WireType::kVarint:
        return Varint(&field_.value) || Fail();
      case WireType::kFixed64:
        return Fixed<uint64_t>() || Fail();
      case WireType::kFixed32:
        return Fixed<uint32_t>() || Fail();
      case WireType::kBytes: {
        uint64_t size = 0;
        if (!Varint(&size) || size > message_.size() - at_) return Fail();
        field_.bytes = message_.substr(at_, size);
        at_ += size;
        return true;
      }
    }
    return Fail();
  }

  const WireField& field() const { return field_; }

  // Once Next is false. Errors: kDataLoss  the bytes are no message; names the offset.
  const Status& status() const { return status_; }

 private:
  bool Fail() {
    status_ = DataLoss(StrCat("malformed field near byte ", at_, " of ", message_.size()));
    at_ = message_.size();
    return false;
  }

  bool Varint(uint64_t* out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && at_ < message_.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(message_[at_++]);
      if (shift == 63 && byte > 1) return false;
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        *out = value;
        return true;
      }
    }
    return false;
  }

  template <typename T>
  bool Fixed() {
    if (message_.size() - at_ < sizeof(T)) return false;
    T value;
    std::memcpy(&value, message_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    field_.value = value;
    return true;
  }

  std::string_view message_;
  size_t at_ = 0;
  WireField field_;
  Status status_;
};

}  // namespace megalith::embedding
