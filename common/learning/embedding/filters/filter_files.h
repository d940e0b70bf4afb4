// Dumps of hash filters: one record file for each split, and a side file that says which hash the
// cells were placed with. Byte layout: docs/formats/tables.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/filters/filter.h"

namespace megalith::embedding {

struct FilterSaveReport {
  uint32_t files = 0;  // splits written; 0: the filter has no state
  // Cells whose count is cut to 15, the most that the format holds (quirk 20).
  uint64_t cut_cells = 0;
};

// Writes the filter as `<directory>/<base>-SSSSS-of-NNNNN`, each file visible once it is whole, and
// then the side file `<base>.hash`. Others may go on using the filter. `directory` must exist.
// Errors: those of the file system; old files that were not yet replaced are as they were, but
// count as foreign from then on.
Result<FilterSaveReport> SaveFilter(FileSystem& files, const std::string& directory,
                                    const std::string& base, const AdmissionFilter& filter,
                                    Rng& rng);

struct FilterRestoreReport {
  // False: the filter is as it was (empty, when it is new), for the reason below. Counting starts
  // anew, so fids are admitted later than they might be; nothing else is lost.
  bool restored = false;
  std::string reason;
};

// Restores what SaveFilter wrote. A dump of another program, whose hash is not known, is left alone
// (quirk 9: Monolith's hash differs from process to process, so nobody can use its dumps). Nobody
// else may use the filter meanwhile. Errors leave the filter as it was and name the file:
//   kNotFound            no dump; kInvalidArgument  shards are missing;
//   kFailedPrecondition  the dump is of a filter configured otherwise;
//   kDataLoss            a file is damaged; names the offset.
Result<FilterRestoreReport> RestoreFilter(FileSystem& files, const std::string& directory,
                                          const std::string& base, AdmissionFilter& filter);

// The two halves of RestoreFilter: reading, while others use the filter, and `swap`, which puts
// what was read in its place and takes microseconds; only for it nobody else may use the filter.
struct LoadedFilter {
  FilterRestoreReport report;  // as it will be after `swap`
  std::function<void()> swap;  // empty: not restored
};
// Errors: those of RestoreFilter.
Result<LoadedFilter> LoadFilter(FileSystem& files, const std::string& directory,
                                const std::string& base, AdmissionFilter& filter);

}  // namespace megalith::embedding
