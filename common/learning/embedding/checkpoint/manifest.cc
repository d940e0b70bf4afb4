#include "common/learning/embedding/checkpoint/manifest.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr std::string_view kHead = "megalith checkpoint ";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kManifestStem = "megalith_manifest";
constexpr uint64_t kMaxManifestBytes = 256 << 20;

std::string NameOf(std::string_view stem, std::optional<uint32_t> server) {
  return server ? StrCat(stem, "_", *server) : std::string(stem);
}

std::string RuleText(const RuleConfig& rule) {
  std::string out = rule.name;
  for (const auto& [name, value] : rule.fields) StrAppend(&out, " ", name, "=", value);
  if (!rule.base.empty()) StrAppend(&out, " of ", RuleText(rule.base[0]));
  return out;
}

// Lines of words, read one after the other with their numbers.
class Lines {
 public:
  Lines(std::string path, std::string_view text) : path_(std::move(path)), left_(text) {}

  // The words of the next line; false at the end.
  bool Next() {
    if (left_.empty()) return false;
    const size_t end = left_.find('\n');
    const std::string_view line = left_.substr(0, end);
    left_.remove_prefix(end == std::string_view::npos ? left_.size() : end + 1);
    ++number_;
    words_.clear();
    for (const std::string_view word : Split(Trim(line), ' ')) {
      if (!word.empty()) words_.push_back(word);
    }
    if (words_.empty()) words_.emplace_back();
    return true;
  }
  std::string_view key() const { return words_[0]; }
  const std::vector<std::string_view>& words() const { return words_; }

  Status Wrong(std::string_view wanted) const {
    return DataLoss(StrCat("'", path_, "' line ", number_, ": wanted ", wanted, ", found '",
                           Printable(Join(words_, " ")), "'"));
  }
  Status Size(size_t words) const {
    return words_.size() == words ? OkStatus()
                                  : Wrong(StrCat(words - 1, " values behind '", key(), "'"));
  }
  template <typename Number>
  Status Get(size_t word, Number* out) const {
    if (word < words_.size()) {
      if constexpr (std::is_signed_v<Number>) {
        const std::optional<int64_t> value = ParseInt(words_[word]);
        if (value && std::in_range<Number>(*value)) {
          *out = static_cast<Number>(*value);
          return OkStatus();
        }
      } else {
        const std::optional<uint64_t> value = ParseUint(words_[word]);
        if (value && std::in_range<Number>(*value)) {
          *out = static_cast<Number>(*value);
          return OkStatus();
        }
      }
    }
    return Wrong("a number that fits");
  }
  Status Get(size_t word, Sha256Digest* out) const {
    const auto bytes = word < words_.size() ? HexDecode(words_[word]) : std::nullopt;
    if (!bytes || bytes->size() != out->bytes.size()) return Wrong("64 hexadecimal digits");
    std::copy(bytes->begin(), bytes->end(), out->bytes.begin());
    return OkStatus();
  }

 private:
  const std::string path_;
  std::string_view left_;
  size_t number_ = 0;
  std::vector<std::string_view> words_;
};

Result<RuleConfig> ParseRule(const Lines& in, size_t word) {
  if (word >= in.words().size()) return in.Wrong("a name");
  RuleConfig rule{.name = std::string(in.words()[word]), .fields = {}, .base = {}};
  for (++word; word < in.words().size(); ++word) {
    const std::string_view text = in.words()[word];
    if (text == "of") {
      ASSIGN_OR_RETURN(RuleConfig base, ParseRule(in, word + 1));
      rule.base.push_back(std::move(base));
      return rule;
    }
    const size_t equals = text.find('=');
    const std::optional<double> value =
        equals == std::string_view::npos ? std::nullopt : ParseDouble(text.substr(equals + 1));
    if (!value) return in.Wrong("field=number");
    rule.fields.emplace_back(text.substr(0, equals), *value);
  }
  return rule;
}

Status ParseExpire(const Lines& in, ExpireTimes* expire) {
  if (in.words().size() == 2) return in.Get(1, &expire->default_days);
  RETURN_IF_ERROR(in.Size(3));
  uint32_t slot = 0;
  RETURN_IF_ERROR(in.Get(1, &slot));
  return in.Get(2, &expire->days_of_slot[slot]);
}

Status ParseColdTier(const Lines& in, ColdTierConfig* cold) {
  if (in.words().size() == 5) {
    cold->directory = std::string(in.words()[4]);
  } else {
    RETURN_IF_ERROR(in.Size(4));
  }
  RETURN_IF_ERROR(in.Get(1, &cold->memory_budget_bytes));
  RETURN_IF_ERROR(in.Get(2, &cold->cache_bytes));
  return in.Get(3, &cold->max_disk_bytes);
}

// A line of a table's configuration.
Status ParseConfigLine(const Lines& in, TableConfig* config) {
  const std::string_view key = in.key();
  const auto choice = [&](std::string_view no, std::string_view yes, auto* out, auto if_no,
                          auto if_yes) -> Status {
    RETURN_IF_ERROR(in.Size(2));
    if (in.words()[1] != no && in.words()[1] != yes) return in.Wrong(StrCat(no, " or ", yes));
    *out = in.words()[1] == yes ? if_yes : if_no;
    return OkStatus();
  };
  if (key == "kind") {
    return choice("training", "serving", &config->kind, EntryKind::kTraining, EntryKind::kServing);
  }
  if (key == "compatibility") {
    return choice("corrected", "monolith", &config->compatibility, Compatibility::kCorrected,
                  Compatibility::kMonolith);
  }
  if (key == "skip_zero_embedding")
    return choice("0", "1", &config->skip_zero_embedding, false, true);
  if (key == "initial_capacity") return in.Get(1, &config->initial_capacity);
  if (key == "max_bytes") return in.Get(1, &config->max_bytes);
  if (key == "seed") return in.Get(1, &config->seed);
  if (key == "cold_tier") return ParseColdTier(in, &config->cold_tier.emplace());
  if (key == "expire_days") return ParseExpire(in, &config->expire);
  if (key == "segment") {
    RETURN_IF_ERROR(in.Size(2));
    return in.Get(1, &config->segments.emplace_back().dim);
  }
  if (config->segments.empty()) return in.Wrong("a field of a table, or a segment first");
  SegmentConfig& segment = config->segments.back();
  if (key == "stochastic_rounding_float16")
    return choice("0", "1", &segment.stochastic_rounding_float16, false, true);
  RuleConfig* rule = key == "initializer"  ? &segment.initializer
                     : key == "optimizer"  ? &segment.optimizer
                     : key == "compressor" ? &segment.compressor
                                           : nullptr;
  if (rule == nullptr) return in.Wrong("a field of a segment");
  ASSIGN_OR_RETURN(*rule, ParseRule(in, 1));
  return OkStatus();
}

Status ParseFileLine(const Lines& in, Manifest* out) {
  RETURN_IF_ERROR(in.Size(5));
  const std::string_view name = in.words()[1];
  // A name leads nowhere else: what it names is read, repaired and removed.
  if (name.find('/') != std::string_view::npos || name == "." || name == "..")
    return in.Wrong("a name without '/'");
  FileDigest& digest = out->files[std::string(name)];
  RETURN_IF_ERROR(in.Get(2, &digest.bytes));
  RETURN_IF_ERROR(in.Get(3, &digest.crc32c));
  return in.Get(4, &digest.sha256);
}

Status ParseHeadLine(const Lines& in, Manifest* out) {
  const std::string_view key = in.key();
  if (key == "step") return in.Get(1, &out->step);
  if (key == "server") return in.Get(1, &out->server.emplace());
  if (key == "servers") return in.Get(1, &out->servers);
  if (key == "unix_nanos") return in.Get(1, &out->unix_nanos);
  if (key == "layout") {
    RETURN_IF_ERROR(in.Size(2));
    if (in.words()[1] != "single" && in.words()[1] != "native") return in.Wrong("single or native");
    out->layout = in.words()[1] == "single" ? TableLayout::kSingle : TableLayout::kNative;
    return OkStatus();
  }
  if (key == "delta") {
    DeltaLink& link = out->delta.emplace();
    RETURN_IF_ERROR(in.Size(4));
    RETURN_IF_ERROR(in.Get(1, &link.base_step));
    RETURN_IF_ERROR(in.Get(2, &link.previous_step));
    return in.Get(3, &link.previous_manifest);
  }
  if (key == "slot") {
    RETURN_IF_ERROR(in.Size(3));
    int32_t slot = 0;
    RETURN_IF_ERROR(in.Get(1, &slot));
    return in.Get(2, &out->rows_of_slot[slot]);
  }
  return in.Wrong("a field that this version knows");
}

// The text before the checksum line, once it is found right.
Result<std::string_view> CheckedText(const std::string& path, std::string_view text) {
  const size_t last = text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
  constexpr std::string_view kEnd = "end ";
  const std::string_view end =
      last == std::string_view::npos ? std::string_view() : text.substr(last + 1);
  if (!end.starts_with(kEnd) || !end.ends_with('\n')) {
    return DataLoss(StrCat("'", path, "' offset ", text.size(),
                           ": the file ends without its checksum; it was cut"));
  }
  const std::string_view body = text.substr(0, last + 1);
  const std::optional<uint64_t> crc = ParseUint(Trim(end.substr(kEnd.size())));
  if (!crc || *crc != Crc32c(body)) {
    return DataLoss(StrCat("'", path, "': the bytes from offset 0 to ", body.size(),
                           " do not match the checksum at offset ", body.size()));
  }
  return body;
}

}  // namespace

std::string ManifestName(std::optional<uint32_t> server) { return NameOf(kManifestStem, server); }
std::string AttachmentName(std::optional<uint32_t> server) {
  return NameOf("megalith_state", server);
}
std::string SidecarName(std::optional<uint32_t> server) {
  return NameOf("megalith_sidecar", server);
}
std::string MarkerName(std::optional<uint32_t> server) { return NameOf("megalith_saving", server); }

std::string PrintTableConfig(const TableConfig& config, std::string_view indent) {
  std::string out;
  const auto line = [&](const auto&... pieces) { StrAppend(&out, indent, pieces..., "\n"); };
  line("kind ", config.kind == EntryKind::kTraining ? "training" : "serving");
  line("compatibility ", CompatibilityName(config.compatibility));
  line("initial_capacity ", config.initial_capacity);
  line("max_bytes ", config.max_bytes);
  line("seed ", config.seed);
  if (config.cold_tier) {
    const ColdTierConfig& cold = *config.cold_tier;
    line("cold_tier ", cold.memory_budget_bytes, " ", cold.cache_bytes, " ", cold.max_disk_bytes,
         cold.directory.empty() ? "" : " ", cold.directory);
  }
  line("skip_zero_embedding ", config.skip_zero_embedding ? 1 : 0);
  line("expire_days ", config.expire.default_days);
  for (const auto& [slot, days] : config.expire.days_of_slot) line("expire_days ", slot, " ", days);
  for (const SegmentConfig& segment : config.segments) {
    line("segment ", segment.dim);
    line("  initializer ", RuleText(segment.initializer));
    line("  optimizer ", RuleText(segment.optimizer));
    line("  compressor ", RuleText(segment.compressor));
    if (segment.stochastic_rounding_float16) line("  stochastic_rounding_float16 1");
  }
  return out;
}

std::string PrintManifest(const Manifest& manifest) {
  std::string out = StrCat(kHead, kVersion, "\nstep ", manifest.step, "\n");
  if (manifest.server) StrAppend(&out, "server ", *manifest.server, "\n");
  StrAppend(&out, "servers ", manifest.servers, "\nlayout ",
            manifest.layout == TableLayout::kSingle ? "single" : "native", "\nunix_nanos ",
            manifest.unix_nanos, "\n");
  if (manifest.delta) {
    StrAppend(&out, "delta ", manifest.delta->base_step, " ", manifest.delta->previous_step, " ",
              manifest.delta->previous_manifest.Hex(), "\n");
  }
  for (const auto& [slot, rows] : manifest.rows_of_slot)
    StrAppend(&out, "slot ", slot, " ", rows, "\n");
  for (const auto& [name, file] : manifest.files) {
    StrAppend(&out, "file ", name, " ", file.bytes, " ", file.crc32c, " ", file.sha256.Hex(), "\n");
  }
  for (const auto& [name, table] : manifest.tables) {
    StrAppend(&out, "table ", name, " ", table.base, " ", table.rows, " ", table.max_update_time,
              "\n", PrintTableConfig(table.config, "  "));
  }
  const uint32_t crc = Crc32c(out);
  StrAppend(&out, "end ", crc, "\n");
  return out;
}

Result<Manifest> ParseManifest(const std::string& path, std::string_view text) {
  if (text.starts_with(kHead) && !text.substr(kHead.size()).starts_with(StrCat(kVersion, "\n"))) {
    return Unimplemented(StrCat("'", path, "' begins '", Printable(text.substr(0, 24)),
                                "'; this version reads '", kHead, kVersion, "'"));
  }
  ASSIGN_OR_RETURN(const std::string_view body, CheckedText(path, text));
  Lines in(path, body);
  if (!in.Next() || in.key() != "megalith") return in.Wrong("'megalith checkpoint 1'");
  Manifest out;
  ManifestTable* table = nullptr;
  while (in.Next()) {
    if (in.key() == "table") {
      RETURN_IF_ERROR(in.Size(5));
      table = &out.tables[std::string(in.words()[1])];
      table->base = in.words()[2];
      RETURN_IF_ERROR(in.Get(3, &table->rows));
      RETURN_IF_ERROR(in.Get(4, &table->max_update_time));
    } else if (table != nullptr) {
      RETURN_IF_ERROR(ParseConfigLine(in, &table->config));
    } else if (in.key() == "file") {
      RETURN_IF_ERROR(ParseFileLine(in, &out));
    } else {
      RETURN_IF_ERROR(ParseHeadLine(in, &out));
    }
  }
  if (out.servers == 0 || out.server.value_or(0) >= out.servers) {
    return DataLoss(StrCat("'", path, "': server ", out.server.value_or(0), " of ", out.servers));
  }
  return out;
}

Result<std::map<uint32_t, FoundManifest>> ReadManifests(FileSystem& files,
                                                        const std::string& directory) {
  std::map<uint32_t, FoundManifest> out;
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  for (const FileInfo& file : listing) {
    std::string_view rest = file.name;
    if (file.is_directory || !rest.starts_with(kManifestStem)) continue;
    rest.remove_prefix(kManifestStem.size());
    const std::optional<uint64_t> server =
        rest.starts_with('_') ? ParseUint(rest.substr(1)) : std::nullopt;
    if (!rest.empty() && !server) continue;  // a temporary
    const std::string path = JoinPath(directory, file.name);
    ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxManifestBytes));
    FoundManifest found;
    ASSIGN_OR_RETURN(found.manifest, ParseManifest(path, text));
    found.digest = Sha256::Of(text);
    if (found.manifest.server.has_value() != server.has_value() ||
        found.manifest.server.value_or(0) != server.value_or(0)) {
      return InvalidArgument(
          StrCat("'", path, "' is of another server; files were mixed up or renamed"));
    }
    const uint32_t key = found.manifest.server.value_or(0);
    if (!out.empty() && (out.contains(key) || !out.begin()->second.manifest.server ||
                         out.begin()->second.manifest.servers != found.manifest.servers)) {
      return InvalidArgument(StrCat("'", directory,
                                    "' holds parts of checkpoints of different numbers of "
                                    "servers; '",
                                    file.name, "' is of one of ", found.manifest.servers));
    }
    out.emplace(key, std::move(found));
  }
  return out;
}

}  // namespace megalith::embedding
