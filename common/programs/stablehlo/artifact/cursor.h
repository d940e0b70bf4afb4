// Reads the primitive encodings of MLIR bytecode, every read bounds-checked.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::stablehlo::artifact {

// A number and the flag in its lowest bit.
struct Flagged {
  uint64_t value = 0;
  bool flag = false;
};

// A position in a part of a file. Borrows the bytes. Every method returns kInvalidArgument, naming
// the offset in the file, when the bytes end or hold no such value.
class Cursor {
 public:
  // `base` is the offset of bytes[0] in the file, for messages.
  explicit Cursor(std::string_view bytes, uint64_t base = 0) : bytes_(bytes), base_(base) {}

  uint64_t offset() const { return base_ + position_; }
  uint64_t left() const { return bytes_.size() - position_; }
  bool done() const { return left() == 0; }

  Result<uint8_t> Byte();
  Result<uint64_t> Varint();
  Result<int64_t> SignedVarint();
  Result<Flagged> FlaggedVarint();
  // A number of things that follow and take at least `least_bytes` bytes each, so that a wrong one
  // cannot make a reader allocate more than the file is long.
  Result<uint64_t> Count(uint64_t least_bytes = 1);
  // A varint below `limit`; `what` names the table in the message.
  Result<uint32_t> Index(uint64_t limit, std::string_view what);
  Result<std::string_view> Raw(uint64_t size);
  // The bytes before the next zero byte, which is skipped.
  Result<std::string_view> CString();
  // A size, then so many bytes.
  Result<std::string_view> Blob();
  // The next `size` bytes as a cursor of their own.
  Result<Cursor> Part(uint64_t size);

  // "artifact byte 17: <what>".
  Status Error(std::string_view what) const;
  // An error unless everything was read.
  Status ExpectEnd(std::string_view what) const;

 private:
  std::string_view bytes_;
  uint64_t base_;
  uint64_t position_ = 0;
};

}  // namespace megalith::stablehlo::artifact
