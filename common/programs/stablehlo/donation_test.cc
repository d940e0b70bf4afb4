#include "common/programs/stablehlo/donation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<DonatedInput> DonatedIn(std::string_view arguments) {
  const std::string text = "module { func.func public @main(" + std::string(arguments) +
                           ") -> (tensor<2xf32>, tensor<2xf32>) {\n"
                           "return %a, %b : tensor<2xf32>, tensor<2xf32> } }";
  const Result<Module> module = ParseModule(text);
  EXPECT_TRUE(module.ok()) << module.status().ToString();
  return DonatedInputs(**module->Entry());
}

TEST(DonatedInputsTest, ReadsWhatJaxMarks) {
  EXPECT_THAT(DonatedIn("%a: tensor<2xf32>, %b: tensor<2xf32>"), IsEmpty());
  EXPECT_THAT(DonatedIn("%a: tensor<2xf32> {tf.aliasing_output = 1 : i32}, %b: tensor<2xf32>"),
              ElementsAre(DonatedInput{0, 1}));
  EXPECT_THAT(DonatedIn("%a: tensor<2xf32>, %b: tensor<2xf32> {jax.buffer_donor = true}"),
              ElementsAre(DonatedInput{1, UINT32_MAX}));
}

TEST(DonatedInputsTest, IgnoresWishesThatCannotBe) {
  EXPECT_THAT(DonatedIn("%a: tensor<2xf32> {tf.aliasing_output = 2 : i32}, %b: tensor<2xf32>"),
              ElementsAre(DonatedInput{0, UINT32_MAX}));
  EXPECT_THAT(DonatedIn("%a: tensor<2xf32> {tf.aliasing_output = 0 : i32}, "
                        "%b: tensor<2xf32> {tf.aliasing_output = 0 : i32}"),
              ElementsAre(DonatedInput{0, 0}, DonatedInput{1, UINT32_MAX}));
}

TEST(DonateTextTest, IsReadAsItWasWritten) {
  for (const std::vector<DonatedInput>& donated :
       {std::vector<DonatedInput>{}, {{0, 1}, {3, UINT32_MAX}}, {{7, 0}}}) {
    const Result<std::vector<DonatedInput>> read = ReadDonate(DonateText(donated));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, donated);
  }
  EXPECT_EQ(DonateText({{0, 1}, {3, UINT32_MAX}}), "0:1,3");
}

TEST(DonateTextTest, RefusesWhatIsNoList) {
  for (const std::string_view text :
       {"x", "0:", ":1", ",", "0,", "0:1:2", "-1", "4294967295", "0,0", "0:1,1:1"}) {
    EXPECT_EQ(ReadDonate(text).status().code(), Code::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace megalith::stablehlo
