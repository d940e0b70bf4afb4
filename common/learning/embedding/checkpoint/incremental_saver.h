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
  // A delta or nothing. Servers of one checkpoint save all the same: whoever has them save asks all
  // for a delta, and where one cannot, has all of them SaveWhole under the same step; the deltas of
  // the others are then of no use and go with their base.
  // Errors: kFailedPrecondition  the next save must be a whole one; says why.
  Result<SaveReport> SaveDelta(const SaveOptions& options);
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
  Status CheckStep(const SaveOptions& options) const;
  // Why the next one is a whole one, if it is.
  Status CheckDelta(const SaveOptions& options) const;
  void FollowCompaction(const SaveOptions& options);

  TableSet& set_;
  ChangeLog& changes_;
  const Options options_;
  std::mutex mu_;
  std::optional<Last> last_;  // guarded by mu_
};

}  // namespace megalith::embedding
