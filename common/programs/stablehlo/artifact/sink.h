// Writes the primitive encodings of MLIR bytecode; the other side of Cursor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace megalith::stablehlo::artifact {

class Sink {
 public:
  void Byte(uint8_t v) { out_ += static_cast<char>(v); }
  void Varint(uint64_t v);
  void SignedVarint(int64_t v) {
    Varint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63));
  }
  void Flagged(uint64_t v, bool flag) { Varint(v << 1 | (flag ? 1 : 0)); }
  void Raw(std::string_view bytes) { out_ += bytes; }
  // A size, then the bytes.
  void Blob(std::string_view bytes) {
    Varint(bytes.size());
    Raw(bytes);
  }
  // A section's id, size and payload.
  void Section(uint8_t id, std::string_view payload) {
    Byte(id);
    Blob(payload);
  }
  const std::string& bytes() const { return out_; }

 private:
  std::string out_;
};

}  // namespace megalith::stablehlo::artifact
