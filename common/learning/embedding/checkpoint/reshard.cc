#include "common/learning/embedding/checkpoint/reshard.h"

#include <algorithm>
#include <map>
#include <set>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

constexpr uint32_t kMaxServers = 99'999;
constexpr size_t kServerDigits = 5;
// So that files that are open at a time stay few.
constexpr uint32_t kServersPerPass = 64;
constexpr std::string_view kMetaSuffix = ".meta";
constexpr std::string_view kNativeStem = "MonolithMultiHashTable";
constexpr std::string_view kFilterStem = "hash_filter";

struct BaseParts {
  std::string stem;
  std::optional<uint32_t> server;
};
// "<stem>_<server>", or all of it. A native multi-table without server ends in "_".
BaseParts SplitBase(std::string_view base) {
  const size_t underscore = base.rfind('_');
  if (underscore == std::string_view::npos) return {std::string(base), std::nullopt};
  const std::string_view digits = base.substr(underscore + 1);
  const std::optional<uint64_t> server = ParseUint(digits);
  if (server && digits.size() <= kServerDigits)
    return {std::string(base.substr(0, underscore)), static_cast<uint32_t>(*server)};
  return {std::string(digits.empty() ? base.substr(0, underscore) : base), std::nullopt};
}

// The base name of a shard's file; nothing for other files.
std::optional<std::string> BaseOfFile(std::string_view name) {
  constexpr size_t kSuffixBytes = std::string_view("-SSSSS-of-NNNNN").size();
  if (name.size() <= kSuffixBytes) return std::nullopt;
  const std::string_view base = name.substr(0, name.size() - kSuffixBytes);
  if (!ParseShardFileName(name, base)) return std::nullopt;
  return std::string(base);
}

// All shards of a table on all servers, as readers that move from table to table together.
struct Sources {
  std::vector<std::unique_ptr<EntryShardReader>> readers;
  uint32_t max_shards = 1;
};

Result<Sources> OpenSources(FileSystem& files, const std::string& directory,
                            const CheckpointTable& table) {
  Sources out;
  for (const std::string& base : table.Bases()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindShards(files, directory, base));
    const auto shards = static_cast<uint32_t>(paths.size());
    out.max_shards = std::max(out.max_shards, shards);
    for (uint32_t shard = 0; shard < shards; ++shard) {
      ASSIGN_OR_RETURN(
          out.readers.emplace_back(),
          EntryShardReader::Open(files, directory, base, {shard, shards}, table.layout));
    }
  }
  return out;
}

// The new files of some servers. Rows of a server go to its shards in turn.
class Targets {
 public:
  static Result<Targets> Open(FileSystem& files, const std::string& directory,
                              const CheckpointTable& table, uint32_t first, uint32_t last,
                              uint32_t shards, Rng& rng) {
    Targets out;
    out.first_ = first;
    out.shards_ = shards;
    out.written_.resize(last - first);
    for (uint32_t server = first; server < last; ++server) {
      const std::string base = StrCat(table.stem, "_", server);
      for (uint32_t shard = 0; shard < shards; ++shard) {
        ASSIGN_OR_RETURN(
            out.writers_.emplace_back(),
            EntryShardWriter::Create(files, directory, base, {shard, shards}, table.layout, rng));
      }
    }
    return out;
  }

  Status BeginTable(std::string_view name) {
    for (const auto& writer : writers_) RETURN_IF_ERROR(writer->BeginTable(name));
    return OkStatus();
  }
  // Does nothing for a row of another pass.
  Status Write(uint32_t server, std::string_view entry) {
    if (server < first_ || server - first_ >= written_.size()) return OkStatus();
    const uint32_t at = server - first_;
    ++rows;
    return writers_[at * shards_ + written_[at]++ % shards_]->Write(entry);
  }
  Status Publish() {
    for (const auto& writer : writers_) RETURN_IF_ERROR(writer->Publish());
    return OkStatus();
  }

  uint64_t rows = 0;

 private:
  uint32_t first_ = 0;
  uint32_t shards_ = 1;
  std::vector<uint64_t> written_;  // rows, by server
  std::vector<std::unique_ptr<EntryShardWriter>> writers_;
};

// Moves the rows of the table that all of `readers` stand at.
Status MoveRows(const std::vector<EntryShardReader*>& readers, uint32_t servers, Targets& targets) {
  for (EntryShardReader* reader : readers) {
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, reader->NextRow());
      if (!entry) break;
      const Result<Fid> fid = FidOfEntry(*entry);
      if (!fid.ok()) return fid.status().Annotate(reader->Where());
      const auto server = static_cast<uint32_t>(ShardOf(*fid, static_cast<int>(servers)));
      RETURN_IF_ERROR(targets.Write(server, *entry));
    }
  }
  return OkStatus();
}

// Moves everything, table by table in ascending order of names, as new files must have them.
Status MoveTables(const Sources& sources, TableLayout layout, uint32_t servers, Targets& targets) {
  std::map<std::string, std::vector<EntryShardReader*>> standing;  // by the table they stand at
  const auto advance = [&](EntryShardReader* reader, std::string_view after) -> Status {
    ASSIGN_OR_RETURN(const std::optional<std::string_view> table, reader->NextTable());
    if (!table) return OkStatus();
    if (layout == TableLayout::kNative && !after.empty() && *table <= after) {
      return DataLoss(StrCat(reader->Where(), ": table '", Printable(*table), "' comes after '",
                             Printable(after), "', wanted ascending names"));
    }
    standing[std::string(*table)].push_back(reader);
    return OkStatus();
  };
  for (const auto& reader : sources.readers) RETURN_IF_ERROR(advance(reader.get(), ""));
  while (!standing.empty()) {
    const auto current = standing.extract(standing.begin());
    if (layout == TableLayout::kNative) RETURN_IF_ERROR(targets.BeginTable(current.key()));
    RETURN_IF_ERROR(MoveRows(current.mapped(), servers, targets));
    for (EntryShardReader* reader : current.mapped())
      RETURN_IF_ERROR(advance(reader, current.key()));
  }
  return OkStatus();
}

Result<uint64_t> ReshardTable(FileSystem& files, const std::string& from, const std::string& to,
                              const CheckpointTable& table, const ReshardOptions& options,
                              Rng& rng) {
  uint64_t rows = 0;
  for (uint32_t first = 0; first < options.servers; first += kServersPerPass) {
    const uint32_t last = std::min(options.servers, first + kServersPerPass);
    ASSIGN_OR_RETURN(const Sources sources, OpenSources(files, from, table));
    ASSIGN_OR_RETURN(Targets targets,
                     Targets::Open(files, to, table, first, last,
                                   options.shards.value_or(sources.max_shards), rng));
    RETURN_IF_ERROR(MoveTables(sources, table.layout, options.servers, targets));
    RETURN_IF_ERROR(targets.Publish());
    rows += targets.rows;
  }
  return rows;
}

// The number of servers of all tables, which must be 0 to n-1 for each.
Result<uint32_t> ServersOf(const CheckpointInventory& inventory, const std::string& from) {
  if (inventory.tables.empty()) return NotFound(StrCat("'", from, "' holds no tables"));
  const CheckpointTable& first = inventory.tables[0];
  for (const CheckpointTable& table : inventory.tables) {
    for (uint32_t i = 0; i < table.servers.size(); ++i) {
      if (table.servers[i] != i) {
        return InvalidArgument(StrCat("'", from, "': table '", table.stem, "' has files of server ",
                                      table.servers[i], ", but none of server ", i));
      }
    }
    if (table.servers.size() != first.servers.size()) {
      return InvalidArgument(StrCat("'", from, "': table '", first.stem, "' is on ",
                                    first.servers.size(), " servers, '", table.stem, "' on ",
                                    table.servers.size()));
    }
  }
  return static_cast<uint32_t>(std::max<size_t>(first.servers.size(), 1));
}

Status CheckTarget(FileSystem& files, const std::string& to) {
  const Result<std::vector<FileInfo>> listing = files.List(to);
  if (!listing.ok())
    return listing.status().code() == Code::kNotFound ? OkStatus() : listing.status();
  if (listing->empty()) return OkStatus();
  return FailedPrecondition(StrCat("'", to, "' is not empty: it holds '", (*listing)[0].name, "'"));
}

}  // namespace

std::vector<std::string> CheckpointTable::Bases() const {
  std::vector<std::string> out;
  for (const uint32_t server : servers) out.push_back(StrCat(stem, "_", server));
  if (servers.empty()) out.push_back(local_base);
  return out;
}

Result<CheckpointInventory> TakeInventory(FileSystem& files, const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  std::set<std::string> bases;
  for (const FileInfo& file : listing) {
    if (file.is_directory) continue;
    if (auto base = BaseOfFile(file.name)) bases.insert(*std::move(base));
  }
  CheckpointInventory out;
  std::map<std::string, CheckpointTable> tables;
  for (const std::string& base : bases) {
    if (base.ends_with(kMetaSuffix)) {
      const std::string entries = base.substr(0, base.size() - kMetaSuffix.size());
      if (bases.contains(entries)) continue;
      return InvalidArgument(
          StrCat("'", directory, "' has files '", base, "-...', but none of '", entries, "'"));
    }
    const auto [stem, server] = SplitBase(base);
    if (stem == kFilterStem && server) {
      out.filters.push_back(base);
      continue;
    }
    CheckpointTable& table = tables[stem];
    table.stem = stem;
    if (bases.contains(MetaBase(base)) || stem == kNativeStem) table.layout = TableLayout::kNative;
    if (server) {
      table.servers.push_back(*server);
    } else {
      table.local_base = base;
    }
    if (!table.servers.empty() && !table.local_base.empty()) {
      return InvalidArgument(
          StrCat("'", directory, "' has '", table.local_base, "' both with and without a server"));
    }
  }
  for (auto& [stem, table] : tables) {
    std::sort(table.servers.begin(), table.servers.end());
    out.tables.push_back(std::move(table));
  }
  return out;
}

Result<ReshardReport> Reshard(FileSystem& files, const std::string& from, const std::string& to,
                              const ReshardOptions& options, Rng& rng) {
  if (options.servers == 0 || options.servers > kMaxServers)
    return InvalidArgument(
        StrCat("the number of servers must be 1 to ", kMaxServers, ", got ", options.servers));
  if (options.shards && (*options.shards == 0 || *options.shards > kMaxShards))
    return InvalidArgument(
        StrCat("the number of shards must be 1 to ", kMaxShards, ", got ", *options.shards));
  ASSIGN_OR_RETURN(const CheckpointInventory inventory, TakeInventory(files, from));
  ReshardReport report{.filters_left = inventory.filters};
  ASSIGN_OR_RETURN(report.servers_before, ServersOf(inventory, from));
  RETURN_IF_ERROR(CheckTarget(files, to));
  RETURN_IF_ERROR(files.MakeDirectory(to));
  for (const CheckpointTable& table : inventory.tables) {
    const Result<uint64_t> rows = ReshardTable(files, from, to, table, options, rng);
    if (!rows.ok()) {
      // The first error is the one to tell.
      (void)files.RemoveTree(to);
      return rows.status();
    }
    report.rows += *rows;
    report.tables.push_back(table.stem);
  }
  return report;
}

}  // namespace megalith::embedding
