// A checkpoint that is looked at, not loaded: its rows one after the other, deltas applied.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// Not thread-safe.
class CheckpointView {
 public:
  // `path` is a model's directory (its newest checkpoint is meant), a prefix, or an asset
  // directory. `files` must outlive the view. Errors: kNotFound; those of OpenCheckpoint and
  // FindDeltas.
  static Result<CheckpointView> Open(FileSystem& files, const std::string& path);

  const std::string& prefix() const { return prefix_; }
  const CheckpointSource& source() const { return source_; }
  const std::vector<FoundDelta>& deltas() const { return deltas_; }
  int64_t step() const { return step_; }
  const std::vector<std::string>& notes() const { return notes_; }
  // Names of all tables, those of deltas included. Errors of what takes a name: kNotFound  there is
  // none of that name; lists those there are.
  std::vector<std::string> Tables() const;

  // Hands every row of a table, as an EntryDump, to `take`; memory: a few words for each fid that
  // deltas of the table have. Errors: kDataLoss  names file and offset; those of `take`.
  using Take = std::function<Status(Fid fid, std::string_view entry)>;
  Status Scan(const std::string& table, const Take& take);
  // The row of a fid; nothing: it has none. Reads the files of one server.
  Result<std::optional<std::string>> Find(const std::string& table, Fid fid);

  // Holds every file of base and deltas against its manifest, or reads every record where there is
  // none. Returns how many files. Errors: kDataLoss  names file and offset.
  Result<uint64_t> Verify();

 private:
  explicit CheckpointView(FileSystem& files) : files_(&files) {}
  Status CheckTable(const std::string& table) const;
  Status Scan(const std::string& table, const std::vector<uint32_t>& servers, const Take& take);
  Status ScanShard(const SourceShard& shard, const std::string& table, const Take& take);
  // Every record of the deltas about the table.
  Status ScanDeltas(const std::string& table, const std::vector<uint32_t>& servers,
                    const std::function<Status(size_t delta, const DeltaRecord& record)>& take);

  FileSystem* files_;
  std::string prefix_;
  int64_t step_ = 0;
  CheckpointSource source_;
  std::vector<FoundDelta> deltas_;
  std::vector<std::string> notes_;
};

}  // namespace megalith::embedding
