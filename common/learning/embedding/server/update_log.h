// A log of updates on the device: what was acknowledged is there after a crash, in the order in
// which it was applied. Bytes: docs/formats/table-log.md.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_lock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

// Records are numbered from 1, without gaps. Append only takes a record into memory; who must know
// that it is durable waits for it, and one write to the device serves all who wait.
//
// Threads: every method may be called concurrently. Cost of Append: one copy of the record; of
// Wait: a part of one fsync.
class UpdateLog {
 public:
  // One write to the device.
  struct Commit {
    double seconds = 0;
    uint64_t bytes = 0;
    uint64_t records = 0;
  };
  struct Options {
    std::string directory;                 // made if it is missing; one process at a time uses it
    uint64_t segment_bytes = 64ull << 20;  // a file that is longer is followed by a new one
    uint64_t max_pending_bytes = 256ull << 20;  // of records that are not on the device yet
    // Records up to this number are in a checkpoint and are not replayed.
    uint64_t checkpointed = 0;
    // The identity() of the log that `checkpointed` counts in. Empty: the state to go on from has
    // no part of a log, and is called `begins_at`; a log with records must have begun there.
    std::string identity;
    std::string begins_at;
    std::function<void(const Commit&)> on_commit;  // may be empty
  };
  // What Open found.
  struct Opened {
    uint64_t segments = 0;
    uint64_t replayed = 0;
    uint64_t skipped = 0;  // records that the checkpoint has
    // Bytes after the last whole group, from a write that a crash cut short; they were dropped.
    uint64_t torn_bytes = 0;
    std::string torn_file;
  };

  // Reads what is there, hands every record to `replay` in order, then is ready to append.
  // Errors: kFailedPrecondition  the records do not go on from the state to go on from, or another
  //         process has the directory; kDataLoss  a damaged group that is not the end, a gap
  //         between files or before the first record asked for, naming file and offset; those of
  //         the file system and of `replay`.
  static Result<std::unique_ptr<UpdateLog>> Open(
      Options options, FileSystem& files,
      const std::function<Status(uint64_t number, std::string_view record)>& replay,
      Opened* opened);
  ~UpdateLog();

  // Whether a record would be taken: asked before the update is applied. After a failed write this
  // tries again to write what is pending.
  // Errors: those of the file system; kResourceExhausted  too much is pending.
  Status Ready();

  // Returns the record's number. Never fails: what cannot be written stays pending.
  uint64_t Append(std::string_view record);

  // Returns once the record is on the device.
  // Errors: those of the file system: the record is kept and written by a later Wait or Ready, so
  //         that asking again is what there is to do.
  Status Wait(uint64_t number);

  // Tells this log from others, for as long as it goes on; at most 64 bytes of text.
  const std::string& identity() const { return identity_; }

  // Of the latest record; 0: none.
  uint64_t last() const;
  uint64_t durable() const;

  // Removes files whose records are all at most `number`: they are in a durable checkpoint.
  Status Truncate(uint64_t number);

 private:
  struct Segment {
    std::string path;
    uint64_t first = 0;
  };
  struct Group {
    uint64_t first = 0;
    uint64_t records = 0;
    std::string bytes;
  };

  UpdateLog(Options options, FileSystem& files) : options_(std::move(options)), files_(files) {}
  Status FindSegments();
  Status Identify();
  Status ReadSegments(const std::function<Status(uint64_t, std::string_view)>& replay,
                      Opened* opened);
  Status ReadSegment(const Segment& segment, bool last,
                     const std::function<Status(uint64_t, std::string_view)>& replay,
                     Opened* opened);
  Status ReadGroup(std::string_view payload, uint64_t first, uint64_t records,
                   const std::function<Status(uint64_t, std::string_view)>& replay, Opened* opened);
  Status StartSegment(uint64_t first);
  Status WriteGroup(const Group& group);
  // Writes what is pending; `lock` is let go meanwhile. Requires that nobody else writes.
  Status WritePending(std::unique_lock<std::mutex>& lock);

  const Options options_;
  FileSystem& files_;
  std::unique_ptr<DirectoryLock> directory_lock_;
  std::string identity_;

  mutable std::mutex mu_;
  std::condition_variable written_;
  Group pending_;                     // guarded by mu_
  Group writing_;                     // of the writer; kept until it is durable
  bool busy_ = false;                 // guarded by mu_: somebody writes
  Status broken_;                     // guarded by mu_: why the latest write failed
  uint64_t last_ = 0;                 // guarded by mu_
  uint64_t durable_ = 0;              // guarded by mu_
  std::deque<Segment> segments_;      // guarded by mu_
  std::unique_ptr<AppendFile> file_;  // of the writer
  uint64_t file_bytes_ = 0;           // of the writer: what is durable of it
};

}  // namespace megalith::embedding
