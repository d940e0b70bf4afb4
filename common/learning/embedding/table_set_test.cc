#include "common/learning/embedding/table_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TableConfig Sgd(int64_t dim) {
  TableConfig config;
  config.segments = {{.dim = dim}};
  config.segments[0].optimizer = {.name = "sgd", .fields = {{"learning_rate", 1}}, .base = {}};
  return config;
}

std::unique_ptr<TableSet> MakeSet(TableSet::Options options = {}) {
  auto set = TableSet::Make(std::move(options));
  EXPECT_TRUE(set.ok()) << set.status().ToString();
  return *std::move(set);
}

Status Put(TableSet& set, const std::string& name, std::vector<Fid> fids,
           std::vector<float> values) {
  const auto table = set.Get(name);
  if (!table.ok()) return table.status();
  return (*table)->Assign(fids, values, 1).status();
}

TEST(TableSetTest, CreatingTheSameTableTwiceChangesNothing) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("user", Sgd(2)).ok());
  ASSERT_TRUE(Put(*set, "user", {1}, {1, 2}).ok());
  EXPECT_TRUE(set->Create("user", Sgd(2)).ok());
  EXPECT_EQ((*set->Get("user"))->size(), 1U);
  EXPECT_EQ(set->Create("user", Sgd(3)).code(), Code::kAlreadyExists);
}

TEST(TableSetTest, RefusesNamesThatCannotBeFileNames) {
  const auto set = MakeSet();
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\0b", 3),
                                  std::string(256, 'x'), std::string("\xc3\xa9")}) {
    EXPECT_EQ(set->Create(name, Sgd(1)).code(), Code::kInvalidArgument) << name;
  }
  EXPECT_TRUE(set->Create("MonolithHashTable_0/a:b-c.d", Sgd(1)).ok());
}

TEST(TableSetTest, AMissingNameSaysWhatMayBeMeant) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("user_id", Sgd(1)).ok());
  EXPECT_THAT(set->Get("user_idd").status().message(), HasSubstr("is 'user_id' meant?"));
  EXPECT_EQ(set->Drop("nothing").code(), Code::kNotFound);
}

TEST(TableSetTest, AlteringKeepsRowsAndStatistics) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("t", Sgd(1)).ok());
  ASSERT_TRUE(Put(*set, "t", {1}, {5}).ok());
  const std::shared_ptr<Table> before = *set->Get("t");
  TableConfig config = Sgd(1);
  config.segments[0].optimizer.fields = {{"learning_rate", 0.5}};
  ASSERT_TRUE(set->Alter("t", config).ok());
  const std::shared_ptr<Table> after = *set->Get("t");
  const Fid fid = 1;
  const float g = 2;
  ASSERT_TRUE(after
                  ->Optimize({.fids = std::span(&fid, 1),
                              .values = std::span(&g, 1),
                              .learning_rates = {},
                              .snapshots = {}})
                  .ok());
  float value = 0;
  ASSERT_EQ(*before->Lookup(std::span(&fid, 1), std::span(&value, 1)), 1);
  EXPECT_EQ(value, 4);
  EXPECT_EQ(before->Stats().writes.applied, 2);
  config.segments[0].optimizer.name = "adagrad";
  config.segments[0].optimizer.fields.clear();
  EXPECT_EQ(set->Alter("t", config).code(), Code::kFailedPrecondition);
  EXPECT_EQ(set->Alter("t", Sgd(2)).code(), Code::kFailedPrecondition);
}

// The example of section 7.1.
TEST(TableSetTest, FusedLookupHasTheLayoutOfTheSpecification) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("b", Sgd(2)).ok());
  ASSERT_TRUE(set->Create("a", Sgd(1)).ok());
  ASSERT_TRUE(Put(*set, "a", {1, 2}, {1, 2}).ok());
  ASSERT_TRUE(Put(*set, "b", {3, 4}, {3, 3, 4, 4}).ok());
  const std::vector<Fid> fids{1, 3, 2, 4};
  const std::vector<int64_t> sizes{1, 1, 1, 1};
  const auto layout = set->Fuse(sizes, 2, 1000);
  ASSERT_TRUE(layout.ok()) << layout.status().ToString();
  EXPECT_THAT(layout->emb_splits, ElementsAre(3, 3));
  EXPECT_THAT(layout->key_offsets, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(layout->emb_offsets, ElementsAre(0, 1, 3, 4, 6));
  EXPECT_THAT(*set->FusedLookup(fids, sizes, 2, 1000), ElementsAre(1, 3, 3, 2, 4, 4));

  const std::vector<float> gradients{1, 1, 1, 1, 1, 2};
  const auto reports = set->FusedOptimize(
      {.fids = fids, .sizes = sizes, .shards = 2, .gradients = gradients, .learning_rates = {}});
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  EXPECT_EQ((*reports)[0].applied, 2);
  EXPECT_THAT(*set->FusedLookup(fids, sizes, 2, 1000), ElementsAre(0, 2, 2, 1, 3, 2));
}

TEST(TableSetTest, FusedCallsCheckEverythingBeforeTheFirstRowChanges) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("a", Sgd(1)).ok());
  TableConfig serving = Sgd(1);
  serving.kind = EntryKind::kServing;
  ASSERT_TRUE(set->Create("b", serving).ok());
  const std::vector<Fid> fids{1, 2};
  const std::vector<float> gradients{1, 1};
  const std::vector<int64_t> sizes{1, 1};
  TableSet::FusedGradients batch{
      .fids = fids, .sizes = sizes, .shards = 1, .gradients = gradients, .learning_rates = {}};
  EXPECT_EQ(set->FusedOptimize(batch).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ((*set->Get("a"))->size(), 0U);
  for (const std::vector<int64_t>& bad :
       {std::vector<int64_t>{1}, {1, 2}, {-1, 3}, {INT64_MAX, INT64_MAX}, {1, 1, 1, 1}}) {
    batch.sizes = bad;
    EXPECT_EQ(set->FusedOptimize(batch).status().code(), Code::kInvalidArgument);
  }
}

class Recorder : public SetObserver {
 public:
  void Written(const std::string& table, std::span<const Fid> fids) override {
    const std::lock_guard lock(mu);
    for (const Fid fid : fids) written.insert({table, fid});
  }
  void Erased(const std::string& table, std::span<const Fid> fids) override {
    const std::lock_guard lock(mu);
    for (const Fid fid : fids) erased.insert({table, fid});
  }
  void Replaced(const std::string& table) override {
    const std::lock_guard lock(mu);
    replaced.insert(table);
  }
  std::mutex mu;
  std::set<std::pair<std::string, Fid>> written;
  std::set<std::pair<std::string, Fid>> erased;
  std::set<std::string> replaced;
};

TEST(TableSetTest, TablesMadeAsideAreSilentUntilTheyAreInPlace) {
  Recorder recorder;
  TableSet::Options options;
  options.observer = &recorder;
  const auto set = MakeSet(std::move(options));
  ASSERT_TRUE(set->Create("a", Sgd(1)).ok());
  const std::shared_ptr<Table> old = *set->Get("a");
  const auto fresh = set->MakeAside("a", Sgd(1));
  ASSERT_TRUE(fresh.ok());
  const Fid fid = 1;
  const float one = 1;
  ASSERT_TRUE((*fresh)->Assign(std::span(&fid, 1), std::span(&one, 1), 1).ok());
  EXPECT_THAT(recorder.written, IsEmpty());
  set->Replace({{"a", *fresh}});
  EXPECT_EQ(*set->Get("a"), *fresh);
  EXPECT_THAT(recorder.replaced, ElementsAre("a"));
  ASSERT_TRUE((*fresh)->Assign(std::span(&fid, 1), std::span(&one, 1), 1).ok());
  EXPECT_THAT(recorder.written, ElementsAre(std::pair<std::string, Fid>("a", 1)));
  // The one that was replaced is nobody's any more.
  const Fid other = 2;
  ASSERT_TRUE(old->Assign(std::span(&other, 1), std::span(&one, 1), 1).ok());
  EXPECT_EQ(recorder.written.size(), 1U);
}

TEST(TableSetTest, ASnapshotCutsAcrossTablesBetweenCalls) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("a", Sgd(1)).ok());
  ASSERT_TRUE(set->Create("b", Sgd(1)).ok());
  std::vector<Fid> fids;
  for (Fid fid = 0; fid < 500; ++fid) fids.push_back(fid % 250);
  const std::vector<int64_t> sizes{250, 250};
  const std::vector<float> gradients(500, -1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      while (!stop) {
        ASSERT_TRUE(set->FusedOptimize({.fids = fids,
                                        .sizes = sizes,
                                        .shards = 1,
                                        .gradients = gradients,
                                        .learning_rates = {}})
                        .ok());
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    const auto snapshot = set->TakeSnapshot({});
    ASSERT_TRUE(snapshot.ok()) << snapshot.status().ToString();
    std::set<float> values;
    for (const char* name : {"a", "b"}) {
      ASSERT_TRUE((*snapshot)
                      ->Read(name,
                             [&](std::span<const Table::RowView> rows) {
                               const RowLayout& layout = (*snapshot)->tables().at(name)->layout();
                               for (const auto& row : rows) {
                                 values.insert(layout.Weights(row.payload)[0]);
                               }
                               return OkStatus();
                             })
                      .ok());
    }
    EXPECT_LE(values.size(), 1U) << round;
    EXPECT_EQ((*snapshot)->Read("a", {}).code(), Code::kFailedPrecondition);
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
}

TEST(TableSetTest, ASnapshotThatNobodyReadsEndsWithItsObject) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("a", Sgd(1)).ok());
  {
    const auto first = set->TakeSnapshot({});
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(set->TakeSnapshot({}).status().code(), Code::kFailedPrecondition);
  }
  EXPECT_TRUE(set->TakeSnapshot({}).ok());
}

// Rows written in the order in which another table of the set gives its ids were quadratic work
// when both tables had one seed.
TEST(TableSetTest, RowsCopiedInAnotherTablesOrderAreSpreadOverTheIndex) {
  const auto set = MakeSet();
  ASSERT_TRUE(set->Create("from", Sgd(1)).ok());
  ASSERT_TRUE(set->Create("to", Sgd(1)).ok());
  std::vector<Fid> fids(200000);
  for (size_t i = 0; i < fids.size(); ++i) fids[i] = static_cast<Fid>(i);
  ASSERT_TRUE(Put(*set, "from", fids, std::vector<float>(fids.size(), 1)).ok());
  std::vector<Fid> ordered;
  for (uint64_t cursor = 0; (*set->Get("from"))->ScanFids(&cursor, &ordered);) {
  }
  ASSERT_EQ(ordered.size(), fids.size());
  ASSERT_TRUE(Put(*set, "to", ordered, std::vector<float>(fids.size(), 2)).ok());
  EXPECT_EQ((*set->Get("to"))->size(), fids.size());
  std::vector<Fid> other_order;
  for (uint64_t cursor = 0; (*set->Get("to"))->ScanFids(&cursor, &other_order);) {
  }
  EXPECT_NE(other_order, ordered);
}

}  // namespace
}  // namespace megalith::embedding
