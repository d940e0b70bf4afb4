#include "common/learning/embedding/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "common/foundation/base/rng.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::Pointwise;

SegmentConfig Segment(int64_t dim, std::string initializer, double constant,
                      std::string optimizer) {
  SegmentConfig segment{.dim = dim};
  segment.initializer.name = std::move(initializer);
  if (segment.initializer.name == "constants")
    segment.initializer.fields = {{"constant", constant}};
  segment.optimizer.name = std::move(optimizer);
  return segment;
}

std::unique_ptr<Table> MakeTable(TableConfig config, Table::Options options = {}) {
  auto table = Table::Make(std::move(config), std::move(options));
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return *std::move(table);
}

// The table of the specification's worked trace (section 2.1).
TableConfig TraceConfig() {
  TableConfig config;
  config.segments = {Segment(1, "constants", 0.5, "ftrl"), Segment(2, "ones", 0, "adagrad")};
  // The trace was run with the protos' defaults; both have 0.1 as first accumulator.
  config.compatibility = Compatibility::kMonolith;
  return config;
}

// One weight, plain descent: easy to compute in the head.
TableConfig SgdConfig(int64_t dim = 1) {
  TableConfig config;
  config.segments = {Segment(dim, "zeros", 0, "sgd")};
  return config;
}

std::vector<float> Row(const Table& table, Fid fid) {
  std::vector<float> row(static_cast<size_t>(table.dim()));
  const auto hits = table.Lookup(std::span(&fid, 1), row);
  EXPECT_TRUE(hits.ok()) << hits.status().ToString();
  return row;
}

uint32_t TimeOf(const Table& table, Fid fid) {
  uint32_t time = 0;
  (void)table.VisitRows(std::span(&fid, 1), [&](size_t, const std::byte* payload, uint32_t timestamp) {
    EXPECT_NE(payload, nullptr);
    time = timestamp;
  });
  return time;
}

WriteReport Step(Table& table, Fid fid, std::vector<float> gradient, std::vector<float> rates,
                 int64_t time) {
  const auto report = table.Optimize({.fids = std::span(&fid, 1),
                                      .values = gradient,
                                      .learning_rates = rates,
                                      .snapshots = {},
                                      .update_time = time});
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : WriteReport{};
}

WriteReport Put(Table& table, std::vector<Fid> fids, std::vector<float> values, int64_t time) {
  const auto report = table.Assign(fids, values, time);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : WriteReport{};
}

TEST(TableTest, FollowsTheWorkedTraceOfTheSpecification) {
  const auto table = MakeTable(TraceConfig());
  const std::vector<float> rates{0.1F, 0.2F};
  std::vector<float> row(3, 7);
  const Fid one = 1;
  EXPECT_EQ(*table->Lookup(std::span(&one, 1), row), 0);
  EXPECT_THAT(row, ElementsAre(0, 0, 0));
  EXPECT_FALSE(table->Contains(1));

  Put(*table, {1}, {1, 2, 3}, 100);
  EXPECT_THAT(Row(*table, 1), ElementsAre(1, 2, 3));
  EXPECT_EQ(TimeOf(*table, 1), 100U);

  Step(*table, 1, {1, 1, 1}, rates, 200);
  EXPECT_THAT(Row(*table, 1),
              Pointwise(FloatEq(), std::vector<float>{0.603142321F, 1.80930746F, 2.80930758F}));
  EXPECT_EQ(TimeOf(*table, 1), 200U);

  Step(*table, 2, {1, 1, 1}, rates, 300);
  EXPECT_THAT(Row(*table, 2),
              Pointwise(FloatEq(), std::vector<float>{0.253898054F, 0.809307456F, 0.809307456F}));

  const Fid three = 3;
  const std::vector<float> addend{1, 2, 3};
  ASSERT_TRUE(table->AssignAdd(std::span(&three, 1), addend, 50).ok());
  EXPECT_THAT(Row(*table, 3), ElementsAre(1.5F, 3, 4));
  EXPECT_EQ(TimeOf(*table, 3), 50U);

  Put(*table, {1}, {9, 9, 9}, 10);
  EXPECT_THAT(Row(*table, 1), ElementsAre(9, 9, 9));
  EXPECT_EQ(TimeOf(*table, 1), 10U);
  (void)table->VisitRows(std::span(&one, 1), [&](size_t, const std::byte* payload, uint32_t) {
    const auto state = table->layout().State(payload);
    EXPECT_NEAR(state[1].arrays[0].values[0], 1.1, 1e-6);  // kept
  });

  EXPECT_THAT(table->Reinitialize(std::vector<Fid>{1, 99}, 400).value(), ElementsAre(1, 0));
  EXPECT_THAT(Row(*table, 1), ElementsAre(0.5F, 1, 1));
  EXPECT_THAT(Row(*table, 99), ElementsAre(0.5F, 1, 1));
  EXPECT_EQ(table->size(), 4U);
  EXPECT_EQ(table->max_update_time(), 400);
}

TEST(TableTest, EntriesCarryNoIdAndAreEmptyForMissingRows) {
  const auto table = MakeTable(TraceConfig());
  Put(*table, {5}, {1, 2, 3}, 9);
  const auto entries = table->LookupEntries(std::vector<Fid>{5, 6});
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ((*entries)[0][0], 0x15);  // field 2 comes first
  EXPECT_EQ((*entries)[1], "");
}

TEST(TableTest, ExpiryIsInclusiveAndPerSlot) {
  TableConfig config = SgdConfig();
  config.expire.default_days = 1;
  config.expire.days_of_slot[7] = 3;
  const auto table = MakeTable(config);
  const Fid slot7 = *MakeFidV2(7, 1);
  Put(*table, {1}, {1}, 0);
  Put(*table, {2}, {1}, 1);
  Put(*table, {slot7}, {1}, 0);
  EXPECT_EQ(table->Evict(86400), 1);
  EXPECT_FALSE(table->Contains(1));
  EXPECT_TRUE(table->Contains(2));
  EXPECT_TRUE(table->Contains(slot7));
  EXPECT_EQ(table->Evict(3 * 86400), 2);
  EXPECT_EQ(table->Stats().evicted, 3U);
}

TEST(TableTest, ATableThatOnlySawTimeZeroExpiresNothing) {
  TableConfig config = SgdConfig();
  config.expire.default_days = 1;
  const auto table = MakeTable(config);
  Put(*table, {1, 2}, {1, 2}, 0);
  EXPECT_EQ(table->Evict(), 0);
}

TEST(TableTest, TimesThatAreNoSecondsAreRefused) {
  TableConfig config = SgdConfig();
  config.expire.default_days = 1;
  const auto table = MakeTable(config);
  const std::vector<Fid> fids{1};
  const std::vector<float> values{1};
  for (const int64_t time : {int64_t{-1}, int64_t{1'700'000'000'000}, INT64_MAX, INT64_MIN}) {
    EXPECT_EQ(table->Assign(fids, values, time).status().code(), Code::kInvalidArgument);
    EXPECT_EQ(table->AssignAdd(fids, values, time).status().code(), Code::kInvalidArgument);
    EXPECT_EQ(table->Reinitialize(fids, time).status().code(), Code::kInvalidArgument);
    EXPECT_EQ(
        table->Optimize({.fids = fids, .values = values, .update_time = time}).status().code(),
        Code::kInvalidArgument);
  }
  EXPECT_EQ(table->size(), 0);
  EXPECT_EQ(table->max_update_time(), 0);
  Put(*table, {1}, {1}, 1'700'000'000);
  EXPECT_EQ(table->Evict(INT64_MIN), 0);
  EXPECT_EQ(table->Evict(INT64_MAX), 1);
}

TEST(TableTest, DuplicatesAreStepsInOrderUnlessDeduplicated) {
  TableConfig config;
  config.segments = {Segment(1, "zeros", 0, "adagrad")};
  const std::vector<Fid> fids{4, 5, 4};
  const std::vector<float> gradients{1, 1, 2};
  const std::vector<float> rates{0.1F};
  const auto run = [&](bool dedup) {
    const auto table = MakeTable(config);
    const auto report = table->Optimize({.fids = fids,
                                         .values = gradients,
                                         .learning_rates = rates,
                                         .snapshots = {},
                                         .dedup = dedup});
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(report->applied, dedup ? 2 : 3);
    EXPECT_EQ(report->created, 2);
    return Row(*table, 4)[0];
  };
  // The record's first accumulator is 0.1.
  EXPECT_FLOAT_EQ(run(true), -0.1F * 3 / std::sqrt(9.1F));
  EXPECT_FLOAT_EQ(run(false), -0.1F / std::sqrt(1.1F) - 0.1F * 2 / std::sqrt(5.1F));
}

TEST(TableTest, AFilterHoldsBackNewFidsButNoneThatHasARow) {
  FilterConfig filter_config;
  filter_config.thresholds.default_threshold = 2;
  filter_config.capacity = 1000;
  auto filter = MakeFilter(filter_config);
  ASSERT_TRUE(filter.ok());
  Table::Options options;
  options.filter = std::shared_ptr<AdmissionFilter>(*std::move(filter));
  const auto table = MakeTable(SgdConfig(), std::move(options));
  EXPECT_EQ(Step(*table, 8, {1}, {1}, 1).filtered, 1);
  EXPECT_EQ(Step(*table, 8, {1}, {1}, 1).filtered, 1);
  EXPECT_EQ(Step(*table, 8, {1}, {1}, 1).applied, 1);
  EXPECT_THAT(Row(*table, 8), ElementsAre(-1));
  const Fid fid = 8;
  const float one = 1;
  EXPECT_EQ(table->AssignAdd(std::span(&fid, 1), std::span(&one, 1), 0)->applied, 1);
  // A deduplicated batch counts every occurrence.
  const std::vector<Fid> thrice{9, 9, 9};
  const std::vector<float> ones{1, 1, 1};
  const std::vector<float> rates{1};
  const Gradients batch{
      .fids = thrice, .values = ones, .learning_rates = rates, .snapshots = {}, .dedup = true};
  EXPECT_EQ(table->Optimize(batch)->filtered, 1);
  EXPECT_EQ(table->Optimize(batch)->applied, 1);
  // Reinitialisation asks nobody.
  EXPECT_THAT(table->Reinitialize(std::vector<Fid>{10}, 5).value(), ElementsAre(0));
  EXPECT_TRUE(table->Contains(10));
}

TEST(TableTest, ZeroRowsAreErasedInOrderWhereAsked) {
  TableConfig config = SgdConfig(2);
  config.skip_zero_embedding = true;
  const auto table = MakeTable(config);
  const WriteReport report = Put(*table, {1, 2, 1, 3, 3}, {1, 1, 2, 2, 0, 0, 0, 0, 5, 5}, 1);
  EXPECT_EQ(report.applied, 3);
  EXPECT_EQ(report.erased, 1);
  EXPECT_FALSE(table->Contains(1));
  EXPECT_THAT(Row(*table, 2), ElementsAre(2, 2));
  EXPECT_THAT(Row(*table, 3), ElementsAre(5, 5));
}

TEST(TableTest, RefusesWrongSizesBeforeAnyRowChanges) {
  const auto table = MakeTable(SgdConfig(2));
  const std::vector<Fid> fids{1, 2};
  const std::vector<float> three(3, 1);
  EXPECT_THAT(table->Assign(fids, three, 0).status().message(), HasSubstr("2 * 2 values, got 3"));
  std::vector<float> out(5);
  EXPECT_EQ(table->Lookup(fids, out).status().code(), Code::kInvalidArgument);
  const std::vector<float> four(4, 1);
  const std::vector<float> two_rates{1, 1};
  EXPECT_THAT(
      table->Optimize({.fids = fids, .values = four, .learning_rates = two_rates, .snapshots = {}})
          .status()
          .message(),
      HasSubstr("1 segments, got 2 learning rates"));
  EXPECT_EQ(table->size(), 0U);
}

TEST(TableTest, GradientsThatAreNotFiniteFollowThePolicy) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<Fid> fids{1, 2, 3};
  const std::vector<float> gradients{1, nan, -inf};
  const std::vector<float> rates{1e-30F};
  const auto run = [&](NonFinite policy, Table& table) {
    return table.Optimize({.fids = fids,
                           .values = gradients,
                           .learning_rates = rates,
                           .snapshots = {},
                           .non_finite = policy});
  };
  const auto reject = MakeTable(SgdConfig());
  EXPECT_THAT(run(NonFinite::kReject, *reject).status().message(),
              HasSubstr("gradient 0 of row 1 is not finite"));
  EXPECT_EQ(reject->size(), 0U);
  const auto skip = MakeTable(SgdConfig());
  const auto skipped = run(NonFinite::kSkip, *skip);
  EXPECT_EQ(skipped->non_finite, 2);
  EXPECT_EQ(skipped->applied, 1);
  EXPECT_EQ(skip->size(), 1U);
  const auto clip = MakeTable(SgdConfig());
  EXPECT_EQ(run(NonFinite::kClip, *clip)->applied, 3);
  EXPECT_THAT(Row(*clip, 2), ElementsAre(0));
  EXPECT_TRUE(std::isfinite(Row(*clip, 3)[0]));
  EXPECT_GT(Row(*clip, 3)[0], 1e8F);
}

TEST(TableTest, FiniteGradientsWithAnInfiniteSumFollowThePolicyToo) {
  const float huge = std::numeric_limits<float>::max();
  const std::vector<Fid> fids{1, 2, 1};
  const std::vector<float> gradients{huge, 1, huge};
  const std::vector<float> rates{1};
  const auto table = MakeTable(SgdConfig());
  Gradients batch{
      .fids = fids, .values = gradients, .learning_rates = rates, .snapshots = {}, .dedup = true};
  EXPECT_EQ(table->Optimize(batch).status().code(), Code::kInvalidArgument);
  batch.non_finite = NonFinite::kSkip;
  EXPECT_EQ(table->Optimize(batch)->applied, 1);
  EXPECT_TRUE(table->Contains(2));
}

TEST(TableTest, RefusesNewRowsBeyondItsBudgetAndCountsThem) {
  TableConfig config = SgdConfig();
  config.max_bytes = 2048;
  const auto table = MakeTable(config);
  std::vector<Fid> fids(500);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  const WriteReport report = Put(*table, fids, std::vector<float>(500, 1), 1);
  EXPECT_GT(report.refused, 0);
  EXPECT_EQ(report.refused + report.applied, 500);
  EXPECT_LE(table->Stats().bytes, 2048U);
  EXPECT_EQ(table->Stats().writes.refused, report.refused);
}

TEST(TableTest, AServingTableCompressesAndDoesNotLearn) {
  TableConfig config = SgdConfig(2);
  config.kind = EntryKind::kServing;
  config.segments[0].compressor.name = "fp16";
  const auto table = MakeTable(config);
  Put(*table, {1}, {1.0F / 3, -0.1F}, 1);
  EXPECT_NEAR(Row(*table, 1)[0], 1.0F / 3, 2e-4);
  EXPECT_NE(Row(*table, 1)[0], 1.0F / 3);
  const Fid fid = 1;
  const std::vector<float> g{1, 1};
  EXPECT_EQ(
      table
          ->Optimize(
              {.fids = std::span(&fid, 1), .values = g, .learning_rates = {}, .snapshots = {}})
          .status()
          .code(),
      Code::kFailedPrecondition);
  EXPECT_EQ(table->LookupEntries(std::span(&fid, 1)).status().code(), Code::kFailedPrecondition);
}

class Recorder : public WriteObserver {
 public:
  void Written(std::span<const Fid> fids) override {
    const std::lock_guard lock(mu_);
    written.insert(fids.begin(), fids.end());
  }
  void Erased(std::span<const Fid> fids) override {
    const std::lock_guard lock(mu_);
    erased.insert(fids.begin(), fids.end());
  }
  std::set<Fid> written;
  std::set<Fid> erased;

 private:
  std::mutex mu_;
};

TEST(TableTest, TheObserverHearsOfEveryChangedRow) {
  const auto observer = std::make_shared<Recorder>();
  const Recorder& recorder = *observer;
  Table::Options options;
  options.observer = observer;
  TableConfig config = SgdConfig();
  config.expire.default_days = 1;
  const auto table = MakeTable(config, std::move(options));
  Put(*table, {1}, {1}, 10);
  Step(*table, 2, {1}, {1}, 86400 * 5);
  (void)table->Reinitialize(std::vector<Fid>{3}, 86400 * 5);
  EXPECT_THAT(recorder.written, ElementsAre(1, 2, 3));
  EXPECT_EQ(table->Evict(), 1);
  EXPECT_THAT(recorder.erased, ElementsAre(1));
  EXPECT_EQ(table->Erase(std::vector<Fid>{2, 77}), 1);
  ASSERT_TRUE(table->Clear().ok());
  EXPECT_THAT(recorder.erased, ElementsAre(1, 2, 3));
}

TEST(TableTest, ASnapshotHoldsAllOfABatchOrNothing) {
  const auto table = MakeTable(SgdConfig());
  std::vector<Fid> fids(2000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i * 31);
  Put(*table, fids, std::vector<float>(fids.size(), 0), 1);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int n = 1; !stop; ++n) {
      (void)table->Assign(fids, std::vector<float>(fids.size(), static_cast<float>(n)), n);
    }
  });
  for (int round = 0; round < 30; ++round) {
    {
      const WriteGate::Exclusive gate(table->gate());
      ASSERT_TRUE(table->BeginSnapshot().ok());
    }
    std::set<float> values;
    size_t rows = 0;
    ASSERT_TRUE(table
                    ->ReadSnapshot([&](std::span<const Table::RowView> views) {
                      for (const Table::RowView& view : views) {
                        values.insert(table->layout().Weights(view.payload)[0]);
                      }
                      rows += views.size();
                      return OkStatus();
                    })
                    .ok());
    EXPECT_EQ(values.size(), 1U);
    EXPECT_EQ(rows, fids.size());
  }
  stop = true;
  writer.join();
}

// Gradients of integers with learning rate 1 commute and add up exactly, so whatever order threads
// took, the sums must be there: an update lost or done twice shows.
TEST(TableTest, ConcurrentUpdatesAddUpExactly) {
  const auto table = MakeTable(SgdConfig(3));
  constexpr int kThreads = 4;
  constexpr size_t kFids = 3000;
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> sums(kThreads, std::vector<int64_t>(kFids));
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t) + 42);
      const std::vector<float> rates{1};
      for (int round = 0; round < 150; ++round) {
        std::vector<Fid> fids(1 + rng.Below(200));
        std::vector<float> gradients;
        for (Fid& fid : fids) {
          fid = static_cast<Fid>(rng.Below(kFids));
          const auto g = static_cast<int64_t>(rng.Below(7)) - 3;
          sums[static_cast<size_t>(t)][static_cast<size_t>(fid)] += g;
          gradients.insert(gradients.end(), 3, static_cast<float>(g));
        }
        const auto report = table->Optimize({.fids = fids,
                                             .values = gradients,
                                             .learning_rates = rates,
                                             .snapshots = {},
                                             .dedup = rng.Below(2) == 0});
        ASSERT_TRUE(report.ok());
        std::vector<float> rows(fids.size() * 3);
        ASSERT_TRUE(table->Lookup(fids, rows).ok());
        for (size_t i = 0; i < fids.size(); ++i) {
          ASSERT_EQ(rows[3 * i], rows[3 * i + 1]);
          ASSERT_EQ(rows[3 * i], rows[3 * i + 2]);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t fid = 0; fid < kFids; ++fid) {
    int64_t sum = 0;
    for (const auto& of_thread : sums) sum += of_thread[fid];
    ASSERT_EQ(Row(*table, static_cast<Fid>(fid))[0], static_cast<float>(-sum)) << fid;
  }
}

}  // namespace
}  // namespace megalith::embedding
