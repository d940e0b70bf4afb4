// Makes a whole checkpoint of a base and its deltas, from files alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/durability/sidecar.h"
#include "common/learning/embedding/checkpoint/retention.h"

namespace megalith::embedding {

struct CompactOptions {
  std::string directory;  // of the model
  std::string base;       // prefix; empty: the newest
  std::optional<durability::SidecarOptions> sidecar;
  RetentionRules retention;
  const Cancellation* cancellation = nullptr;
  FileSystem* files = &RealFileSystem();
  const Clock* clock = &RealClock();
};

struct CompactReport {
  std::string prefix;  // of the new checkpoint; empty: there were no deltas, nothing was done
  uint32_t deltas = 0;
  uint64_t rows = 0;
  std::vector<std::string> notes;  // why deltas were left out
};

// Writes the checkpoint of the last delta's step that restores to what base and deltas restore to,
// for all servers, and publishes it. The hash filter is that of the last delta. Memory: 40 bytes
// for each fid that is in a delta. A server that saves deltas goes on from the new base by itself;
// do not compact while it is saving. Errors leave nothing: kNotFound  no base; kDataLoss  the base
// is damaged; kFailedPrecondition  the base is Monolith's; kResourceExhausted, kCancelled; those of
// files.
Result<CompactReport> CompactCheckpoint(const CompactOptions& options);

}  // namespace megalith::embedding
