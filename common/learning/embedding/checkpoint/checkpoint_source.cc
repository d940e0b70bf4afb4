#include "common/learning/embedding/checkpoint/checkpoint_source.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/reshard.h"
#include "common/learning/records/record_file.h"

namespace megalith::embedding {
namespace {

// An error about files that are not there or do not fit together, as damage.
Status AsDamage(const Status& status) {
  if (status.code() == Code::kNotFound || status.code() == Code::kInvalidArgument)
    return DataLoss(status.message());
  return status;
}

// The server in the name of one of our files; nothing for other files.
std::optional<uint32_t> ServerInName(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem)) return std::nullopt;
  name.remove_prefix(stem.size());
  if (name.empty()) return 0;
  const std::optional<uint64_t> server =
      name.starts_with('_') ? ParseUint(name.substr(1)) : std::nullopt;
  if (!server || *server > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*server);
}

// Errors: kAborted  a server did not come to its end: a marker without manifest, or fewer parts
// than there are servers; kDataLoss  a manifest was there and is not.
Status CheckFinished(FileSystem& files, const std::string& directory,
                     const std::map<uint32_t, FoundManifest>& manifests) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  for (const FileInfo& file : listing) {
    const auto server = ServerInName(file.name, MarkerName(std::nullopt));
    if (!server || manifests.contains(*server)) continue;
    return Status(Code::kAborted, StrCat("'", directory, "' was never finished: '", file.name,
                                         "' says that server ", *server, " was still saving"));
  }
  for (const FileInfo& file : listing) {
    const auto server = ServerInName(file.name, AttachmentName(std::nullopt));
    if (!server || manifests.contains(*server)) continue;
    const bool numbered = file.name != AttachmentName(std::nullopt);
    const std::string name = ManifestName(numbered ? server : std::nullopt);
    return DataLoss(
        StrCat("'", JoinPath(directory, name), "' is missing, '", file.name, "' is there"));
  }
  if (manifests.empty() || manifests.size() == manifests.begin()->second.manifest.servers)
    return OkStatus();
  for (uint32_t server = 0;; ++server) {
    if (manifests.contains(server)) continue;
    return Status(Code::kAborted, StrCat("'", directory, "' has the parts of ", manifests.size(),
                                         " of ", manifests.begin()->second.manifest.servers,
                                         " servers; '", ManifestName(server), "' is missing"));
  }
}

void AddManifest(const Manifest& manifest, CheckpointSource* out) {
  const uint32_t server = manifest.server.value_or(0);
  for (const auto& [name, table] : manifest.tables) {
    SourceTable& known = out->tables[name];
    known.layout = manifest.layout;
    known.base_of_server[server] = table.base;
    if (!known.config) known.config = table.config;
    known.rows = known.rows.value_or(0) + table.rows;
    known.max_update_time = std::max(known.max_update_time, table.max_update_time);
  }
}

Status AddNative(FileSystem& files, const CheckpointTable& table, CheckpointSource* out) {
  const std::vector<std::string> bases = table.Bases();
  for (uint32_t server = 0; server < bases.size(); ++server) {
    const auto counts = CountNativeRows(files, out->directory, bases[server]);
    if (!counts.ok()) return AsDamage(counts.status());
    for (const auto& [name, rows] : *counts) {
      SourceTable& known = out->tables[name];
      known.layout = TableLayout::kNative;
      known.base_of_server[server] = bases[server];
      known.rows = known.rows.value_or(0) + rows;
    }
  }
  return OkStatus();
}

// Without manifests: what the names of the files say.
Status AddInventory(FileSystem& files, CheckpointSource* out) {
  const auto inventory = TakeInventory(files, out->directory);
  if (!inventory.ok()) return AsDamage(inventory.status());
  out->filters = inventory->filters;
  for (const CheckpointTable& table : inventory->tables) {
    for (uint32_t i = 0; i < table.servers.size(); ++i) {
      if (table.servers[i] != i) {
        return DataLoss(StrCat("'", out->directory, "': table '", table.stem,
                               "' has files of server ", table.servers[i], ", but none of server ",
                               i));
      }
    }
    out->servers = std::max(out->servers, static_cast<uint32_t>(table.servers.size()));
    if (table.layout == TableLayout::kNative) {
      RETURN_IF_ERROR(AddNative(files, table, out));
      continue;
    }
    SourceTable& known = out->tables[table.stem];
    const std::vector<std::string> bases = table.Bases();
    for (uint32_t server = 0; server < bases.size(); ++server)
      known.base_of_server[server] = bases[server];
  }
  return out->tables.empty() ? NotFound(StrCat("'", out->directory, "' holds no tables"))
                             : OkStatus();
}

// The first place where the framing of a record file is broken; OK if it is nowhere.
Status FindBrokenRecord(FileSystem& files, const std::string& path, std::string_view name) {
  const bool native =
      name.starts_with("MonolithMultiHashTable_") && name.find(".meta-") == std::string_view::npos;
  ASSIGN_OR_RETURN(const auto file, records::OpenRecords(files, path,
                                                         native ? records::Compression::kSnappy
                                                                : records::Compression::kNone));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<std::string_view> record, file->Next());
    if (!record) return OkStatus();
  }
}

}  // namespace

Result<CheckpointSource> OpenCheckpoint(FileSystem& files, const std::string& directory) {
  CheckpointSource out;
  out.directory = directory;
  const auto manifests = ReadManifests(files, directory);
  if (!manifests.ok()) return AsDamage(manifests.status());
  out.manifests = *manifests;
  RETURN_IF_ERROR(CheckFinished(files, directory, out.manifests));
  if (out.manifests.empty()) {
    RETURN_IF_ERROR(AddInventory(files, &out));
    return out;
  }
  out.ours = true;
  out.servers = out.manifests.begin()->second.manifest.servers;
  std::set<std::string> filters;
  for (const auto& [server, part] : out.manifests) {
    AddManifest(part.manifest, &out);
    for (const auto& [name, digest] : part.manifest.files) {
      constexpr std::string_view kSide = ".hash";
      if (name.ends_with(kSide)) filters.insert(name.substr(0, name.size() - kSide.size()));
    }
  }
  out.filters.assign(filters.begin(), filters.end());
  return out;
}

std::vector<uint32_t> ServersToRead(uint32_t written, uint32_t server, uint32_t servers) {
  // fid mod n and fid mod m agree modulo their greatest common divisor and in nothing else.
  const uint32_t common = std::gcd(written, servers);
  std::vector<uint32_t> out;
  for (uint32_t other = server % common; other < written; other += common) out.push_back(other);
  return out;
}

std::optional<std::string> FindTable(const CheckpointSource& source, const std::string& name,
                                     const std::vector<std::string>& other_names) {
  std::vector<std::string> names = {name};
  names.insert(names.end(), other_names.begin(), other_names.end());
  for (const std::string& candidate : names) {
    if (source.tables.contains(candidate)) return candidate;
    // Files of single tables have their names without ':' and '/', and perhaps with a server.
    for (const auto& [known, table] : source.tables) {
      if (table.layout != TableLayout::kSingle) continue;
      const std::string base = SingleTableBase(candidate);
      if (SingleTableBase(known) == base) return known;
      if (table.base_of_server.size() == 1 && table.base_of_server.begin()->second == base)
        return known;
    }
  }
  return std::nullopt;
}

Result<std::vector<SourceShard>> FindSourceShards(FileSystem& files, const CheckpointSource& source,
                                                  const std::vector<std::string>& tables,
                                                  const std::vector<uint32_t>& servers) {
  std::vector<SourceShard> out;
  std::set<std::string> seen;  // native tables share files
  for (const std::string& name : tables) {
    const SourceTable& table = source.tables.at(name);
    for (const uint32_t server : servers) {
      const auto base = table.base_of_server.find(server);
      if (base == table.base_of_server.end() || !seen.insert(base->second).second) continue;
      const auto paths = FindShards(files, source.directory, base->second);
      if (!paths.ok()) return AsDamage(paths.status());
      const auto shards = static_cast<uint32_t>(paths->size());
      for (uint32_t shard = 0; shard < shards; ++shard) {
        out.push_back({.server = server,
                       .base = base->second,
                       .shard = {shard, shards},
                       .layout = table.layout,
                       .table = table.layout == TableLayout::kSingle ? name : ""});
      }
    }
  }
  return out;
}

Status VerifyFile(FileSystem& files, const std::string& directory, const std::string& name,
                  const FileDigest& digest) {
  const std::string path = JoinPath(directory, name);
  const Result<FileDigest> found = DigestFile(files, path);
  if (!found.ok()) return AsDamage(found.status());
  if (*found == digest) return OkStatus();
  if (!name.ends_with(".hash")) RETURN_IF_ERROR(FindBrokenRecord(files, path, name));
  if (found->bytes != digest.bytes) {
    return DataLoss(StrCat("'", path, "' offset ", std::min(found->bytes, digest.bytes),
                           ": the file has ", found->bytes, " bytes, the manifest says ",
                           digest.bytes));
  }
  return DataLoss(StrCat("'", path, "' offset 0 to ", digest.bytes,
                         ": the content is not what the manifest's digest says"));
}

}  // namespace megalith::embedding
