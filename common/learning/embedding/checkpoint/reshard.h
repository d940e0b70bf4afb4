// Moves the tables of a checkpoint from n parameter servers to m. Monolith cannot: its server i
// reads the files of server i only, and rows that belong to another one by now are never found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/entry_files.h"

namespace megalith::embedding {

// What an asset directory holds, from the names of its files.
struct CheckpointTable {
  std::string stem;  // the base name without the number of the server
  TableLayout layout = TableLayout::kSingle;
  // Servers that have files of it, ascending.
  std::vector<uint32_t> servers;
  // Instead of servers: the base name of a table that is not distributed.
  std::string local_base;
  std::vector<std::string> Bases() const;
};
struct CheckpointInventory {
  std::vector<CheckpointTable> tables;  // by stem
  std::vector<std::string> filters;     // base names of hash filters
};

// A base name ends in "_<server>" with at most five digits, or is of a table that is not
// distributed; one with a directory file is native. Errors: kInvalidArgument  a table is both
// distributed and not, a directory file has no entry files; those of listing.
Result<CheckpointInventory> TakeInventory(FileSystem& files, const std::string& directory);

struct ReshardOptions {
  uint32_t servers = 1;  // of the new checkpoint
  // Files for each table and server; nothing: as many as the table has now.
  std::optional<uint32_t> shards;
};

struct ReshardReport {
  uint32_t servers_before = 0;
  uint64_t rows = 0;
  std::vector<std::string> tables;  // stems
  // Hash filters, which were left behind: their cells do not say whose they are. The new servers
  // start with empty ones and count anew.
  std::vector<std::string> filters_left;
};

// Writes into `to` the tables of asset directory `from`, each row on server `fid mod servers` and
// byte for byte as it was. `to` must not exist or be empty. Reads every file once for each 64 new
// servers. After an error `to` is removed. Errors:
//   kInvalidArgument     no servers, shards out of range, files of a table or a server missing,
//                        tables of different numbers of servers;
//   kNotFound            no tables in `from`; kFailedPrecondition  `to` holds something;
//   kDataLoss            a file is damaged; names the offset.
Result<ReshardReport> Reshard(FileSystem& files, const std::string& from, const std::string& to,
                              const ReshardOptions& options, Rng& rng);

}  // namespace megalith::embedding
