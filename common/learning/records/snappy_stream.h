// TensorFlow's Snappy stream: blocks of compressed bytes, each behind its size. It lies below
// record framing: borders of blocks and of records have nothing to do with each other. Byte layout:
// docs/formats/records.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/byte_stream.h"
#include "common/foundation/base/status.h"

namespace megalith::records {

// Bytes that a block holds at most before compression (persistent: TensorFlow's readers have room
// for no more).
inline constexpr size_t kSnappyBlockBytes = 256 << 10;

// Compresses what it is given into a sink that must outlive it. Not thread-safe. A block is written
// when the next piece does not fit into it any more; a piece longer than a block is cut.
class SnappySink final : public ByteSink {
 public:
  explicit SnappySink(ByteSink* sink) : sink_(sink) {}
  Status Append(std::string_view bytes) override;
  // Writes what is held back. Must be called at the end; may be called before.
  Status Flush();

 private:
  ByteSink* sink_;
  std::string block_;
};

struct SnappyLimits {
  // A block that claims to be longer is refused before anything is allocated for it.
  uint64_t max_block_bytes = 64ull << 20;
};

// Uncompresses a source that must outlive it. Not thread-safe. Errors name the block and its offset
// in the compressed source:
//   kDataLoss           the source ends inside a block, or the block is not Snappy's;
//   kResourceExhausted  the block is longer than the limit; those of the source.
class SnappySource final : public ByteSource {
 public:
  // `name` is what errors call the source: the file's path in quotes, say.
  SnappySource(ByteSource* source, std::string name, SnappyLimits limits = {})
      : source_(source), name_(std::move(name)), limits_(limits) {}
  Result<size_t> Read(std::span<char> into) override;

 private:
  // Fills block_ with the next block; leaves it empty at the end.
  Status NextBlock();
  Status Lost(std::string_view what) const;
  std::string Where() const;

  ByteSource* source_;
  const std::string name_;
  const SnappyLimits limits_;
  std::string compressed_;
  std::string block_;
  size_t taken_ = 0;           // bytes of block_ that were given away
  uint64_t block_number_ = 0;  // of the block to come
  uint64_t offset_ = 0;        // of the block to come, in the source
};

}  // namespace megalith::records
