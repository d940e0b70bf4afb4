#include "common/learning/embedding/checkpoint/entry_files.h"

#include <map>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/dump/dump_messages.h"
#include "common/learning/records/record_file.h"
#include "common/learning/records/snappy_stream.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

using records::Compression;
using records::OpenRecords;
using records::RecordFile;
using records::RecordWriter;

std::string PathOf(const std::string& directory, std::string_view base, ShardName shard) {
  return JoinPath(directory, ShardFileName(base, shard.shard, shard.shards));
}

std::string WhereIn(const std::string& path, uint64_t record, uint64_t offset,
                    std::string_view unit = "") {
  return StrCat("'", path, "'", unit, " offset ", offset, " (record ", record, ")");
}

class SingleWriter final : public EntryShardWriter {
 public:
  explicit SingleWriter(std::unique_ptr<StagedFile> file)
      : file_(std::move(file)), writer_(file_.get()) {}
  Status BeginTable(std::string_view) override {
    return InvalidArgument(StrCat("'", file_->path(), "' is of a single table"));
  }
  Status Write(std::string_view entry) override { return writer_.Write(entry); }
  Status Publish() override { return file_->Publish(); }
  uint64_t rows() const override { return writer_.records(); }

 private:
  std::unique_ptr<StagedFile> file_;
  RecordWriter writer_;
};

class NativeWriter final : public EntryShardWriter {
 public:
  NativeWriter(std::unique_ptr<StagedFile> file, std::unique_ptr<StagedFile> meta_file)
      : file_(std::move(file)),
        meta_file_(std::move(meta_file)),
        snappy_(file_.get()),
        writer_(&snappy_),
        meta_writer_(meta_file_.get()) {}

  Status BeginTable(std::string_view name) override {
    if (table_ && name <= table_->table_name) {
      return InvalidArgument(StrCat("tables must come by ascending name, got '", Printable(name),
                                    "' after '", Printable(table_->table_name), "'"));
    }
    RETURN_IF_ERROR(EndTable());
    table_ = MultiTableMeta{.table_name = std::string(name)};
    return OkStatus();
  }
  Status Write(std::string_view entry) override {
    CHECK(table_.has_value());
    RETURN_IF_ERROR(writer_.Write(entry));
    ++table_->num_entries;
    return OkStatus();
  }
  Status Publish() override {
    RETURN_IF_ERROR(EndTable());
    RETURN_IF_ERROR(snappy_.Flush());
    RETURN_IF_ERROR(file_->Publish());
    return meta_file_->Publish();
  }
  uint64_t rows() const override { return writer_.records(); }

 private:
  Status EndTable() { return table_ ? meta_writer_.Write(Encode(*table_)) : OkStatus(); }

  std::unique_ptr<StagedFile> file_;
  std::unique_ptr<StagedFile> meta_file_;
  records::SnappySink snappy_;
  RecordWriter writer_;
  RecordWriter meta_writer_;
  std::optional<MultiTableMeta> table_;  // whose rows are being written
};

class SingleReader final : public EntryShardReader {
 public:
  SingleReader(std::string path, std::unique_ptr<RecordFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Result<std::optional<std::string_view>> NextTable() override {
    if (begun_) return std::optional<std::string_view>();
    begun_ = true;
    return std::optional<std::string_view>("");
  }
  Result<std::optional<std::string_view>> NextRow() override {
    record_ = file_->record();
    offset_ = file_->offset();
    return file_->Next();
  }
  std::string Where() const override { return WhereIn(path_, record_, offset_); }

 private:
  const std::string path_;
  std::unique_ptr<RecordFile> file_;
  bool begun_ = false;
  uint64_t record_ = 0;
  uint64_t offset_ = 0;
};

class NativeReader final : public EntryShardReader {
 public:
  NativeReader(std::string path, std::unique_ptr<RecordFile> file, std::string meta_path,
               std::unique_ptr<RecordFile> meta_file)
      : path_(std::move(path)),
        file_(std::move(file)),
        meta_path_(std::move(meta_path)),
        meta_file_(std::move(meta_file)) {}

  Result<std::optional<std::string_view>> NextTable() override {
    while (left_ > 0) RETURN_IF_ERROR(NextRow());
    const std::string where = WhereIn(meta_path_, meta_file_->record(), meta_file_->offset());
    ASSIGN_OR_RETURN(const std::optional<std::string_view> payload, meta_file_->Next());
    if (!payload) return std::optional<std::string_view>();
    ASSIGN_OR_RETURN(table_, DecodeMultiTableMeta(*payload).Annotate(where));
    left_ = table_.num_entries;
    return std::optional<std::string_view>(table_.table_name);
  }

  Result<std::optional<std::string_view>> NextRow() override {
    if (left_ == 0) return std::optional<std::string_view>();
    record_ = file_->record();
    offset_ = file_->offset();
    ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, file_->Next());
    if (!entry) {
      return DataLoss(StrCat(Where(), ": the file ends ", left_, " rows before '", meta_path_,
                             "' says that those of table '", Printable(table_.table_name), "' do"));
    }
    --left_;
    return entry;
  }
  std::string Where() const override { return WhereIn(path_, record_, offset_, " uncompressed"); }

 private:
  const std::string path_;
  std::unique_ptr<RecordFile> file_;
  const std::string meta_path_;
  std::unique_ptr<RecordFile> meta_file_;
  MultiTableMeta table_;
  uint64_t left_ = 0;  // rows of table_ that were not read
  uint64_t record_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace

Result<std::unique_ptr<EntryShardWriter>> EntryShardWriter::Create(FileSystem& files,
                                                                   const std::string& directory,
                                                                   const std::string& base,
                                                                   ShardName shard,
                                                                   TableLayout layout, Rng& rng) {
  ASSIGN_OR_RETURN(std::unique_ptr<StagedFile> file,
                   StagedFile::Create(files, PathOf(directory, base, shard), rng));
  if (layout == TableLayout::kSingle)
    return std::unique_ptr<EntryShardWriter>(std::make_unique<SingleWriter>(std::move(file)));
  ASSIGN_OR_RETURN(std::unique_ptr<StagedFile> meta_file,
                   StagedFile::Create(files, PathOf(directory, MetaBase(base), shard), rng));
  return std::unique_ptr<EntryShardWriter>(
      std::make_unique<NativeWriter>(std::move(file), std::move(meta_file)));
}

Result<std::unique_ptr<EntryShardReader>> EntryShardReader::Open(FileSystem& files,
                                                                 const std::string& directory,
                                                                 const std::string& base,
                                                                 ShardName shard,
                                                                 TableLayout layout) {
  const std::string path = PathOf(directory, base, shard);
  if (layout == TableLayout::kSingle) {
    ASSIGN_OR_RETURN(std::unique_ptr<RecordFile> file,
                     OpenRecords(files, path, Compression::kNone));
    return std::unique_ptr<EntryShardReader>(std::make_unique<SingleReader>(path, std::move(file)));
  }
  const std::string meta_path = PathOf(directory, MetaBase(base), shard);
  ASSIGN_OR_RETURN(std::unique_ptr<RecordFile> file,
                   OpenRecords(files, path, Compression::kSnappy));
  ASSIGN_OR_RETURN(std::unique_ptr<RecordFile> meta_file,
                   OpenRecords(files, meta_path, Compression::kNone));
  return std::unique_ptr<EntryShardReader>(
      std::make_unique<NativeReader>(path, std::move(file), meta_path, std::move(meta_file)));
}

Result<Fid> FidOfEntry(std::string_view entry) {
  records::WireReader in(entry);
  while (in.Next()) {
    if (in.field().number != 1) continue;
    RETURN_IF_ERROR(ExpectType(in.field(), records::WireType::kFixed64));
    return static_cast<Fid>(in.field().value);
  }
  RETURN_IF_ERROR(in.status());
  return DataLoss("the row has no id");
}

Result<std::vector<std::pair<std::string, uint64_t>>> CountNativeRows(FileSystem& files,
                                                                      const std::string& directory,
                                                                      const std::string& base) {
  ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                   FindShards(files, directory, MetaBase(base)));
  std::map<std::string, uint64_t> rows;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const std::unique_ptr<RecordFile> file,
                     OpenRecords(files, path, Compression::kNone));
    while (true) {
      const std::string where = WhereIn(path, file->record(), file->offset());
      ASSIGN_OR_RETURN(const std::optional<std::string_view> payload, file->Next());
      if (!payload) break;
      ASSIGN_OR_RETURN(const MultiTableMeta table, DecodeMultiTableMeta(*payload).Annotate(where));
      rows[table.table_name] += table.num_entries;
    }
  }
  return std::vector<std::pair<std::string, uint64_t>>(rows.begin(), rows.end());
}

}  // namespace megalith::embedding
