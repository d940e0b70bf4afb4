#include "common/learning/embedding/cold/cold_tier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "common/learning/embedding/cold/testing/cold_table_fixture.h"

namespace megalith::embedding {
namespace {

constexpr uint64_t kBudget = 8000;  // some 150 of the test table's rows

std::vector<Fid> Sequence(Fid from, Fid to) {
  std::vector<Fid> fids;
  for (Fid fid = from; fid < to; ++fid) fids.push_back(fid);
  return fids;
}

class ColdTierTest : public testing::Test {
 protected:
  std::unique_ptr<Table> Make(uint64_t budget = kBudget, Table::Options options = {}) {
    options.open_cold_store = MemoryColdStore::Opener(control_);
    return MakeTestTable(budget, std::move(options));
  }
  // Rows whose values are their fid and `extra`.
  static void Assign(Table& table, const std::vector<Fid>& fids, float extra = 0,
                     int64_t time = 1) {
    std::vector<float> values;
    for (const Fid fid : fids) values.insert(values.end(), 3, static_cast<float>(fid) + extra);
    const auto report = table.Assign(fids, values, time);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    ASSERT_EQ(report->applied, static_cast<int64_t>(fids.size()));
  }
  static std::vector<float> Lookup(const Table& table, const std::vector<Fid>& fids) {
    std::vector<float> rows(fids.size() * 3);
    const auto hits = table.Lookup(fids, rows);
    EXPECT_TRUE(hits.ok()) << hits.status().ToString();
    return rows;
  }
  static bool IsHot(const Table& table, MemoryColdStore::Control& control, Fid fid) {
    const uint64_t before = control.reads;
    EXPECT_TRUE(table.Contains(fid));
    return control.reads == before;
  }

  MemoryColdStore::Control control_;
};

TEST_F(ColdTierTest, NeedsAStoreABudgetAndNoSmallerMaxBytes) {
  TableConfig config;
  config.segments = {{.dim = 1}};
  config.cold_tier = {.directory = "t", .memory_budget_bytes = 1000};
  EXPECT_EQ(Table::Make(config, {}).status().code(), Code::kFailedPrecondition);
  const Table::Options options{.open_cold_store = MemoryColdStore::Opener(control_)};
  EXPECT_TRUE(Table::Make(config, options).ok());
  config.max_bytes = 999;
  EXPECT_EQ(Table::Make(config, options).status().code(), Code::kInvalidArgument);
  config.max_bytes = UINT64_MAX;
  config.cold_tier->memory_budget_bytes = 0;
  EXPECT_EQ(Table::Make(config, options).status().code(), Code::kInvalidArgument);
}

TEST_F(ColdTierTest, MemoryStaysWithinTheBudgetAndEveryRowIsThere) {
  const auto table = Make();
  for (Fid from = 0; from < 5000; from += 50) {
    Assign(*table, Sequence(from, from + 50));
    EXPECT_LE(table->Stats().bytes, kBudget + kBudget / 4);
  }
  const TableStats stats = table->Stats();
  EXPECT_EQ(stats.rows, 5000u);
  EXPECT_LT(stats.cold->hot_rows, 300u);
  EXPECT_EQ(stats.cold->hot_rows + stats.cold->cold_rows, 5000u);
  const std::vector<float> rows = Lookup(*table, Sequence(0, 5000));
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], static_cast<float>(i / 3));
}

TEST_F(ColdTierTest, RowsInUseStayInMemory) {
  const auto table = Make();
  Assign(*table, Sequence(0, 20));
  for (Fid from = 100; from < 3000; from += 20) {
    Assign(*table, Sequence(from, from + 20));
    Lookup(*table, Sequence(0, 20));
  }
  int hot = 0;
  for (Fid fid = 0; fid < 20; ++fid) hot += IsHot(*table, control_, fid) ? 1 : 0;
  EXPECT_GE(hot, 18);
}

TEST_F(ColdTierTest, ALookupBringsARowBackAtItsSecondTime) {
  const auto table = Make();
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50));
  ASSERT_FALSE(IsHot(*table, control_, 3));
  Lookup(*table, {3});
  EXPECT_FALSE(IsHot(*table, control_, 3));
  Lookup(*table, {3});
  EXPECT_TRUE(IsHot(*table, control_, 3));
  EXPECT_EQ(Lookup(*table, {3}), (std::vector<float>{3, 3, 3}));
}

TEST_F(ColdTierTest, EvictDropsExpiredRowsOfBothTiers) {
  const auto table = Make();
  constexpr int64_t kDay = 86400;
  for (Fid from = 0; from < 2000; from += 50) {
    Assign(*table, Sequence(from, from + 50), 0, from < 1000 ? 0 : 40 * kDay);
  }
  // An old copy on the disk of a row that was written since says nothing.
  Assign(*table, Sequence(500, 520), 1, 40 * kDay);
  EXPECT_EQ(table->Evict(40 * kDay), 980);
  EXPECT_EQ(table->size(), 1020u);
  EXPECT_FALSE(table->Contains(0));
  EXPECT_TRUE(table->Contains(510));
  EXPECT_TRUE(table->Contains(1500));
}

TEST_F(ColdTierTest, AFullDiskKeepsRowsInMemoryAndRefusesNewOnesInTheEnd) {
  const auto table = Make();
  Assign(*table, Sequence(0, 1000));
  control_.full = true;
  const uint64_t limit = ColdTier::MaxMapBytes(kBudget);
  int64_t refused = 0;
  std::vector<Fid> kept;
  for (Fid from = 1000; from < 60'000 && refused == 0; from += 1000) {
    const std::vector<Fid> fids = Sequence(from, from + 1000);
    const auto report = table->Assign(fids, std::vector<float>(fids.size() * 3, 7.0F), 1);
    ASSERT_TRUE(report.ok());
    refused += report->refused;
    for (const Fid fid : fids) {
      if (table->Contains(fid)) kept.push_back(fid);
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_LE(table->Stats().bytes, limit);
  EXPECT_GT(table->Stats().cold->write_errors, 0u);
  for (const float value : Lookup(*table, kept)) ASSERT_EQ(value, 7.0F);
  for (const auto fid : Sequence(0, 1000)) ASSERT_TRUE(table->Contains(fid));
  // Cold rows cannot come back, which an update says before it changes anything.
  std::vector<Fid> cold;
  for (const Fid fid : Sequence(0, 1000)) {
    if (!IsHot(*table, control_, fid)) cold.push_back(fid);
  }
  ASSERT_GT(cold.size(), 100u);
  const std::vector<float> gradients(cold.size() * 3, 1.0F);
  const auto step = table->Optimize(
      {.fids = cold, .values = gradients, .learning_rates = {}, .snapshots = {}, .update_time = 1});
  EXPECT_EQ(step.status().code(), Code::kResourceExhausted) << step.status().ToString();
  const std::vector<float> rows = Lookup(*table, cold);
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], static_cast<float>(cold[i / 3]));
  // And it goes on when there is room again.
  control_.full = false;
  Assign(*table, Sequence(0, 1000), 1);
  EXPECT_LT(table->Stats().cold->hot_rows, 1300u);
}

TEST_F(ColdTierTest, ErasingOnAFullDiskErases) {
  const auto table = Make();
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50));
  control_.full = true;
  EXPECT_EQ(table->Erase(Sequence(100, 300)), 200);
  EXPECT_EQ(table->size(), 1800u);
  const auto gone = [&] {
    for (const Fid fid : Sequence(100, 300)) ASSERT_FALSE(table->Contains(fid)) << fid;
  };
  gone();
  EXPECT_EQ(table->Erase(Sequence(100, 300)), 0);
  std::vector<Fid> scanned;
  for (uint64_t cursor = 0; table->ScanFids(&cursor, &scanned);) {
  }
  for (const Fid fid : scanned) EXPECT_TRUE(fid < 100 || fid >= 300) << fid;
  // A row made anew starts anew, goes to the disk when that has room, and is found there.
  Assign(*table, {150}, 0.5F);
  control_.full = false;
  for (Fid from = 5000; from < 8000; from += 50) Assign(*table, Sequence(from, from + 50));
  EXPECT_FALSE(IsHot(*table, control_, 150));
  EXPECT_EQ(Lookup(*table, {150}), (std::vector<float>{150.5F, 150.5F, 150.5F}));
  EXPECT_FALSE(table->Contains(151));
  const std::lock_guard lock(control_.mu);
  EXPECT_FALSE(control_.rows.contains(ColdKey(151)));
}

TEST_F(ColdTierTest, ADamagedRowFailsItsBatchesAndNoOthers) {
  const auto table = Make();
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50));
  ASSERT_FALSE(IsHot(*table, control_, 7));
  {
    const std::lock_guard lock(control_.mu);
    control_.damaged_fids = {7};
  }
  std::vector<float> rows(6);
  EXPECT_EQ(table->Lookup(std::vector<Fid>{6, 7}, rows).status().code(), Code::kDataLoss);
  EXPECT_EQ(table->LookupEntries(std::vector<Fid>{7}).status().code(), Code::kDataLoss);
  const std::vector<Fid> pair = {6, 7};
  EXPECT_EQ(table->Assign(pair, std::vector<float>(6, 9.0F), 2).status().code(), Code::kDataLoss);
  EXPECT_EQ(Lookup(*table, {6}), (std::vector<float>{6, 6, 6}));
  EXPECT_EQ(*table->Reinitialize(pair, 2), (std::vector<int32_t>{1, -1}));
  EXPECT_TRUE(table->Contains(7));
  EXPECT_GT(table->Stats().cold->read_errors, 0u);
  EXPECT_EQ(table->Erase(std::vector<Fid>{7}), 1);
  {
    const std::lock_guard lock(control_.mu);
    control_.damaged_fids.clear();
  }
  EXPECT_FALSE(table->Contains(7));
}

TEST_F(ColdTierTest, ASaveOfADamagedDiskFails) {
  const auto table = Make();
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50));
  control_.damaged = true;
  {
    const WriteGate::Exclusive gate(table->gate());
    ASSERT_TRUE(table->BeginSnapshot().ok());
  }
  const Status read =
      table->ReadSnapshot([](std::span<const Table::RowView>) { return OkStatus(); });
  EXPECT_EQ(read.code(), Code::kDataLoss);
}

TEST_F(ColdTierTest, RowsMovedDuringASaveAreSavedOnceAsTheyWere) {
  const auto table = Make();
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50));
  {
    const WriteGate::Exclusive gate(table->gate());
    ASSERT_TRUE(table->BeginSnapshot().ok());
  }
  // Every row comes back, changes, and leaves again; some go, others come.
  for (Fid from = 0; from < 2000; from += 50) Assign(*table, Sequence(from, from + 50), 0.5F);
  EXPECT_EQ(table->Erase(Sequence(0, 100)), 100);
  Assign(*table, Sequence(3000, 3100));
  std::map<Fid, float> saved;
  ASSERT_TRUE(table
                  ->ReadSnapshot([&](std::span<const Table::RowView> rows) {
                    for (const Table::RowView& row : rows) {
                      const float value = *reinterpret_cast<const float*>(row.payload);
                      EXPECT_TRUE(saved.emplace(row.fid, value).second) << row.fid;
                    }
                    return OkStatus();
                  })
                  .ok());
  EXPECT_EQ(saved.size(), 2000u);
  for (const auto& [fid, value] : saved) ASSERT_EQ(value, static_cast<float>(fid));
}

TEST_F(ColdTierTest, TheBudgetChangesWithTheConfigurationAndNothingElseDoes) {
  const auto table = Make(1'000'000);
  Assign(*table, Sequence(0, 3000));
  EXPECT_EQ(table->Stats().cold->cold_rows, 0u);
  TableConfig config = table->config();
  config.cold_tier->memory_budget_bytes = kBudget;
  const auto smaller = table->Reconfigured(config);
  ASSERT_TRUE(smaller.ok()) << smaller.status().ToString();
  for (Fid from = 0; from < 3000; from += 50) Assign(**smaller, Sequence(from, from + 50), 1);
  Assign(**smaller, Sequence(3000, 4000));
  EXPECT_LT((*smaller)->Stats().cold->hot_rows, 300u);
  EXPECT_EQ((*smaller)->size(), 4000u);
  config.cold_tier->directory = "elsewhere";
  EXPECT_EQ((*smaller)->Reconfigured(config).status().code(), Code::kFailedPrecondition);
  config.cold_tier.reset();
  EXPECT_EQ((*smaller)->Reconfigured(config).status().code(), Code::kFailedPrecondition);
}

// Fids are added to by many threads while their rows move all the time: no addition is lost.
TEST_F(ColdTierTest, NoUpdateIsLostWhileRowsMove) {
  const auto table = Make(4000);
  constexpr Fid kFids = 400;
  constexpr int kRounds = 150;
  constexpr int kThreads = 4;
  Assign(*table, Sequence(0, kFids));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int round = 0; round < kRounds; ++round) {
          const Fid from = (round * 37 + t * 101) % kFids;
          std::vector<Fid> fids;
          for (Fid i = 0; i < 100; ++i) fids.push_back((from + i) % kFids);
          const std::vector<float> ones(fids.size() * 3, 1.0F);
          ASSERT_TRUE(table->AssignAdd(fids, ones, 1).ok());
          std::vector<float> rows(fids.size() * 3);
          ASSERT_EQ(*table->Lookup(fids, rows), 100);
        }
      });
    }
  }
  double sum = 0;
  for (const float value : Lookup(*table, Sequence(0, kFids))) sum += value;
  EXPECT_EQ(sum, 3.0 * (kFids * (kFids - 1) / 2.0 + kThreads * kRounds * 100.0));
  EXPECT_GT(table->Stats().cold->demotions, 1000u);
}

}  // namespace
}  // namespace megalith::embedding
