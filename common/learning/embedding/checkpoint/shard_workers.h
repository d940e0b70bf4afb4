// Rows of snapshots on their way into the shards of a table's files: encoded, compressed and
// written by several threads while one reads the snapshot.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/entry_files.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {

// Appends a row as an EntryDump. A row of a serving table is written with the values it reads as
// and without optimizer state; compressing them again gives the same row.
void AppendEntry(const RowLayout& layout, const Table::RowView& row, std::string& out);

// All calls from one thread. Destroyed before Publish, it leaves nothing.
class ShardWorkers {
 public:
  struct Counts {
    uint64_t rows = 0;
    uint64_t expired = 0;
    std::map<int32_t, int64_t> rows_of_slot;
  };

  // With no `threads`, who adds rows writes them too. Errors: those of opening files.
  static Result<std::unique_ptr<ShardWorkers>> Start(FileSystem& files,
                                                     const std::string& directory,
                                                     const std::string& base, uint32_t shards,
                                                     TableLayout layout, uint32_t threads,
                                                     Rng& rng);
  ~ShardWorkers();

  // Rows that follow are of this table, which must outlive them; tables come by ascending name.
  // Those expired at `expired_at` (nothing: none) are left out.
  void BeginTable(const std::string& name, const Table& table, std::optional<int64_t> expired_at);
  // Copies the rows. Waits where the disk is slower. Errors: the first of any worker.
  Status Add(std::span<const Table::RowView> rows);
  // Waits for all rows and makes the files visible. Errors: the first of any worker.
  Result<Counts> Publish();
  // Rows written of the table, once Publish is through.
  uint64_t rows(const std::string& table) const;

 private:
  struct Batch;
  struct Worker;
  ShardWorkers() = default;
  void Stop();

  TableLayout layout_ = TableLayout::kNative;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<EntryShardWriter>> shards_;
  uint64_t next_shard_ = 0;
  const Table* table_ = nullptr;
  std::optional<int64_t> expired_at_;
  std::string name_;
};

}  // namespace megalith::embedding
