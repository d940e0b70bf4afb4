#include <algorithm>
#include <array>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/filters/records.h"
#include "common/learning/embedding/filters/split_cells.h"

namespace megalith::embedding {
namespace {

Status CheckSlots(const OccurrenceThresholds& thresholds) {
  for (const auto& [slot, threshold] : thresholds.threshold_of_slot) {
    if (slot >= kSlotsV2) {
      return InvalidArgument(
          StrCat("occurrence threshold of slot ", slot, ": slots are 0 to ", kSlotsV2 - 1));
    }
  }
  return OkStatus();
}

std::string_view TypeOf(const FilterConfig& config) {
  if (!config.type.empty()) return config.type;
  return config.thresholds.Max() > 0 ? kSlidingHashFilter.name : kNoFilter.name;
}

}  // namespace

uint32_t OccurrenceThresholds::Max() const {
  uint32_t out = default_threshold;
  for (const auto& [slot, threshold] : threshold_of_slot) out = std::max(out, threshold);
  return out;
}

AdmissionFilter::AdmissionFilter(const OccurrenceThresholds& thresholds)
    : threshold_of_slot_(kSlotsV2, thresholds.default_threshold) {
  for (const auto& [slot, threshold] : thresholds.threshold_of_slot)
    threshold_of_slot_[slot] = threshold;
}

Result<uint64_t> AdmissionFilter::Dump(SplitSink&) const { return uint64_t{0}; }

Status AdmissionFilter::Restore(std::vector<FilterSplit> splits) {
  ASSIGN_OR_RETURN(const std::function<void()> swap, PrepareRestore(std::move(splits)));
  swap();
  return OkStatus();
}

Result<std::function<void()>> AdmissionFilter::PrepareRestore(std::vector<FilterSplit>) {
  return FailedPrecondition("this kind of filter has no state to restore");
}

std::span<const FilterDef> Filters() {
  static const std::array<FilterDef, 3> all = {kNoFilter, kProbabilisticFilter, kSlidingHashFilter};
  return all;
}

Result<std::unique_ptr<AdmissionFilter>> MakeFilter(const FilterConfig& config) {
  RETURN_IF_ERROR(CheckSlots(config.thresholds));
  const std::string_view type = TypeOf(config);
  std::vector<std::string_view> names;
  for (const FilterDef& def : Filters()) {
    if (def.name == type) return def.make(config);
    names.push_back(def.name);
  }
  return InvalidArgument(
      StrCat("filter type '", Printable(type), "' is none of ", Join(names, ", ")));
}

std::vector<std::string> FilterWarnings(const FilterConfig& config) {
  constexpr uint32_t kMaxCount = SplitCells<uint16_t>::kMaxCount;
  std::vector<std::string> out;
  if (config.compatibility != Compatibility::kMonolith || TypeOf(config) != kSlidingHashFilter.name)
    return out;
  const auto warn = [&](const std::string& what, uint32_t threshold) {
    if (threshold <= kMaxCount) return;
    out.push_back(StrCat(what, ": occurrence threshold ", threshold,
                         " is never passed, since Monolith's counts end at ", kMaxCount,
                         "; new fids never get a row (compatibility 'corrected' counts further)"));
  };
  warn("all slots without a threshold of their own", config.thresholds.default_threshold);
  for (const auto& [slot, threshold] : config.thresholds.threshold_of_slot)
    warn(StrCat("slot ", slot), threshold);
  return out;
}

}  // namespace megalith::embedding
