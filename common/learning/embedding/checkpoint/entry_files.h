// The rows of tables in the files of a checkpoint, as encoded EntryDump messages: single tables and
// native multi-tables (checkpoint-format.md sections 4 and 5). What is in a row is the table's
// business. Byte layout: docs/formats/tables.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

enum class TableLayout {
  kSingle,  // one table, plain records
  kNative,  // several tables in a Snappy stream, with a directory file beside it
};

// One shard that is being written. Destroyed before Publish, it leaves nothing. Not thread-safe;
// shards may be written in parallel.
class EntryShardWriter {
 public:
  virtual ~EntryShardWriter() = default;
  // `files` must outlive the writer; `directory` must exist. Errors: those of opening files.
  static Result<std::unique_ptr<EntryShardWriter>> Create(FileSystem& files,
                                                          const std::string& directory,
                                                          const std::string& base, ShardName shard,
                                                          TableLayout layout, Rng& rng);

  // Native: the rows that follow are of this table; tables without rows are begun as well.
  // Errors: kInvalidArgument  names do not ascend.
  virtual Status BeginTable(std::string_view name) = 0;
  // One row. Native: requires BeginTable. Errors: those of writing.
  virtual Status Write(std::string_view entry) = 0;
  // Makes the shard visible: the entry file, then its directory file. May be called once.
  virtual Status Publish() = 0;
  virtual uint64_t rows() const = 0;
};

// One shard that is being read, row by row. Not thread-safe.
class EntryShardReader {
 public:
  virtual ~EntryShardReader() = default;
  // `files` must outlive the reader. Errors: kNotFound; those of opening files.
  static Result<std::unique_ptr<EntryShardReader>> Open(FileSystem& files,
                                                        const std::string& directory,
                                                        const std::string& base, ShardName shard,
                                                        TableLayout layout);

  // Native: moves to the next table, past what was not read of this one; nothing behind the last.
  // Single: the one table, with an empty name. Errors: kDataLoss  the directory file is damaged,
  // or the entry file ends before the rows that it promises.
  virtual Result<std::optional<std::string_view>> NextTable() = 0;
  // The next row of the table, valid until the next call; nothing behind its last.
  // Errors: kDataLoss  names file, record and offset.
  virtual Result<std::optional<std::string_view>> NextRow() = 0;
  // File, record and offset of the row that NextRow gave last, for messages about what is in it.
  virtual std::string Where() const = 0;
};

// The fid of a row. Errors: kDataLoss  it has none, or the bytes are no message.
Result<Fid> FidOfEntry(std::string_view entry);

// Rows by table of a native multi-table, from its directory files alone; what `ckpt.info-<step>`
// says. Errors: those of FindShards; kDataLoss.
Result<std::vector<std::pair<std::string, uint64_t>>> CountNativeRows(FileSystem& files,
                                                                      const std::string& directory,
                                                                      const std::string& base);

}  // namespace megalith::embedding
