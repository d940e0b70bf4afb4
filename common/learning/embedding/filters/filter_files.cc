#include "common/learning/embedding/filters/filter_files.h"

#include <memory>
#include <optional>
#include <vector>

#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/filters/split_cells.h"
#include "common/learning/records/record_file.h"
#include "common/learning/records/record_stream.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr std::string_view kSideFileHead = "megalith hash filter 1";
constexpr uint64_t kMaxSideFileBytes = 1 << 20;
// A record of ten thousand cells has 40 KiB; decoding takes eight times the bytes of a record.
constexpr records::RecordLimits kSplitLimits = {.max_payload_bytes = 16 << 20};

std::string SideFilePath(const std::string& directory, const std::string& base) {
  return JoinPath(directory, StrCat(base, ".hash"));
}

// What the side file says: the hash, and for each split the checksum of its payloads one after the
// other, which ties it to these very files.
struct SideFile {
  std::string hash;
  std::vector<uint32_t> checksums;
};

std::string Print(const SideFile& side) {
  std::string out = StrCat(kSideFileHead, "\nhash ", side.hash, "\n");
  for (const uint32_t checksum : side.checksums) StrAppend(&out, "split_crc32c ", checksum, "\n");
  return out;
}

Result<SideFile> ParseSideFile(const std::string& path, std::string_view text) {
  SideFile out;
  const std::vector<std::string_view> lines = Split(text, '\n');
  // A file of a later version may mean anything: its hash has no name that is known here.
  if (lines[0] != kSideFileHead) return out;
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t blank = lines[i].find(' ');
    const std::string_view name = lines[i].substr(0, blank);
    const std::string_view value =
        blank == std::string_view::npos ? "" : lines[i].substr(blank + 1);
    if (name == "hash") {
      out.hash = value;
    } else if (name == "split_crc32c") {
      const std::optional<uint64_t> checksum = ParseUint(value);
      if (!checksum || *checksum > UINT32_MAX)
        return DataLoss(StrCat("'", path, "' line ", i + 1, ": not a checksum"));
      out.checksums.push_back(static_cast<uint32_t>(*checksum));
    } else if (!lines[i].empty() || i + 1 != lines.size()) {
      return DataLoss(StrCat("'", path, "' line ", i + 1, ": wanted hash or split_crc32c"));
    }
  }
  return out;
}

// Writes each split into a file of its own.
class FileSink final : public AdmissionFilter::SplitSink {
 public:
  FileSink(FileSystem& files, std::string directory, std::string base, uint32_t splits, Rng& rng)
      : files_(files),
        directory_(std::move(directory)),
        base_(std::move(base)),
        splits_(splits),
        rng_(rng) {}

  Status Meta(uint32_t split, const FilterSplitMeta& meta) override {
    const std::string path = JoinPath(directory_, ShardFileName(base_, split, splits_));
    ASSIGN_OR_RETURN(file_, StagedFile::Create(files_, path, rng_));
    writer_.emplace(file_.get());
    checksums_.push_back(0);
    return Write(Encode(meta));
  }
  Status Cells(const FilterSplitData& data) override { return Write(Encode(data)); }
  Status End() override { return file_->Publish(); }

  std::vector<uint32_t> TakeChecksums() { return std::move(checksums_); }

 private:
  Status Write(const std::string& payload) {
    checksums_.back() = ExtendCrc32c(checksums_.back(), payload);
    return writer_->Write(payload);
  }

  FileSystem& files_;
  const std::string directory_;
  const std::string base_;
  const uint32_t splits_;
  Rng& rng_;
  std::unique_ptr<StagedFile> file_;
  std::optional<records::RecordWriter> writer_;
  std::vector<uint32_t> checksums_;
};

// Removes dumps of the same name with another number of splits: with them the new one could not be
// read.
Status RemoveOtherCounts(FileSystem& files, const std::string& directory, const std::string& base,
                         uint32_t splits) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files.List(directory));
  for (const FileInfo& file : listing) {
    const std::optional<ShardName> name = ParseShardFileName(file.name, base);
    if (name && name->shards != splits)
      RETURN_IF_ERROR(files.Remove(JoinPath(directory, file.name)));
  }
  return OkStatus();
}

struct SplitFile {
  FilterSplit split;
  uint32_t checksum = 0;
};

Result<SplitFile> ReadSplit(FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<records::RecordFile> file,
                   records::OpenRecords(files, path, records::Compression::kNone, kSplitLimits));
  SplitFile out;
  for (bool first = true;; first = false) {
    const std::string where =
        StrCat("'", path, "' offset ", file->offset(), " (record ", file->record(), ")");
    ASSIGN_OR_RETURN(const std::optional<std::string_view> payload, file->Next());
    if (!payload) {
      if (first) return DataLoss(StrCat("'", path, "' is empty"));
      return out;
    }
    out.checksum = ExtendCrc32c(out.checksum, *payload);
    if (first) {
      Result<FilterSplitMeta> meta = DecodeFilterSplitMeta(*payload);
      if (!meta.ok()) return meta.status().Annotate(where);
      out.split.meta = *std::move(meta);
      continue;
    }
    const Result<FilterSplitData> data = DecodeFilterSplitData(*payload);
    if (!data.ok()) return data.status().Annotate(where);
    if (data->offset != out.split.cells.size()) {
      return DataLoss(
          StrCat(where, ": cells from ", data->offset, " on, wanted ", out.split.cells.size()));
    }
    out.split.cells.insert(out.split.cells.end(), data->cells.begin(), data->cells.end());
  }
}

LoadedFilter LeftAlone(std::string reason) {
  return {.report = {.restored = false, .reason = std::move(reason)}, .swap = {}};
}

}  // namespace

Result<FilterSaveReport> SaveFilter(FileSystem& files, const std::string& directory,
                                    const std::string& base, const AdmissionFilter& filter,
                                    Rng& rng) {
  FilterSaveReport report{.files = filter.split_files()};
  if (report.files == 0) return report;
  // While old and new splits are mixed nothing vouches for them.
  RETURN_IF_ERROR(files.Remove(SideFilePath(directory, base)));
  FileSink sink(files, directory, base, report.files, rng);
  ASSIGN_OR_RETURN(report.cut_cells, filter.Dump(sink));
  RETURN_IF_ERROR(RemoveOtherCounts(files, directory, base, report.files));
  const SideFile side = {.hash = std::string(kFilterHashName), .checksums = sink.TakeChecksums()};
  RETURN_IF_ERROR(files.WriteAtomically(SideFilePath(directory, base), Print(side)));
  return report;
}

Result<LoadedFilter> LoadFilter(FileSystem& files, const std::string& directory,
                                const std::string& base, AdmissionFilter& filter) {
  if (filter.split_files() == 0) return LeftAlone("this kind of filter has no state");
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, FindShards(files, directory, base));
  const std::string side_path = SideFilePath(directory, base);
  const Result<std::string> side_text = files.Read(side_path, kMaxSideFileBytes);
  if (!side_text.ok()) {
    if (side_text.status().code() != Code::kNotFound) return side_text.status();
    return LeftAlone(StrCat("'", paths[0], "' was not written by Megalith, or not to the end: '",
                            side_path, "', which names the hash of its cells, is missing"));
  }
  ASSIGN_OR_RETURN(const SideFile side, ParseSideFile(side_path, *side_text));
  if (side.hash != kFilterHashName) {
    return LeftAlone(StrCat("'", side_path, "' names a hash that this version does not know: '",
                            Printable(side.hash), "'"));
  }
  if (side.checksums.size() != paths.size()) {
    return LeftAlone(StrCat("'", side_path, "' is of ", side.checksums.size(),
                            " splits, there are ", paths.size()));
  }
  std::vector<FilterSplit> splits;
  for (size_t i = 0; i < paths.size(); ++i) {
    ASSIGN_OR_RETURN(SplitFile file, ReadSplit(files, paths[i]));
    if (file.checksum != side.checksums[i]) {
      return LeftAlone(StrCat("'", paths[i], "' was replaced since '", side_path,
                              "' was written, so the hash of its cells is not known"));
    }
    splits.push_back(std::move(file.split));
  }
  auto swap = filter.PrepareRestore(std::move(splits));
  if (!swap.ok()) return swap.status().Annotate(StrCat("'", paths[0], "'"));
  return LoadedFilter{.report = {.restored = true, .reason = ""}, .swap = *std::move(swap)};
}

Result<FilterRestoreReport> RestoreFilter(FileSystem& files, const std::string& directory,
                                          const std::string& base, AdmissionFilter& filter) {
  ASSIGN_OR_RETURN(LoadedFilter loaded, LoadFilter(files, directory, base, filter));
  if (loaded.swap) loaded.swap();
  return std::move(loaded.report);
}

}  // namespace megalith::embedding
