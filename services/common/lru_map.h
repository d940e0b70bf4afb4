// A map that keeps the most recently used entries.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace megalith::services {

// At most `capacity` values (cheap to copy) by text key. Thread-safe.
template <typename V>
class LruMap {
 public:
  explicit LruMap(size_t capacity) : capacity_(capacity) {}

  std::optional<V> Get(const std::string& key) {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = index_.find(key);
    if (at == index_.end()) return std::nullopt;
    entries_.splice(entries_.begin(), entries_, at->second);
    return at->second->second;
  }
  // Replaces a value that is there.
  void Put(const std::string& key, V value) {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = index_.find(key);
    if (at != index_.end()) {
      at->second->second = std::move(value);
      entries_.splice(entries_.begin(), entries_, at->second);
      return;
    }
    entries_.emplace_front(key, std::move(value));
    index_[key] = entries_.begin();
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
  }
  // True if it was there.
  bool Erase(const std::string& key) {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = index_.find(key);
    if (at == index_.end()) return false;
    entries_.erase(at->second);
    index_.erase(at);
    return true;
  }
  size_t size() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return entries_.size();
  }

 private:
  using Entries = std::list<std::pair<std::string, V>>;  // most recent first
  const size_t capacity_;
  mutable std::mutex mu_;
  Entries entries_;                                                    // guarded by mu_
  std::unordered_map<std::string, typename Entries::iterator> index_;  // guarded by mu_
};

}  // namespace megalith::services
