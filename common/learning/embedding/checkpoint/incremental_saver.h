// Incremental checkpoints: a whole one now and then, and between them deltas of what changed. For
// operators: docs/checkpoints.md.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/change_log.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"

namespace megalith::embedding {

// Thread-safe; one save at a time. After a start the first save is a whole one.
class IncrementalSaver {
 public:
  struct Options {
    uint32_t max_deltas = 24;  // on one base; then the next save is a whole one
    // A delta with more than this share of all rows is not worth it: a whole one is saved.
    double max_changed_share = 0.5;
  };
  // `set` and `changes`, which must hear of all changes of the set, must outlive it.
  IncrementalSaver(TableSet& set, ChangeLog& changes, Options options)
      : set_(set), changes_(changes), options_(options) {}

  // Saves a delta if the last save was this saver's, of the same place and directory, all changes
  // since are known and few enough, and its files are there; a whole checkpoint otherwise.
  // SaveReport::delta says which. After an error the next save has the same changes. Errors: those
  // of SaveTables; kInvalidArgument  the step is not above the last one.
  Result<SaveReport> Save(const SaveOptions& options);
  // Whether Save would save a whole one now. Servers of one checkpoint save all the same: whoever
  // asks them to save asks this of all first, and where one says yes, has all of them SaveWhole.
  bool NextIsWhole(const SaveOptions& options);
  // A whole checkpoint in any case.
  Result<SaveReport> SaveWhole(const SaveOptions& options);

 private:
  // The last save that came to its end.
  struct Last {
    std::string directory;
    Placement placement;
    TableLayout layout = TableLayout::kNative;
    int64_t base_step = 0;
    int64_t step = 0;
    uint32_t deltas = 0;
    Sha256Digest manifest;
  };
  Result<SaveReport> Whole(const SaveOptions& options);
  Result<SaveReport> Delta(const SaveOptions& options);
  bool DeltaIsPossible(const SaveOptions& options) const;
  void FollowCompaction(const SaveOptions& options);

  TableSet& set_;
  ChangeLog& changes_;
  const Options options_;
  std::mutex mu_;
  std::optional<Last> last_;  // guarded by mu_
};

}  // namespace megalith::embedding
