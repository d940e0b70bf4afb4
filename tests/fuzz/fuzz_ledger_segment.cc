// Ledger segments: reading past damage ends, and a frame that is found can be read.
#include <cstdint>
#include <string_view>

#include "common/fleet/ledger/segment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith::ledger;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto header = DecodeSegmentHeader(file);
  if (header.ok()) CHECK(EncodeSegmentHeader(*header) == file.substr(0, kSegmentHeaderBytes));
  for (uint64_t at = 0; at < size;) {
    const auto found = FindFrame(file, at, 0);
    if (!found) break;
    const auto frame = ReadFrame(file, *found, HashBefore(file, *found));
    CHECK(frame.ok());
    CHECK(EncodeFrame(EncodeBody(frame->entry), frame->entry.hash) ==
          file.substr(*found, frame->size));
    at = *found + 1;
  }
  (void)DecodeBody(file);
  (void)EndsWithWholeFrame(file, size / 2);
  return 0;
}
