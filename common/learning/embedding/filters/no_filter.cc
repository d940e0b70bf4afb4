#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/filters/records.h"

namespace megalith::embedding {
namespace {

class NoFilter final : public AdmissionFilter {
 public:
  // Without thresholds nothing is ever asked.
  NoFilter() : AdmissionFilter({}) {}
  FilterStats Stats() const override { return {}; }

 private:
  bool Filter(Fid, uint64_t, uint32_t) override { return false; }
};

Result<std::unique_ptr<AdmissionFilter>> Make(const FilterConfig&) {
  return std::unique_ptr<AdmissionFilter>(std::make_unique<NoFilter>());
}

}  // namespace

const FilterDef kNoFilter = {
    .name = "no_filter",
    .make = Make,
    .summary = "admits every fid, whatever the thresholds say",
    .spec = "embedding-tables.md#8",
};

}  // namespace megalith::embedding
