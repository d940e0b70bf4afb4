// Names of the files of a checkpoint: base names of tables and filters, shards, steps
// (checkpoint-format.md sections 1 and 2; persistent: never change).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

inline constexpr uint32_t kMaxShards = 99'999;  // five digits

// Where the tables of checkpoint `prefix` ("<model_dir>/model.ckpt-<step>") are.
std::string AssetDirectory(std::string_view prefix);

// The step of a checkpoint: what stands behind the last '-', 0 if there is none.
// Errors: kInvalidArgument  that is no number.
Result<int64_t> StepOf(std::string_view prefix);

// Of a single table: its name, with ':' and '/' replaced.
std::string SingleTableBase(std::string_view table_name);
// Base names under which the single table that `features` share may be found, in the order in which
// to look: "MonolithHashTable_<MD5 of the sorted names>", and the same as older versions of
// Monolith wrote it, when features "fc_slot_<n>" were "slot_<n>" (embedding-tables.md section 7).
// Nothing: without parameter servers.
std::vector<std::string> MergedTableBases(std::vector<std::string> features,
                                          std::optional<uint32_t> server);
// Of a native multi-table on parameter server `server`; nothing: without parameter servers.
std::string NativeTableBase(std::optional<uint32_t> server);
// Of the directory files that belong to the entry files of `base`.
std::string MetaBase(std::string_view base);
// Of the hash filter of a server; 0 without parameter servers.
std::string HashFilterBase(uint32_t server);

// How many files a table of `entries` rows is split into: what is configured, or one for each
// million rows, at least one and at most four.
uint32_t ShardCount(uint64_t entries, std::optional<uint32_t> configured);

// "<base>-SSSSS-of-NNNNN". Requires shard < shards <= kMaxShards.
std::string ShardFileName(std::string_view base, uint32_t shard, uint32_t shards);

struct ShardName {
  uint32_t shard = 0;
  uint32_t shards = 0;
  friend bool operator==(const ShardName&, const ShardName&) = default;
};
// Nothing for names that are not of this form: of other bases, temporaries, side files.
std::optional<ShardName> ParseShardFileName(std::string_view name, std::string_view base);

// Paths of all shards of `base` in `directory`, in order; other files are ignored.
// Errors: kNotFound         no directory, or no shard in it;
//         kInvalidArgument  shards of several counts, a number not below the count, one missing;
//                           names the files.
Result<std::vector<std::string>> FindShards(FileSystem& files, const std::string& directory,
                                            std::string_view base);

// The first of `bases` with any shard, and its shards: a table's own name, then its others.
// Errors: kNotFound  none has; names all bases. Those of FindShards for the first that has.
struct FoundTable {
  std::string base;
  std::vector<std::string> shards;
};
Result<FoundTable> FindFirstBase(FileSystem& files, const std::string& directory,
                                 const std::vector<std::string>& bases);

}  // namespace megalith::embedding
