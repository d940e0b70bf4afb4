#include "common/learning/embedding/checkpoint/file_names.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/md5.h"

namespace megalith::embedding {
namespace {

constexpr size_t kDigits = 5;
constexpr uint64_t kRowsPerShard = 1'000'000;
constexpr uint64_t kMaxDefaultShards = 4;

constexpr std::string_view kSlotFeature = "fc_slot_";

bool AreDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string FiveDigits(uint32_t n) {
  const std::string digits = StrCat(n);
  return StrCat(std::string(kDigits - std::min(kDigits, digits.size()), '0'), digits);
}

// Takes "-ddddd" or "-of-ddddd" off the front.
std::optional<uint32_t> TakeNumber(std::string_view* text, std::string_view before) {
  if (!text->starts_with(before) || text->size() < before.size() + kDigits) return std::nullopt;
  const std::string_view digits = text->substr(before.size(), kDigits);
  if (!AreDigits(digits)) return std::nullopt;
  text->remove_prefix(before.size() + kDigits);
  return static_cast<uint32_t>(*ParseUint(digits));
}

struct Shard {
  ShardName name;
  std::string file;
};

// The shards of `base` among the files of a directory.
std::vector<Shard> ShardsAmong(const std::vector<FileInfo>& listing, std::string_view base) {
  std::vector<Shard> out;
  for (const FileInfo& file : listing) {
    if (file.is_directory) continue;
    if (const auto name = ParseShardFileName(file.name, base)) out.push_back({*name, file.name});
  }
  return out;
}

Result<std::vector<std::string>> InOrder(const std::vector<Shard>& shards,
                                         const std::string& directory, std::string_view base) {
  const uint32_t count = shards.front().name.shards;
  std::vector<std::string> paths(count);
  for (const Shard& shard : shards) {
    if (shard.name.shards != count) {
      return InvalidArgument(StrCat("'", directory, "' holds '", shards.front().file, "' and '",
                                    shard.file,
                                    "', which disagree on the number of shards; "
                                    "remove those that do not belong to this checkpoint"));
    }
    if (shard.name.shard >= count) {
      return InvalidArgument(StrCat("'", JoinPath(directory, shard.file), "' is shard ",
                                    shard.name.shard, " of ", count));
    }
    paths[shard.name.shard] = JoinPath(directory, shard.file);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (paths[i].empty()) {
      return InvalidArgument(StrCat("'", JoinPath(directory, ShardFileName(base, i, count)),
                                    "' is missing, while '", shards.front().file, "' is there"));
    }
  }
  return paths;
}

}  // namespace

std::string AssetDirectory(std::string_view prefix) { return StrCat(prefix, ".assets"); }

Result<int64_t> StepOf(std::string_view prefix) {
  const size_t dash = prefix.rfind('-');
  if (dash == std::string_view::npos) return int64_t{0};
  const std::optional<int64_t> step = ParseInt(prefix.substr(dash + 1));
  if (!step) {
    return InvalidArgument(
        StrCat("checkpoint '", Printable(prefix, 200), "' has no step behind its last '-'"));
  }
  return *step;
}

std::string SingleTableBase(std::string_view table_name) {
  std::string out(table_name);
  std::replace_if(out.begin(), out.end(), [](char c) { return c == ':' || c == '/'; }, '-');
  return out;
}

std::vector<std::string> MergedTableBases(std::vector<std::string> features,
                                          std::optional<uint32_t> server) {
  const auto base = [&] {
    const std::string name = StrCat("MonolithHashTable_", Md5Hex(Join(features, ",")));
    return server ? StrCat(name, "_", *server) : name;
  };
  std::sort(features.begin(), features.end());
  std::vector<std::string> out = {base()};
  bool renamed = false;
  for (std::string& feature : features) {
    if (!feature.starts_with(kSlotFeature) || !AreDigits(feature.substr(kSlotFeature.size())))
      continue;
    feature.erase(0, std::string_view("fc_").size());
    renamed = true;
  }
  // In the order of the new names, as Monolith does.
  if (renamed) out.push_back(base());
  return out;
}

std::string NativeTableBase(std::optional<uint32_t> server) {
  return server ? StrCat("MonolithMultiHashTable_", *server) : "MonolithMultiHashTable_";
}

std::string MetaBase(std::string_view base) { return StrCat(base, ".meta"); }

std::string HashFilterBase(uint32_t server) { return StrCat("hash_filter_", server); }

uint32_t ShardCount(uint64_t entries, std::optional<uint32_t> configured) {
  if (configured) return std::clamp<uint32_t>(*configured, 1, kMaxShards);
  return static_cast<uint32_t>(std::clamp<uint64_t>(entries / kRowsPerShard, 1, kMaxDefaultShards));
}

std::string ShardFileName(std::string_view base, uint32_t shard, uint32_t shards) {
  CHECK(shard < shards && shards <= kMaxShards);
  return StrCat(base, "-", FiveDigits(shard), "-of-", FiveDigits(shards));
}

std::optional<ShardName> ParseShardFileName(std::string_view name, std::string_view base) {
  if (!name.starts_with(base)) return std::nullopt;
  name.remove_prefix(base.size());
  const auto shard = TakeNumber(&name, "-");
  if (!shard) return std::nullopt;
  const auto shards = TakeNumber(&name, "-of-");
  if (!shards || !name.empty() || *shards == 0) return std::nullopt;
  return ShardName{*shard, *shards};
}

Result<std::vector<std::string>> FindShards(FileSystem& files, const std::string& directory,
                                            std::string_view base) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  const std::vector<Shard> shards = ShardsAmong(listing, base);
  if (shards.empty())
    return NotFound(StrCat("'", directory, "' has no file '", base, "-SSSSS-of-NNNNN'"));
  return InOrder(shards, directory, base);
}

Result<FoundTable> FindFirstBase(FileSystem& files, const std::string& directory,
                                 const std::vector<std::string>& bases) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  for (const std::string& base : bases) {
    const std::vector<Shard> shards = ShardsAmong(listing, base);
    if (shards.empty()) continue;
    FoundTable found{.base = base};
    ASSIGN_OR_RETURN(found.shards, InOrder(shards, directory, base));
    return found;
  }
  return NotFound(StrCat("'", directory, "' has no file of any of these names: ", Join(bases, ", "),
                         " (each followed by -SSSSS-of-NNNNN)"));
}

}  // namespace megalith::embedding
