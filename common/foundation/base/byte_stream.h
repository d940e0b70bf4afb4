// Bytes in order, in and out: what files, buffers and compressors have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith {

// Takes bytes one piece after the other. Not thread-safe.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status Append(std::string_view bytes) = 0;
};

// Gives bytes one piece after the other. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Copies the next bytes into `into` and returns how many: fewer than asked for only at the end.
  // After an error the position is unspecified.
  virtual Result<size_t> Read(std::span<char> into) = 0;
};

// Collects what it is given. The string must outlive it.
class StringSink final : public ByteSink {
 public:
  explicit StringSink(std::string* out) : out_(out) {}
  Status Append(std::string_view bytes) override {
    out_->append(bytes);
    return OkStatus();
  }

 private:
  std::string* out_;
};

// Gives the bytes of a string that must outlive it.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string_view bytes) : left_(bytes) {}
  Result<size_t> Read(std::span<char> into) override {
    const size_t n = std::min(into.size(), left_.size());
    if (n != 0) std::memcpy(into.data(), left_.data(), n);
    left_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view left_;
};

// Gathers small pieces into large ones for a sink whose calls cost. The sink must outlive it.
class BufferedSink final : public ByteSink {
 public:
  static constexpr size_t kDefaultBytes = 256 << 10;
  explicit BufferedSink(ByteSink* sink, size_t buffer_bytes = kDefaultBytes)
      : sink_(sink), buffer_bytes_(buffer_bytes) {}
  Status Append(std::string_view bytes) override {
    if (buffer_.size() + bytes.size() > buffer_bytes_) RETURN_IF_ERROR(Flush());
    if (bytes.size() >= buffer_bytes_) return sink_->Append(bytes);
    buffer_.append(bytes);
    return OkStatus();
  }
  // What was not flushed when this is destroyed is lost. After an error the same bytes are not
  // sent again: part of them may have arrived.
  Status Flush() {
    if (buffer_.empty()) return OkStatus();
    const Status sent = sink_->Append(buffer_);
    buffer_.clear();
    return sent;
  }

 private:
  ByteSink* sink_;
  size_t buffer_bytes_;
  std::string buffer_;
};

}  // namespace megalith
