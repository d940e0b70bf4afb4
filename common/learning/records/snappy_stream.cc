#include "common/learning/records/snappy_stream.h"

#include <snappy.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "common/foundation/base/strings.h"

namespace megalith::records {
namespace {

constexpr size_t kSizeBytes = 4;
// Snappy's densest code copies 64 bytes with three, so a block that claims more than this for each
// of its bytes does not uncompress to what it says.
constexpr uint64_t kMaxRatio = 32;
constexpr size_t kReadStepBytes = 1 << 20;

}  // namespace

Status SnappySink::Append(std::string_view bytes) {
  if (block_.size() + bytes.size() > kSnappyBlockBytes) RETURN_IF_ERROR(Flush());
  while (bytes.size() > kSnappyBlockBytes) {
    block_ = bytes.substr(0, kSnappyBlockBytes);
    RETURN_IF_ERROR(Flush());
    bytes.remove_prefix(kSnappyBlockBytes);
  }
  block_.append(bytes);
  return OkStatus();
}

Status SnappySink::Flush() {
  if (block_.empty()) return OkStatus();
  std::string compressed;
  snappy::Compress(block_.data(), block_.size(), &compressed);
  block_.clear();
  const auto size = static_cast<uint32_t>(compressed.size());
  const char head[kSizeBytes] = {static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                 static_cast<char>(size >> 8), static_cast<char>(size)};
  RETURN_IF_ERROR(sink_->Append({head, kSizeBytes}));
  return sink_->Append(compressed);
}

std::string SnappySource::Where() const {
  return StrCat(name_, " offset ", offset_, " (block ", block_number_, ")");
}

Status SnappySource::Lost(std::string_view what) const {
  return DataLoss(StrCat(Where(), ": ", what));
}

Status SnappySource::NextBlock() {
  block_.clear();
  taken_ = 0;
  char head[kSizeBytes];
  ASSIGN_OR_RETURN(const size_t got, source_->Read(head));
  if (got == 0) return OkStatus();
  if (got < kSizeBytes)
    return Lost(StrCat("the stream ends after ", got, " of the 4 bytes of the block's size"));
  uint64_t size = 0;
  for (const char c : head) size = size << 8 | static_cast<uint8_t>(c);
  if (size > snappy::MaxCompressedLength(limits_.max_block_bytes)) {
    return ResourceExhausted(StrCat(Where(), ": ", size,
                                    " compressed bytes are more than max_block_bytes (",
                                    limits_.max_block_bytes, ") can take"));
  }
  compressed_.clear();
  while (compressed_.size() < size) {
    const size_t before = compressed_.size();
    const size_t step = std::min<uint64_t>(size - before, kReadStepBytes);
    compressed_.resize(before + step);
    ASSIGN_OR_RETURN(const size_t n, source_->Read({compressed_.data() + before, step}));
    if (n < step) {
      return Lost(
          StrCat("the stream ends after ", before + n, " of the ", size, " bytes of the block"));
    }
  }
  size_t length = 0;
  if (!snappy::GetUncompressedLength(compressed_.data(), compressed_.size(), &length))
    return Lost("the block does not start with its uncompressed size");
  if (length > limits_.max_block_bytes) {
    return ResourceExhausted(StrCat(Where(), ": a block of ", length,
                                    " bytes is above max_block_bytes (", limits_.max_block_bytes,
                                    ")"));
  }
  if (length == 0 || length > size * kMaxRatio)
    return Lost(StrCat(size, " compressed bytes cannot hold ", length));
  block_.resize(length);
  if (!snappy::RawUncompress(compressed_.data(), compressed_.size(), block_.data()))
    return Lost(StrCat("the ", size, " bytes are not a Snappy block of ", length, " bytes"));
  ++block_number_;
  offset_ += kSizeBytes + size;
  return OkStatus();
}

Result<size_t> SnappySource::Read(std::span<char> into) {
  size_t done = 0;
  while (done < into.size()) {
    if (taken_ == block_.size()) {
      RETURN_IF_ERROR(NextBlock());
      if (block_.empty()) break;
    }
    const size_t n = std::min(into.size() - done, block_.size() - taken_);
    std::memcpy(into.data() + done, block_.data() + taken_, n);
    taken_ += n;
    done += n;
  }
  return done;
}

}  // namespace megalith::records
