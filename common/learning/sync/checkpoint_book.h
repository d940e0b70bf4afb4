// Which rows changed after which checkpoint, so that a target that has loaded one is sent no more
// than those.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "common/learning/sync/touched_set.h"

namespace megalith::sync {

// A checkpoint is a target of the touched set that never acknowledges anything. Thread-safe.
class CheckpointBook {
 public:
  // Keeps the newest `keep` checkpoints; each makes the touched set remember what changed since.
  explicit CheckpointBook(TouchedSet& touched, size_t keep = 2) : touched_(touched), keep_(keep) {}
  ~CheckpointBook() {
    while (!published_.empty()) Drop();
  }

  // At the snapshot's moment, with no write going on. Every one is published or abandoned.
  TouchedSet::Target Begin() { return touched_.AddTargetUpToDate(); }
  // Targets can load it now; they will say `version` in their answers.
  void Publish(TouchedSet::Target moment, int64_t version) {
    const std::lock_guard lock(mu_);
    published_.push_back({.version = version, .moment = moment});
    while (published_.size() > keep_) Drop();
  }
  void Abandon(TouchedSet::Target moment) { touched_.RemoveTarget(moment); }

  // From now on `target` lacks what changed after the checkpoint `version`. False if that is not
  // known any more.
  bool Rebase(TouchedSet::Target target, std::optional<int64_t> version) {
    const std::lock_guard lock(mu_);
    for (const Entry& entry : published_) {
      if (version != entry.version || touched_.LacksAll(entry.moment)) continue;
      return touched_.Rebase(target, entry.moment);
    }
    return false;
  }

 private:
  struct Entry {
    int64_t version;
    TouchedSet::Target moment;
  };
  void Drop() {
    touched_.RemoveTarget(published_.front().moment);
    published_.pop_front();
  }

  TouchedSet& touched_;
  const size_t keep_;
  std::mutex mu_;
  std::deque<Entry> published_;  // guarded by mu_; oldest first
};

}  // namespace megalith::sync
