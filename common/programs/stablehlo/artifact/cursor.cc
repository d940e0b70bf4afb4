#include "common/programs/stablehlo/artifact/cursor.h"

#include <bit>

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo::artifact {

Status Cursor::Error(std::string_view what) const {
  return InvalidArgument(StrCat("artifact byte ", offset(), ": ", what));
}

Status Cursor::ExpectEnd(std::string_view what) const {
  if (done()) return OkStatus();
  return Error(StrCat(left(), " bytes after the end of ", what));
}

Result<uint8_t> Cursor::Byte() {
  if (done()) return Error("the bytes end early");
  return static_cast<uint8_t>(bytes_[position_++]);
}

Result<uint64_t> Cursor::Varint() {
  ASSIGN_OR_RETURN(const uint8_t first, Byte());
  // As many zero bits at the bottom of the first byte as bytes follow; then a one; then the number.
  const int more = first == 0 ? 8 : std::countr_zero(first);
  if (left() < static_cast<uint64_t>(more)) return Error("the bytes end inside a number");
  uint64_t value = first == 0 ? 0 : static_cast<uint64_t>(first) >> (more + 1);
  const int in_first = first == 0 ? 0 : 7 - more;
  for (int i = 0; i < more; ++i) {
    const auto byte = static_cast<uint8_t>(bytes_[position_++]);
    value |= static_cast<uint64_t>(byte) << (in_first + 8 * i);
  }
  return value;
}

Result<int64_t> Cursor::SignedVarint() {
  ASSIGN_OR_RETURN(const uint64_t u, Varint());
  return static_cast<int64_t>((u >> 1) ^ (~(u & 1) + 1));
}

Result<Flagged> Cursor::FlaggedVarint() {
  ASSIGN_OR_RETURN(const uint64_t u, Varint());
  return Flagged{.value = u >> 1, .flag = (u & 1) != 0};
}

Result<uint64_t> Cursor::Count(uint64_t least_bytes) {
  ASSIGN_OR_RETURN(const uint64_t n, Varint());
  if (n > left() / least_bytes) return Error(StrCat("a count of ", n, " in ", left(), " bytes"));
  return n;
}

Result<uint32_t> Cursor::Index(uint64_t limit, std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t n, Varint());
  if (n >= limit) return Error(StrCat("index ", n, " into ", limit, " ", what));
  return static_cast<uint32_t>(n);
}

Result<std::string_view> Cursor::Raw(uint64_t size) {
  if (size > left()) return Error(StrCat("wanted ", size, " bytes, ", left(), " are left"));
  const std::string_view out = bytes_.substr(position_, size);
  position_ += size;
  return out;
}

Result<std::string_view> Cursor::CString() {
  const size_t end = bytes_.find('\0', position_);
  if (end == std::string_view::npos) return Error("a string without an end");
  const std::string_view out = bytes_.substr(position_, end - position_);
  position_ = end + 1;
  return out;
}

Result<std::string_view> Cursor::Blob() {
  ASSIGN_OR_RETURN(const uint64_t size, Varint());
  return Raw(size);
}

Result<Cursor> Cursor::Part(uint64_t size) {
  const uint64_t at = offset();
  ASSIGN_OR_RETURN(const std::string_view bytes, Raw(size));
  return Cursor(bytes, at);
}

}  // namespace megalith::stablehlo::artifact
