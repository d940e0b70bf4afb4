// All that one server of tables keeps: tables, dense variables, the marks of applied updates and
// the log, with the one path that every change takes, saves and restores.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/change_log.h"
#include "common/learning/embedding/checkpoint/incremental_saver.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/server/applied_sequences.h"
#include "common/learning/embedding/server/dense_store.h"
#include "common/learning/embedding/server/update_log.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::embedding {

// A change is applied, marked as applied and taken into the log in one step that no snapshot cuts,
// and answered when the log has it. With a log, changes of one table are applied one after the
// other, in the log's order, so that a replay ends with the same rows; what can be done before is
// done side by side. (Changes of several tables that follow each other from table to table were
// tried: the waiting at every table cost more than two processors won.) Without a log all run side
// by side. A restore takes its place in the log like any other change.
//
// Threads: every method may be called concurrently, but Open first and alone.
class TableStore {
 public:
  struct Options {
    TableSet::Options tables;  // its observer may be null, or outlives the store
    DenseStore::Options dense;
    AppliedSequences::Options updates;
    std::string log_directory;  // empty: changes live in memory only
    uint64_t log_segment_bytes = 64ull << 20;
    std::function<void(const UpdateLog::Commit&)> on_log_commit;  // may be empty
    std::string checkpoint_directory;                             // empty: there are none
    Placement placement;
    RetentionRules retention;
    // Rows that change between two saves and are kept track of, 22 bytes each; 0: no deltas.
    uint64_t max_changed_rows = 0;
    IncrementalSaver::Options deltas;
    FileSystem* files = &RealFileSystem();
    const Clock* clock = &RealClock();
  };

  // Hears of saves and of whole restores, that of the start included. To be set before the first
  // call after Open.
  struct Listener {
    std::function<void()> at_moment;  // of a save, with no write going on
    // Once for each at_moment: the step if this server's part is saved, else nothing.
    std::function<void(std::optional<int64_t> step)> saved;
    std::function<void(int64_t step)> restored;
  };

  // Errors: those of TableSet::Make.
  static Result<std::unique_ptr<TableStore>> Make(Options options);
  ~TableStore();

  struct OpenReport {
    RestoreReport restored;
    UpdateLog::Opened log;
    double log_seconds = 0;
  };
  // Restores the newest checkpoint, then opens the log and has `replay` make those changes again
  // that the checkpoint does not have: it hands each to MakeAgain. Errors: those of RestoreTables,
  // of UpdateLog::Open and of `replay`.
  Result<OpenReport> Open(const std::function<Status(std::string_view record)>& replay);
  void Listen(Listener listener);

  // --- changes ---

  struct Change {
    // Who asks, and which of his changes it is; an empty client: it has no id.
    std::string client;
    uint64_t sequence = 0;
    std::vector<std::string_view> tables;  // or variables that it changes
    bool catalog = false;                  // it changes which tables there are
    // The record's bytes, whose first is not kOwnRecord; asked with a log only.
    std::function<Result<std::string>()> record;
    // Either all at once, all or nothing,
    std::function<Status()> run;
    // or in parts, part i of tables[i]: `prepare` does what needs no lock, `check` tells all that
    // can fail, quickly, with the tables as they stay until the last part is done.
    std::function<Status()> prepare;
    std::function<Status()> check;
    std::function<void(size_t i)> part;
  };
  // Records of the store itself begin with this byte (persistent: never change).
  static constexpr char kOwnRecord = 14;

  // Returns true, or false if the change had been made before and nothing has changed now.
  // Errors: those of `run` and `record`, of AppliedSequences::Begin, and of the log: then whether
  // the change was made is known after a repetition with the same id.
  Result<bool> Make(const Change& change, const Cancellation& cancellation);
  // For `replay` of Open: without log and without a look at the marks.
  Status MakeAgain(const Change& change);

  // --- checkpoints ---

  enum class SaveMode : uint8_t {
    kWhole,
    kDelta,   // or an error that says why the next one must be a whole one
    kEither,  // a delta if that is possible; for one server only
  };
  struct SaveRequest {
    int64_t step = 0;
    SaveMode mode = SaveMode::kWhole;
    std::optional<durability::SidecarOptions> sidecar;
  };
  // Saves everything as it is at one moment, while changes go on. Once a restore would take it,
  // files of the log are dropped up to the end of the chain before: if the newest chain is found
  // damaged one day, the one before it and the log still hold every change. Errors: those of
  // SaveTables and IncrementalSaver; kFailedPrecondition  there is no directory, or another save or
  // restore is under way.
  struct Saved {
    SaveReport report;
    Status log_cut;  // why files of the log that are not needed any more are still there
  };
  Result<Saved> Save(const SaveRequest& request, const Cancellation& cancellation);

  struct RestoreRequest {
    std::optional<int64_t> step;  // nothing: the newest that is whole
    bool merge = false;
    std::vector<std::string> tables;
    std::vector<uint32_t> slots;
  };
  // All or nothing, at one moment for rows, filter, variables and marks: those other than rows are
  // restored with all tables and slots and without `merge` only. With a log it is a record like any
  // other change: after a crash the server has either the state before or the one after. The
  // checkpoint is needed until the next one is saved. Merging keeps changes of a server with a log
  // waiting.
  // Errors: those of RestoreTables; kFailedPrecondition  as Save, or variables that are divided
  // otherwise; those of the log.
  Result<RestoreReport> Restore(const RestoreRequest& request, const Cancellation& cancellation);

  TableSet& tables() { return *tables_; }
  DenseStore& dense() { return dense_; }
  bool logs() const { return log_ != nullptr; }

 private:
  // Held by a change that goes into the log, so that the log's order is the order of application.
  class Order {
   public:
    Order(TableStore& store, std::span<const std::string_view> tables, bool all);

   private:
    std::vector<std::unique_lock<std::mutex>> locks_;
  };
  class Observers;

  // Everything but rows, ready to be put in place.
  struct Prepared {
    std::vector<std::function<void()>> replace;
    std::optional<uint64_t> log_number;
    std::string log_identity;
  };
  // A saved moment and the last record of the log that it has.
  struct SavedMoment {
    CheckpointHead at;
    uint64_t log_number = 0;
  };

  explicit TableStore(Options options);
  // Applies and marks it, in the step that no snapshot cuts; `applied` runs at its end. False: the
  // mark has come meanwhile.
  Result<bool> ApplyAndMark(const Change& change, AppliedSequences::Ticket& ticket,
                            const std::function<void()>& applied);
  static Status RunAll(const Change& change);
  Result<RestoreReport> RestoreAtStart(UpdateLog::Options* log);
  Result<Prepared> Prepare(const RestoreReport& report);
  RestoreOptions RestoreOptionsOf(const RestoreRequest& request) const;
  Attachments Capture(uint64_t* log_number);
  Status RestoreAgain(std::string_view record);
  Status CutLog();

  const Options options_;
  std::unique_ptr<ChangeLog> changes_;
  std::unique_ptr<Observers> observers_;
  std::unique_ptr<TableSet> tables_;
  DenseStore dense_;
  AppliedSequences applied_;
  std::unique_ptr<IncrementalSaver> saver_;
  Listener listener_;
  std::optional<int64_t> restored_step_;  // at the start
  std::mutex saving_;                     // held by the one save or restore
  std::deque<SavedMoment> saved_;         // guarded by saving_; oldest first

  static constexpr size_t kOrders = 64;
  std::array<std::mutex, kOrders> orders_;
  std::unique_ptr<UpdateLog> log_;
};

}  // namespace megalith::embedding
