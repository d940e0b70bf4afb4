#include "common/learning/records/record_file.h"

#include "common/foundation/base/strings.h"
#include "common/learning/records/snappy_stream.h"

namespace megalith::records {
namespace {

std::string Quoted(const std::string& path) { return StrCat("'", Printable(path, 200), "'"); }

class PlainFile final : public RecordFile {
 public:
  PlainFile(std::unique_ptr<ByteSource> file, const std::string& path, RecordLimits limits)
      : file_(std::move(file)), reader_(file_.get(), Quoted(path), limits) {}
  Result<std::optional<std::string_view>> Next() override { return reader_.Next(); }
  uint64_t record() const override { return reader_.record(); }
  uint64_t offset() const override { return reader_.offset(); }

 private:
  std::unique_ptr<ByteSource> file_;
  RecordReader reader_;
};

class SnappyFile final : public RecordFile {
 public:
  SnappyFile(std::unique_ptr<ByteSource> file, const std::string& path, RecordLimits limits)
      : file_(std::move(file)),
        blocks_(file_.get(), Quoted(path)),
        reader_(&blocks_, StrCat(Quoted(path), " uncompressed"), limits) {}
  Result<std::optional<std::string_view>> Next() override { return reader_.Next(); }
  uint64_t record() const override { return reader_.record(); }
  uint64_t offset() const override { return reader_.offset(); }

 private:
  std::unique_ptr<ByteSource> file_;
  SnappySource blocks_;
  RecordReader reader_;
};

}  // namespace

Result<std::unique_ptr<RecordFile>> OpenRecords(FileSystem& files, const std::string& path,
                                                Compression compression, RecordLimits limits) {
  ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> file, files.OpenRead(path));
  if (compression == Compression::kSnappy)
    return std::unique_ptr<RecordFile>(std::make_unique<SnappyFile>(std::move(file), path, limits));
  return std::unique_ptr<RecordFile>(std::make_unique<PlainFile>(std::move(file), path, limits));
}

}  // namespace megalith::records
