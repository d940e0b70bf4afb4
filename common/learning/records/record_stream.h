// TFRecord framing: payloads of any bytes, each with its length and two checksums. Byte layout:
// docs/formats/records.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/byte_stream.h"
#include "common/foundation/base/status.h"

namespace megalith::records {

// Bytes that a record takes beside its payload (persistent: never change).
inline constexpr uint64_t kRecordHeaderBytes = 12;
inline constexpr uint64_t kRecordFooterBytes = 4;

// Appends records to a sink that must outlive it; holds nothing back. Not thread-safe.
class RecordWriter {
 public:
  explicit RecordWriter(ByteSink* sink) : sink_(sink) {}

  // Hands header, payload and footer to the sink as three pieces, as TensorFlow's writer does: the
  // borders of Snappy blocks follow from that. Errors: those of the sink.
  Status Write(std::string_view payload);

  uint64_t records() const { return records_; }
  uint64_t bytes() const { return bytes_; }  // framing included

 private:
  ByteSink* sink_;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;
};

struct RecordLimits {
  // A longer payload is refused before anything is allocated for it.
  uint64_t max_payload_bytes = 256ull << 20;
};

// Reads records from a source that must outlive it. Every byte it returns has been held against its
// checksum. Not thread-safe. Memory: a buffer of 256 KiB, or the longest record.
class RecordReader {
 public:
  // `name` is what errors call the source: the file's path in quotes, say.
  RecordReader(ByteSource* source, std::string name, RecordLimits limits = {});

  // The next payload, valid until the next call; nothing at the end, which is only behind a whole
  // record. Errors repeat on every later call, and name the record and its offset:
  //   kDataLoss           the stream ends inside a record, or a checksum does not match;
  //   kResourceExhausted  the payload is longer than the limit;
  //   those of the source.
  Result<std::optional<std::string_view>> Next();

  // Of the record that Next returns next: its number and where it starts in the stream, in bytes.
  uint64_t record() const { return record_; }
  uint64_t offset() const { return offset_; }

 private:
  Result<std::optional<std::string_view>> ReadOne();
  // Makes up to `wanted` bytes available from begin_ on, as far as the source has them.
  Status Fill(uint64_t wanted);
  uint64_t available() const { return end_ - begin_; }
  std::string_view At(uint64_t from, uint64_t size) const {
    return {buffer_.data() + begin_ + from, size};
  }
  Status Lost(std::string_view what) const;
  std::string Where() const;

  ByteSource* source_;
  const std::string name_;
  const RecordLimits limits_;
  std::vector<char> buffer_;
  size_t begin_ = 0;  // of what was read and not yet returned
  size_t end_ = 0;
  bool source_ended_ = false;
  uint64_t record_ = 0;
  uint64_t offset_ = 0;
  Status failed_;
};

}  // namespace megalith::records
