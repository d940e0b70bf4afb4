#include "common/machines/codegen/packing.h"

#include <gtest/gtest.h>

#include <random>

namespace megalith::codegen {
namespace {

bool MeetInTime(const PackItem& a, const PackItem& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Everything lies in its memory, and nothing is in the place of something needed at the same time.
void ExpectSound(const std::vector<PackItem>& items, const std::vector<PackBank>& banks) {
  const Packing packing = Pack(items, banks);
  ASSERT_EQ(packing.places.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const PackPlace& p = packing.places[i];
    const bool in_arena = p.bank == UINT32_MAX;
    EXPECT_EQ(p.offset % (items[i].bytes <= 8 ? 8 : 64), 0U);
    EXPECT_LE(p.offset + items[i].bytes, in_arena ? packing.arena_bytes : banks[p.bank].bytes);
    EXPECT_TRUE(in_arena ||
                (items[i].last < banks[p.bank].until && items[i].first > banks[p.bank].after));
    for (size_t j = 0; j < i; ++j) {
      const PackPlace& q = packing.places[j];
      if (q.bank != p.bank || !MeetInTime(items[i], items[j])) continue;
      EXPECT_TRUE(p.offset + items[i].bytes <= q.offset || q.offset + items[j].bytes <= p.offset)
          << i << " and " << j;
    }
  }
}

TEST(PackTest, ReusesWhatIsNotNeededAnyMore) {
  const Packing packing = Pack({{100, 1, 2}, {100, 2, 3}, {100, 3, 4}}, {});
  EXPECT_EQ(packing.arena_bytes, 256U);
}

TEST(PackTest, PutsScalarsSideBySide) {
  EXPECT_EQ(Pack({{4, 1, 1}}, {}).arena_bytes, 8U);
  EXPECT_EQ(Pack({{4, 1, 3}, {8, 1, 3}, {1, 2, 3}}, {}).arena_bytes, 24U);
  EXPECT_EQ(Pack({{4, 1, 3}, {9, 1, 3}, {1, 2, 3}}, {}).arena_bytes, 80U);
  EXPECT_EQ(Pack({{4, 1, 3}, {100, 1, 3}, {1, 2, 3}}, {}).arena_bytes, 144U);
}

TEST(PackTest, PutsTemporariesIntoResultsBeforeTheyAreWritten) {
  const std::vector<PackItem> items = {{1000, 1, 2}, {1000, 2, 3}, {1000, 4, 4}};
  const Packing packing = Pack(items, {{1000, 0, 4}});
  EXPECT_EQ(packing.arena_bytes, 1024U);
  EXPECT_EQ(Pack(items, {{1000, 0, 5}, {1024, 0, 5}}).arena_bytes, 0U);
  EXPECT_EQ(Pack(items, {{999, 0, 5}}).arena_bytes, 2048U);
}

TEST(PackTest, PutsTemporariesIntoWhatHasBeenRead) {
  const std::vector<PackItem> items = {{1000, 2, 3}, {1000, 3, 4}};
  EXPECT_EQ(Pack(items, {{1000, 2, UINT32_MAX}}).arena_bytes, 1024U);
  EXPECT_EQ(Pack(items, {{3000, 1, UINT32_MAX}}).arena_bytes, 0U);
}

TEST(PackTest, TakesTheOrderThatNeedsLeast) {
  // In order of time the small one splits the room that the large one could have had.
  const std::vector<PackItem> items = {{64, 1, 1}, {64, 1, 4}, {640, 2, 4}};
  EXPECT_EQ(Pack(items, {}).arena_bytes, 704U);
}

TEST(PackTest, IsSoundForAnyLifetimes) {
  std::mt19937 rng(1);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(rng() % n); };
  for (const size_t count : {0, 1, 5, 60, 2000}) {
    std::vector<PackItem> items;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t first = below(300);
      items.push_back({below(5) == 0 ? 0 : below(10000), first, first + below(20)});
    }
    const std::vector<PackBank> banks = {{4097, 0, below(300)},
                                         {100, 0, 0},
                                         {20000, below(100), 100 + below(200)},
                                         {40000, below(300), UINT32_MAX}};
    ExpectSound(items, banks);
  }
}

}  // namespace
}  // namespace megalith::codegen
