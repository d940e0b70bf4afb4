#include "common/machines/codegen/code_demand.h"

#include <gtest/gtest.h>

namespace megalith::codegen {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

TEST(CodeDemandTest, WantsNoneForShortRuns) {
  CodeDemand demand(1);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(demand.Ran(microseconds(3)));
  EXPECT_TRUE(demand.open());
}

TEST(CodeDemandTest, WantsItOnceRunsTookAsLongAsMakingIt) {
  CodeDemand demand(1);
  int wanted = 0;
  for (int i = 0; i < 100'000; ++i) wanted += demand.Ran(microseconds(3)) ? 1 : 0;
  EXPECT_EQ(wanted, 1);
  EXPECT_FALSE(demand.open());
}

TEST(CodeDemandTest, WantsItLaterForMoreKernels) {
  CodeDemand few(1), many(100);
  EXPECT_FALSE(few.Ran(microseconds(5000)));
  EXPECT_TRUE(few.Ran(microseconds(5000)));
  EXPECT_FALSE(many.Ran(microseconds(5000)));
  EXPECT_FALSE(many.Ran(microseconds(5000)));
}

TEST(CodeDemandTest, DoesNotCountOnASecondRun) {
  CodeDemand demand(1);
  EXPECT_FALSE(demand.Ran(seconds(10)));
  EXPECT_TRUE(demand.Ran(microseconds(1)));
}

TEST(CodeDemandTest, WantsNothingWithoutKernels) {
  CodeDemand demand(0);
  EXPECT_FALSE(demand.open());
  EXPECT_FALSE(demand.Ran(seconds(10)));
  EXPECT_FALSE(demand.Ran(seconds(10)));
  EXPECT_FALSE(demand.Ask());
}

TEST(CodeDemandTest, AsksAgainWhenNobodyTookTheTask) {
  CodeDemand demand(1);
  EXPECT_TRUE(demand.Ask());
  EXPECT_FALSE(demand.Ask());
  demand.Reopen();
  EXPECT_FALSE(demand.Ran(microseconds(1)));
  EXPECT_TRUE(demand.Ran(seconds(1)));
}

}  // namespace
}  // namespace megalith::codegen
