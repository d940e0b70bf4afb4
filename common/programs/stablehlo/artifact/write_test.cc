// What is written reads back to the same program, for readers of every version.
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo::artifact {
namespace {

using stablehlo::Module;

const std::string kDirectory =
    std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";

class RoundTripTest : public testing::TestWithParam<std::string> {};

TEST_P(RoundTripTest, WrittenArtifactsReadToTheSameText) {
  const std::string text = stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".txt");
  const auto module = stablehlo::ParseModule(text);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto bytes = WriteArtifact(*module);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  const auto again = ReadArtifact(*bytes);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(stablehlo::PrintModule(*again), text);
  EXPECT_EQ(*WriteArtifact(*again), *bytes);
}

// Versions 0.9, 0.10, 0.12, 0.14 and 0.15 are those with other bytecode; gather and scatter have
// other forms up to 1.0, functions of one element up to 1.9.
TEST_P(RoundTripTest, OldVersionsMeanTheSameOrAreRefused) {
  const auto module = ReadArtifact(stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".mlirbc"));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const std::string want = *stablehlo::CanonicalBytes(*module);
  int written = 0;
  for (const char* version :
       {"0.9.0", "0.10.0", "0.12.0", "0.14.0", "0.15.0", "1.0.0", "1.5.0", "1.10.0", "1.20.0"}) {
    const auto bytes = WriteArtifact(*module, {.version = *ParseVersion(version)});
    if (!bytes.ok()) {
      EXPECT_EQ(bytes.status().code(), Code::kFailedPrecondition) << bytes.status().ToString();
      continue;
    }
    ++written;
    const auto again = ReadArtifact(*bytes);
    ASSERT_TRUE(again.ok()) << version << ": " << again.status().ToString();
    EXPECT_EQ(*stablehlo::CanonicalBytes(*again), want) << version;
  }
  EXPECT_GE(written, 3);
}

INSTANTIATE_TEST_SUITE_P(Programs, RoundTripTest,
                         testing::ValuesIn(stablehlo::NamesIn(kDirectory, ".mlirbc")),
                         [](const auto& info) { return info.param; });

Module ParseOrFail(std::string_view text) {
  auto module = stablehlo::ParseModule(text);
  EXPECT_TRUE(module.ok()) << module.status().ToString();
  return module.ok() ? *std::move(module) : Module();
}

void ExpectRoundTrip(std::string_view text) {
  const Module module = ParseOrFail(text);
  const auto bytes = WriteArtifact(module);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  const auto again = ReadArtifact(*bytes);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(*stablehlo::CanonicalBytes(*again), *stablehlo::CanonicalBytes(module)) << text;
}

TEST(WriteArtifactTest, ElementsOfEveryTypeSurvive) {
  for (const char* type : {"i1", "i4", "ui4", "i8", "ui8", "i16", "i64", "ui64", "f16", "bf16",
                           "f64", "f8E4M3FN", "f8E5M2", "f4E2M1FN", "f8E8M0FNU"}) {
    const std::string number = type[0] == 'f' || type[0] == 'b' ? "1.000000e+00"
                               : type == std::string("i1")      ? "true"
                                                                : "1";
    ExpectRoundTrip(StrCat("func.func @main(%a: tensor<2x", type, ">) -> (tensor<2x", type,
                           ">, tensor<2x", type, ">) { %c = stablehlo.constant dense<", number,
                           "> : tensor<2x", type, "> return %a, %c : tensor<2x", type,
                           ">, tensor<2x", type, "> }"));
  }
}

// As MLIR writes `dense<7> : tensor<0xi32>`, which JAX's binomial coefficients have.
TEST(WriteArtifactTest, SplatsWithoutElementsAreRead) {
  const stablehlo::TensorType type{stablehlo::DType::kI32, {0}};
  stablehlo::FuncBuilder b("main");
  b.Return({b.Emit1("stablehlo.constant", {},
                    {{"value", stablehlo::Attr::OfDense(
                                   {.type = type,
                                    .data = tensor::Tensor::Scalar(stablehlo::DType::kI32, 7),
                                    .splat = true})}},
                    type)});
  Module module;
  ASSERT_TRUE(b.FinishInto(&module).ok());
  const auto bytes = WriteArtifact(module);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  const auto again = ReadArtifact(*bytes);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  const auto out = Evaluate(*again, {});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].size(), 0);
}

TEST(WriteArtifactTest, BooleansAreBits) {
  ExpectRoundTrip(
      "func.func @main() -> tensor<9xi1> { %c = stablehlo.constant dense<[true, false, true, true, "
      "false, false, false, true, true]> : tensor<9xi1> return %c : tensor<9xi1> }");
}

TEST(WriteArtifactTest, ShardingOnOneDeviceIsLeftOut) {
  const Module module = ParseOrFail(
      "module @m { sdy.mesh @mesh = <[\"x\"=1]> func.func @main(%a: tensor<4xf32>) -> "
      "tensor<4xf32> { %0 = sdy.sharding_constraint %a <@mesh, [{\"x\"}]> : tensor<4xf32> %1 = "
      "stablehlo.negate %0 : tensor<4xf32> return %1 : tensor<4xf32> } }");
  const auto bytes = WriteArtifact(module);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_EQ(*stablehlo::CanonicalBytes(*ReadArtifact(*bytes)), *stablehlo::CanonicalBytes(module));
}

TEST(WriteArtifactTest, ChloOpsOfOtherNamesAreRespelled) {
  ExpectRoundTrip(
      "func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { %0 = chlo.square %a : tensor<4xf32> "
      "-> tensor<4xf32> %1 = chlo.atan %0 : tensor<4xf32> -> tensor<4xf32> return %1 : "
      "tensor<4xf32> }");
}

TEST(WriteArtifactTest, OtherChloOpsAreRefusedByName) {
  const auto bytes = WriteArtifact(
      ParseOrFail("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { %0 = chlo.lgamma %a : "
                  "tensor<4xf32> -> tensor<4xf32> return %0 : tensor<4xf32> }"));
  EXPECT_EQ(bytes.status().code(), Code::kUnimplemented);
  EXPECT_NE(bytes.status().message().find("chlo.lgamma"), std::string::npos)
      << bytes.status().message();
}

TEST(WriteArtifactTest, WhatAnOldVersionCannotSayIsRefused) {
  const auto bytes = WriteArtifact(
      ParseOrFail("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { %0 = stablehlo.tan %a : "
                  "tensor<4xf32> return %0 : tensor<4xf32> }"),
      {.version = *ParseVersion("1.0.0")});
  EXPECT_EQ(bytes.status().code(), Code::kFailedPrecondition) << bytes.status().ToString();
}

TEST(WriteArtifactTest, VersionsOutsideOfTheTableAreRefused) {
  const Module module = ParseOrFail("func.func @main() { return }");
  for (const Version v : {Version{8'000}, Version{1'021'000}, Version{2'000'000}})
    EXPECT_EQ(WriteArtifact(module, {.version = v}).status().code(), Code::kInvalidArgument);
}

TEST(VhloTableTest, FieldsAreInAlphabeticalOrder) {
  for (const VhloOp& op : AllVhloOps()) {
    for (const Revision& revision : op.revisions) {
      std::string previous;
      EXPECT_TRUE(revision
                      .ForEachField([&](std::string_view field) {
                        EXPECT_LT(previous, field) << op.name;
                        previous = field;
                        return OkStatus();
                      })
                      .ok());
    }
    EXPECT_EQ(FindVhloOp(op.name), &op);
  }
}

}  // namespace
}  // namespace megalith::stablehlo::artifact
