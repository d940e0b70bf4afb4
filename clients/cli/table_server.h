// The calls of a parameter server that commands need.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clients/cli/session.h"
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
  uint64_t expired_rows = 0;
  uint64_t bytes = 0;
};

struct RestoredTables {
  bool found = false;
  std::string prefix;
  uint64_t rows = 0;
  std::vector<std::string> tables;
  std::vector<std::string> notes;
};

// One server: the session's. Errors of all: those of the calls.
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
  Result<SavedTables> Save(int64_t step, int64_t sidecar_percent) const;
  // Of the newest whole checkpoint without `step`.
  Result<RestoredTables> Restore(std::optional<int64_t> step, bool merge,
                                 const std::vector<std::string>& tables) const;
  Result<std::vector<ServerTable>> List() const;
  Result<std::vector<ServerTable>> Stats() const;
  // EntryDumps without ids; empty where there is no row.
  Result<std::vector<std::string>> Entries(const std::string& table,
                                           std::span<const embedding::Fid> fids) const;
  // Returns rows written, or dropped.
  Result<int64_t> Assign(const std::string& table, std::span<const embedding::Fid> fids,
                         std::span<const float> values, int64_t update_time) const;
  Result<int64_t> Evict(const std::string& table, std::optional<int64_t> now) const;
  Result<int64_t> Erase(const std::string& table, std::span<const embedding::Fid> fids) const;

 private:
  struct Methods;
  TableServer();
  std::unique_ptr<Methods> methods_;
};

}  // namespace megalith::cli
