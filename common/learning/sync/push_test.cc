#include "common/learning/sync/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "common/learning/sync/testing/fake_fleet.h"

namespace megalith::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// parameter-sync.md section 3.1, as executed there: 7 ids and 1 id in 3 parts.
TEST(PushPartsTest, TheLastPartTakesWhatIsLeft) {
  EXPECT_THAT(PartRange(7, 0, 3), Pair(0, 2));
  EXPECT_THAT(PartRange(7, 1, 3), Pair(2, 4));
  EXPECT_THAT(PartRange(7, 2, 3), Pair(4, 7));
  EXPECT_THAT(PartRange(1, 0, 3), Pair(0, 0));
  EXPECT_THAT(PartRange(1, 1, 3), Pair(0, 0));
  EXPECT_THAT(PartRange(1, 2, 3), Pair(0, 1));
}

TEST(PushPartsTest, FourMebibytesAreOnePart) {
  EXPECT_EQ(PartsOf(0, kMaxPartBytes), 1);
  EXPECT_EQ(PartsOf(4'194'304, kMaxPartBytes), 1);
  EXPECT_EQ(PartsOf(4'194'305, kMaxPartBytes), 2);
  EXPECT_EQ(PartsOf(2 * 4'194'304, kMaxPartBytes), 2);
  EXPECT_EQ(PartsOf(2 * 4'194'304 + 1, kMaxPartBytes), 3);
}

class PushPlanTest : public ::testing::Test {
 protected:
  void Fill(const std::string& table, Fid begin, Fid end) {
    const auto found = *set_->Get(table);
    for (Fid fid = begin; fid < end; ++fid) {
      const std::vector<float> row(static_cast<size_t>(found->dim()), static_cast<float>(fid));
      ASSERT_TRUE(found->Assign(std::span(&fid, 1), row, 1).ok());
    }
  }
  const PushSpec spec_{.model = "m:ps_0"};
  std::unique_ptr<embedding::TableSet> set_ = testing::MakeTables(embedding::EntryKind::kTraining);
};

TEST_F(PushPlanTest, EveryTableIsInEveryPartAndRowsAreReadWhenItIsBuilt) {
  Fill("a", 0, 8);
  const PushPlan one(spec_, set_->Tables(), {{"a", {0, 1, 2, 3, 4, 5, 6}}, {"b", {9}}});
  ASSERT_EQ(one.parts(), 1);
  const int64_t bytes = PushRequestBytes(spec_, *one.Build(0));
  const PushPlan plan(spec_, set_->Tables(), {{"a", {0, 1, 2, 3, 4, 5, 6}}, {"b", {9}}},
                      (bytes + 2) / 3);
  ASSERT_EQ(plan.parts(), 3);
  Fill("b", 9, 10);
  const auto first = *plan.Build(0);
  ASSERT_EQ(first.tables.size(), 2U);
  EXPECT_THAT(first.tables[0].fids, ElementsAre(0, 1));
  EXPECT_THAT(first.tables[0].values, ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_THAT(first.tables[1].fids, IsEmpty());
  const auto last = *plan.Build(2);
  EXPECT_THAT(last.tables[0].fids, ElementsAre(4, 5, 6));
  EXPECT_THAT(last.tables[1].values, ElementsAre(9));
}

TEST_F(PushPlanTest, ARowThatIsGoneIsARowOfZeros) {
  Fill("a", 1, 2);
  const Fid fid = 1;
  const PushPlan plan(spec_, set_->Tables(), {{"a", {1}}, {"dropped", {1}}});
  (*set_->Get("a"))->Erase(std::span(&fid, 1));
  const auto push = *plan.Build(0);
  ASSERT_EQ(push.tables.size(), 2U);
  EXPECT_THAT(push.tables[0].values, ElementsAre(0, 0, 0));
}

TEST_F(PushPlanTest, AKeySourceGivesListedKeysAndWalkedTablesInPieces) {
  Fill("a", 0, 40'000);
  Delta delta;
  delta.full_tables = {"a", "dropped"};
  delta.keys = {{"a", {100'000, 100'001}}, {"b", std::vector<Fid>(5000, 7)}};
  KeySource source(std::make_shared<Delta>(delta), *set_);
  std::vector<TableKeys> keys;
  std::map<std::string, std::vector<Fid>> seen;
  int pieces = 0;
  for (; source.Next(100'000, &keys); ++pieces) {
    ASSERT_FALSE(keys.empty());
    for (const TableKeys& part : keys) {
      seen[part.table].insert(seen[part.table].end(), part.fids.begin(), part.fids.end());
    }
  }
  EXPECT_GE(pieces, 2);
  EXPECT_EQ(seen["b"].size(), 5000U);
  std::sort(seen["a"].begin(), seen["a"].end());
  seen["a"].erase(std::unique(seen["a"].begin(), seen["a"].end()), seen["a"].end());
  EXPECT_EQ(seen["a"].size(), 40'002U);
}

// Fids that are there all the time come, however the map grows and shrinks around them.
TEST_F(PushPlanTest, AWalkMissesNoRowThatStays) {
  Fill("b", 0, 20'000);
  const auto table = *set_->Get("b");
  uint64_t cursor = 0;
  std::vector<Fid> fids;
  Fid next = 1'000'000;
  while (table->ScanFids(&cursor, &fids)) {
    Fill("b", next, next + 20'000);
    next += 20'000;
    if (next > 1'200'000) break;
  }
  while (table->ScanFids(&cursor, &fids)) {
  }
  std::sort(fids.begin(), fids.end());
  for (Fid fid = 0; fid < 20'000; ++fid) {
    ASSERT_TRUE(std::binary_search(fids.begin(), fids.end(), fid)) << fid;
  }
}

}  // namespace
}  // namespace megalith::sync
