// What saving whole checkpoints and saving deltas have in common; of no use to anybody else.
#pragma once

#include <functional>
#include <memory>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/manifest.h"
#include "common/learning/embedding/checkpoint/part_writer.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::embedding {

// The moment of a save.
struct Moment {
  std::unique_ptr<TableSet::Snapshot> snapshot;
  Attachments attachments;
  int64_t unix_nanos = 0;
};
// `also` runs at the moment, too.
Result<Moment> TakeMoment(TableSet& set, const SaveOptions& options,
                          const std::function<void()>& also = {});

// Writes the set's filter as it was at the moment, and ends the filter's part of it: first of all,
// since what changes meanwhile is kept twice. Returns how many cells were cut (FilterSaveReport).
// Errors: those of SaveFilter.
Result<uint64_t> SaveFilterOfMoment(TableSet& set, Moment& moment, PartWriter& part, Rng& rng);

// All that is known of the part before a row is written.
Manifest ManifestOf(const Moment& moment, const SaveOptions& options);

}  // namespace megalith::embedding
