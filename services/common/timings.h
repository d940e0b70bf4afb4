// How long the steps of a request took, for its answer.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/foundation/base/clock.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::services {

// Not thread-safe.
class Timings {
 public:
  explicit Timings(const Clock& clock) : clock_(clock), lap_(clock), total_(clock) {}
  // Ends the current step and gives it a name.
  void Lap(std::string name) {
    steps_.emplace_back(std::move(name), lap_.Seconds());
    lap_ = Stopwatch(clock_);
  }
  // Ends the current step without a name: somebody else measured it.
  void Skip() { lap_ = Stopwatch(clock_); }
  // Steps that somebody else measured.
  void Add(std::string name, double seconds) { steps_.emplace_back(std::move(name), seconds); }
  double total_seconds() const { return total_.Seconds(); }
  template <typename Proto>
  void CopyTo(Proto* response) const {
    for (const auto& [name, seconds] : steps_) {
      common::v1::Timing* timing = response->add_timings();
      timing->set_name(name);
      timing->set_seconds(seconds);
    }
  }

 private:
  const Clock& clock_;
  Stopwatch lap_;
  const Stopwatch total_;
  std::vector<std::pair<std::string, double>> steps_;
};

}  // namespace megalith::services
