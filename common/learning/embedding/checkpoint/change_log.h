// Which rows of a set of tables changed since the last save: what an incremental checkpoint holds.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/learning/embedding/checkpoint/fid_set.h"
#include "common/learning/embedding/table_set.h"

namespace megalith::embedding {

// Thread-safe. Memory: at most about 22 bytes for each of `max_fids`; when they are more, or a
// whole table changed at once, it says so instead of what changed, and the next save is a whole
// one.
class ChangeLog final : public SetObserver {
 public:
  // With `incomplete`, why changes before this are not listed: the first Take begins the list.
  explicit ChangeLog(uint64_t max_fids, std::string incomplete = "")
      : max_fids_(max_fids), given_up_(!incomplete.empty()), incomplete_(std::move(incomplete)) {}

  void Written(const std::string& table, std::span<const Fid> fids) override { Add(table, fids); }
  void Erased(const std::string& table, std::span<const Fid> fids) override { Add(table, fids); }
  void Replaced(const std::string& table) override;

  struct Changes {
    std::string incomplete;  // why rows changed that are not listed; empty: none did
    std::vector<std::map<std::string, FidSet>> parts;

    // Each changed or erased fid once.
    std::map<std::string, FidSet> Merged() &&;
  };
  // What changed since the last call. To be called while no write goes on (at_moment of
  // TableSet::TakeSnapshot); takes microseconds.
  Changes Take();
  // After a save that failed: the changes are still to be saved.
  void PutBack(Changes changes);

  // Whether rows changed that are not listed.
  bool incomplete() const { return given_up_.load(std::memory_order_relaxed); }
  uint64_t fids() const { return fids_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kStripes = 16;  // by fid
  struct alignas(64) Stripe {
    std::mutex mu;
    std::map<std::string, FidSet> tables;  // guarded by mu
  };
  void Add(const std::string& table, std::span<const Fid> fids);
  void GiveUp(std::string reason);

  const uint64_t max_fids_;
  std::atomic<uint64_t> fids_{0};
  std::atomic<bool> given_up_{false};
  std::mutex mu_;
  std::string incomplete_;  // guarded by mu_
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace megalith::embedding
