// A table whose rows mostly lie on the disk answers as one whose rows are all in memory, bit for
// bit: random histories of one thread on both, and histories of several threads by fids of their
// own.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/cold/testing/cold_table_fixture.h"

namespace megalith::embedding {
namespace {

using Row = std::pair<uint32_t, std::vector<std::byte>>;
using Rows = std::map<Fid, Row>;

Rows SnapshotOf(Table& table) {
  Rows rows;
  {
    const WriteGate::Exclusive gate(table.gate());
    EXPECT_TRUE(table.BeginSnapshot().ok());
  }
  const Status read = table.ReadSnapshot([&](std::span<const Table::RowView> views) {
    for (const Table::RowView& view : views) {
      const bool once =
          rows.emplace(view.fid, Row(view.timestamp,
                                     {view.payload, view.payload + table.layout().payload_bytes()}))
              .second;
      EXPECT_TRUE(once) << "fid " << view.fid << " comes twice";
    }
    return OkStatus();
  });
  EXPECT_TRUE(read.ok()) << read.ToString();
  return rows;
}

std::vector<Fid> ScanOf(const Table& table) {
  std::vector<Fid> fids;
  for (uint64_t cursor = 0; table.ScanFids(&cursor, &fids);) {
  }
  std::sort(fids.begin(), fids.end());
  fids.erase(std::unique(fids.begin(), fids.end()), fids.end());
  return fids;
}

// Random operations, drawn from a seed; the same on every table that is given.
class History {
 public:
  History(uint64_t seed, uint64_t first_fid, uint64_t fids)
      : rng_(seed), first_fid_(first_fid), fids_(fids) {}

  // Runs one operation on the table and returns what it answered.
  std::vector<float> Step(Table& table) {
    const std::vector<Fid> fids = Fids();
    const auto dim = static_cast<size_t>(table.dim());
    std::vector<float> values(fids.size() * dim);
    for (float& value : values) value = static_cast<float>(rng_.Uniform()) - 0.5F;
    const auto time = static_cast<int64_t>(rng_.Below(100)) * 86400;
    switch (rng_.Below(12)) {
      case 0:
      case 1:
        return Answer(table.Assign(fids, values, time));
      case 2:
        return Answer(table.AssignAdd(fids, values, time));
      case 3:
        return {static_cast<float>(table.Erase(std::span(fids).first(fids.size() / 4)))};
      case 4: {
        const std::vector<int32_t> had = *table.Reinitialize(fids, time);
        return {had.begin(), had.end()};
      }
      case 5:
      case 6: {
        std::vector<float> rows(fids.size() * dim);
        const auto hits = table.Lookup(fids, rows);
        rows.push_back(static_cast<float>(hits.ok() ? *hits : -1));
        return rows;
      }
      case 7: {
        std::vector<float> out;
        const auto entries = table.LookupEntries(fids);
        for (const std::string& entry : *entries) {
          for (const char c : entry) out.push_back(static_cast<float>(c));
        }
        return out;
      }
      case 8:
        return {table.Contains(fids[0]) ? 1.0F : 0.0F};
      default: {
        const float rate = 0.1F;
        return Answer(table.Optimize({.fids = fids,
                                      .values = values,
                                      .learning_rates = std::span(&rate, 1),
                                      .snapshots = {},
                                      .update_time = time,
                                      .dedup = rng_.Below(2) == 0}));
      }
    }
  }

 private:
  // Some often, most seldom, some twice.
  std::vector<Fid> Fids() {
    std::vector<Fid> fids(1 + rng_.Below(40));
    for (Fid& fid : fids) {
      const double u = rng_.Uniform();
      fid = static_cast<Fid>(first_fid_ +
                             static_cast<uint64_t>(u * u * u * static_cast<double>(fids_)));
    }
    return fids;
  }
  static std::vector<float> Answer(const Result<WriteReport>& report) {
    if (!report.ok()) return {-1};
    return {static_cast<float>(report->applied), static_cast<float>(report->created),
            static_cast<float>(report->erased), static_cast<float>(report->filtered),
            static_cast<float>(report->refused)};
  }

  Rng rng_;
  const uint64_t first_fid_;
  const uint64_t fids_;
};

class ColdHistoryTest : public testing::TestWithParam<ColdStoreKind> {};

TEST_P(ColdHistoryTest, IsThatOfATableInMemory) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ColdStores stores(GetParam());
    const std::unique_ptr<Table> plain = MakeTestTable(std::nullopt, {});
    const std::unique_ptr<Table> tiered = MakeTestTable(6000, {.open_cold_store = stores.Opener()});
    History first(seed, 0, 600);
    History second(seed, 0, 600);
    Rng rng(seed + 1000);
    for (int step = 0; step < 1500; ++step) {
      ASSERT_EQ(first.Step(*plain), second.Step(*tiered)) << "step " << step;
      ASSERT_EQ(plain->size(), tiered->size()) << "step " << step;
      if (rng.Below(300) == 0) {
        ASSERT_EQ(plain->Evict(), tiered->Evict()) << "step " << step;
      }
      if (rng.Below(200) == 0) {
        ASSERT_EQ(SnapshotOf(*plain), SnapshotOf(*tiered)) << "step " << step;
        ASSERT_EQ(ScanOf(*plain), ScanOf(*tiered)) << "step " << step;
      }
      if (rng.Below(1000) == 0) {
        ASSERT_TRUE(plain->Clear().ok());
        ASSERT_TRUE(tiered->Clear().ok());
      }
    }
    EXPECT_EQ(SnapshotOf(*plain), SnapshotOf(*tiered));
    const ColdTierStats stats = *tiered->Stats().cold;
    EXPECT_EQ(stats.hot_rows + stats.cold_rows, plain->size());
    EXPECT_GT(stats.demotions, 100u);
    EXPECT_GT(stats.promotions, 100u);
    EXPECT_GT(stats.cold_hits, 10u);
  }
}

// Each thread has fids of its own, so that its answers do not depend on the others; their rows
// share shards, the budget and the disk. A further thread takes snapshots and looks everything up.
TEST_P(ColdHistoryTest, OfSeveralThreadsIsThatOfATableInMemory) {
  constexpr uint64_t kThreads = 4;
  constexpr uint64_t kFids = 300;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ColdStores stores(GetParam());
    const std::unique_ptr<Table> plain = MakeTestTable(std::nullopt, {});
    const std::unique_ptr<Table> tiered = MakeTestTable(8000, {.open_cold_store = stores.Opener()});
    std::vector<std::vector<std::vector<float>>> answers(kThreads);
    std::atomic<bool> stop{false};
    {
      std::jthread reader([&] {
        std::vector<Fid> fids;
        for (uint64_t i = 0; i < kThreads * 1000; ++i) fids.push_back(static_cast<Fid>(i));
        std::vector<float> rows(fids.size() * static_cast<size_t>(tiered->dim()));
        while (!stop) {
          SnapshotOf(*tiered);
          EXPECT_TRUE(tiered->Lookup(fids, rows).ok());
        }
      });
      std::vector<std::jthread> threads;
      for (uint64_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
          History history(seed * 100 + t, t * 1000, kFids);
          for (int step = 0; step < 600; ++step) answers[t].push_back(history.Step(*tiered));
        });
      }
      threads.clear();
      stop = true;
    }
    for (uint64_t t = 0; t < kThreads; ++t) {
      History history(seed * 100 + t, t * 1000, kFids);
      for (size_t step = 0; step < answers[t].size(); ++step) {
        ASSERT_EQ(answers[t][step], history.Step(*plain)) << "thread " << t << " step " << step;
      }
    }
    EXPECT_EQ(SnapshotOf(*plain), SnapshotOf(*tiered));
    EXPECT_EQ(plain->size(), tiered->size());
    EXPECT_GT(tiered->Stats().cold->demotions, 100u);
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, ColdHistoryTest, testing::ValuesIn(ColdStoreKinds()),
                         [](const auto& param) { return ColdStoreName(param.param); });

}  // namespace
}  // namespace megalith::embedding
