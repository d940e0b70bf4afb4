// Whole checkpoints of a set of tables: saved at one moment while writers go on, restored all or
// nothing. Files are Monolith's, with a manifest of ours beside them (docs/formats/tables.md); for
// operators: docs/checkpoints.md. Source: checkpoint-format.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/durability/sidecar.h"
#include "common/learning/embedding/checkpoint/attachments.h"
#include "common/learning/embedding/checkpoint/entry_files.h"
#include "common/learning/embedding/checkpoint/retention.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::embedding {

// Which part of the rows a server has: those with fid mod `servers` = `server`.
struct Placement {
  std::optional<uint32_t> server;  // nothing: no parameter servers, names without a number
  uint32_t servers = 1;
};
// Errors: kInvalidArgument  server not below servers, or servers without a server.
Status CheckPlacement(const Placement& placement);

// Half of the machine's processors less the one that calls, at most 7.
uint32_t ThreadsBesideWriters();

struct SaveProgress {
  uint64_t rows = 0;
  uint64_t rows_total = 0;
  uint64_t bytes = 0;  // written
};

struct SaveOptions {
  std::string directory;  // of the model
  int64_t step = 0;
  Placement placement;
  TableLayout layout = TableLayout::kNative;
  std::optional<uint32_t> shards;  // files of each table; nothing: by rows, as Monolith does
  // That encode and write besides the caller's, which reads; at most one for each shard. Half of
  // the processors are left to writers, unless the caller says otherwise.
  uint32_t threads = ThreadsBesideWriters();
  // Rows that have expired stay out of the files (section 4.2) and in memory.
  bool leave_out_expired = true;
  std::optional<durability::SidecarOptions> sidecar;  // RaptorQ symbols to repair files from
  RetentionRules retention;
  // Runs at the moment of the snapshot, with no write going on in the set; must be short.
  std::function<Attachments()> capture;
  std::function<void(const SaveProgress&)> progress;  // from the calling thread
  const Cancellation* cancellation = nullptr;
  FileSystem* files = &RealFileSystem();
  const Clock* clock = &RealClock();
};

struct SaveReport {
  std::string prefix;
  int64_t base_step = 0;  // of the whole checkpoint that a delta is based on
  int64_t step = 0;
  // Whether a restore would now take it: all servers' parts are there, of a delta those of the
  // chain before it, too, and the file `checkpoint` names its base. The last server to finish
  // publishes.
  bool published = false;
  bool delta = false;
  uint64_t rows = 0;
  uint64_t tombstones = 0;    // of a delta: rows that are gone
  uint64_t expired_rows = 0;  // left out
  uint64_t bytes = 0;
  uint64_t filter_cells_cut = 0;     // see FilterSaveReport
  std::vector<std::string> removed;  // checkpoints that retention dropped
  Sha256Digest manifest;
};

// Saves all tables of the set as one server's part of the checkpoint of `step`. Memory: rows that
// change meanwhile and have not been written yet are kept twice. After an error nothing of it is
// left and the previous checkpoint is the current one. Errors:
//   kInvalidArgument     options, or two tables whose names give the same file name;
//   kAlreadyExists       this step is saved and published;
//   kFailedPrecondition  another snapshot of the set is not finished;
//   kResourceExhausted   the disk is full; kCancelled, kDeadlineExceeded; those of the file system.
Result<SaveReport> SaveTables(TableSet& set, const SaveOptions& options);

// Names the checkpoint in `checkpoint` and `monolith_checkpoint` and drops old ones, if the parts
// of all servers are there. What SaveTables does at its end; for parts copied from elsewhere.
// Errors: kDataLoss  a manifest is damaged; kUnavailable  the directory is locked; those of files.
struct PublishReport {
  bool published = false;
  std::vector<std::string> removed;
};
Result<PublishReport> PublishCheckpoint(FileSystem& files, const Clock& clock,
                                        const std::string& directory, int64_t step,
                                        const RetentionRules& retention);

// A checkpoint that the file `checkpoint` lists, and the last of its deltas of which, and of those
// before it, the parts of all servers are there.
struct CheckpointHead {
  int64_t base_step = 0;
  int64_t step = 0;
};
// Those that a restore without a wish would take, at most `at_most`: the newest first, then what it
// would fall back to. Looks at manifests, not at rows; of those behind the newest leaves out what
// is damaged. Errors: kDataLoss  a manifest of the newest is damaged or a part is missing; those of
// the file system.
Result<std::vector<CheckpointHead>> FindHeads(FileSystem& files, const std::string& directory,
                                              size_t at_most);

// "<directory>/model.ckpt-<step>".
std::string CheckpointPrefix(const std::string& directory, int64_t step);

enum class RestoreMode {
  kReplace,  // tables hold what the checkpoint holds and nothing else
  kMerge,    // rows of the checkpoint overwrite those of the same fid; others stay
};

struct RestoreOptions {
  std::string directory;  // of the model
  std::string prefix;     // of a checkpoint; empty: the newest that is whole
  Placement placement;    // of the server that restores
  RestoreMode mode = RestoreMode::kReplace;
  std::vector<std::string> tables;  // empty: all
  std::vector<uint32_t> slots;      // v2; empty: all. Rows of other slots are not loaded
  // Names under which a table may be found where its own is not (embedding-tables.md section 7),
  // without the number of a server: see MergedTableBases.
  std::map<std::string, std::vector<std::string>> other_names;
  // Tables that the set lacks are made, if the checkpoint has their configuration (ours do).
  bool create_missing = true;
  // Rows expired at `now` (nothing: the table's newest update time) are dropped.
  bool drop_expired = false;
  std::optional<int64_t> now;
  bool filter = true;            // restore the hash filter, where that is possible
  bool deltas = true;            // apply those that follow the base
  std::optional<int64_t> until;  // of those, the ones up to this step, which must be there
  bool fall_back = true;         // to older checkpoints, if the newest is damaged
  bool repair = true;            // from sidecars, in place
  uint32_t threads = 4;
  std::function<void(uint64_t rows)> progress;  // from any thread
  // Runs once everything is read and checked and nothing has changed; its error is the restore's,
  // and kDataLoss sends it on to an older checkpoint.
  std::function<Status(const struct RestoreReport& report)> before_change;
  // Runs at the moment at which tables change places (merged rows are there already), with no write
  // going on in the set; must be short.
  std::function<void()> at_moment;
  const Cancellation* cancellation = nullptr;
  FileSystem* files = &RealFileSystem();
};

struct RestoreReport {
  bool found = false;  // false: there is no checkpoint; nothing has changed
  std::string prefix;
  int64_t base_step = 0;
  int64_t step = 0;  // of the last delta, or the base
  uint32_t deltas = 0;
  uint32_t servers = 1;       // that wrote it
  uint64_t rows = 0;          // loaded; a row of several deltas counts several times
  uint64_t skipped_rows = 0;  // of other servers and slots, or zero rows
  uint64_t expired_rows = 0;
  std::vector<std::string> tables;   // restored
  std::vector<std::string> missing;  // of the set and not in the files; stay as they are
  std::vector<std::string> unknown;  // in the files and not wanted or without a configuration
  bool filter = false;
  // What a person should know, a sentence each: checkpoints that were passed over, files that were
  // repaired, deltas that were not applied, why the filter starts empty.
  std::vector<std::string> notes;
  // By server that wrote them, of the last delta or the base.
  std::map<uint32_t, Attachments> attachments;
};

// Restores tables from the newest checkpoint that is whole. New content is built aside and checked
// before it takes the tables' places, all at one moment; it needs their memory once more. Merging
// writes rows to the live tables one batch after the other, but only once all is checked. Errors
// leave all tables as they were:
//   kFailedPrecondition  rows do not fit a table's configuration; names file, offset, table,
//                        segment and id. Several checkpoints and no file that says which;
//   kNotFound            `prefix`, or a table of `tables`, is not there;
//   kDataLoss            no checkpoint is whole; says for each where it is damaged;
//   kResourceExhausted   a table's max_bytes has no room (when merging, rows before it are merged);
//   kCancelled, kDeadlineExceeded; those of the file system.
Result<RestoreReport> RestoreTables(TableSet& set, const RestoreOptions& options);

}  // namespace megalith::embedding
