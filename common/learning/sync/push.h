// What is sent to serving targets: fids with the rows they have now, cut into parts of at most
// about 4 MiB (parameter-sync.md section 3).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/table_set.h"
#include "common/learning/sync/touched_set.h"

namespace megalith::sync {

// How tables are named on the wire.
enum class WireForm {
  kSingle,  // T_id and T_value for each table T
  kNative,  // one multi-table: id, id_split, flat_value, tables in the order of their names
};

// Where pushes go and what they are called.
struct PushSpec {
  std::string model;                           // "<model>:ps_<i>"
  std::string signature = "hashtable_assign";  // of the single form
  WireForm form = WireForm::kSingle;
  std::string resource;                     // native form: "MonolithMultiHashTable_<i>"
  std::chrono::milliseconds timeout{3000};  // of one part

  // The signature that goes on the wire.
  std::string WireSignature() const {
    return form == WireForm::kNative ? resource + "/raw_assign" : signature;
  }
};

// Rows of one table; `values` has dim floats for each fid.
struct TableRows {
  std::string table;
  int64_t dim = 0;
  std::vector<Fid> fids;
  std::vector<float> values;
};

// One message. Every table of the sender is in it, with or without rows. A fid whose row is gone
// has a row of zeros: it is all that Monolith's wire has for it.
struct Push {
  std::string model;
  std::string signature;
  WireForm form = WireForm::kSingle;
  std::chrono::milliseconds timeout{3000};
  std::vector<TableRows> tables;  // by name

  int64_t fids() const;
};

// The size at which Monolith cuts (persistent: never change).
inline constexpr int64_t kMaxPartBytes = 4 << 20;

// The encoded size of Monolith's PushRequest with one row of `dim` floats for each fid.
struct TableShape {
  std::string_view table;
  int64_t dim = 0;
  std::span<const Fid> fids;
};
int64_t PushRequestBytes(const PushSpec& spec, std::span<const TableShape> tables);
int64_t PushRequestBytes(const PushSpec& spec, const Push& push);
// What one fid with its row adds.
int64_t RowBytes(Fid fid, int64_t dim);

// How many parts a request of `bytes` is cut into.
int64_t PartsOf(int64_t bytes, int64_t max_part_bytes);
// First and last fid, exclusive, of a table with `fids` of them in part `part` of `parts`.
std::pair<size_t, size_t> PartRange(size_t fids, int64_t part, int64_t parts);

// A set of fids to be sent, which reads their rows part by part when they are sent. Not
// thread-safe.
class PushPlan {
 public:
  // Keys of tables that `tables` lacks are left out; tables without keys come without rows.
  PushPlan(const PushSpec& spec, std::map<std::string, std::shared_ptr<embedding::Table>> tables,
           std::vector<TableKeys> keys, int64_t max_part_bytes = kMaxPartBytes);

  int64_t parts() const { return parts_; }
  // The rows of the part as they are now. Errors: those of Table::Lookup.
  Result<Push> Build(int64_t part) const;

 private:
  struct Member {
    std::string name;
    std::shared_ptr<embedding::Table> table;
    std::vector<Fid> fids;
  };
  const PushSpec spec_;
  std::vector<Member> members_;  // by name
  int64_t parts_ = 1;
};

// The fids of a delta, a bounded number at a time. Not thread-safe.
class KeySource {
 public:
  // Walks tables as `set` has them when their turn comes.
  KeySource(std::shared_ptr<const Delta> delta, const embedding::TableSet& set);

  // The next fids, whose rows make up about `max_bytes`; false when there are no more.
  bool Next(int64_t max_bytes, std::vector<TableKeys>* keys);
  const Delta& delta() const { return *delta_; }

 private:
  bool NextListed(int64_t max_bytes, int64_t* bytes, std::vector<TableKeys>* keys);
  bool NextWalked(int64_t max_bytes, int64_t* bytes, std::vector<TableKeys>* keys);

  const std::shared_ptr<const Delta> delta_;
  const embedding::TableSet& set_;
  size_t table_ = 0;  // of delta_->keys
  size_t fid_ = 0;    // in it
  std::vector<std::string> walks_;
  size_t walk_ = 0;
  std::shared_ptr<embedding::Table> walked_;
  uint64_t cursor_ = 0;
};

}  // namespace megalith::sync
