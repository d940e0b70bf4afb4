#include "common/learning/embedding/server/update_log.h"

#include <algorithm>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr std::string_view kFileMagic = "MGLULOG1";
constexpr std::string_view kGroupMagic = "MGrp";
constexpr size_t kFileHeaderBytes = 20;   // magic, first number, checksum
constexpr size_t kGroupHeaderBytes = 32;  // magic, size, first, records, two checksums
constexpr std::string_view kPrefix = "log-";
constexpr size_t kNumberDigits = 20;
constexpr char kIdentityFile[] = "identity";
constexpr uint64_t kMaxIdentityBytes = 64 << 10;

std::string FileHeader(uint64_t first) {
  ByteWriter out;
  out.Raw(kFileMagic);
  out.U64(first);
  out.U32(MaskCrc32c(Crc32c(out.data())));
  return out.Take();
}

struct GroupHeader {
  uint64_t bytes = 0;
  uint64_t first = 0;
  uint32_t records = 0;
  uint32_t payload_crc = 0;
};

std::string EncodeHeader(const GroupHeader& header) {
  ByteWriter out;
  out.Raw(kGroupMagic);
  out.U64(header.bytes);
  out.U64(header.first);
  out.U32(header.records);
  out.U32(header.payload_crc);
  out.U32(MaskCrc32c(Crc32c(out.data())));
  return out.Take();
}

// The header at the start of `bytes`, if that is what they are.
bool DecodeHeader(std::string_view bytes, GroupHeader* header) {
  if (bytes.size() < kGroupHeaderBytes || !bytes.starts_with(kGroupMagic)) return false;
  ByteReader in(bytes.substr(kGroupMagic.size()));
  header->bytes = *in.U64();
  header->first = *in.U64();
  header->records = *in.U32();
  header->payload_crc = *in.U32();
  return UnmaskCrc32c(*in.U32()) == Crc32c(bytes.substr(0, kGroupHeaderBytes - 4));
}

bool IsWholeGroup(std::string_view bytes, GroupHeader* header) {
  if (!DecodeHeader(bytes, header) || bytes.size() - kGroupHeaderBytes < header->bytes) {
    return false;
  }
  return UnmaskCrc32c(header->payload_crc) ==
         Crc32c(bytes.substr(kGroupHeaderBytes, header->bytes));
}

// A group is written only after those before it are durable. So a whole group further on proves
// that what lies before it was durable once.
bool GroupFollows(std::string_view bytes) {
  for (size_t at = bytes.find(kGroupMagic, 1); at != std::string_view::npos;
       at = bytes.find(kGroupMagic, at + 1)) {
    GroupHeader header;
    if (IsWholeGroup(bytes.substr(at), &header)) return true;
  }
  return false;
}

std::string SegmentName(uint64_t first) {
  std::string digits = StrCat(first);
  digits.insert(0, kNumberDigits - digits.size(), '0');
  return StrCat(kPrefix, digits);
}

}  // namespace

Result<std::unique_ptr<UpdateLog>> UpdateLog::Open(
    Options options, FileSystem& files,
    const std::function<Status(uint64_t, std::string_view)>& replay, Opened* opened) {
  RETURN_IF_ERROR(files.MakeDirectory(options.directory));
  std::unique_ptr<UpdateLog> log(new UpdateLog(std::move(options), files));
  ASSIGN_OR_RETURN(log->directory_lock_, DirectoryLock::Acquire(log->options_.directory));
  *opened = {};
  RETURN_IF_ERROR(log->FindSegments());
  RETURN_IF_ERROR(log->Identify());
  RETURN_IF_ERROR(log->ReadSegments(replay, opened));
  log->durable_ = log->last_;
  return log;
}

UpdateLog::~UpdateLog() = default;

Status UpdateLog::FindSegments() {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> found, files_.List(options_.directory));
  for (const FileInfo& file : found) {  // sorted by name, so by number
    if (!file.name.starts_with(kPrefix)) continue;
    const auto first = ParseUint(std::string_view(file.name).substr(kPrefix.size()));
    if (!first) continue;
    segments_.push_back({JoinPath(options_.directory, file.name), *first});
  }
  return OkStatus();
}

// Without this a log that was put aside and back, or was off for a while, would make changes again
// that the checkpoint has.
Status UpdateLog::Identify() {
  const std::string path = JoinPath(options_.directory, kIdentityFile);
  std::string begins_at;
  const Result<std::string> text = files_.Read(path, kMaxIdentityBytes);
  if (!text.ok() && text.status().code() != Code::kNotFound) return text.status();
  if (text.ok()) {
    const std::vector<std::string_view> lines = Split(*text, '\n');
    if (lines.size() != 3 || lines[0].empty()) {
      return DataLoss(StrCat(path, ": wanted two lines, the log's identity and where it begins"));
    }
    identity_ = lines[0];
    begins_at = lines[1];
  }
  if (text.ok() && !segments_.empty()) {
    const bool goes_on = options_.identity.empty() ? begins_at == options_.begins_at
                                                   : identity_ == options_.identity;
    if (goes_on) return OkStatus();
    return FailedPrecondition(StrCat(
        "the log in ", options_.directory, " begins at ", begins_at.empty() ? "nothing" : begins_at,
        " and does not go on from ", options_.begins_at.empty() ? "nothing" : options_.begins_at,
        ", which was restored; put the log aside to go on without its changes, or put back the "
        "checkpoint that it belongs to"));
  }
  // A log without records becomes the one that the checkpoint counts in.
  if (!options_.identity.empty()) {
    identity_ = options_.identity;
  } else if (identity_.empty()) {
    Rng rng(EntropySeed());
    const uint64_t word = rng.Next();
    identity_ = HexEncode({reinterpret_cast<const uint8_t*>(&word), sizeof(word)});
  }
  return files_.WriteAtomically(path, StrCat(identity_, "\n", options_.begins_at, "\n"));
}

Status UpdateLog::ReadSegments(const std::function<Status(uint64_t, std::string_view)>& replay,
                               Opened* opened) {
  last_ = segments_.empty() ? options_.checkpointed : segments_.front().first - 1;
  if (last_ > options_.checkpointed) {
    return DataLoss(StrCat(segments_.front().path, " begins with record ", last_ + 1,
                           ", but the checkpoint ends with record ", options_.checkpointed,
                           ": the files between are missing"));
  }
  for (size_t i = 0; i < segments_.size(); ++i) {
    RETURN_IF_ERROR(ReadSegment(segments_[i], i + 1 == segments_.size(), replay, opened));
  }
  opened->segments = segments_.size();
  // A checkpoint that is newer than the log takes its numbers with it.
  if (last_ < options_.checkpointed) {
    last_ = options_.checkpointed;
    file_.reset();
  }
  return OkStatus();
}

Status UpdateLog::ReadSegment(const Segment& segment, bool last,
                              const std::function<Status(uint64_t, std::string_view)>& replay,
                              Opened* opened) {
  ASSIGN_OR_RETURN(const std::string content, files_.Read(segment.path));
  std::string_view left = content;
  const std::string header = FileHeader(segment.first);
  if (!left.starts_with(header)) {
    return DataLoss(StrCat(segment.path, " at offset 0: the header is damaged"));
  }
  // What the checkpoint has may be missing here.
  if (segment.first > last_ && segment.first <= options_.checkpointed + 1) {
    last_ = segment.first - 1;
  }
  if (segment.first != last_ + 1) {
    return DataLoss(StrCat(segment.path, " begins with record ", segment.first, ", wanted ",
                           last_ + 1, ": files between are missing"));
  }
  left.remove_prefix(header.size());
  while (!left.empty()) {
    GroupHeader group;
    if (!IsWholeGroup(left, &group)) {
      if (last && !GroupFollows(left)) break;
      return DataLoss(StrCat(segment.path, " at offset ", content.size() - left.size(),
                             ": the group of records after record ", last_, " is damaged"));
    }
    if (group.first != last_ + 1) {
      return DataLoss(StrCat(segment.path, " at offset ", content.size() - left.size(),
                             ": the group begins with record ", group.first, ", wanted ",
                             last_ + 1));
    }
    const Status status = ReadGroup(left.substr(kGroupHeaderBytes, group.bytes), group.first,
                                    group.records, replay, opened);
    if (!status.ok()) {
      return status.Annotate(StrCat(segment.path, " at offset ", content.size() - left.size()));
    }
    left.remove_prefix(kGroupHeaderBytes + group.bytes);
  }
  if (!last) return OkStatus();
  file_bytes_ = content.size() - left.size();
  if (!left.empty()) {
    opened->torn_bytes = left.size();
    opened->torn_file = segment.path;
    RETURN_IF_ERROR(files_.Truncate(segment.path, file_bytes_));
  }
  ASSIGN_OR_RETURN(file_, files_.OpenAppend(segment.path));
  return OkStatus();
}

Status UpdateLog::ReadGroup(std::string_view payload, uint64_t first, uint64_t records,
                            const std::function<Status(uint64_t, std::string_view)>& replay,
                            Opened* opened) {
  ByteReader in(payload);
  for (uint64_t i = 0; i < records; ++i) {
    ASSIGN_OR_RETURN(const std::string_view record, in.Sized());
    const uint64_t number = first + i;
    last_ = number;
    if (number <= options_.checkpointed) {
      ++opened->skipped;
      continue;
    }
    RETURN_IF_ERROR(replay(number, record).Annotate(StrCat("record ", number)));
    ++opened->replayed;
  }
  if (in.left() != 0) return DataLoss("the group has bytes after its last record");
  return OkStatus();
}

Status UpdateLog::StartSegment(uint64_t first) {
  const Segment segment{JoinPath(options_.directory, SegmentName(first)), first};
  // Written whole, so that a file without a header is never the last of several.
  RETURN_IF_ERROR(files_.WriteAtomically(segment.path, FileHeader(first)));
  ASSIGN_OR_RETURN(file_, files_.OpenAppend(segment.path));
  file_bytes_ = kFileHeaderBytes;
  const std::lock_guard<std::mutex> lock(mu_);
  segments_.push_back(segment);
  return OkStatus();
}

Status UpdateLog::WriteGroup(const Group& group) {
  const GroupHeader header{.bytes = group.bytes.size(),
                           .first = group.first,
                           .records = static_cast<uint32_t>(group.records),
                           .payload_crc = MaskCrc32c(Crc32c(group.bytes))};
  if (file_ == nullptr || file_bytes_ >= options_.segment_bytes) {
    RETURN_IF_ERROR(StartSegment(group.first));
  }
  RETURN_IF_ERROR(file_->Append(EncodeHeader(header)));
  RETURN_IF_ERROR(file_->Append(group.bytes));
  RETURN_IF_ERROR(file_->Sync());
  file_bytes_ += kGroupHeaderBytes + group.bytes.size();
  return OkStatus();
}

Status UpdateLog::WritePending(std::unique_lock<std::mutex>& lock) {
  // What failed before is written again first, as it was.
  if (writing_.records == 0) std::swap(writing_, pending_);
  if (writing_.records == 0) return OkStatus();
  const bool again = !broken_.ok();
  const std::string path = segments_.empty() ? "" : segments_.back().path;
  lock.unlock();
  const Stopwatch watch;
  Status status = OkStatus();
  // A failed write may have left part of itself; after a failed fsync nothing is known of the
  // pages, so they are written anew.
  if (again && file_ != nullptr) {
    status = files_.Truncate(path, file_bytes_);
    if (status.ok()) {
      auto file = files_.OpenAppend(path);
      status = file.status();
      if (file.ok()) file_ = *std::move(file);
    }
  }
  if (status.ok()) status = WriteGroup(writing_);
  if (status.ok() && options_.on_commit) {
    options_.on_commit({.seconds = watch.Seconds(),
                        .bytes = kGroupHeaderBytes + writing_.bytes.size(),
                        .records = writing_.records});
  }
  lock.lock();
  broken_ = status.Annotate("the update log");
  if (status.ok()) {
    durable_ = writing_.first + writing_.records - 1;
    writing_ = {};
  }
  return broken_;
}

Status UpdateLog::Ready() {
  std::unique_lock<std::mutex> lock(mu_);
  if (pending_.bytes.size() > options_.max_pending_bytes) {
    return ResourceExhausted(StrCat("the update log has ", pending_.bytes.size(),
                                    " bytes that are not on the device yet, above its limit of ",
                                    options_.max_pending_bytes));
  }
  if (broken_.ok()) return OkStatus();
  if (busy_) return broken_;
  busy_ = true;
  const Status status = WritePending(lock);
  busy_ = false;
  written_.notify_all();
  return status;
}

uint64_t UpdateLog::Append(std::string_view record) {
  ByteWriter framed;
  framed.U64(record.size());
  const std::lock_guard<std::mutex> lock(mu_);
  if (pending_.records == 0) pending_.first = last_ + 1;
  ++last_;
  ++pending_.records;
  pending_.bytes += framed.data();
  pending_.bytes += record;
  return last_;
}

Status UpdateLog::Wait(uint64_t number) {
  std::unique_lock<std::mutex> lock(mu_);
  while (durable_ < number) {
    if (busy_) {
      written_.wait(lock);
      continue;
    }
    busy_ = true;
    const Status status = WritePending(lock);
    busy_ = false;
    written_.notify_all();
    RETURN_IF_ERROR(status);
  }
  return OkStatus();
}

uint64_t UpdateLog::last() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return last_;
}

uint64_t UpdateLog::durable() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return durable_;
}

Status UpdateLog::Truncate(uint64_t number) {
  while (true) {
    std::string path;
    {
      const std::lock_guard<std::mutex> lock(mu_);
      // The records of a file end where the next one begins; the last file stays.
      if (segments_.size() < 2 || segments_[1].first > number + 1) return OkStatus();
      path = segments_.front().path;
      segments_.pop_front();
    }
    RETURN_IF_ERROR(files_.Remove(path));
  }
}

}  // namespace megalith::embedding
