// Append-only evidence: what a service decided, on what grounds, by which policy. Each entry's hash
// covers the one before, so that nothing can be changed or removed in the middle without Verify
// telling where.
//
// Format: docs/formats/ledger.md. One directory belongs to one process at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/fleet/ledger/entry.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_lock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::ledger {

struct LedgerOptions {
  std::string directory;
  std::string service;                   // goes into every entry that names none
  uint64_t segment_bytes = 4ull << 20;   // a new file is begun beyond this
  std::chrono::milliseconds linger{20};  // how long AppendLater may wait for company
  uint64_t max_pending_bytes = 16ull << 20;
};

// All given conditions must hold.
struct Filter {
  Kind kind = Kind::kAny;
  std::string service;
  std::string trace_id;
  std::string key;
  int64_t since_unix_nanos = INT64_MIN;  // at or after
  int64_t until_unix_nanos = INT64_MAX;  // before
  bool Matches(const Entry& entry) const;
};

struct Page {
  std::vector<Entry> entries;             // oldest first
  std::optional<uint64_t> next_sequence;  // where the next page begins; none = there is no more
};

struct VerifyReport {
  bool intact = true;
  uint64_t entries = 0;  // read and found right, up to the first problem
  Sha256Digest head;     // hash of the last of them
  // Only if not intact: the first entry that is not as it was written.
  uint64_t broken_sequence = 0;
  std::string broken_segment;
  uint64_t broken_offset = 0;
  std::string reason;
};

struct Appended {
  uint64_t sequence = 0;
  Sha256Digest hash;
};

// What Open found and did.
struct RecoveryReport {
  uint64_t entries = 0;          // next sequence number
  uint64_t truncated_bytes = 0;  // of a torn tail, which a crash in the middle of a write leaves
  bool damaged = false;          // the newest segment has damage in its middle; Verify tells where
};

// Thread-safe.
class Ledger {
 public:
  // Recovers from a crash: a torn tail is cut off, and an entry of kind repair says so. Damage in
  // the middle is kept as it is, for Verify to report. `files`, `clock` and `metrics` must outlive
  // the ledger. Errors: kFailedPrecondition  another process uses the directory; those of the file
  // system.
  static Result<std::unique_ptr<Ledger>> Open(const LedgerOptions& options,
                                              telemetry::MetricRegistry& metrics,
                                              FileSystem& files = RealFileSystem(),
                                              const Clock& clock = RealClock());
  // Writes what is pending.
  ~Ledger();

  // Adds an entry and returns once it is on the device. Concurrent callers share one write and one
  // sync. Errors: kInvalidArgument  the entry has kind kAny or more than kMaxEntryBytes; those of
  // the file system, after
  //   which the entry is not in the ledger.
  Result<Appended> Append(Entry entry);

  // The same without waiting: a crash within `linger` may lose the entry. Costs a hash and a copy;
  // never blocks on the device. Errors: kInvalidArgument; kResourceExhausted  the device does not
  // keep up (max_pending_bytes).
  Result<Appended> AppendLater(Entry entry);

  // Returns once everything added before is on the device.
  Status Flush();

  // At most `limit` matching entries with sequence >= `from`. Entries that are damaged are passed
  // over. Errors: kCancelled, kDeadlineExceeded; those of the file system.
  Result<Page> Query(const Filter& filter, uint64_t from, size_t limit,
                     const Cancellation& cancellation);

  // Reads all segments and checks every hash, after a Flush. A broken chain is a report, not an
  // error.
  Result<VerifyReport> Verify(const Cancellation& cancellation);

  const RecoveryReport& recovery() const { return recovery_; }
  const std::string& service() const { return options_.service; }

 private:
  struct Segment {
    uint64_t first_sequence = 0;
    int64_t created_unix_nanos = 0;
    std::string path;
    std::string name;
  };
  // What has reached the device.
  struct Durable {
    uint64_t next_sequence = 0;
    Sha256Digest head;
    uint64_t segment_bytes = 0;  // of the newest segment
  };

  Ledger(const LedgerOptions& options, telemetry::MetricRegistry& metrics, FileSystem& files,
         const Clock& clock);
  Status Recover();
  Status RecoverSegment(const Segment& segment, const std::string& file, uint64_t header_bytes);
  void RecordRecovery();
  Result<Appended> Enqueue(Entry entry, bool urgent, uint64_t* generation);
  void WriterLoop();
  Status WriteBatch(const std::string& batch, uint64_t first_sequence);
  Status EnsureOpen(uint64_t first_sequence);
  struct SegmentList {
    std::vector<Segment> segments;
    uint64_t last_bytes = 0;  // durable bytes of the last one
  };
  SegmentList Segments();
  Result<std::string> ReadSegment(const SegmentList& list, size_t index);

  const LedgerOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  telemetry::MetricRegistry& metrics_;
  telemetry::Histogram& sync_seconds_;
  std::unique_ptr<DirectoryLock> lock_;
  RecoveryReport recovery_;

  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<Segment> segments_;  // guarded by mu_
  uint64_t next_sequence_ = 0;     // guarded by mu_; of the next entry
  Sha256Digest head_;              // guarded by mu_; hash of the entry before
  std::string pending_;            // guarded by mu_; frames that wait for the writer
  uint64_t pending_first_ = 0;     // guarded by mu_
  bool urgent_ = false;            // guarded by mu_; somebody waits for the device
  Durable durable_;                // guarded by mu_
  uint64_t generation_ = 0;        // guarded by mu_; counts failed writes
  Status error_;                   // guarded by mu_; of the last failed write
  bool stopping_ = false;          // guarded by mu_

  std::unique_ptr<AppendFile> file_;  // of the writer thread
  std::thread writer_;
};

}  // namespace megalith::ledger
