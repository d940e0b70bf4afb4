// The calls of a parameter server that commands need.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clients/cli/session.h"
#include "common/fleet/stubs/shard_calls.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"

namespace megalith::cli {

struct ServerTable {
  std::string name;
  uint64_t rows = 0;
  int64_t dim = 0;  // of List only; what follows of Stats only
  uint64_t bytes = 0;
  uint64_t lookups = 0;
  uint64_t hits = 0;
  uint64_t evicted = 0;
  int64_t updates = 0;
  int64_t max_update_time = 0;
  struct Cold {
    uint64_t hot_rows = 0, cold_rows = 0, hot_bytes = 0, disk_bytes = 0, cache_bytes = 0;
    uint64_t lookups = 0, hits = 0, promotions = 0, demotions = 0;
    uint64_t read_errors = 0, write_errors = 0;
  };
  std::optional<Cold> cold;  // of a table with a cold tier
};

struct SavedTables {
  std::string prefix;
  bool published = false;  // every shard has saved its part
  uint64_t rows = 0;
  uint64_t erased_rows = 0;  // of a delta: rows that are gone
  uint64_t expired_rows = 0;
  uint64_t bytes = 0;
};

struct RestoredTables {
  bool found = false;
  std::string prefix;
  int64_t step = 0;
  uint64_t rows = 0;
  std::vector<std::string> tables;
  std::vector<std::string> notes;
};

// The session's servers, each with the ids of its shard in their order, asked side by side; numbers
// are sums over all of them. Errors of all: those of the first server that fails, with its number
// if there are several; others may have done their part.
class TableServer {
 public:
  static Result<TableServer> Of(Session& session);
  ~TableServer();
  TableServer(TableServer&&) noexcept;

  // `segments`: "DIM[,optimizer=NAME][,optimizer.FIELD=NUMBER]..." each, and the same for
  // initializer and compressor. With a `memory_budget` in bytes the table has a cold tier. Errors
  // besides: kInvalidArgument  a segment of another form.
  Status Create(const std::string& table, const std::vector<std::string>& segments, bool serving,
                std::optional<int64_t> memory_budget) const;
  // With `delta` rows that changed since the last save. Errors besides: kFailedPrecondition  a
  // server cannot save a delta: then save a whole checkpoint of the same step.
  Result<SavedTables> Save(int64_t step, int64_t sidecar_percent, bool delta) const;
  // Of the newest whole checkpoint without `step`. Errors besides: kAborted  servers restored
  // different ones.
  Result<RestoredTables> Restore(std::optional<int64_t> step, bool merge,
                                 const std::vector<std::string>& tables) const;
  Result<std::vector<ServerTable>> List() const;
  Result<std::vector<ServerTable>> Stats() const;
  // EntryDumps without ids; empty where there is no row.
  Result<std::vector<std::string>> Entries(const std::string& table,
                                           std::span<const embedding::Fid> fids) const;
  // Ids of all rows, ascending; while rows come and go, of all that stay.
  Result<std::vector<embedding::Fid>> Ids(const std::string& table) const;
  // Returns rows written, or dropped.
  Result<int64_t> Assign(const std::string& table, std::span<const embedding::Fid> fids,
                         std::span<const float> values, int64_t update_time) const;
  Result<int64_t> Evict(const std::string& table, std::optional<int64_t> now) const;
  Result<int64_t> Erase(const std::string& table, std::span<const embedding::Fid> fids) const;

 private:
  struct Methods;
  TableServer();
  Status OnAll(const std::function<Status(size_t shard)>& call) const;
  // The places of the ids of each server.
  std::vector<std::vector<size_t>> Divide(std::span<const embedding::Fid> fids) const;

  std::vector<std::unique_ptr<Methods>> shards_;
  std::unique_ptr<stubs::ShardCalls> calls_;  // ends first
};

}  // namespace megalith::cli
