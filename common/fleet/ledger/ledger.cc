#include "common/fleet/ledger/ledger.h"

#include <algorithm>
#include <utility>

#include "common/fleet/ledger/segment.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::ledger {
namespace {

using telemetry::Level;
using telemetry::Log;

Status CheckEntry(const Entry& entry, std::string_view body) {
  if (entry.kind == Kind::kAny) return InvalidArgument("ledger entry has no kind");
  if (body.size() > kMaxEntryBytes) {
    return InvalidArgument(
        StrCat("ledger entry has ", body.size(), " bytes, the limit is ", kMaxEntryBytes));
  }
  return OkStatus();
}

}  // namespace

bool Filter::Matches(const Entry& e) const {
  return (kind == Kind::kAny || e.kind == kind) && (service.empty() || e.service == service) &&
         (trace_id.empty() || e.trace_id == trace_id) && (key.empty() || e.key == key) &&
         e.unix_nanos >= since_unix_nanos && e.unix_nanos < until_unix_nanos;
}

Ledger::Ledger(const LedgerOptions& options, telemetry::MetricRegistry& metrics, FileSystem& files,
               const Clock& clock)
    : options_(options),
      files_(files),
      clock_(clock),
      metrics_(metrics),
      sync_seconds_(metrics.GetHistogram(telemetry::kLedgerSyncSeconds)) {}

Result<std::unique_ptr<Ledger>> Ledger::Open(const LedgerOptions& options,
                                             telemetry::MetricRegistry& metrics, FileSystem& files,
                                             const Clock& clock) {
  std::unique_ptr<Ledger> ledger(new Ledger(options, metrics, files, clock));
  RETURN_IF_ERROR(files.MakeDirectory(options.directory));
  ASSIGN_OR_RETURN(ledger->lock_, DirectoryLock::Acquire(options.directory));
  RETURN_IF_ERROR(ledger->Recover().Annotate(StrCat("ledger '", options.directory, "'")));
  ledger->writer_ = std::thread([l = ledger.get()] { l->WriterLoop(); });
  ledger->RecordRecovery();
  return ledger;
}

Ledger::~Ledger() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

Status Ledger::Recover() {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files_.List(options_.directory));
  for (const FileInfo& info : listing) {
    const std::optional<uint64_t> first = FirstSequenceOf(info.name);
    if (!first) continue;
    segments_.push_back({.first_sequence = *first,
                         .created_unix_nanos = 0,
                         .path = JoinPath(options_.directory, info.name),
                         .name = info.name});
  }
  while (!segments_.empty()) {
    const Segment last = segments_.back();
    ASSIGN_OR_RETURN(const std::string file, files_.Read(last.path));
    if (file.size() >= kSegmentHeaderBytes) return RecoverSegment(last, file, kSegmentHeaderBytes);
    // A crash while the file was begun: nothing in it was ever acknowledged.
    RETURN_IF_ERROR(files_.Remove(last.path));
    recovery_.truncated_bytes += file.size();
    segments_.pop_back();
  }
  return OkStatus();
}

Status Ledger::RecoverSegment(const Segment& segment, const std::string& file,
                              uint64_t header_bytes) {
  const Result<SegmentHeader> header = DecodeSegmentHeader(file);
  uint64_t offset = header_bytes;
  uint64_t sequence = segment.first_sequence;
  Sha256Digest head;
  if (header.ok()) {
    head = header->previous_hash;
    segments_.back().created_unix_nanos = header->created_unix_nanos;
  } else {
    recovery_.damaged = true;
  }
  while (offset < file.size()) {
    const Result<Frame> frame = ReadFrame(file, offset, head);
    if (frame.ok() && frame->entry.sequence >= sequence) {
      sequence = frame->entry.sequence + 1;
      head = frame->entry.hash;
      offset += frame->size;
      continue;
    }
    const std::optional<uint64_t> next = FindFrame(file, offset + 1, sequence);
    if (!next && !EndsWithWholeFrame(file, offset)) {
      // Nothing whole follows: the tail of a write that a crash cut short.
      recovery_.truncated_bytes += file.size() - offset;
      RETURN_IF_ERROR(files_.Truncate(segment.path, offset));
      break;
    }
    recovery_.damaged = true;
    if (!next) {
      // The last entry was whole once: damage is evidence too, so it is kept.
      ++sequence;
      offset = file.size();
      head = HashBefore(file, offset);
      break;
    }
    offset = *next;
    head = HashBefore(file, offset);
  }
  next_sequence_ = sequence;
  head_ = head;
  durable_ = {.next_sequence = sequence, .head = head, .segment_bytes = offset};
  recovery_.entries = sequence;
  return OkStatus();
}

void Ledger::RecordRecovery() {
  Log(Level::info, "ledger_opened",
      {{"directory", options_.directory},
       {"entries", recovery_.entries},
       {"segments", segments_.size()},
       {"truncated_bytes", recovery_.truncated_bytes}});
  if (recovery_.truncated_bytes == 0 && !recovery_.damaged) return;
  Entry entry;
  entry.kind = Kind::kRepair;
  entry.policy = "recovery";
  entry.alternatives = {"refuse to start", "begin a new ledger"};
  entry.decision = recovery_.truncated_bytes > 0 ? "cut torn tail" : "keep damaged entries";
  entry.outcome = recovery_.damaged ? "damage remains, verify tells where" : "ok";
  entry.evidence = {{"truncated_bytes", StrCat(recovery_.truncated_bytes)},
                    {"next_sequence", StrCat(recovery_.entries)}};
  const Result<Appended> appended = Append(std::move(entry));
  if (!appended.ok())
    Log(Level::error, "ledger_append_failed", {{"error", appended.status().ToString()}});
}

Result<Appended> Ledger::Enqueue(Entry entry, bool urgent, uint64_t* generation) {
  const std::lock_guard<std::mutex> lock(mu_);
  entry.sequence = next_sequence_;
  entry.unix_nanos = clock_.UnixNanos();
  if (entry.service.empty()) entry.service = options_.service;
  const std::string body = EncodeBody(entry);
  RETURN_IF_ERROR(CheckEntry(entry, body));
  if (pending_.size() + body.size() > options_.max_pending_bytes) {
    return ResourceExhausted(StrCat("ledger has ", pending_.size(),
                                    " bytes that wait for the disk, the limit is ",
                                    options_.max_pending_bytes));
  }
  const Appended appended{.sequence = entry.sequence, .hash = ChainHash(head_, body)};
  if (pending_.empty()) pending_first_ = entry.sequence;
  pending_ += EncodeFrame(body, appended.hash);
  ++next_sequence_;
  head_ = appended.hash;
  if (urgent) urgent_ = true;
  *generation = generation_;
  changed_.notify_all();
  metrics_.GetCounter(telemetry::kLedgerEntries, {KindName(entry.kind)}).Add();
  return appended;
}

Result<Appended> Ledger::Append(Entry entry) {
  uint64_t generation = 0;
  ASSIGN_OR_RETURN(const Appended appended,
                   Enqueue(std::move(entry), /*urgent=*/true, &generation));
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait(lock, [&] {
    return durable_.next_sequence > appended.sequence || generation_ != generation;
  });
  if (generation_ != generation) return error_;
  return appended;
}

Result<Appended> Ledger::AppendLater(Entry entry) {
  uint64_t generation = 0;
  return Enqueue(std::move(entry), /*urgent=*/false, &generation);
}

Status Ledger::Flush() {
  std::unique_lock<std::mutex> lock(mu_);
  const uint64_t target = next_sequence_;
  const uint64_t generation = generation_;
  urgent_ = true;
  changed_.notify_all();
  changed_.wait(lock,
                [&] { return durable_.next_sequence >= target || generation_ != generation; });
  return generation_ == generation ? OkStatus() : error_;
}

void Ledger::WriterLoop() {
  SetThreadName("ledger");
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
    if (pending_.empty()) return;
    changed_.wait_for(lock, options_.linger, [this] { return stopping_ || urgent_; });
    std::string batch = std::exchange(pending_, {});
    const uint64_t first = pending_first_;
    const Durable after{.next_sequence = next_sequence_, .head = head_, .segment_bytes = 0};
    urgent_ = false;
    lock.unlock();
    const Status written = WriteBatch(batch, first);
    lock.lock();
    if (written.ok()) {
      durable_.next_sequence = after.next_sequence;
      durable_.head = after.head;
      durable_.segment_bytes += batch.size();
    } else {
      // Everything behind the failed write chains to it and fails with it.
      Log(Level::error, "ledger_append_failed", {{"error", written.ToString()}});
      next_sequence_ = durable_.next_sequence;
      head_ = durable_.head;
      pending_.clear();
      file_.reset();  // EnsureOpen cuts off what may have been written
      ++generation_;
      error_ = written;
    }
    changed_.notify_all();
  }
}

Status Ledger::WriteBatch(const std::string& batch, uint64_t first_sequence) {
  const Stopwatch stopwatch(clock_);
  RETURN_IF_ERROR(EnsureOpen(first_sequence));
  RETURN_IF_ERROR(file_->Append(batch));
  RETURN_IF_ERROR(file_->Sync());
  sync_seconds_.Observe(stopwatch.Seconds());
  return OkStatus();
}

Status Ledger::EnsureOpen(uint64_t first_sequence) {
  Durable durable;
  std::optional<Segment> last;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    durable = durable_;
    if (!segments_.empty()) last = segments_.back();
  }
  const bool fresh = !last || durable.segment_bytes >= options_.segment_bytes;
  if (!fresh) {
    if (file_ != nullptr) return OkStatus();
    RETURN_IF_ERROR(files_.Truncate(last->path, durable.segment_bytes));
    ASSIGN_OR_RETURN(file_, files_.OpenAppend(last->path));
    return OkStatus();
  }
  Segment segment{.first_sequence = first_sequence,
                  .created_unix_nanos = clock_.UnixNanos(),
                  .path = JoinPath(options_.directory, SegmentName(first_sequence)),
                  .name = SegmentName(first_sequence)};
  // Written whole before it gets its name, so that a segment always has a header.
  RETURN_IF_ERROR(files_.WriteAtomically(
      segment.path, EncodeSegmentHeader({.first_sequence = first_sequence,
                                         .created_unix_nanos = segment.created_unix_nanos,
                                         .previous_hash = durable.head})));
  ASSIGN_OR_RETURN(file_, files_.OpenAppend(segment.path));
  const std::lock_guard<std::mutex> lock(mu_);
  segments_.push_back(std::move(segment));
  durable_.segment_bytes = kSegmentHeaderBytes;
  return OkStatus();
}

Ledger::SegmentList Ledger::Segments() {
  const std::lock_guard<std::mutex> lock(mu_);
  return {.segments = segments_, .last_bytes = durable_.segment_bytes};
}

Result<std::string> Ledger::ReadSegment(const SegmentList& list, size_t index) {
  ASSIGN_OR_RETURN(std::string file, files_.Read(list.segments[index].path));
  // What lies behind the durable end may be half written.
  if (index + 1 == list.segments.size() && file.size() > list.last_bytes)
    file.resize(list.last_bytes);
  return file;
}

Result<Page> Ledger::Query(const Filter& filter, uint64_t from, size_t limit,
                           const Cancellation& cancellation) {
  Page page;
  const SegmentList list = Segments();
  for (size_t i = 0; i < list.segments.size(); ++i) {
    // A segment is passed over if the next one already begins before the range.
    if (i + 1 < list.segments.size()) {
      const Segment& next = list.segments[i + 1];
      if (next.first_sequence <= from) continue;
      if (next.created_unix_nanos != 0 && next.created_unix_nanos <= filter.since_unix_nanos)
        continue;
    }
    RETURN_IF_ERROR(cancellation.Check());
    ASSIGN_OR_RETURN(const std::string file, ReadSegment(list, i));
    const Result<SegmentHeader> header = DecodeSegmentHeader(file);
    Sha256Digest previous = header.ok() ? header->previous_hash : Sha256Digest();
    uint64_t offset = std::min<uint64_t>(kSegmentHeaderBytes, file.size());
    while (offset < file.size()) {
      const Result<Frame> frame = ReadFrame(file, offset, previous);
      if (!frame.ok()) {
        const std::optional<uint64_t> next =
            FindFrame(file, offset + 1, list.segments[i].first_sequence);
        if (!next) break;
        offset = *next;
        previous = HashBefore(file, offset);
        continue;
      }
      offset += frame->size;
      previous = frame->entry.hash;
      if (frame->entry.sequence < from || !filter.Matches(frame->entry)) continue;
      if (page.entries.size() == limit) {
        page.next_sequence = frame->entry.sequence;
        return page;
      }
      page.entries.push_back(frame->entry);
    }
  }
  return page;
}

Result<VerifyReport> Ledger::Verify(const Cancellation& cancellation) {
  RETURN_IF_ERROR(Flush());
  const SegmentList list = Segments();
  VerifyReport report;
  for (size_t i = 0; i < list.segments.size(); ++i) {
    RETURN_IF_ERROR(cancellation.Check());
    const Segment& segment = list.segments[i];
    ASSIGN_OR_RETURN(const std::string file, ReadSegment(list, i));
    const auto broken = [&](uint64_t offset, std::string reason) {
      report.intact = false;
      report.broken_sequence = report.entries;
      report.broken_segment = segment.name;
      report.broken_offset = offset;
      report.reason = std::move(reason);
      return report;
    };
    const Result<SegmentHeader> header = DecodeSegmentHeader(file);
    if (!header.ok()) return broken(0, header.status().message());
    if (header->first_sequence != report.entries || segment.first_sequence != report.entries) {
      return broken(0, StrCat("segment begins with entry ", header->first_sequence, ", expected ",
                              report.entries));
    }
    if (header->previous_hash != report.head)
      return broken(0, "segment does not follow the one before");
    uint64_t offset = kSegmentHeaderBytes;
    while (offset < file.size()) {
      const Result<Frame> frame = ReadFrame(file, offset, report.head);
      if (!frame.ok()) return broken(offset, frame.status().message());
      if (frame->entry.sequence != report.entries) {
        return broken(offset, StrCat("entry has sequence ", frame->entry.sequence, ", expected ",
                                     report.entries));
      }
      offset += frame->size;
      report.head = frame->entry.hash;
      ++report.entries;
    }
  }
  return report;
}

}  // namespace megalith::ledger
