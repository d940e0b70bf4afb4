#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/filters/split_cells.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Fid FidOf(int64_t slot, int64_t signature) { return slot << kSignatureBitsV2 | signature; }

std::unique_ptr<AdmissionFilter> Make(const FilterConfig& config) {
  auto filter = MakeFilter(config);
  EXPECT_TRUE(filter.ok()) << filter.status().ToString();
  return std::move(*filter);
}

// How often a fid is turned away when it comes once at a time, at most `tries` times.
int TimesFiltered(AdmissionFilter& filter, Fid fid, int tries) {
  int times = 0;
  while (times < tries && filter.ShouldFilter(fid, 1)) ++times;
  return times;
}

TEST(FilterTest, AFidPassesAfterAsManyOccurrencesAsTheThreshold) {
  auto filter = Make({.thresholds = {.default_threshold = 3}, .capacity = 1000});
  std::vector<bool> filtered;
  for (int i = 0; i < 5; ++i) filtered.push_back(filter->ShouldFilter(FidOf(1, 77), 1));
  EXPECT_THAT(filtered, ElementsAre(true, true, true, false, false));
  EXPECT_EQ(filter->Stats().elements, 1u);
}

TEST(FilterTest, ABatchOfOccurrencesCountsAsMany) {
  auto filter = Make({.thresholds = {.default_threshold = 3}, .capacity = 1000});
  EXPECT_TRUE(filter->ShouldFilter(FidOf(1, 77), 2));
  EXPECT_TRUE(filter->ShouldFilter(FidOf(1, 77), 1'000'000'000'000));
  EXPECT_FALSE(filter->ShouldFilter(FidOf(1, 77), 1));
}

TEST(FilterTest, ThresholdsAreOfSlotsAndZeroFiltersNothing) {
  auto filter = Make({.thresholds = {.default_threshold = 2, .threshold_of_slot = {{5, 0}, {6, 4}}},
                      .capacity = 1000});
  EXPECT_EQ(TimesFiltered(*filter, FidOf(5, 9), 100), 0);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(6, 9), 100), 4);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(7, 9), 100), 2);
  // Bit 63 belongs to no slot.
  EXPECT_EQ(TimesFiltered(*filter, FidOf(5, 9) | INT64_MIN, 100), 0);
}

// Quirk 20.
TEST(FilterTest, MonolithNeverPassesAThresholdOf16AndSaysSo) {
  FilterConfig config = {.thresholds = {.threshold_of_slot = {{4, 15}, {5, 16}}},
                         .capacity = 1000,
                         .compatibility = Compatibility::kMonolith};
  auto filter = Make(config);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(4, 1), 1000), 15);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(5, 1), 1000), 1000);
  EXPECT_THAT(FilterWarnings(config), ElementsAre(HasSubstr("slot 5: occurrence threshold 16")));
  config.compatibility = Compatibility::kCorrected;
  EXPECT_THAT(FilterWarnings(config), IsEmpty());
}

TEST(FilterTest, CorrectedCountsLargeThresholdsOut) {
  auto filter =
      Make({.thresholds = {.threshold_of_slot = {{4, 15}, {5, 16}, {6, 1000}}}, .capacity = 1000});
  EXPECT_EQ(TimesFiltered(*filter, FidOf(4, 1), 2000), 15);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(5, 1), 2000), 16);
  EXPECT_EQ(TimesFiltered(*filter, FidOf(6, 1), 2000), 1000);
}

TEST(FilterTest, TheTypeFollowsFromTheThresholdsUnlessItIsSaid) {
  EXPECT_EQ(Make({})->split_files(), 0u);
  EXPECT_EQ(Make({.thresholds = {.default_threshold = 1}, .capacity = 300})->split_files(), 7u);
  EXPECT_EQ(Make({.type = "sliding_hash_filter", .capacity = 300, .splits = 3})->split_files(), 5u);
  auto none = Make({.type = "no_filter", .thresholds = {.default_threshold = 5}});
  EXPECT_FALSE(none->ShouldFilter(1, 1));
}

TEST(FilterTest, BadConfigurationsAreRefused) {
  const auto error = [](const FilterConfig& config) { return MakeFilter(config).status(); };
  EXPECT_THAT(error({.type = "bloom"}).message(),
              HasSubstr("'bloom' is none of no_filter, probabilistic_filter, sliding_hash_filter"));
  EXPECT_EQ(error({.thresholds = {.threshold_of_slot = {{1 << 15, 1}}}}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(error({.type = "sliding_hash_filter", .splits = 0}).code(), Code::kInvalidArgument);
  EXPECT_EQ(error({.type = "sliding_hash_filter", .splits = 5000}).code(), Code::kInvalidArgument);
  EXPECT_EQ(error({.type = "sliding_hash_filter", .capacity = UINT64_MAX}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(error({.thresholds = {.default_threshold = 1u << 20}, .capacity = 300}).code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(
      MakeFilter({.thresholds = {.default_threshold = (1u << 20) - 1}, .capacity = 300}).ok());
}

// Dumps depend on these for ever.
TEST(FilterTest, PlacesOfFidsNeverChange) {
  EXPECT_EQ(FilterHash(0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(FilterHash(-1), 0xe4d971771b652c20u);
  EXPECT_EQ(FilterCell(FilterHash(0), 60), 52u);
  EXPECT_EQ(FilterCell(UINT64_MAX, 60), 59u);
  EXPECT_EQ(FilterSignature((Fid{7} << 48) | 0x1ffe0005), 0xfffu);
  EXPECT_EQ(FilterSignature((Fid{7} << 48) | 0x5), 0u);
}

// The sliding filter as section 8 tells it, step by step, for one thread.
class Model {
 public:
  Model(uint64_t capacity, uint32_t splits)
      : splits_(std::max(splits, 5u)),
        split_capacity_(std::max<uint64_t>(capacity, 300) / (splits_ - 1)) {
    total_ = static_cast<uint64_t>(static_cast<double>(split_capacity_) * 1.2);
    cells_.assign(splits_, std::vector<uint16_t>(total_ + 64, 0));
    elements_.assign(splits_, 0);
  }

  uint32_t Add(Fid fid, uint64_t count) {
    const uint32_t add = static_cast<uint32_t>(std::min<uint64_t>(count, 15));
    uint32_t split = head_;
    uint16_t* cell = Find(split, fid);
    if (cell == nullptr) {
      split = (head_ + 1) % splits_;
      cell = Find(split, fid);
    }
    if (cell == nullptr) {
      ++failures;
      return 15;
    }
    if (*cell != 0) {
      const uint32_t old = *cell & 15;
      *cell = static_cast<uint16_t>((*cell & 0xfff0) | std::min(15u, old + add));
      return old;
    }
    uint32_t old = 0;
    for (uint32_t back = 1; back <= std::min(moves_, splits_ - 2); ++back) {
      const uint16_t* behind = Find((head_ + splits_ - back) % splits_, fid);
      if (behind != nullptr && *behind != 0) {
        old = *behind & 15;
        break;
      }
    }
    *cell = static_cast<uint16_t>(FilterSignature(fid) << 4 | std::min(15u, old + add));
    ++elements_[split];
    if (elements_[head_] >= split_capacity_ - 1) {
      head_ = (head_ + 1) % splits_;
      ++moves_;
      const uint32_t clear = (head_ + 1) % splits_;
      std::fill(cells_[clear].begin(), cells_[clear].end(), 0);
      elements_[clear] = 0;
    }
    return old;
  }

  const std::vector<std::vector<uint16_t>>& cells() const { return cells_; }
  uint32_t head() const { return head_; }
  uint32_t moves() const { return moves_; }
  uint64_t failures = 0;

 private:
  uint16_t* Find(uint32_t split, Fid fid) {
    const uint64_t start = FilterCell(FilterHash(fid), total_);
    for (uint64_t step = 0; step < 16; ++step) {
      uint16_t& cell = cells_[split][(start + step) % (total_ + 64)];
      if (cell == 0 || cell >> 4 == FilterSignature(fid)) return &cell;
    }
    return nullptr;
  }

  uint32_t splits_;
  uint64_t split_capacity_;
  uint64_t total_ = 0;
  std::vector<std::vector<uint16_t>> cells_;
  std::vector<uint64_t> elements_;
  uint32_t head_ = 0;
  uint32_t moves_ = 0;
};

class CellsOf final : public AdmissionFilter::SplitSink {
 public:
  Status Meta(uint32_t split, const FilterSplitMeta& meta) override {
    EXPECT_EQ(split, splits.size());
    splits.push_back({.meta = meta});
    return OkStatus();
  }
  Status Cells(const FilterSplitData& data) override {
    std::vector<uint16_t>& cells = splits.back().cells;
    EXPECT_EQ(data.offset, cells.size());
    cells.insert(cells.end(), data.cells.begin(), data.cells.end());
    return OkStatus();
  }
  Status End() override { return OkStatus(); }
  std::vector<FilterSplit> splits;
};

TEST(FilterTest, RandomHistoriesGoAsTheModelSays) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    SCOPED_TRACE(StrCat("seed ", seed));
    Rng rng(seed);
    const uint64_t capacity = 100 + rng.Below(3000);
    const auto splits = static_cast<uint32_t>(1 + rng.Below(9));
    FilterConfig config = {.capacity = capacity, .splits = splits};
    for (uint32_t slot = 1; slot < 16; ++slot) config.thresholds.threshold_of_slot[slot] = slot;
    if (seed % 2 == 0) config.compatibility = Compatibility::kMonolith;
    auto filter = Make(config);
    Model model(capacity, splits);
    // Many fids of few occurrences, some of many, and a few that differ in bits which neither
    // signature nor slot has.
    for (int step = 0; step < 60'000; ++step) {
      const uint64_t range = rng.Below(3) == 0 ? 50 : capacity * 2;
      const auto threshold = static_cast<uint32_t>(1 + rng.Below(15));
      const Fid fid = FidOf(threshold, static_cast<int64_t>(rng.Below(range) << rng.Below(20)));
      const uint64_t count = 1 + rng.Below(3);
      ASSERT_EQ(filter->ShouldFilter(fid, count), model.Add(fid, count) < threshold)
          << "step " << step;
    }
    CellsOf dump;
    EXPECT_EQ(*filter->Dump(dump), 0u);
    ASSERT_EQ(dump.splits.size(), model.cells().size());
    for (size_t i = 0; i < dump.splits.size(); ++i)
      EXPECT_EQ(dump.splits[i].cells, model.cells()[i]) << "split " << i;
    EXPECT_EQ(dump.splits[0].meta.sliding->head, model.head());
    EXPECT_EQ(dump.splits[0].meta.sliding->head_increment, model.moves());
    EXPECT_EQ(dump.splits[0].meta.sliding->failure_count, model.failures);
    EXPECT_GT(model.moves(), 10u);
  }
}

TEST(FilterTest, CountsTravelWithFidsThatComeAgainAndOthersAreForgotten) {
  auto filter = Make({.thresholds = {.default_threshold = 10}, .capacity = 3000});
  const Fid seldom = FidOf(1, int64_t{123} << 17);
  const Fid often = FidOf(1, int64_t{456} << 17);
  EXPECT_EQ(TimesFiltered(*filter, seldom, 9), 9);
  EXPECT_EQ(TimesFiltered(*filter, often, 9), 9);
  Rng rng(9);
  SCOPED_TRACE("seed 9");
  for (int i = 0; i < 20'000; ++i) {
    (void)filter->ShouldFilter(FidOf(2, static_cast<int64_t>(rng.Next() >> 16)), 1);
    // Seen, but without an occurrence: nothing is counted, yet its cell stays near the head.
    if (i % 100 == 0) (void)filter->ShouldFilter(often, 0);
  }
  EXPECT_EQ(TimesFiltered(*filter, often, 100), 1);
  EXPECT_EQ(TimesFiltered(*filter, seldom, 100), 10);
}

// Threads that count the same fids lose no occurrence as long as the head stays.
TEST(FilterTest, ThreadsLoseNoOccurrence) {
  constexpr int kThreads = 4;
  constexpr int kFids = 300;
  constexpr int kRounds = 5;
  auto filter = Make({.thresholds = {.default_threshold = 12}, .capacity = 30'000});
  std::vector<std::atomic<int>> filtered(kFids);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        for (int i = 0; i < kFids; ++i) {
          const int n = t % 2 == 0 ? i : kFids - 1 - i;
          if (filter->ShouldFilter(FidOf(1, static_cast<int64_t>(n) << 17), 1)) ++filtered[n];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int n = 0; n < kFids; ++n) EXPECT_EQ(filtered[n].load(), 12) << n;
  EXPECT_EQ(filter->Stats().elements, static_cast<uint64_t>(kFids));
}

// While the head moves under many threads and dumps are taken, the filter keeps its shape.
TEST(FilterTest, ThreadsMoveTheHeadTogether) {
  auto filter = Make({.thresholds = {.default_threshold = 3}, .capacity = 600});
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      for (int i = 0; i < 20'000; ++i)
        (void)filter->ShouldFilter(FidOf(1, static_cast<int64_t>(rng.Below(5000) << 15)), 1);
    });
  }
  for (int i = 0; i < 20; ++i) {
    CellsOf dump;
    ASSERT_TRUE(filter->Dump(dump).ok());
    for (const FilterSplit& split : dump.splits)
      EXPECT_EQ(*split.meta.sliding, *dump.splits[0].meta.sliding);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(filter->Stats().elements, 7 * 120u);
}

TEST(FilterTest, WhenThereIsNoRoomFidsPassAndAreCounted) {
  auto filter = Make({.thresholds = {.default_threshold = 3}, .capacity = 300, .splits = 5});
  // Fids of one cell and many signatures fill its sixteen places in the head and in the next.
  int passed = 0;
  int same_cell = 0;
  for (int64_t n = 0; same_cell < 100; ++n) {
    const Fid fid = FidOf(1, n << 17);
    if (FilterCell(FilterHash(fid), 90) != 40) continue;
    ++same_cell;
    passed += filter->ShouldFilter(fid, 1) ? 0 : 1;
  }
  EXPECT_GT(passed, 0);
  EXPECT_EQ(filter->Stats().failures, static_cast<uint64_t>(passed));
}

// Expectations are of the formulas; 200,000 draws with a fixed seed stay within one percent.
TEST(ProbabilisticFilterTest, AdmitsAsOftenAsTheFormulasSay) {
  const auto admitted = [](bool equal, uint32_t threshold, uint64_t count) {
    auto filter = Make({.type = "probabilistic_filter",
                        .thresholds = {.default_threshold = threshold},
                        .equal_probability = equal,
                        .seed = 7});
    constexpr int kDraws = 200'000;
    int out = 0;
    for (int i = 0; i < kDraws; ++i) out += filter->ShouldFilter(5, count) ? 0 : 1;
    return static_cast<double>(out) / kDraws;
  };
  SCOPED_TRACE("seed 7");
  EXPECT_NEAR(admitted(false, 4, 1), 0.25, 0.01);
  EXPECT_NEAR(admitted(false, 4, 3), 0.75, 0.01);
  EXPECT_EQ(admitted(false, 4, 4), 1.0);
  EXPECT_EQ(admitted(false, 0, 1), 1.0);
  EXPECT_NEAR(admitted(true, 4, 4), 0.95, 0.01);
  EXPECT_NEAR(admitted(true, 4, 1), 1 - std::pow(0.05, 0.25), 0.01);
  EXPECT_EQ(admitted(true, 0, 1), 1.0);
}

TEST(ProbabilisticFilterTest, HasNoStateToSaveOrRestore) {
  auto filter = Make({.type = "probabilistic_filter", .thresholds = {.default_threshold = 4}});
  EXPECT_EQ(filter->split_files(), 0u);
  EXPECT_EQ(filter->Restore({}).code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace megalith::embedding
