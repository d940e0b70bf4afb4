// A checkpoint as it lies in its asset directory, ours or Monolith's: which tables, on which
// servers, in which files.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/entry_files.h"
#include "common/learning/embedding/checkpoint/manifest.h"

namespace megalith::embedding {

struct SourceTable {
  TableLayout layout = TableLayout::kSingle;
  std::map<uint32_t, std::string> base_of_server;
  std::optional<TableConfig> config;  // ours only
  std::optional<uint64_t> rows;       // of all servers; unknown for Monolith's single tables
  int64_t max_update_time = 0;        // ours only
};

struct CheckpointSource {
  std::string directory;
  uint32_t servers = 1;  // that wrote it
  bool ours = false;     // with manifests
  std::map<uint32_t, FoundManifest> manifests;
  std::map<std::string, SourceTable> tables;  // by name in the files; single tables by stem
  std::vector<std::string> filters;           // base names
};

// Looks at names and manifests, not at rows. Errors: kDataLoss  a part or a file is missing or a
// manifest damaged; kAborted  it was never finished; kNotFound  no tables; those of the file
// system.
Result<CheckpointSource> OpenCheckpoint(FileSystem& files, const std::string& directory);

// The servers whose files can hold rows of server `server` of `servers`, when `written` servers
// wrote them.
std::vector<uint32_t> ServersToRead(uint32_t written, uint32_t server, uint32_t servers);

// The name in the files of the table that is called `name` or one of `other_names`.
std::optional<std::string> FindTable(const CheckpointSource& source, const std::string& name,
                                     const std::vector<std::string>& other_names);

// One file of rows.
struct SourceShard {
  uint32_t server = 0;
  std::string base;
  ShardName shard;
  TableLayout layout = TableLayout::kSingle;
  std::string table;  // of a single table
};
// Of `tables`, on `servers`. Errors: kDataLoss  shards are missing; those of listing.
Result<std::vector<SourceShard>> FindSourceShards(FileSystem& files, const CheckpointSource& source,
                                                  const std::vector<std::string>& tables,
                                                  const std::vector<uint32_t>& servers);

// Compares every file of a part with its manifest. Errors: kDataLoss  names the file and the offset
// of the first record that is damaged, where that can be told.
Status VerifyFile(FileSystem& files, const std::string& directory, const std::string& name,
                  const FileDigest& digest);

}  // namespace megalith::embedding
