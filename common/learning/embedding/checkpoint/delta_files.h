// Files of incremental checkpoints: rows that changed and fids of rows that are gone. Byte layout:
// docs/formats/tables.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/records/record_file.h"
#include "common/learning/records/record_stream.h"

namespace megalith::embedding {

// "<prefix of the base>.delta-<step>".
std::string DeltaDirectory(std::string_view base_prefix, int64_t step);
// "delta_<server>".
std::string DeltaName(std::optional<uint32_t> server);

// Not thread-safe. Destroyed before Publish, it leaves nothing.
class DeltaWriter {
 public:
  static Result<std::unique_ptr<DeltaWriter>> Create(FileSystem& files, const std::string& path,
                                                     Rng& rng);
  // What follows is of this table; tables come by ascending name. Errors: those of writing.
  Status BeginTable(std::string_view name);
  Status Write(std::string_view entry);
  Status Erase(std::span<const Fid> fids);
  Status Publish() { return file_->Publish(); }

 private:
  explicit DeltaWriter(std::unique_ptr<StagedFile> file)
      : file_(std::move(file)), out_(file_.get()) {}
  Status Record(uint32_t field, std::string_view bytes);

  std::unique_ptr<StagedFile> file_;
  records::RecordWriter out_;
};

// One record of a delta. Exactly one of these is there.
struct DeltaRecord {
  std::optional<std::string_view> table;  // begins
  std::optional<std::string_view> entry;
  std::vector<Fid> erased;
};

// Not thread-safe.
class DeltaReader {
 public:
  static Result<std::unique_ptr<DeltaReader>> Open(FileSystem& files, const std::string& path);
  // The next record, valid until the next call; nothing at the end. Errors: kDataLoss  names file,
  // record and offset.
  Result<std::optional<DeltaRecord>> Next();
  // Of the record that Next gave last.
  std::string Where() const;

 private:
  DeltaReader(std::string path, std::unique_ptr<records::RecordFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}

  const std::string path_;
  std::unique_ptr<records::RecordFile> file_;
  bool begun_ = false;
  uint64_t record_ = 0;
  uint64_t offset_ = 0;
};

// A delta of which everything is there.
struct FoundDelta {
  std::string directory;
  int64_t step = 0;
  std::map<uint32_t, FoundManifest> manifests;
};
// The deltas that follow `base`, each building on the one before it: as far as all parts of all
// servers are whole and the files of `servers` are as their manifests say. `mend(directory)` may
// repair a damaged directory and answers whether it did. Why the chain ends early is added to
// `notes`. Errors: those of listing.
Result<std::vector<FoundDelta>> FindDeltas(FileSystem& files, const std::string& base_prefix,
                                           const CheckpointSource& base,
                                           std::span<const uint32_t> servers,
                                           const std::function<bool(const std::string&)>& mend,
                                           std::vector<std::string>* notes);

}  // namespace megalith::embedding
