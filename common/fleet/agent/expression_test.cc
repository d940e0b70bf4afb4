#include "common/fleet/agent/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kNames = {"i", "j"};

double Value(std::string_view text, std::vector<int64_t> values = {5, -3}) {
  const auto expression = Expression::Parse(text, kNames);
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.status().ToString();
  const auto number = expression->Evaluate(values);
  EXPECT_TRUE(number.ok()) << text << ": " << number.status().ToString();
  return number->AsReal();
}

TEST(ExpressionTest, ValuesArePythons) {
  const std::pair<const char*, double> cases[] = {{"True", 1},
                                                  {" False ", 0},
                                                  {"i % 2 == 1", 1},
                                                  {"i % 2 == 0", 0},
                                                  {"j % 2", 1},
                                                  {"j // 2", -2},
                                                  {"i / 2", 2.5},
                                                  {"i // 2", 2},
                                                  {"-i // 2", -3},
                                                  {"-7 % 3", 2},
                                                  {"7 % -3", -2},
                                                  {"1 < i <= 5", 1},
                                                  {"1 < i < 5", 0},
                                                  {"5 == i != 4", 1},
                                                  {"not i", 0},
                                                  {"not not i", 1},
                                                  {"0 or i", 5},
                                                  {"i and j", -3},
                                                  {"0 and 1/0", 0},
                                                  {"1 or 1/0", 1},
                                                  {"i == 1 or i == 5", 1},
                                                  {"(0 or 2) == 2", 1},
                                                  {"2 + 3 * 4", 14},
                                                  {"(2 + 3) * 4", 20},
                                                  {"1 - 2 - 3", -4},
                                                  {"True + True", 2},
                                                  {"7.5 // 2", 3},
                                                  {"i >= 5 and j <= -3", 1},
                                                  {"not i == 4", 1}};
  for (const auto& [text, wanted] : cases) EXPECT_EQ(Value(text), wanted) << text;
}

TEST(ExpressionTest, ErrorsNameTheOffset) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "expects a number"},
      {"k > 1", "'k' is no name"},
      {"(i", "expects ')'"},
      {"i i", "offset 2: expects an operator"},
      {"1..2", "expects a number"},
      {"99999999999999999999", "expects a number"},
      {"i == ", "expects a number"},
      {std::string(1000, '('), "nested too deeply"},
      {std::string(1000, '-'), "nested too deeply"},
      {"__import__('os')", "is no name"}};
  for (const auto& [text, wanted] : cases) {
    EXPECT_THAT(Expression::Parse(text, kNames).status().ToString(), HasSubstr(wanted)) << text;
  }
  std::string sum = "1";
  for (int i = 0; i < 2000; ++i) sum += "+1";
  EXPECT_THAT(Expression::Parse(sum).status().ToString(), HasSubstr("is too long"));
}

TEST(ExpressionTest, WhatCannotBeEvaluatedIsAnError) {
  for (const std::string text :
       {"1 / 0", "1 // 0", "1 % 0", "9223372036854775807 + 1", "9223372036854775807 * 2",
        "-9223372036854775807 - 2", "(-9223372036854775807 - 1) // -1",
        "-(-9223372036854775807 - 1)"}) {
    const auto expression = Expression::Parse(text);
    ASSERT_TRUE(expression.ok()) << text;
    EXPECT_EQ(expression->Evaluate().status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(Value("(-9223372036854775807 - 1) % -1"), 0);
}

}  // namespace
}  // namespace megalith::agent
