// Messages of checkpoint files from any bytes: what can be read is written and read again as the
// same, and a filter takes a dump of any shape or leaves it.
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/learning/embedding/dump/dump_messages.h"
#include "common/learning/embedding/filters/filter.h"

namespace {

using namespace megalith::embedding;

// Makes a dump of what the input says and tells whether a filter that took it still works.
void Restore(const FilterSplitMeta& meta, const std::vector<uint16_t>& cells) {
  constexpr uint32_t kSplits = 5;
  auto filter = MakeFilter({.type = "sliding_hash_filter",
                            .thresholds = {.default_threshold = 3},
                            .capacity = 300,
                            .splits = kSplits});
  CHECK(filter.ok());
  FilterSplit split = {.meta = meta, .cells = cells};
  if (split.meta.sliding) {
    split.meta.sliding->split_num = kSplits;
    split.meta.sliding->max_forward_step = 2;
    split.meta.sliding->max_backward_step = kSplits - 2;
    split.meta.sliding->max_step = 16;
    split.meta.sliding->head %= kSplits + 1;
  }
  // Large enough for the cells, or as the input says.
  if (split.meta.total_size % 2 == 0 && split.cells.size() > 64)
    split.meta.total_size = split.cells.size() - 64;
  if (!(*filter)->Restore(std::vector<FilterSplit>(kSplits, split)).ok()) return;
  for (Fid fid = 0; fid < 200; ++fid) (void)(*filter)->ShouldFilter(fid << 17, 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto table = DecodeMultiTableMeta(bytes);
  if (table.ok()) CHECK(*DecodeMultiTableMeta(Encode(*table)) == *table);
  const auto meta = DecodeFilterSplitMeta(bytes);
  if (meta.ok()) {
    // Encodings and not messages are compared: a fill rate may be NaN.
    CHECK(Encode(*DecodeFilterSplitMeta(Encode(*meta))) == Encode(*meta));
  }
  const auto cells = DecodeFilterSplitData(bytes);
  if (cells.ok()) CHECK(*DecodeFilterSplitData(Encode(*cells)) == *cells);
  std::vector<uint16_t> any;
  for (size_t i = 0; i + 1 < size; i += 2)
    any.push_back(static_cast<uint16_t>(data[i] | data[i + 1] << 8));
  if (meta.ok()) Restore(*meta, any);
  FilterSplitMeta own;
  own.sliding.emplace();
  own.num_elements = size == 0 ? 0 : data[0];
  own.sliding->head = own.sliding->head_increment = size;
  Restore(own, any);
  return 0;
}
