#include "common/learning/records/record_stream.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/strings.h"

namespace megalith::records {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
// The buffer grows by so much at a time while a long payload arrives, so that a length that lies
// costs no more memory than the bytes that follow it.
constexpr size_t kGrowthBytes = 1 << 20;

uint32_t LittleEndian32(std::string_view bytes) {
  uint32_t v = 0;
  std::memcpy(&v, bytes.data(), sizeof(v));
  return v;
}

uint64_t LittleEndian64(std::string_view bytes) {
  uint64_t v = 0;
  std::memcpy(&v, bytes.data(), sizeof(v));
  return v;
}

std::string Hex32(uint32_t v) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(v >> 24), static_cast<uint8_t>(v >> 16),
                            static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)};
  return HexEncode(bytes);
}

}  // namespace

Status RecordWriter::Write(std::string_view payload) {
  ByteWriter header;
  header.U64(payload.size());
  header.U32(MaskCrc32c(Crc32c(header.data())));
  RETURN_IF_ERROR(sink_->Append(header.data()));
  if (!payload.empty()) RETURN_IF_ERROR(sink_->Append(payload));
  ByteWriter footer;
  footer.U32(MaskCrc32c(Crc32c(payload)));
  RETURN_IF_ERROR(sink_->Append(footer.data()));
  ++records_;
  bytes_ += kRecordHeaderBytes + payload.size() + kRecordFooterBytes;
  return OkStatus();
}

RecordReader::RecordReader(ByteSource* source, std::string name, RecordLimits limits)
    : source_(source), name_(std::move(name)), limits_(limits), buffer_(kBufferBytes) {}

std::string RecordReader::Where() const {
  return StrCat(name_, " offset ", offset_, " (record ", record_, ")");
}

Status RecordReader::Lost(std::string_view what) const {
  return DataLoss(StrCat(Where(), ": ", what));
}

Status RecordReader::Fill(uint64_t wanted) {
  while (available() < wanted && !source_ended_) {
    if (begin_ != 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == buffer_.size())
      buffer_.resize(std::min<uint64_t>(wanted, buffer_.size() + kGrowthBytes));
    const size_t room = buffer_.size() - end_;
    const Result<size_t> got = source_->Read(std::span(buffer_).subspan(end_, room));
    if (!got.ok()) return got.status().Annotate(Where());
    end_ += *got;
    source_ended_ = *got < room;
  }
  return OkStatus();
}

Result<std::optional<std::string_view>> RecordReader::ReadOne() {
  RETURN_IF_ERROR(Fill(kRecordHeaderBytes));
  if (available() == 0) return std::optional<std::string_view>();
  if (available() < kRecordHeaderBytes) {
    return Lost(StrCat("the stream ends after ", available(), " of the ", kRecordHeaderBytes,
                       " bytes of the record's length and its checksum"));
  }
  const uint32_t length_crc = MaskCrc32c(Crc32c(At(0, 8)));
  const uint32_t length_crc_stored = LittleEndian32(At(8, 4));
  if (length_crc != length_crc_stored) {
    return Lost(StrCat("the checksum of the record's length is ", Hex32(length_crc_stored),
                       ", its bytes give ", Hex32(length_crc)));
  }
  const uint64_t length = LittleEndian64(At(0, 8));
  if (length > limits_.max_payload_bytes) {
    return ResourceExhausted(StrCat(Where(), ": a record of ", length,
                                    " bytes is above max_payload_bytes (",
                                    limits_.max_payload_bytes, ")"));
  }
  const uint64_t whole = kRecordHeaderBytes + length + kRecordFooterBytes;
  RETURN_IF_ERROR(Fill(whole));
  if (available() < whole) {
    return Lost(StrCat("the stream ends after ", available() - kRecordHeaderBytes, " of the ",
                       length + kRecordFooterBytes, " bytes of the payload and its checksum"));
  }
  const std::string_view payload = At(kRecordHeaderBytes, length);
  const uint32_t crc = MaskCrc32c(Crc32c(payload));
  const uint32_t crc_stored = LittleEndian32(At(kRecordHeaderBytes + length, 4));
  if (crc != crc_stored) {
    return Lost(StrCat("the checksum of the ", length, " bytes of payload is ", Hex32(crc_stored),
                       ", its bytes give ", Hex32(crc)));
  }
  begin_ += whole;
  offset_ += whole;
  ++record_;
  return std::optional(payload);
}

Result<std::optional<std::string_view>> RecordReader::Next() {
  if (!failed_.ok()) return failed_;
  Result<std::optional<std::string_view>> out = ReadOne();
  if (!out.ok()) failed_ = out.status();
  return out;
}

}  // namespace megalith::records
