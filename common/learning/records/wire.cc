#include "common/learning/records/wire.h"

#include <cstring>

#include "common/foundation/base/strings.h"

namespace megalith::records {
namespace {

constexpr int kMaxGroupDepth = 100;
constexpr uint32_t kMaxFieldNumber = (1u << 29) - 1;
constexpr int kMaxVarintBytes = 10;
constexpr uint64_t kStartGroup = 3;
constexpr uint64_t kEndGroup = 4;

size_t PutVarint(uint64_t value, char* out) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) out[n++] = static_cast<char>(value | 0x80);
  out[n++] = static_cast<char>(value);
  return n;
}

}  // namespace

void WireWriter::Raw(uint64_t value) {
  char buffer[kMaxVarintBytes];
  out_->append(buffer, PutVarint(value, buffer));
}

void WireWriter::Varint(uint32_t field, uint64_t value) {
  Tag(field, WireType::kVarint);
  Raw(value);
}

void WireWriter::Fixed32(uint32_t field, uint32_t value) {
  Tag(field, WireType::kFixed32);
  char buffer[4];
  std::memcpy(buffer, &value, sizeof(buffer));
  out_->append(buffer, sizeof(buffer));
}

void WireWriter::Fixed64(uint32_t field, uint64_t value) {
  Tag(field, WireType::kFixed64);
  char buffer[8];
  std::memcpy(buffer, &value, sizeof(buffer));
  out_->append(buffer, sizeof(buffer));
}

void WireWriter::Bytes(uint32_t field, std::string_view value) {
  Tag(field, WireType::kBytes);
  Raw(value.size());
  out_->append(value);
}

void WireWriter::UnpackedFloats(uint32_t field, std::span<const float> values) {
  for (const float value : values) Float(field, value);
}

size_t WireWriter::Begin(uint32_t field) {
  Tag(field, WireType::kBytes);
  return out_->size();
}

void WireWriter::End(size_t begun) {
  char buffer[kMaxVarintBytes];
  const size_t n = PutVarint(out_->size() - begun, buffer);
  out_->insert(begun, buffer, n);
}

bool WireReader::Fail(std::string_view what) {
  status_ = DataLoss(StrCat("message of ", message_.size(), " bytes, offset ", at_, ": ", what));
  at_ = message_.size();
  return false;
}

bool WireReader::Varint(uint64_t* value) {
  uint64_t out = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    if (at_ + i >= message_.size()) return Fail("it ends inside a varint");
    const auto byte = static_cast<uint8_t>(message_[at_ + i]);
    // Bits above the 64th are dropped, as protobuf does.
    out |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      at_ += i + 1;
      *value = out;
      return true;
    }
  }
  return Fail("a varint has more than ten bytes");
}

bool WireReader::Fixed(size_t bytes, uint64_t* value) {
  if (message_.size() - at_ < bytes) return Fail("it ends inside a fixed number");
  *value = 0;
  std::memcpy(value, message_.data() + at_, bytes);
  at_ += bytes;
  return true;
}

bool WireReader::Value() {
  switch (field_.type) {
    case WireType::kVarint:
      return Varint(&field_.value);
    case WireType::kFixed64:
      return Fixed(8, &field_.value);
    case WireType::kFixed32:
      return Fixed(4, &field_.value);
    case WireType::kBytes: {
      uint64_t size = 0;
      if (!Varint(&size)) return false;
      if (size > message_.size() - at_)
        return Fail(StrCat("a field of ", size, " bytes, ", message_.size() - at_, " are left"));
      field_.bytes = message_.substr(at_, size);
      at_ += size;
      return true;
    }
  }
  return Fail(StrCat("wire type ", static_cast<int>(field_.type), " does not exist"));
}

bool WireReader::SkipGroup(uint64_t number) {
  uint64_t open[kMaxGroupDepth] = {number};
  int depth = 1;
  while (depth > 0) {
    if (at_ == message_.size()) return Fail("it ends inside a group");
    uint64_t tag = 0;
    if (!Varint(&tag)) return false;
    const uint64_t type = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > kMaxFieldNumber) return Fail("a field number is out of range");
    if (type == kStartGroup) {
      if (depth == kMaxGroupDepth)
        return Fail(StrCat("groups nest more than ", kMaxGroupDepth, " deep"));
      open[depth++] = tag >> 3;
    } else if (type == kEndGroup) {
      if (open[--depth] != tag >> 3) return Fail("a group ends that was not begun");
    } else {
      field_.type = static_cast<WireType>(type);
      if (!Value()) return false;
    }
  }
  return true;
}

bool WireReader::NextOfAnyType() {
  while (at_ < message_.size()) {
    uint64_t tag = 0;
    if (!Varint(&tag)) return false;
    const uint64_t number = tag >> 3;
    if (number == 0 || number > kMaxFieldNumber) return Fail("a field number is out of range");
    if ((tag & 7) == kEndGroup) return Fail("a group ends that was not begun");
    if ((tag & 7) == kStartGroup) {
      if (!SkipGroup(number)) return false;
      continue;
    }
    field_ = {.number = static_cast<uint32_t>(number), .type = static_cast<WireType>(tag & 7)};
    return Value();
  }
  return false;
}

Status ExpectType(const WireField& field, WireType type) {
  if (field.type == type) return OkStatus();
  return DataLoss(StrCat("field ", field.number, " has wire type ", static_cast<int>(field.type),
                         ", wanted ", static_cast<int>(type)));
}

Status AppendFloats(const WireField& field, std::vector<float>* out) {
  if (field.type == WireType::kFixed32) {
    out->push_back(field.AsFloat());
    return OkStatus();
  }
  RETURN_IF_ERROR(ExpectType(field, WireType::kBytes));
  if (field.bytes.size() % sizeof(float) != 0) {
    return DataLoss(StrCat("field ", field.number, ": ", field.bytes.size(),
                           " bytes of packed floats are no multiple of 4"));
  }
  const size_t before = out->size();
  out->resize(before + field.bytes.size() / sizeof(float));
  if (!field.bytes.empty())
    std::memcpy(out->data() + before, field.bytes.data(), field.bytes.size());
  return OkStatus();
}

Status AppendVarints(const WireField& field, std::vector<uint64_t>* out) {
  if (field.type == WireType::kVarint) {
    out->push_back(field.value);
    return OkStatus();
  }
  RETURN_IF_ERROR(ExpectType(field, WireType::kBytes));
  uint64_t value = 0;
  int shift = 0;
  for (const char c : field.bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (shift == 7 * kMaxVarintBytes)
      return DataLoss(StrCat("field ", field.number, ": a packed varint has more than ten bytes"));
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    shift += 7;
    if (byte >= 0x80) continue;
    out->push_back(value);
    value = 0;
    shift = 0;
  }
  if (shift == 0) return OkStatus();
  return DataLoss(StrCat("field ", field.number, ": packed varints end inside one"));
}

}  // namespace megalith::records
