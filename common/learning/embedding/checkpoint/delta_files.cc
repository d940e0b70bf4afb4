#include "common/learning/embedding/checkpoint/delta_files.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr uint32_t kTable = 1;
constexpr uint32_t kEntry = 2;
constexpr uint32_t kErased = 3;
constexpr std::string_view kDelta = ".delta-";
constexpr size_t kFidsPerRecord = 8192;
constexpr size_t kFidBytes = 8;

// Steps of the deltas of a base, ascending.
Result<std::vector<int64_t>> ListDeltas(FileSystem& files, const std::string& base_prefix) {
  const size_t slash = base_prefix.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : base_prefix.substr(0, slash);
  const std::string start =
      StrCat(slash == std::string::npos ? base_prefix : base_prefix.substr(slash + 1), kDelta);
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  std::vector<int64_t> steps;
  for (const FileInfo& file : listing) {
    if (!file.is_directory || !file.name.starts_with(start)) continue;
    if (const auto step = ParseInt(std::string_view(file.name).substr(start.size())))
      steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

// What a delta must build on.
struct Head {
  int64_t base_step = 0;
  int64_t step = 0;
  std::map<uint32_t, FoundManifest> manifests;
};

Status CheckLinks(const CheckpointSource& delta, const Head& head) {
  if (delta.servers != head.manifests.size()) {
    return DataLoss(StrCat("'", delta.directory, "' is of ", delta.servers,
                           " servers, its base of ", head.manifests.size()));
  }
  for (const auto& [server, part] : delta.manifests) {
    const auto previous = head.manifests.find(server);
    const std::optional<DeltaLink>& link = part.manifest.delta;
    if (link && previous != head.manifests.end() && link->base_step == head.base_step &&
        link->previous_step == head.step && link->previous_manifest == previous->second.digest)
      continue;
    return DataLoss(
        StrCat("'", JoinPath(delta.directory, ManifestName(part.manifest.server)),
               "' does not build on step ", head.step,
               link ? StrCat(", but on step ", link->previous_step,
                             link->previous_step == head.step ? " with another content" : "")
                    : ""));
  }
  return OkStatus();
}

Result<FoundDelta> OpenDelta(FileSystem& files, const std::string& directory, int64_t step,
                             const Head& head, std::span<const uint32_t> servers) {
  ASSIGN_OR_RETURN(CheckpointSource source, OpenCheckpoint(files, directory));
  if (!source.ours) return DataLoss(StrCat("'", directory, "' has no manifest"));
  RETURN_IF_ERROR(CheckLinks(source, head));
  for (const uint32_t server : servers) {
    for (const auto& [name, digest] : source.manifests.at(server).manifest.files)
      RETURN_IF_ERROR(VerifyFile(files, directory, name, digest));
  }
  return FoundDelta{.directory = directory, .step = step, .manifests = std::move(source.manifests)};
}

Result<DeltaRecord> ParseRecord(std::string_view bytes) {
  DeltaRecord out;
  records::WireReader in(bytes);
  int fields = 0;
  while (in.Next()) {
    const records::WireField& field = in.field();
    if (field.number < kTable || field.number > kErased) continue;
    ++fields;
    RETURN_IF_ERROR(ExpectType(field, records::WireType::kBytes));
    if (field.number == kTable) out.table = field.bytes;
    if (field.number == kEntry) out.entry = field.bytes;
    if (field.number != kErased) continue;
    if (field.bytes.size() % kFidBytes != 0)
      return DataLoss(StrCat("fids of ", field.bytes.size(), " bytes"));
    ByteReader fids(field.bytes);
    while (fids.left() != 0) {
      ASSIGN_OR_RETURN(const uint64_t fid, fids.U64());
      out.erased.push_back(static_cast<Fid>(fid));
    }
  }
  RETURN_IF_ERROR(in.status());
  if (fields != 1) return DataLoss(StrCat("the record has ", fields, " fields, wanted one"));
  return out;
}

}  // namespace

std::string DeltaDirectory(std::string_view base_prefix, int64_t step) {
  return StrCat(base_prefix, kDelta, step);
}

std::string DeltaName(std::optional<uint32_t> server) {
  return server ? StrCat("delta_", *server) : "delta";
}

Result<std::unique_ptr<DeltaWriter>> DeltaWriter::Create(FileSystem& files, const std::string& path,
                                                         Rng& rng) {
  ASSIGN_OR_RETURN(std::unique_ptr<StagedFile> file, StagedFile::Create(files, path, rng));
  return std::unique_ptr<DeltaWriter>(new DeltaWriter(std::move(file)));
}

Status DeltaWriter::Record(uint32_t field, std::string_view bytes) {
  std::string record;
  records::WireWriter(&record).Bytes(field, bytes);
  return out_.Write(record);
}

Status DeltaWriter::BeginTable(std::string_view name) { return Record(kTable, name); }
Status DeltaWriter::Write(std::string_view entry) { return Record(kEntry, entry); }

Status DeltaWriter::Erase(std::span<const Fid> fids) {
  while (!fids.empty()) {
    const std::span<const Fid> some = fids.first(std::min(fids.size(), kFidsPerRecord));
    fids = fids.subspan(some.size());
    ByteWriter bytes;
    for (const Fid fid : some) bytes.U64(static_cast<uint64_t>(fid));
    RETURN_IF_ERROR(Record(kErased, bytes.Take()));
  }
  return OkStatus();
}

Result<std::unique_ptr<DeltaReader>> DeltaReader::Open(FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(auto file, records::OpenRecords(files, path, records::Compression::kNone));
  return std::unique_ptr<DeltaReader>(new DeltaReader(path, std::move(file)));
}

std::string DeltaReader::Where() const {
  return StrCat("'", path_, "' offset ", offset_, " (record ", record_, ")");
}

Result<std::optional<DeltaRecord>> DeltaReader::Next() {
  record_ = file_->record();
  offset_ = file_->offset();
  ASSIGN_OR_RETURN(const std::optional<std::string_view> bytes, file_->Next());
  if (!bytes) return std::optional<DeltaRecord>();
  ASSIGN_OR_RETURN(DeltaRecord record, ParseRecord(*bytes).Annotate(Where()));
  if (!record.table && !begun_) return DataLoss(StrCat(Where(), ": a row before any table"));
  begun_ = true;
  return std::optional<DeltaRecord>(std::move(record));
}

Result<std::vector<FoundDelta>> FindDeltas(FileSystem& files, const std::string& base_prefix,
                                           const CheckpointSource& base,
                                           std::span<const uint32_t> servers,
                                           const std::function<bool(const std::string&)>& mend,
                                           std::vector<std::string>* notes) {
  std::vector<FoundDelta> out;
  if (!base.ours) return out;
  ASSIGN_OR_RETURN(const std::vector<int64_t> steps, ListDeltas(files, base_prefix));
  const int64_t base_step = base.manifests.begin()->second.manifest.step;
  Head head{.base_step = base_step, .step = base_step, .manifests = base.manifests};
  for (const int64_t step : steps) {
    const std::string directory = DeltaDirectory(base_prefix, step);
    Result<FoundDelta> delta = OpenDelta(files, directory, step, head, servers);
    if (!delta.ok() && delta.status().code() == Code::kDataLoss && mend(directory))
      delta = OpenDelta(files, directory, step, head, servers);
    if (!delta.ok()) {
      notes->push_back(StrCat("the deltas from step ", step,
                              " on were not applied: ", delta.status().message()));
      return out;
    }
    head.step = step;
    head.manifests = delta->manifests;
    out.push_back(*std::move(delta));
  }
  return out;
}

}  // namespace megalith::embedding
