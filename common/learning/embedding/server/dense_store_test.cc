#include "common/learning/embedding/server/dense_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

DenseConfig Config(std::vector<int64_t> shape, const std::string& optimizer = "sgd") {
  DenseConfig config;
  config.shape = std::move(shape);
  config.row_end = config.shape.empty() ? 1 : config.shape[0];
  config.optimizer.name = optimizer;
  return config;
}

TEST(DenseStoreTest, RowsAreDividedEvenly) {
  int64_t at = 0;
  for (int i = 0; i < 3; ++i) {
    const RowRange range = RowsOfPart(11, i, 3);
    EXPECT_EQ(range.begin, at);
    EXPECT_GE(range.end - range.begin, 3);
    at = range.end;
  }
  EXPECT_EQ(at, 11);
  EXPECT_EQ(RowsOfPart(1, 2, 3).begin, RowsOfPart(1, 2, 3).end);
}

TEST(DenseStoreTest, StepsAreThoseOfATableWithTheSameOptimizer) {
  for (const OptimizerDef* def : Optimizers()) {
    if (!def->step || def->max_dim < 5) continue;
    SCOPED_TRACE(def->name);
    DenseStore store({});
    const std::vector<float> initial = {1, -2, 3, 0.5, 0, 2, 2, 2, -1, 4};
    ASSERT_TRUE(store.Create("v", Config({2, 5}, std::string(def->name)), initial).ok());
    TableConfig table_config;
    table_config.segments.push_back({.dim = 5, .optimizer = {.name = std::string(def->name)}});
    auto table = *Table::Make(table_config, {});
    const std::vector<Fid> ids = {0, 1};
    ASSERT_TRUE(table->Assign(ids, initial, 0).ok());
    for (int step = 0; step < 3; ++step) {
      std::vector<float> gradient;
      for (int i = 0; i < 10; ++i) gradient.push_back(0.1F * static_cast<float>(i - 4 + step));
      ASSERT_TRUE(table->Optimize({.fids = ids, .values = gradient, .global_step = step}).ok());
      const auto report = store.Apply("v", {.values = gradient, .global_step = step});
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_EQ(report->updates, step + 1);
    }
    std::vector<float> rows(10);
    ASSERT_TRUE(table->Lookup(ids, rows).ok());
    EXPECT_THAT(store.Get("v")->state->values, ElementsAreArray(rows));
  }
}

TEST(DenseStoreTest, AReaderKeepsItsMoment) {
  DenseStore store({});
  ASSERT_TRUE(store.Create("v", Config({2}), std::vector<float>{1, 2}).ok());
  const auto before = *store.Get("v");
  ASSERT_TRUE(store
                  .Apply("v", {.values = std::vector<float>{1, 1},
                               .learning_rate = 1,
                               .has_learning_rate = true})
                  .ok());
  EXPECT_THAT(before.state->values, ElementsAre(1, 2));
  EXPECT_THAT(store.Get("v")->state->values, ElementsAre(0, 1));
}

TEST(DenseStoreTest, ConcurrentStepsAreWhole) {
  DenseStore store({});
  ASSERT_TRUE(store.Create("v", Config({64}), {}).ok());
  const std::vector<float> ones(64, 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(
            store.Apply("v", {.values = ones, .learning_rate = 1, .has_learning_rate = true}).ok());
        const auto seen = store.Get("v")->state;
        EXPECT_THAT(seen->values, Each(seen->values[0]));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_THAT(store.Get("v")->state->values, Each(-300));
}

TEST(DenseStoreTest, GradientsThatAreNotFiniteFollowThePolicy) {
  DenseStore store({});
  ASSERT_TRUE(store.Create("v", Config({2}), {}).ok());
  const std::vector<float> bad = {1, kNan};
  DenseGradient gradient{.values = bad, .learning_rate = 1, .has_learning_rate = true};
  EXPECT_EQ(store.Apply("v", gradient).status().code(), Code::kInvalidArgument);
  gradient.non_finite = NonFinite::kSkip;
  EXPECT_EQ(store.Apply("v", gradient)->updates, 0);
  gradient.non_finite = NonFinite::kClip;
  EXPECT_EQ(store.Apply("v", gradient)->non_finite, 1);
  EXPECT_THAT(store.Get("v")->state->values, ElementsAre(-1, 0));
}

TEST(DenseStoreTest, ConfigurationsThatMeanNothingAreRefused) {
  DenseStore store({.max_bytes = 1000, .max_variables = 2});
  EXPECT_EQ(store.Create("v", Config({-1}), {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.Create("v", Config({2}, "sdg"), {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.Create("v", Config({2}, "dc"), {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.Create("v", Config({2}), std::vector<float>{1}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.Create("v", Config({1}), std::vector<float>{kNan}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(store.Create("", Config({1}), {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store.Create("v", Config({1, 1, 1, 1, 1, 1, 1, 1, 1}), {}).code(),
            Code::kInvalidArgument);
  const int64_t large = int64_t{1} << 31;
  EXPECT_FALSE(store.Create("v", Config({large, large, large}), {}).ok());
  EXPECT_EQ(store.Create("v", Config({1000}), {}).code(), Code::kResourceExhausted);
  DenseConfig range = Config({4});
  range.row_begin = 3;
  range.row_end = 5;
  EXPECT_EQ(store.Create("v", range, {}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(store.Create("v", Config({2}), {}).ok());
  EXPECT_TRUE(store.Create("v", Config({2}), {}).ok());
  EXPECT_EQ(store.Create("v", Config({3}), {}).code(), Code::kAlreadyExists);
  ASSERT_TRUE(store.Create("w", Config({}), {}).ok());
  EXPECT_EQ(store.Create("x", Config({1}), {}).code(), Code::kResourceExhausted);
  EXPECT_EQ(store.bytes(), 12u);
  EXPECT_TRUE(store.Drop("w").ok());
  EXPECT_EQ(store.Drop("w").code(), Code::kNotFound);
  EXPECT_EQ(store.bytes(), 8u);
  EXPECT_THAT(store.Get("V").status().message(), HasSubstr("no variable 'V'"));
}

TEST(DenseStoreTest, VariablesComeBackFromBytes) {
  DenseStore store({});
  DenseConfig part = Config({7, 3}, "adam");
  part.row_begin = 2;
  part.row_end = 5;
  part.optimizer.fields = {{"beta1", 0.5}};
  ASSERT_TRUE(store.Create("part", part, {}).ok());
  ASSERT_TRUE(store.Create("empty", Config({0, 3}), {}).ok());
  ASSERT_TRUE(store.Apply("part", {.values = std::vector<float>(9, 1)}).ok());
  const std::string bytes = DenseStore::Encode(store.Snapshot());
  DenseStore other({});
  ASSERT_TRUE(other.Create("gone", Config({1}), {}).ok());
  ASSERT_TRUE(other.Restore(bytes).ok());
  EXPECT_EQ(DenseStore::Encode(other.Snapshot()), bytes);
  EXPECT_EQ(other.bytes(), store.bytes());
  EXPECT_EQ(other.Get("gone").status().code(), Code::kNotFound);
  ASSERT_TRUE(other.Apply("part", {.values = std::vector<float>(9, 1)}).ok());
  ASSERT_TRUE(store.Apply("part", {.values = std::vector<float>(9, 1)}).ok());
  EXPECT_EQ(DenseStore::Encode(other.Snapshot()), DenseStore::Encode(store.Snapshot()));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    EXPECT_EQ(other.Restore(bad).code(), Code::kDataLoss) << i;
    EXPECT_EQ(other.Restore(bytes.substr(0, i)).code(), Code::kDataLoss) << i;
  }
}

}  // namespace
}  // namespace megalith::embedding
