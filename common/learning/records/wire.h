// The wire form of protobuf messages, read and written field by field without a schema or generated
// code (https://protobuf.dev/programming-guides/encoding). For messages of which there are many:
// rows of tables, cells of filters, training examples.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::records {

// Persistent: never change.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Appends fields to a string that must outlive it. A writer that calls it in ascending order of
// fields writes the bytes protobuf writes. Not thread-safe.
class WireWriter {
 public:
  explicit WireWriter(std::string* out) : out_(out) {}

  // int32, int64, uint32, uint64, bool and enums; negative numbers take ten bytes.
  void Varint(uint32_t field, uint64_t value);
  void Fixed32(uint32_t field, uint32_t value);
  void Fixed64(uint32_t field, uint64_t value);
  void Float(uint32_t field, float value) { Fixed32(field, std::bit_cast<uint32_t>(value)); }
  void Double(uint32_t field, double value) { Fixed64(field, std::bit_cast<uint64_t>(value)); }
  // string, bytes, and messages that are encoded already.
  void Bytes(uint32_t field, std::string_view value);
  // One field for each element, as proto2 writes repeated numbers.
  void UnpackedFloats(uint32_t field, std::span<const float> values);

  // Fields written between Begin and End are those of a message in `field`; they nest.
  size_t Begin(uint32_t field);
  void End(size_t begun);

 private:
  void Raw(uint64_t value);
  void Tag(uint32_t field, WireType type) {
    Raw(static_cast<uint64_t>(field) << 3 | static_cast<uint8_t>(type));
  }
  std::string* out_;
};

// One field as it was found.
struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      // of a varint or fixed field
  std::string_view bytes;  // of a field of bytes; borrowed from the message

  float AsFloat() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
  double AsDouble() const { return std::bit_cast<double>(value); }
};

// Reads the fields of one message, which must outlive it. Any bytes are safe to read. Groups are
// skipped, at most 100 deep. Not thread-safe.
//
//   WireReader in(message);
//   while (in.Next()) { switch (in.field().number) ... }
//   RETURN_IF_ERROR(in.status());
class WireReader {
 public:
  explicit WireReader(std::string_view message) : message_(message) {}

  // Moves to the next field; false at the end and at the first error.
  bool Next() {
    // Rows consist of floats mostly: a tag of one byte and four more.
    if (message_.size() - at_ < 5) return NextOfAnyType();
    const auto tag = static_cast<uint8_t>(message_[at_]);
    if ((tag & 0x87) != static_cast<uint8_t>(WireType::kFixed32) || tag < 8) return NextOfAnyType();
    uint32_t value = 0;
    std::memcpy(&value, message_.data() + at_ + 1, sizeof(value));
    field_ = {
        .number = static_cast<uint32_t>(tag >> 3), .type = WireType::kFixed32, .value = value};
    at_ += 5;
    return true;
  }
  const WireField& field() const { return field_; }
  // Of the byte behind the field.
  size_t offset() const { return at_; }

  // Once Next is false. Errors: kDataLoss  the bytes are no message; names the offset.
  const Status& status() const { return status_; }

 private:
  bool NextOfAnyType();
  bool Varint(uint64_t* value);
  bool Fixed(size_t bytes, uint64_t* value);
  bool Value();
  bool SkipGroup(uint64_t number);
  bool Fail(std::string_view what);

  std::string_view message_;
  size_t at_ = 0;
  WireField field_;
  Status status_;
};

// The elements of one field of a repeated number, packed or not, appended to `out`.
// Errors: kDataLoss  the field is of another type, or its bytes are no list of such numbers.
Status AppendFloats(const WireField& field, std::vector<float>* out);
Status AppendVarints(const WireField& field, std::vector<uint64_t>* out);

// The type that a field of a known message must have.
// Errors: kDataLoss  it has another one; names the field.
Status ExpectType(const WireField& field, WireType type);

}  // namespace megalith::records
