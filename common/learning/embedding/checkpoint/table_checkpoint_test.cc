#include "common/learning/embedding/checkpoint/table_checkpoint.h"

#include "common/learning/embedding/checkpoint/testing/checkpoint_fixture.h"
#include "common/learning/embedding/checkpoint/state_files.h"

namespace megalith::embedding {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(CheckpointTest, OneTableComesBackThroughFilesOnly) {
  const auto set = MakeSet({{"user", ConfigOf({"adagrad", "ftrl"}, 5)}});
  Train(**set->Get("user"), 0, 1000, rng_);
  const auto saved = SaveTables(*set, Save(12));
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_TRUE(saved->published);
  EXPECT_EQ(saved->rows, 1000u);
  RestoreReport report;
  EXPECT_EQ(Restored(Restore(), &report), ContentOf(*set));
  EXPECT_EQ(report.step, 12);
  EXPECT_EQ(report.rows, 1000u);
  EXPECT_THAT(report.tables, ElementsAre("user"));
}

}  // namespace
}  // namespace megalith::embedding
