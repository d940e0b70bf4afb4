#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/filters/records.h"
#include "common/learning/embedding/filters/split_cells.h"

namespace megalith::embedding {
namespace {

// Persistent: never change (they are in every dump).
constexpr uint32_t kMinSplits = 5;
constexpr uint32_t kForwardSteps = 2;
constexpr double kFillRate = 1.2;
constexpr uint64_t kMinCapacity = 300;

constexpr uint32_t kMaxSplits = 1000;
// Cells of a split are numbered with 32 bits in dumps.
constexpr uint64_t kMaxSplitCells = (uint64_t{1} << 32) - kSpareCells;

struct Sizes {
  uint32_t splits = 0;          // at least kMinSplits
  uint64_t split_capacity = 0;  // fids in the head before it moves on
  uint64_t split_cells = 0;
};

Sizes SizesOf(const FilterConfig& config) {
  Sizes out;
  out.splits = std::max(config.splits, kMinSplits);
  // One split ahead of the head takes what the head has no room for, so it counts for nothing.
  out.split_capacity = std::max(config.capacity, kMinCapacity) / (out.splits - kForwardSteps + 1);
  out.split_cells = static_cast<uint64_t>(static_cast<double>(out.split_capacity) * kFillRate);
  return out;
}

// Splits in a ring. New fids go into the split at the head, or, if their cells there are taken,
// into the next one. When the head is full it moves on, and the split that then comes after it is
// cleared: its fids, the oldest, are forgotten. A fid that is found in a split behind the head
// takes its count with it into the head.
//
// Adding takes no lock: a cell changes by compare-and-swap, so no occurrence is lost while the head
// stays. While it moves, occurrences that another thread counts in the split that is being
// forgotten may be.
template <typename Cell>
class SlidingHashFilter final : public AdmissionFilter {
 public:
  using Cells = SplitCells<Cell>;

  SlidingHashFilter(const FilterConfig& config, const Sizes& sizes)
      : AdmissionFilter(config.thresholds),
        configured_splits_(config.splits),
        max_backward_steps_(sizes.splits - kForwardSteps),
        split_capacity_(sizes.split_capacity) {
    for (uint32_t i = 0; i < sizes.splits; ++i)
      splits_.push_back(std::make_unique<Cells>(sizes.split_cells));
  }

  FilterStats Stats() const override {
    FilterStats out{.failures = failures_.load(std::memory_order_relaxed)};
    for (const auto& split : splits_) {
      out.elements += split->elements();
      out.bytes += split->bytes();
    }
    return out;
  }

  uint32_t split_files() const override { return static_cast<uint32_t>(splits_.size()); }
  Result<uint64_t> Dump(SplitSink& sink) const override;
  Status BeginMoment() override;
  void EndMoment() override;
  Result<std::function<void()>> PrepareRestore(std::vector<FilterSplit> splits) override;

 private:
  bool Filter(Fid fid, uint64_t count, uint32_t threshold) override {
    return Add(fid, count) < threshold;
  }

  uint32_t Add(Fid fid, uint64_t count);
  uint32_t CountBehind(uint32_t head, uint64_t hash, uint32_t signature) const;
  void MoveOn(uint32_t full_head);
  std::vector<FilterSplitMeta> Metas() const;
  Status Check(const std::vector<FilterSplit>& splits) const;

  uint32_t Next(uint32_t split) const { return split + 1 == splits_.size() ? 0 : split + 1; }
  uint32_t Previous(uint32_t split) const {
    return split == 0 ? static_cast<uint32_t>(splits_.size()) - 1 : split - 1;
  }

  const uint32_t configured_splits_;  // as in dumps; may be below kMinSplits
  const uint32_t max_backward_steps_;
  const uint64_t split_capacity_;
  std::vector<std::unique_ptr<Cells>> splits_;
  std::atomic<uint32_t> head_{0};
  std::atomic<uint32_t> moves_{0};  // of the head
  alignas(64) std::atomic<uint64_t> failures_{0};
  // Held while the head moves, and while a dump of no moment wants it to stay.
  mutable std::mutex move_mu_;
  // Of the moment that is open, else empty. Written by BeginMoment and EndMoment only, which one
  // caller has at a time.
  std::vector<FilterSplitMeta> moment_;
};

// What was counted in the splits behind the head, newest first; 0 if nothing was.
template <typename Cell>
uint32_t SlidingHashFilter<Cell>::CountBehind(uint32_t head, uint64_t hash,
                                              uint32_t signature) const {
  const uint32_t steps = std::min(moves_.load(std::memory_order_relaxed), max_backward_steps_);
  uint32_t split = head;
  for (uint32_t i = 0; i < steps; ++i) {
    split = Previous(split);
    const typename Cells::Found found = splits_[split]->Find(hash, signature);
    if (found.value != 0) return Cells::CountOf(found.value);
  }
  return 0;
}

// Returns how often the fid was counted before.
template <typename Cell>
uint32_t SlidingHashFilter<Cell>::Add(Fid fid, uint64_t count) {
  const uint64_t hash = FilterHash(fid);
  const uint32_t signature = FilterSignature(fid);
  count = std::min<uint64_t>(count, Cells::kMaxCount);
  while (true) {
    const uint32_t head = head_.load(std::memory_order_acquire);
    Cells* split = splits_[head].get();
    typename Cells::Found found = split->Find(hash, signature);
    if (found.cell == nullptr) {
      split = splits_[Next(head)].get();
      found = split->Find(hash, signature);
    }
    if (found.cell == nullptr) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      return Cells::kMaxCount;
    }
    const bool is_new = found.value == 0;
    const uint32_t before =
        is_new ? CountBehind(head, hash, signature) : Cells::CountOf(found.value);
    const Cell after = Cells::Make(signature, before + count);
    // Signature 0 with count 0 would be a free cell.
    if (after == 0) return before;
    split->Keep(found.cell);
    // Somebody else changed the cell: it may be taken now, or forgotten. Look again.
    if (!typename Cells::Atomic(*found.cell)
             .compare_exchange_strong(found.value, after, std::memory_order_relaxed))
      continue;
    if (is_new) {
      split->CountElement();
      if (splits_[head]->elements() + 1 >= split_capacity_) MoveOn(head);
    }
    return before;
  }
}

template <typename Cell>
void SlidingHashFilter<Cell>::MoveOn(uint32_t full_head) {
  // Whoever comes meanwhile goes on adding to the full head, which has some room left.
  const std::unique_lock lock(move_mu_, std::try_to_lock);
  if (!lock.owns_lock() || head_.load(std::memory_order_relaxed) != full_head) return;
  const uint32_t next = Next(full_head);
  splits_[Next(next)]->KeepAll();
  splits_[Next(next)]->Clear();
  moves_.fetch_add(1, std::memory_order_relaxed);
  head_.store(next, std::memory_order_release);
}

template <typename Cell>
std::vector<FilterSplitMeta> SlidingHashFilter<Cell>::Metas() const {
  // Read once: failures are counted beside this, and splits that disagree are not restored.
  const SlidingFilterMeta sliding{.split_num = configured_splits_,
                                  .max_forward_step = kForwardSteps,
                                  .max_backward_step = max_backward_steps_,
                                  .max_step = kProbeSteps,
                                  .head = head_.load(std::memory_order_relaxed),
                                  .head_increment = moves_.load(std::memory_order_relaxed),
                                  .failure_count = failures_.load(std::memory_order_relaxed)};
  std::vector<FilterSplitMeta> out;
  for (const auto& split : splits_) {
    out.push_back({.total_size = split->total_size(),
                   .num_elements = std::min(split->elements(), split_capacity_),
                   .fill_rate = kFillRate,
                   .sliding = sliding});
  }
  return out;
}

template <typename Cell>
Status SlidingHashFilter<Cell>::BeginMoment() {
  if (!moment_.empty()) return FailedPrecondition("the filter is being saved");
  moment_ = Metas();
  for (const auto& split : splits_) split->BeginMoment();
  return OkStatus();
}

template <typename Cell>
void SlidingHashFilter<Cell>::EndMoment() {
  for (const auto& split : splits_) split->EndMoment();
  moment_.clear();
}

template <typename Cell>
Result<uint64_t> SlidingHashFilter<Cell>::Dump(SplitSink& sink) const {
  // In a moment the head may move: what it clears is kept.
  std::unique_lock lock(move_mu_, std::defer_lock);
  if (moment_.empty()) lock.lock();
  const std::vector<FilterSplitMeta> metas = moment_.empty() ? Metas() : moment_;
  uint64_t cut = 0;
  for (uint32_t i = 0; i < splits_.size(); ++i) {
    Cells& split = *splits_[i];
    RETURN_IF_ERROR(sink.Meta(i, metas[i]));
    FilterSplitData data;
    // Records have their own size, and blocks theirs.
    std::vector<Cell> block;
    for (uint64_t at = 0; at < split.size(); at += data.cells.size()) {
      data.offset = static_cast<uint32_t>(at);
      data.cells.resize(std::min<uint64_t>(kCellsPerRecord, split.size() - at));
      for (size_t c = 0; c < data.cells.size(); ++c) {
        const uint64_t in_block = (at + c) % Cells::kBlockCells;
        if (in_block == 0) block = split.ReadBlock((at + c) / Cells::kBlockCells);
        const Cell cell = block[in_block];
        cut += Cells::CountOf(cell) > SplitCells<uint16_t>::kMaxCount ? 1 : 0;
        data.cells[c] = SplitCells<uint16_t>::Make(Cells::SignatureOf(cell), Cells::CountOf(cell));
      }
      RETURN_IF_ERROR(sink.Cells(data));
    }
    RETURN_IF_ERROR(sink.End());
  }
  return cut;
}

template <typename Cell>
Status SlidingHashFilter<Cell>::Check(const std::vector<FilterSplit>& splits) const {
  if (splits.size() != splits_.size()) {
    return FailedPrecondition(
        StrCat("the dump has ", splits.size(), " splits, the filter ", splits_.size()));
  }
  for (size_t i = 0; i < splits.size(); ++i) {
    const FilterSplit& split = splits[i];
    if (!split.meta.sliding) return DataLoss(StrCat("split ", i, " is of no sliding filter"));
    const SlidingFilterMeta& meta = *split.meta.sliding;
    if (meta != *splits[0].meta.sliding)
      return DataLoss(StrCat("split ", i, " and split 0 were not dumped together"));
    const struct {
      std::string_view name;
      uint32_t dumped;
      uint32_t configured;
    } fields[] = {{"split_num", meta.split_num, configured_splits_},
                  {"max_forward_step", meta.max_forward_step, kForwardSteps},
                  {"max_backward_step", meta.max_backward_step, max_backward_steps_},
                  {"max_step", meta.max_step, kProbeSteps}};
    for (const auto& field : fields) {
      if (field.dumped != field.configured) {
        return FailedPrecondition(StrCat("split ", i, ": the dump has ", field.name, " ",
                                         field.dumped, ", the filter ", field.configured));
      }
    }
    if (meta.head >= splits_.size())
      return DataLoss(StrCat("split ", i, ": head ", meta.head, " is no split"));
    if (split.meta.total_size == 0 || split.meta.total_size > kMaxSplitCells ||
        split.cells.size() != split.meta.total_size + kSpareCells) {
      return DataLoss(StrCat("split ", i, ": ", split.cells.size(), " cells for a total_size of ",
                             split.meta.total_size));
    }
  }
  return OkStatus();
}

template <typename Cell>
Result<std::function<void()>> SlidingHashFilter<Cell>::PrepareRestore(
    std::vector<FilterSplit> splits) {
  RETURN_IF_ERROR(Check(splits));
  if (!moment_.empty()) return FailedPrecondition("the filter is being saved");
  const auto restored = std::make_shared<std::vector<std::unique_ptr<Cells>>>();
  for (FilterSplit& split : splits) {
    restored->push_back(std::make_unique<Cells>(split.meta.total_size));
    for (uint64_t at = 0; at < split.cells.size(); ++at) {
      const uint16_t cell = split.cells[at];
      if (cell == 0) continue;
      restored->back()->Store(at, Cells::Make(SplitCells<uint16_t>::SignatureOf(cell),
                                              SplitCells<uint16_t>::CountOf(cell)));
    }
    restored->back()->SetElements(split.meta.num_elements);
    split.cells = {};  // both forms together would be twice the memory
  }
  return std::function<void()>([this, restored, meta = *splits[0].meta.sliding] {
    splits_.swap(*restored);
    head_.store(meta.head);
    moves_.store(meta.head_increment);
    failures_.store(meta.failure_count);
  });
}

template <typename Cell>
Result<std::unique_ptr<AdmissionFilter>> MakeOf(const FilterConfig& config, const Sizes& sizes) {
  try {
    return std::unique_ptr<AdmissionFilter>(
        std::make_unique<SlidingHashFilter<Cell>>(config, sizes));
  } catch (const std::bad_alloc&) {
    return ResourceExhausted(StrCat("no memory for a filter of ", config.capacity, " fids"));
  }
}

Result<std::unique_ptr<AdmissionFilter>> Make(const FilterConfig& config) {
  if (config.splits == 0 || config.splits > kMaxSplits) {
    return InvalidArgument(
        StrCat("sliding_hash_filter: splits must be 1 to ", kMaxSplits, ", got ", config.splits));
  }
  const Sizes sizes = SizesOf(config);
  if (sizes.split_cells > kMaxSplitCells) {
    return InvalidArgument(StrCat("sliding_hash_filter: a capacity of ", config.capacity, " in ",
                                  sizes.splits, " splits needs ", sizes.split_cells,
                                  " cells in each, the most is ", kMaxSplitCells));
  }
  const uint32_t largest = config.thresholds.Max();
  if (config.compatibility == Compatibility::kMonolith ||
      largest <= SplitCells<uint16_t>::kMaxCount)
    return MakeOf<uint16_t>(config, sizes);
  if (largest > SplitCells<uint32_t>::kMaxCount) {
    return InvalidArgument(StrCat("sliding_hash_filter: an occurrence threshold of ", largest,
                                  " is above ", SplitCells<uint32_t>::kMaxCount,
                                  ", which cells can count to"));
  }
  return MakeOf<uint32_t>(config, sizes);
}

}  // namespace

const FilterDef kSlidingHashFilter = {
    .name = "sliding_hash_filter",
    .make = Make,
    .summary = "counts fids in hashed cells and forgets the oldest",
    .spec = "embedding-tables.md#8",
};

}  // namespace megalith::embedding
