// Cache entries: what decodes encodes to the same bytes.
#include <cstdint>
#include <string_view>

#include "common/fleet/cache/entry_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto entry = megalith::cache::DecodeEntry(file);
  if (!entry.ok()) return 0;
  CHECK(megalith::cache::EncodeEntry(entry->header.key, entry->header.created_unix_nanos,
                                     entry->value) == file);
  return 0;
}
