#include "clients/cli/latencies.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "clients/cli/reports.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {

double Latencies::Percentile(double share) const {
  if (seconds_.empty()) return 0;
  std::vector<double> sorted = seconds_;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const size_t at = std::min(static_cast<size_t>(std::max(rank, 1.0)), sorted.size()) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(at), sorted.end());
  return sorted[at];
}

double Latencies::Mean() const {
  if (seconds_.empty()) return 0;
  return std::accumulate(seconds_.begin(), seconds_.end(), 0.0) /
         static_cast<double>(seconds_.size());
}

nlohmann::json Latencies::ToJson() const {
  return {{"count", count()},       {"mean", Mean()},         {"min", Percentile(0)},
          {"p50", Percentile(0.5)}, {"p90", Percentile(0.9)}, {"p99", Percentile(0.99)},
          {"max", Percentile(1)}};
}

std::string Latencies::Text() const {
  return StrCat(count(), " calls, min ", SecondsText(Percentile(0)), ", median ",
                SecondsText(Percentile(0.5)), ", p90 ", SecondsText(Percentile(0.9)), ", p99 ",
                SecondsText(Percentile(0.99)), ", max ", SecondsText(Percentile(1)));
}

}  // namespace megalith::cli
