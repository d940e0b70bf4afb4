#include "common/foundation/base/bytes.h"

#include "common/foundation/base/strings.h"

namespace megalith {

Result<std::string_view> ByteReader::Raw(uint64_t size) {
  if (size > left()) {
    return DataLoss(
        StrCat("truncated at offset ", offset_, ": ", size, " bytes wanted, ", left(), " left"));
  }
  const std::string_view out = bytes_.substr(offset_, size);
  offset_ += size;
  return out;
}

Result<uint8_t> ByteReader::U8() {
  ASSIGN_OR_RETURN(const std::string_view raw, Raw(1));
  return static_cast<uint8_t>(raw[0]);
}

Result<uint32_t> ByteReader::U32() {
  ASSIGN_OR_RETURN(const std::string_view raw, Raw(4));
  uint32_t v = 0;
  std::memcpy(&v, raw.data(), 4);
  return v;
}

Result<uint64_t> ByteReader::U64() {
  ASSIGN_OR_RETURN(const std::string_view raw, Raw(8));
  uint64_t v = 0;
  std::memcpy(&v, raw.data(), 8);
  return v;
}

Result<std::string_view> ByteReader::Sized() {
  ASSIGN_OR_RETURN(const uint64_t size, U64());
  return Raw(size);
}

}  // namespace megalith
