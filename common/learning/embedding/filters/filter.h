// Admission by occurrence: a fid gets a row only after it was seen more often than its slot's
// threshold says (embedding-tables.md section 8).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/dump/dump_messages.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

// How often a fid is turned away, by v2 slot; 0: never.
struct OccurrenceThresholds {
  uint32_t default_threshold = 0;
  std::map<uint32_t, uint32_t> threshold_of_slot;

  // The largest of all.
  uint32_t Max() const;
};

struct FilterConfig {
  // The record's name. Empty: sliding_hash_filter if any threshold is above 0, else no_filter.
  std::string type;
  OccurrenceThresholds thresholds;
  // Of sliding_hash_filter: fids that it tells apart before it forgets the oldest, and the number
  // of parts in which it forgets them.
  uint64_t capacity = 300'000'000;
  uint32_t splits = 7;
  // Of probabilistic_filter: every occurrence has the same chance, instead of count / threshold.
  bool equal_probability = false;
  uint64_t seed = 0;
  // Quirk 20: counts of Monolith end at 15, so that a larger threshold is never passed. kCorrected
  // counts such thresholds out, in cells of twice the size.
  Compatibility compatibility = Compatibility::kCorrected;
};

// What a filter holds. Numbers may be a moment old while others use it.
struct FilterStats {
  uint64_t elements = 0;  // fids it tells apart; one may count in several splits
  uint64_t failures = 0;  // occurrences it had no room for and let pass
  uint64_t bytes = 0;     // of memory set aside
};

// One split as it is on disk.
struct FilterSplit {
  FilterSplitMeta meta;
  std::vector<uint16_t> cells;
};

// Threads: any method may be called from any thread, except Restore. Cost of ShouldFilter: one or
// two cache misses, and a few more the first time a fid is seen in a while.
class AdmissionFilter {
 public:
  virtual ~AdmissionFilter() = default;

  // Counts `count` occurrences of a fid that has no row, and says whether it still gets none. Fids
  // that have a row pass without being asked for (quirk 2). A slot with threshold 0 is never
  // filtered nor counted.
  bool ShouldFilter(Fid fid, uint64_t count) {
    const uint32_t threshold = threshold_of_slot_[static_cast<size_t>(SlotV2(fid))];
    return threshold != 0 && Filter(fid, count, threshold);
  }

  virtual FilterStats Stats() const = 0;

  // Files a dump of this filter has; 0: it has no state.
  virtual uint32_t split_files() const { return 0; }
  // Hands every split's meta and then its cells, piece by piece, to `take`; adding goes on in other
  // threads meanwhile. Cells that count further than 15 are cut to it; returns how many.
  // Errors: those of `take`, which stop it.
  class SplitSink {
   public:
    virtual ~SplitSink() = default;
    virtual Status Meta(uint32_t split, const FilterSplitMeta& meta) = 0;
    virtual Status Cells(const FilterSplitData& data) = 0;
    virtual Status End() = 0;
  };
  virtual Result<uint64_t> Dump(SplitSink& sink) const;
  // From here to EndMoment, Dump hands out what the filter holds now, whatever is added meanwhile:
  // cells that change are kept as they were until they are dumped. Nobody may use the filter during
  // this call. Errors: kFailedPrecondition  a moment is open.
  virtual Status BeginMoment() { return OkStatus(); }
  // Of the moment that BeginMoment opened; others may use the filter meanwhile.
  virtual void EndMoment() {}

  // How many random numbers a filter that admits at random has drawn: with this it goes on as it
  // would have. Setting it needs that nobody uses the filter.
  virtual uint64_t draws() const { return 0; }
  virtual void SetDraws(uint64_t) {}
  // Replaces the content. Nobody else may use the filter meanwhile.
  // Errors: kFailedPrecondition  the dump is of a filter configured otherwise; kDataLoss  it
  //         contradicts itself. The filter is then as it was.
  Status Restore(std::vector<FilterSplit> splits);
  // The two halves of Restore: all that can fail or take long, and the swap, which takes
  // microseconds. Only the swap needs that nobody else uses the filter.
  virtual Result<std::function<void()>> PrepareRestore(std::vector<FilterSplit> splits);

 protected:
  explicit AdmissionFilter(const OccurrenceThresholds& thresholds);

 private:
  // threshold > 0.
  virtual bool Filter(Fid fid, uint64_t count, uint32_t threshold) = 0;

  std::vector<uint32_t> threshold_of_slot_;  // kSlotsV2 of them
};

// All there is to know of a kind of filter.
struct FilterDef {
  std::string_view name;  // as in Monolith's configuration
  Result<std::unique_ptr<AdmissionFilter>> (*make)(const FilterConfig& config) = nullptr;
  std::string_view summary;
  std::string_view spec;
};
std::span<const FilterDef> Filters();

// Errors: kInvalidArgument  no such type, a slot above 2^15 - 1, a capacity or number of splits out
//         of range, a threshold that no cell can count to.
Result<std::unique_ptr<AdmissionFilter>> MakeFilter(const FilterConfig& config);

// What a person should know of a configuration that is valid: thresholds that are never passed
// (quirk 20), by slot. One sentence each.
std::vector<std::string> FilterWarnings(const FilterConfig& config);

}  // namespace megalith::embedding
