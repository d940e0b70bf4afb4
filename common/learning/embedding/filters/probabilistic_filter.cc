#include <atomic>
#include <cmath>

#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/filters/records.h"
#include "common/learning/embedding/filters/split_cells.h"

namespace megalith::embedding {
namespace {

// Of fids that came as often as the threshold says, so many are still without a row.
constexpr double kStillFiltered = 0.05;

// Admits at random and remembers nothing: on average a fid is turned away about as often as its
// threshold says. Unequal: chance count / threshold. Equal: each occurrence has the same chance p,
// with (1 - p)^threshold = 0.05.
class ProbabilisticFilter final : public AdmissionFilter {
 public:
  explicit ProbabilisticFilter(const FilterConfig& config)
      : AdmissionFilter(config.thresholds),
        equal_(config.equal_probability),
        seed_(FilterHash(static_cast<Fid>(config.seed))) {}

  FilterStats Stats() const override { return {}; }
  uint64_t draws() const override { return draws_.load(std::memory_order_relaxed); }
  void SetDraws(uint64_t draws) override { draws_.store(draws, std::memory_order_relaxed); }

 private:
  bool Filter(Fid, uint64_t count, uint32_t threshold) override {
    // Draw n of all threads together is a hash of n, so that drawing takes no lock.
    const uint64_t draw =
        FilterHash(static_cast<Fid>(seed_ + draws_.fetch_add(1, std::memory_order_relaxed)));
    const double uniform = static_cast<double>(draw >> 11) * 0x1.0p-53;
    const double share = static_cast<double>(count) / threshold;
    return uniform >= (equal_ ? 1.0 - std::pow(kStillFiltered, share) : share);
  }

  const bool equal_;
  const uint64_t seed_;
  std::atomic<uint64_t> draws_{0};
};

Result<std::unique_ptr<AdmissionFilter>> Make(const FilterConfig& config) {
  return std::unique_ptr<AdmissionFilter>(std::make_unique<ProbabilisticFilter>(config));
}

}  // namespace

const FilterDef kProbabilisticFilter = {
    .name = "probabilistic_filter",
    .make = Make,
    .summary = "admits at random, needs no memory and has no files",
    .spec = "embedding-tables.md#8",
};

}  // namespace megalith::embedding
