// Which checkpoint to start from and which to drop (checkpoint-format.md sections 1 and 6).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/state.h"

namespace megalith::embedding {

struct CheckpointChoice {
  std::string prefix;  // "<model_dir>/model.ckpt-<step>"
  int64_t step = 0;
  // Found by its asset directory alone: there are tables, but no dense variables.
  bool sparse_only = false;
  friend bool operator==(const CheckpointChoice&, const CheckpointChoice&) = default;
};

// The checkpoints of a model's directory in the order in which to try them: the newest that the
// file `checkpoint` names, then the others it lists, newest first; those without files are left
// out. Without that file, the one asset directory there is. Empty: start empty.
// Errors: kFailedPrecondition  no file `checkpoint`, but several asset directories; names them;
//         those of reading the file `checkpoint`.
Result<std::vector<CheckpointChoice>> ChooseCheckpoints(FileSystem& files,
                                                        const std::string& directory);

struct RetentionRules {
  size_t keep = 10;  // newest checkpoints; exempt ones do not count
  double keep_one_every =
      86'400;  // seconds; of those beyond, one for each such time stays for good
};

struct RetentionDecision {
  CheckpointList kept;                 // to be written as the new list
  std::vector<std::string> remove;     // prefixes, oldest first
  std::vector<std::string> preserved;  // prefixes that leave the list, but stay on disk for good
};

// What to do after `prefix` was saved at `now` (unix seconds): it becomes the newest, and lists
// longer than the rules allow lose their oldest. Checkpoints are compared with `exempt` by base
// name; exempt ones stay in the list. Pure.
RetentionDecision Retain(const CheckpointList& list, const std::string& prefix, double now,
                         const std::vector<std::string>& exempt, const RetentionRules& rules);

// Removes everything of a checkpoint, "<prefix>.*", directories with what they hold. What is gone
// already is no error. Write the list without it first: what is listed must be there.
Status RemoveCheckpoint(FileSystem& files, const std::string& prefix);

// Splits a list of exports into those whose checkpoints still are and those to remove.
struct ExportDecision {
  ExportList kept;
  std::vector<std::string> remove;  // directories
};
ExportDecision RetainExports(const ExportList& exports, const std::set<int64_t>& checkpoint_steps);

}  // namespace megalith::embedding
