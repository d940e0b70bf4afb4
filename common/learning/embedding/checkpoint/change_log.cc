#include "common/learning/embedding/checkpoint/change_log.h"

#include <functional>
#include <thread>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {

void ChangeLog::Add(const std::string& table, std::span<const Fid> fids) {
  if (given_up_.load(std::memory_order_relaxed)) return;
  // A stripe for each thread, so that writers seldom wait for each other; a fid may be in several.
  Stripe& stripe = stripes_[std::hash<std::thread::id>()(std::this_thread::get_id()) % kStripes];
  uint64_t fresh = 0;
  {
    const std::lock_guard lock(stripe.mu);
    FidSet& set = stripe.tables[table];
    for (const Fid fid : fids) fresh += set.Insert(fid) ? 1 : 0;
  }
  if (fids_.fetch_add(fresh, std::memory_order_relaxed) + fresh > max_fids_)
    GiveUp(StrCat("more than ", max_fids_, " rows changed since the last save"));
}

void ChangeLog::Replaced(const std::string& table) {
  GiveUp(StrCat("table '", table, "' changed as a whole"));
}

void ChangeLog::GiveUp(std::string reason) {
  const std::lock_guard lock(mu_);
  if (incomplete_.empty()) incomplete_ = std::move(reason);
  given_up_.store(true, std::memory_order_relaxed);
  for (Stripe& stripe : stripes_) {
    const std::lock_guard stripe_lock(stripe.mu);
    stripe.tables.clear();
  }
}

ChangeLog::Changes ChangeLog::Take() {
  const std::lock_guard lock(mu_);
  Changes out{.incomplete = std::exchange(incomplete_, ""), .parts = {}};
  for (Stripe& stripe : stripes_) {
    const std::lock_guard stripe_lock(stripe.mu);
    if (!stripe.tables.empty()) out.parts.push_back(std::exchange(stripe.tables, {}));
  }
  fids_.store(0, std::memory_order_relaxed);
  given_up_.store(false, std::memory_order_relaxed);
  return out;
}

void ChangeLog::PutBack(Changes changes) {
  if (!changes.incomplete.empty()) {
    GiveUp(std::move(changes.incomplete));
    return;
  }
  for (const auto& [table, set] : std::move(changes).Merged()) {
    std::vector<Fid> fids;
    fids.reserve(set.size());
    set.ForEach([&](Fid fid) { fids.push_back(fid); });
    Add(table, fids);
  }
}

std::map<std::string, FidSet> ChangeLog::Changes::Merged() && {
  std::map<std::string, FidSet> out;
  for (std::map<std::string, FidSet>& part : parts) {
    for (auto& [table, set] : part) {
      FidSet& into = out[table];
      if (into.size() == 0) {
        into = std::move(set);
      } else {
        set.ForEach([&](Fid fid) { into.Insert(fid); });
      }
    }
  }
  parts.clear();
  return out;
}

}  // namespace megalith::embedding
