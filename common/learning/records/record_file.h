// Files of records, by path.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/records/record_stream.h"

namespace megalith::records {

enum class Compression {
  kNone,
  kSnappy,  // TensorFlow's Snappy stream around the whole record stream
};

// A record file that is being read. Not thread-safe.
class RecordFile {
 public:
  virtual ~RecordFile() = default;
  // As RecordReader::Next. Errors name the file; offsets of records in a compressed file count
  // uncompressed bytes, which the message says, those of Snappy blocks count bytes of the file.
  virtual Result<std::optional<std::string_view>> Next() = 0;
  // As RecordReader's.
  virtual uint64_t record() const = 0;
  virtual uint64_t offset() const = 0;
};

// `files` must outlive the file. Errors: those of FileSystem::OpenRead.
Result<std::unique_ptr<RecordFile>> OpenRecords(FileSystem& files, const std::string& path,
                                                Compression compression, RecordLimits limits = {});

}  // namespace megalith::records
