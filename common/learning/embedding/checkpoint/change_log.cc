#include "common/learning/embedding/checkpoint/change_log.h"

#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// Fibonacci hashing: the upper bits of a product.
constexpr int kStripeBits = 4;
size_t StripeOf(Fid fid) {
  return static_cast<uint64_t>(fid) * 0x9e3779b97f4a7c15u >> (64 - kStripeBits);
}

}  // namespace

void ChangeLog::Add(const std::string& table, std::span<const Fid> fids) {
  if (given_up_.load(std::memory_order_relaxed)) return;
  // Stripe by stripe, so that writers seldom wait for each other and a fid counts once whoever
  // changes it.
  std::array<size_t, kStripes + 1> ends = {};
  for (const Fid fid : fids) ++ends[StripeOf(fid) + 1];
  for (size_t s = 0; s < kStripes; ++s) ends[s + 1] += ends[s];
  std::vector<Fid> sorted(fids.size());
  std::array<size_t, kStripes + 1> next = ends;
  for (const Fid fid : fids) sorted[next[StripeOf(fid)]++] = fid;
  uint64_t fresh = 0;
  for (size_t s = 0; s < kStripes; ++s) {
    if (ends[s] == ends[s + 1]) continue;
    const std::lock_guard lock(stripes_[s].mu);
    FidSet& set = stripes_[s].tables[table];
    for (size_t i = ends[s]; i < ends[s + 1]; ++i) fresh += set.Insert(sorted[i]) ? 1 : 0;
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
