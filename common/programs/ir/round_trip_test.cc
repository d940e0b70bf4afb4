// Every program that JAX printed parses and prints back byte for byte.
#include <gtest/gtest.h>

#include "common/programs/ir/compare.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ir/print.h"
#include "common/programs/ir/testing/fixture_texts.h"
#include "common/programs/ops/registry.h"

namespace megalith::ir {
namespace {

TEST(RoundTripTest, EveryTextPrintsBackByteForByte) {
  for (const testing::FixtureText& t : testing::FixtureTexts()) {
    const auto parsed = ParseJaxpr(t.text, ops::AllOps(), {.guess_dropped = true});
    ASSERT_TRUE(parsed.ok()) << t.id << ": " << parsed.status().ToString();
    EXPECT_EQ(Print(*parsed), t.text) << t.id;
  }
}

TEST(RoundTripTest, WhatIsPrintedIsTheSameProgram) {
  for (const testing::FixtureText& t : testing::FixtureTexts()) {
    const auto parsed = ParseJaxpr(t.text, ops::AllOps(), {.guess_dropped = true});
    ASSERT_TRUE(parsed.ok()) << t.id;
    const std::string printed = Print(*parsed, {.width = 40});
    const auto again = ParseJaxpr(printed, ops::AllOps(), {.guess_dropped = true});
    ASSERT_TRUE(again.ok()) << t.id << ": " << again.status().ToString() << "\n" << printed;
    EXPECT_EQ(Print(*again, {.width = 40}), printed) << t.id;
    EXPECT_TRUE(SameDag(**parsed, **again)) << t.id;
  }
}

}  // namespace
}  // namespace megalith::ir
