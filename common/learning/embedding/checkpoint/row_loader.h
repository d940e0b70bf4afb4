// Rows of checkpoint files on their way into tables.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {

// Collects rows of one table and loads them together. Not thread-safe; several may load one table.
class RowLoader {
 public:
  // `table` and `options` must outlive it. Rows of other servers than `placement` are skipped if
  // `resharded`.
  RowLoader(Table& table, std::string name, const RestoreOptions& options,
            const std::set<uint32_t>& slots, bool resharded);

  // Takes one EntryDump; `where` tells its place for messages. Errors: kFailedPrecondition  it does
  // not fit the table; kDataLoss  it is no EntryDump; those of Flush.
  template <typename Where>
  Status Add(std::string_view entry, const Where& where) {
    const Status status = AddRow(entry);
    return status.ok() ? status : status.Annotate(where());
  }
  // Whether a row of this fid is of interest.
  bool Wanted(Fid fid) const;
  // Errors: kResourceExhausted  max_bytes of the table.
  Status Flush();

  uint64_t rows = 0;
  uint64_t skipped = 0;

 private:
  Status AddRow(std::string_view entry);

  Table& table_;
  const std::string name_;
  const RestoreOptions& options_;
  const std::set<uint32_t>& slots_;
  const bool resharded_;
  std::vector<Fid> fids_;
  std::vector<uint32_t> timestamps_;
  std::vector<std::byte> payloads_;
};

}  // namespace megalith::embedding
