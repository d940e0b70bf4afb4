// The small text files of a model's directory, read and replaced atomically.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/state.h"

namespace megalith::embedding {

// Persistent: never change.
inline constexpr std::string_view kCheckpointFile = "checkpoint";
inline constexpr std::string_view kMonolithStateFile = "monolith_checkpoint";
inline constexpr std::string_view kExportListFile = "ExportSaverListenerState";

// Nothing if the file is not there. Errors: kDataLoss  it does not parse, names the file and the
// line; those of the file system.
//
// Prefixes of a checkpoint list come back joined with the directory. Where the list has no times
// (Monolith writes none), those of the files `<prefix>.index` or `<prefix>.assets` stand in.
Result<std::optional<CheckpointList>> ReadCheckpointList(FileSystem& files,
                                                         const std::string& directory);
// Exempt prefixes come back joined with the directory.
Result<std::optional<MonolithState>> ReadMonolithState(FileSystem& files,
                                                       const std::string& directory);
Result<std::optional<RowCounts>> ReadRowCounts(FileSystem& files, const std::string& directory,
                                               int64_t step);
Result<std::optional<ExportList>> ReadExportList(FileSystem& files, const std::string& directory);

// Prefixes below the directory are written relative to it, so that it can be moved; TensorFlow
// reads both. Errors: those of the file system; the old file is then as it was.
Status WriteCheckpointList(FileSystem& files, const std::string& directory,
                           const CheckpointList& list);
Status WriteMonolithState(FileSystem& files, const std::string& directory,
                          const MonolithState& state);
Status WriteRowCounts(FileSystem& files, const std::string& directory, int64_t step,
                      const RowCounts& counts);
Status WriteExportList(FileSystem& files, const std::string& directory, const ExportList& exports);

}  // namespace megalith::embedding
