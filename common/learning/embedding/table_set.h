// The tables of one server: named, saved together, looked up and updated together
// (embedding-tables.md section 7).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {

// Hears of changes in all tables of a set; see WriteObserver. Thread-safe.
class SetObserver {
 public:
  virtual ~SetObserver() = default;
  virtual void Written(const std::string& table, std::span<const Fid> fids) = 0;
  virtual void Erased(const std::string& table, std::span<const Fid> fids) = 0;
  // A restore or a drop changed the whole table.
  virtual void Replaced(const std::string& table) = 0;
};

// Threads: every method may be called concurrently. A table handed out stays usable after it was
// dropped or replaced; it is then no longer anybody's.
class TableSet {
 public:
  struct Options {
    FilterConfig filter;              // one filter for all tables
    SetObserver* observer = nullptr;  // outlives the set
    uint64_t hash_seed = 0;           // take it at random in a server
    size_t max_tables = 1 << 16;
    OpenColdStoreOf open_cold_store;  // none: configurations with a cold tier are refused
  };

  // Errors: those of MakeFilter.
  static Result<std::unique_ptr<TableSet>> Make(Options options);
  ~TableSet();

  // Names are at most 255 bytes of letters, digits and `_ - . : /` (they become file names, with
  // ':' and '/' written as '-').
  // Errors: kAlreadyExists  a table has the name with another configuration (the same
  //         configuration is fine: a repeated request changes nothing); kInvalidArgument
  //         the name, or as Table::Make says; kResourceExhausted  max_tables.
  Status Create(const std::string& name, TableConfig config);

  // Changes what can change while rows stay: expiry, budget, seed, learning rates and other fields
  // of the same records. Errors: kNotFound; kFailedPrecondition  rows would have another shape.
  Status Alter(const std::string& name, TableConfig config);

  // Errors: kNotFound.
  Status Drop(const std::string& name);

  // Errors: kNotFound  names near misses.
  Result<std::shared_ptr<Table>> Get(std::string_view name) const;

  // Sorted by name: the order of every concatenated layout.
  std::vector<std::string> Names() const;
  std::map<std::string, std::shared_ptr<Table>> Tables() const;

  // A table beside the set's, of the same gate and filter, that nobody sees or hears of yet: what a
  // restore fills before Replace puts it in place of the one with its name, all names at one
  // moment. Its fids are hashed by a seed of its own: rows that are loaded in the order in which a
  // table of the same seed gave them fill a growing index from one end, with ever longer probes.
  Result<std::shared_ptr<Table>> MakeAside(const std::string& name, TableConfig config);
  // `also` runs at that moment, with no write going on anywhere in the set; it must be short.
  void Replace(std::map<std::string, std::shared_ptr<Table>> tables,
               const std::function<void()>& also = {});

  AdmissionFilter& filter() const { return *filter_; }
  const FilterConfig& filter_config() const { return options_.filter; }

  // --- one moment of all tables ---

  // Who writes to several tables, or keeps books beside them, and must not be cut in two by a
  // snapshot, holds WriteGate::Shared of this around it all.
  WriteGate& gate() const { return *gate_; }

  // Runs `at_moment` at the moment between batches, with no write going on anywhere in the set;
  // it must be short. Then the tables' rows at that moment can be read, each once, in any order,
  // and filter() dumps what it held at that moment until EndFilter. Errors: kFailedPrecondition
  // another snapshot of the set is not finished.
  class Snapshot {
   public:
    ~Snapshot();  // finishes what was not read
    // The filter has been dumped, or will not be; what it kept aside is given back.
    void EndFilter();
    const std::map<std::string, std::shared_ptr<Table>>& tables() const { return tables_; }
    // Rows and newest update time at the moment.
    uint64_t rows(const std::string& table) const;
    int64_t max_update_time(const std::string& table) const;
    // Errors: those of `sink`; kFailedPrecondition  the table has been read. Different tables may
    // be read by different threads.
    Status Read(const std::string& table,
                const std::function<Status(std::span<const Table::RowView> rows)>& sink);

   private:
    friend class TableSet;
    struct Moment {
      uint64_t rows = 0;
      int64_t max_update_time = 0;
      bool read = false;
    };
    std::mutex mu_;
    std::shared_ptr<AdmissionFilter> filter_;  // null: its moment is over
    std::map<std::string, std::shared_ptr<Table>> tables_;
    std::map<std::string, Moment> moments_;  // `read` is guarded by mu_
  };
  Result<std::unique_ptr<Snapshot>> TakeSnapshot(const std::function<void()>& at_moment);

  // --- many tables in one call (section 7.1) ---

  // Where each (shard, table) lies in a fused batch of K tables over N shards.
  struct FusedLayout {
    std::vector<int64_t> emb_splits;   // N: floats of each shard
    std::vector<int64_t> key_offsets;  // N*K + 1
    std::vector<int64_t> emb_offsets;  // N*K + 1
  };
  // `sizes[shard * K + table]` fids each, tables in sorted order, K = Names().size().
  // Errors: kInvalidArgument  negative sizes, or not N*K of them, or more than `max_floats`.
  Result<FusedLayout> Fuse(std::span<const int64_t> sizes, int64_t shards,
                           int64_t max_floats) const;

  // Rows of all fids, in their order. Errors: as Fuse, and fids.size() is not the sizes' sum.
  Result<std::vector<float>> FusedLookup(std::span<const Fid> fids, std::span<const int64_t> sizes,
                                         int64_t shards, int64_t max_floats) const;

  // Gradients of a fused batch; see Gradients for what the fields mean.
  struct FusedGradients {
    std::span<const Fid> fids;
    std::span<const int64_t> sizes;
    int64_t shards = 1;
    std::span<const float> gradients;
    std::span<const float> learning_rates;  // of all tables, one per segment; empty: as configured
    int64_t update_time = 0;
    int64_t global_step = 0;
    bool dedup = false;  // within one (shard, table)
    NonFinite non_finite = NonFinite::kReject;
  };
  // Steps for all fids. Everything is checked before the first row changes, and a snapshot holds
  // the whole call or nothing. One report per table. Errors: as Fuse and Table::Optimize say.
  Result<std::vector<WriteReport>> FusedOptimize(const FusedGradients& batch);

 private:
  class NamedObserver;
  using TableMap = std::map<std::string, std::shared_ptr<Table>>;
  struct Member {
    std::shared_ptr<Table> table;
    std::shared_ptr<NamedObserver> observer;  // null: nobody listens
  };
  struct Fused {
    FusedLayout layout;
    std::vector<Table*> tables;  // sorted by name
  };

  explicit TableSet(Options options);
  Result<Member> MakeMember(const std::string& name, TableConfig config, uint64_t hash_seed) const;
  Status Missing(std::string_view name) const;  // requires mu_
  Result<Fused> Fuse(const TableMap& tables, std::span<const int64_t> sizes, int64_t shards,
                     int64_t max_floats) const;

  const Options options_;
  std::shared_ptr<AdmissionFilter> filter_;
  const std::shared_ptr<WriteGate> gate_;
  mutable std::shared_mutex mu_;
  std::map<std::string, Member, std::less<>> members_;  // guarded by mu_
  uint64_t created_ = 0;                                // guarded by mu_; tables so far
  // Made aside and not yet put in place.
  std::map<const Table*, std::pair<std::weak_ptr<Table>, std::shared_ptr<NamedObserver>>>
      aside_;  // guarded by mu_
};

}  // namespace megalith::embedding
