// Which rows have changed since each serving target last acknowledged them (parameter-sync.md
// sections 2 and 8.3).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::sync {

using embedding::Fid;

// Fids of one table, ascending.
struct TableKeys {
  std::string table;
  std::vector<Fid> fids;
};

// What one target does not have. Immutable once made; targets at the same watermark share one.
struct Delta {
  uint32_t from = 0;                     // the target has acknowledged this generation
  uint32_t upto = 0;                     // and will have this one
  bool all = false;                      // every row of every table has to be sent
  std::vector<std::string> full_tables;  // every row of these has to be sent
  // Besides those: changed rows by table name. Of tables sent in full, only rows that may be gone,
  // which walking the table does not show.
  std::vector<TableKeys> keys;

  bool empty() const { return !all && full_tables.empty() && keys.empty(); }
};

// A set of (table, fid), each with the generation in which it was last touched. A generation ends
// when somebody collects; a target's watermark is the last generation it has acknowledged, so what
// it lacks is every key of a later one. A key leaves the set when no target lacks it. Without
// targets nothing leaves.
//
// Memory is bounded by max_keys (16 bytes each, at most 2.7 times that while a shard grows). When
// it is full, in this order, until a quarter is free:
//   1. targets that are behind others are set to be sent everything, so that they hold no keys;
//   2. the table with most keys becomes "fully dirty": all its rows are sent to every target.
// Erased rows stay in the set through both, since walking a table does not find them. Only when
// erased rows alone fill the set, those of the table with most of them are forgotten and counted in
// `dropped`: targets may then keep rows that are gone.
//
// Threads: any. Cost of a batch: one lock per shard it touches; some 15 ns per fid.
class TouchedSet final : public embedding::SetObserver {
 public:
  struct Options {
    size_t max_keys = 2'097'152;
  };
  // `clock` outlives the set.
  explicit TouchedSet(Options options, const Clock& clock = RealClock());
  ~TouchedSet() override;

  void Written(const std::string& table, std::span<const Fid> fids) override;
  void Erased(const std::string& table, std::span<const Fid> fids) override;
  void Replaced(const std::string& table) override;

  using Target = uint64_t;

  // A target of which nothing is known: it lacks every row.
  Target AddTarget();
  // A target that has every row as it is now: what a snapshot taken now would hold. Call it at the
  // snapshot's moment.
  Target AddTargetUpToDate();
  // From now on `target` lacks what `like` lacks. False if one of them is unknown.
  bool Rebase(Target target, Target like);
  // From now on `target` lacks every row; what it has been sent does not count.
  void MarkAll(Target target);
  // Whether it lacks every row. True for an unknown one.
  bool LacksAll(Target target) const;
  void RemoveTarget(Target target);

  // Ends the generation and tells what `target` lacks. Rows read after this call have every change
  // that the delta covers. Null for an unknown target.
  std::shared_ptr<const Delta> Collect(Target target);
  // The target has all of `delta`, which is the last that was collected for it. Ignored if the
  // target was marked or rebased meanwhile.
  void Acknowledge(Target target, const Delta& delta);

  // Frees what no target lacks. Call it after a round of acknowledgements; a pass over the set.
  void Trim();

  // Age of the oldest change that the target lacks, 0 if it lacks none; since it was added or
  // marked, if it lacks every row.
  std::chrono::nanoseconds Lag(Target target) const;

  // Tables that were replaced or dropped since the last call.
  std::set<std::string> TakeReplaced();

  struct Stats {
    size_t keys = 0;
    uint64_t expelled_targets = 0;  // rule 1 above
    uint64_t dirtied_tables = 0;    // rule 2 above
    uint64_t dropped = 0;           // erased rows forgotten
  };
  Stats GetStats() const;

 private:
  static constexpr size_t kShards = 64;
  static constexpr uint32_t kErasedBit = uint32_t{1} << 31;

  struct Slot {
    Fid fid = 0;
    uint32_t generation = 0;
    uint32_t table = 0;  // number + 1, with kErasedBit if the row may be gone; 0: free
  };
  struct alignas(64) Shard {
    std::mutex mu;
    std::vector<Slot> slots;  // guarded by mu; a power of two, linear probing, at most 3/4 used
    size_t used = 0;          // guarded by mu
  };
  struct TableEntry {
    std::string name;
    uint32_t number = 0;
    std::atomic<uint32_t> dirty{0};  // last generation in which all rows were declared touched
  };
  struct TargetState {
    uint32_t acked = 0;
    bool all = false;
    // While `all`: the generation that the walk under way covers; nothing if none is under way.
    std::optional<uint32_t> walking;
    std::chrono::nanoseconds since{0};  // of `all`
    uint64_t epoch = 0;                 // changes when marked or rebased
    uint64_t collected_epoch = 0;
  };
  struct Watermarks {
    uint32_t written = 0;  // keys up to this generation are lacked by nobody
    uint32_t erased = 0;   // the same for rows that may be gone
  };

  uint64_t Hash(Fid fid, uint32_t table) const;
  TableEntry& EntryOf(const std::string& name);
  void Insert(const std::string& table, std::span<const Fid> fids, uint32_t flag);
  static Slot* Place(Shard& shard, Fid fid, uint32_t table, uint64_t hash);
  void Grow(Shard& shard) const;
  void Touch();
  uint32_t Close();             // requires mu_
  Watermarks HeldBack() const;  // requires mu_
  void MakeRoom();
  bool ExpelLaggards();  // requires mu_
  // Keeps the keys that `keep` wants; counts what is left by table, written and erased.
  struct Census {
    std::vector<size_t> written;
    std::vector<size_t> erased;
  };
  template <typename Keep>
  Census Filter(Keep&& keep);
  std::shared_ptr<const Delta> Gather(uint32_t from, uint32_t upto, bool all);  // requires mu_
  std::vector<TableEntry*> Entries() const;

  const Options options_;
  const Clock& clock_;
  const uint64_t hash_seed_;  // at random: clients choose fids
  std::unique_ptr<Shard[]> shards_;
  std::atomic<size_t> size_{0};
  std::atomic<uint32_t> generation_{1};  // the open one
  std::atomic<int64_t> first_touch_{0};  // of the open generation; 0: untouched

  mutable std::shared_mutex names_mu_;
  std::map<std::string, TableEntry*, std::less<>> by_name_;  // guarded by names_mu_
  std::deque<TableEntry> entries_;                           // grows under names_mu_

  mutable std::mutex mu_;                                             // taken before any shard's
  Target next_target_ = 1;                                            // guarded by mu_
  std::map<Target, TargetState> targets_;                             // guarded by mu_
  std::deque<std::pair<uint32_t, std::chrono::nanoseconds>> opened_;  // guarded by mu_
  std::weak_ptr<const Delta> last_delta_;                             // guarded by mu_
  uint32_t trimmed_written_ = 0;                                      // guarded by mu_
  uint32_t trimmed_erased_ = 0;                                       // guarded by mu_
  std::set<std::string> replaced_;                                    // guarded by mu_
  Stats stats_;                                                       // guarded by mu_
};

}  // namespace megalith::sync
