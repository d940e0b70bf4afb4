// How long calls took: percentiles for people and for JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace megalith::cli {

// Not thread-safe.
class Latencies {
 public:
  void Add(double seconds) { seconds_.push_back(seconds); }
  void AddAll(const Latencies& other) {
    seconds_.insert(seconds_.end(), other.seconds_.begin(), other.seconds_.end());
  }
  size_t count() const { return seconds_.size(); }
  // The smallest value that at least this share of the calls did not exceed (nearest rank); 0
  // without calls.
  double Percentile(double share) const;
  double Mean() const;

  // {"count":..,"mean":..,"min":..,"p50":..,"p90":..,"p99":..,"max":..} in seconds.
  nlohmann::json ToJson() const;
  // "99 calls, 0.10 ms median, ...".
  std::string Text() const;

 private:
  std::vector<double> seconds_;
};

}  // namespace megalith::cli
