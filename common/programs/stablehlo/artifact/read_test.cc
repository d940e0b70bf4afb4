// Artifacts that JAX wrote: they read to the module of their text, evaluate to JAX's numbers, and
// no damage to them crashes the reader.
#include <gtest/gtest.h>

#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Module;

const std::string kDirectory =
    std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";

std::vector<std::string> Programs() { return stablehlo::NamesIn(kDirectory, ".mlirbc"); }

std::string Bytes(const std::string& name) {
  return stablehlo::ReadFileOrFail(kDirectory + name + ".mlirbc");
}

class ArtifactFixtureTest : public testing::TestWithParam<std::string> {};

TEST(ArtifactFixtureListTest, HasTwentyFivePrograms) { EXPECT_EQ(Programs().size(), 25u); }

TEST_P(ArtifactFixtureTest, ReadsToTheModuleOfItsText) {
  const auto module = ReadArtifact(Bytes(GetParam()));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  EXPECT_EQ(stablehlo::PrintModule(*module),
            stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".txt"));
}

// complex_arith: see CanonicalFixtureTest.
TEST_P(ArtifactFixtureTest, HasTheCanonicalBytesOfItsTexts) {
  const auto module = ReadArtifact(Bytes(GetParam()));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  for (const char* form : {".txt", ".lowered.txt"}) {
    if (GetParam() == "complex_arith" && form == std::string(".lowered.txt")) continue;
    const auto text =
        stablehlo::ParseModule(stablehlo::ReadFileOrFail(kDirectory + GetParam() + form));
    ASSERT_TRUE(text.ok()) << text.status().ToString();
    EXPECT_EQ(*stablehlo::CanonicalBytes(*module), *stablehlo::CanonicalBytes(*text)) << form;
  }
}

TEST_P(ArtifactFixtureTest, EvaluatesToTheNumbersOfJax) {
  const auto c =
      stablehlo::ParseNumericCase(stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".json"));
  const auto module = ReadArtifact(Bytes(GetParam()));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto out = Evaluate(*module, c.inputs);
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  ASSERT_EQ(out->size(), c.outputs.size());
  for (size_t i = 0; i < out->size(); ++i)
    EXPECT_EQ(stablehlo::Difference((*out)[i], c.outputs[i], c.rtol, c.atol), "") << "output " << i;
}

// Every damaged file is refused with a reason, or is a valid module.
void ExpectRefusedOrValid(const std::string& bytes) {
  const auto module = ReadArtifact(bytes, {.limits = {.max_ops = 20'000}, .verify = false});
  if (!module.ok()) {
    EXPECT_FALSE(module.status().message().empty());
    EXPECT_NE(module.status().code(), Code::kInternal) << module.status().ToString();
    return;
  }
  const Status valid = stablehlo::Verify(*module);
  if (valid.ok()) {
    EXPECT_FALSE(stablehlo::PrintModule(*module).empty());
  }
}

TEST_P(ArtifactFixtureTest, CutAnywhereIsRefused) {
  const std::string bytes = Bytes(GetParam());
  const size_t step = 1 + bytes.size() / 2000;
  for (size_t n = 0; n < bytes.size(); n += step) {
    const auto module = ReadArtifact(std::string_view(bytes).substr(0, n));
    EXPECT_FALSE(module.ok()) << "cut after " << n << " bytes";
  }
}

TEST_P(ArtifactFixtureTest, FlippedBitsAreRefusedOrValid) {
  std::string bytes = Bytes(GetParam());
  const size_t step = 1 + bytes.size() / 500;
  for (size_t i = 0; i < bytes.size(); i += step) {
    const char was = bytes[i];
    for (const char change : {'\x01', '\x02', '\x10', '\xff'}) {
      bytes[i] = static_cast<char>(was ^ change);
      ExpectRefusedOrValid(bytes);
    }
    bytes[i] = was;
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, ArtifactFixtureTest, testing::ValuesIn(Programs()),
                         [](const auto& info) { return info.param; });

TEST(ReadArtifactTest, OtherBytesAreNoArtifact) {
  EXPECT_EQ(ReadArtifact("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ReadArtifact("module {}").status().code(), Code::kInvalidArgument);
  const Status newer = ReadArtifact("ML\xefR\x0f" + std::string("x\0", 2)).status();
  EXPECT_EQ(newer.code(), Code::kFailedPrecondition);
  EXPECT_NE(newer.message().find("bytecode version 7"), std::string::npos) << newer.message();
}

TEST(ReadArtifactTest, LimitOfOperationsHolds) {
  const auto module = ReadArtifact(Bytes("mlp_value_and_grad"), {.limits = {.max_ops = 10}});
  EXPECT_EQ(module.status().code(), Code::kResourceExhausted) << module.status().ToString();
}

// The negation of the halves of tensor<4xf32> on the devices of a mesh that stands after @main, as
// it does where JAX has refined an exported module with symbolic shapes.
TEST(ReadArtifactTest, MeshesMayStandAfterFunctions) {
  const std::string_view hex =
      "4d4cef520d537461626c65484c4f5f76312e31342e30000127070105091101050f130307171b1f050723272b03"
      "451f0f0109070b0b0b03090b0b0b0b050f0f130f17170f0f010713071303091307131702811f05170903051903"
      "01230d1d1b1d1d0f0317050315010319090d050319010b031b01010919010103071b0311030b1b030903290311"
      "090929030909110307030704b505035001010704a503010905500103070489030913030d00010601030103010d"
      "56010503010303070441030913030900010601030b0301090601030b0303010601030503050f04010307010601"
      "0307030507040103070b40010706030105010022021f030b05050f270b1515110f37090b116275696c74696e00"
      "76686c6f0073647900756e7265616c697a65645f636f6e76657273696f6e5f63617374006d6f64756c65006675"
      "6e635f76310072657475726e5f7631006e65676174655f7631006d657368006d616e75616c5f636f6d70757461"
      "74696f6e0072657475726e006d0078006d61696e00000823090501010b090b090d0f07111d11051303";
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  }
  const auto module = ReadArtifact(bytes);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const std::string text = stablehlo::PrintModule(*module);
  EXPECT_NE(text.find("sdy.manual_computation"), std::string::npos) << text;
  EXPECT_NE(text.find("sdy.mesh @m = <[\"x\"=2]>"), std::string::npos) << text;
}

}  // namespace
}  // namespace megalith::stablehlo::artifact
