// Programs of JAX raised to jaxprs: they compute what they did, and they can be transformed.
#include "common/programs/raising/raising.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "common/programs/ops/sample_runner.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/pipeline/transform_text.h"
#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::raising {
namespace {

using ::testing::HasSubstr;

const std::string kDirectory =
    std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";

std::vector<std::string> Programs() { return stablehlo::NamesIn(kDirectory, ".json"); }

class RaisedFixtureTest : public testing::TestWithParam<std::string> {};

TEST_P(RaisedFixtureTest, LowersAgainToTheNumbersOfJax) {
  const auto c =
      stablehlo::ParseNumericCase(stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".json"));
  const auto module = stablehlo::artifact::ReadArtifact(
      stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".mlirbc"));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  pipeline::TraceOptions options;
  options.x64 = Uses64Bits(*module);
  const auto program = pipeline::LoadStablehlo(*module, "f", options);
  ASSERT_TRUE(program.ok()) << program.status().ToString();
  const auto traced = pipeline::Apply(*program, {}, options);
  ASSERT_TRUE(traced.ok()) << traced.status().ToString();
  const auto again = pipeline::LowerToStablehlo(traced->program, options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  const auto out = stablehlo::Evaluate(*again, c.inputs);
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  ASSERT_EQ(out->size(), c.outputs.size());
  for (size_t i = 0; i < out->size(); ++i)
    EXPECT_EQ(stablehlo::Difference((*out)[i], c.outputs[i], c.rtol, c.atol), "") << "output " << i;
}

TEST_P(RaisedFixtureTest, AllSpellingsRaiseToOneJaxpr) {
  const auto text =
      stablehlo::ParseModule(stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".txt"));
  const auto bytes = stablehlo::artifact::ReadArtifact(
      stablehlo::ReadFileOrFail(kDirectory + GetParam() + ".mlirbc"));
  ASSERT_TRUE(text.ok() && bytes.ok());
  const auto a = Raise(*text, {.x64 = Uses64Bits(*text)});
  const auto b = Raise(*bytes, {.x64 = Uses64Bits(*bytes)});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(ir::Print(a->closed.jaxpr), ir::Print(b->closed.jaxpr));
}

INSTANTIATE_TEST_SUITE_P(Programs, RaisedFixtureTest, testing::ValuesIn(Programs()),
                         [](const auto& info) { return info.param; });

// ---- every primitive ----

struct SampleCase {
  const ir::OpDef* op;
  size_t index;
  std::string text;
};

std::vector<SampleCase> Samples() {
  std::vector<SampleCase> out;
  for (const ir::OpDef* op : ops::AllOps().all()) {
    if (op->lower == nullptr) continue;
    for (size_t i = 0; i < op->samples.size(); ++i) {
      std::string text = ops::Instantiate(op->samples[i], op->name, tensor::DType::kF32);
      if (!text.empty()) out.push_back({op, i, std::move(text)});
    }
  }
  return out;
}

// What is lowered can be raised, and computes the same; or it is refused by name.
TEST(RaisedPrimitivesTest, ComputeWhatTheyDidOrAreRefusedByName) {
  Rng rng(1);
  size_t raised = 0, refused = 0;
  for (const SampleCase& c : Samples()) {
    SCOPED_TRACE(c.text);
    const auto jaxpr = ops::LoadSample(c.text);
    ASSERT_TRUE(jaxpr.ok()) << jaxpr.status().ToString();
    bool has_keys = false;
    for (const ir::Aval& a : (*jaxpr)->InAvals()) has_keys = has_keys || tensor::IsKey(a.dtype);
    for (const ir::Aval& a : (*jaxpr)->OutAvals()) has_keys = has_keys || tensor::IsKey(a.dtype);
    if (has_keys) continue;
    ir::Program program;
    program.closed = ir::Closed(*jaxpr);
    const auto module = pipeline::LowerToStablehlo(program);
    ASSERT_TRUE(module.ok()) << module.status().ToString();
    RaiseOptions options;
    options.x64 = Uses64Bits(*module);
    const auto again = Raise(*module, options);
    if (!again.ok()) {
      EXPECT_EQ(again.status().code(), Code::kUnimplemented) << again.status().ToString();
      EXPECT_THAT(again.status().message(), HasSubstr("transform the function in JAX"));
      ++refused;
      continue;
    }
    ++raised;
    const ops::Tensors inputs = ops::DrawInputs(**jaxpr, c.op->samples[c.index].domain, rng);
    const auto want = stablehlo::Evaluate(*module, inputs);
    const auto got = ops::Evaluate(again->closed.jaxpr, inputs);
    ASSERT_TRUE(want.ok() && got.ok()) << got.status().ToString();
    ASSERT_EQ(want->size(), got->size());
    for (size_t i = 0; i < got->size(); ++i)
      EXPECT_LT(ops::Distance((*got)[i], (*want)[i]), 1e-6) << ir::Print(again->closed.jaxpr);
  }
  EXPECT_GT(raised, 10 * refused);
}

// ---- transforms ----

std::string RaisedText(const std::string& module, const std::vector<std::string>& stack = {}) {
  const auto parsed = stablehlo::ParseModule(module);
  if (!parsed.ok()) return parsed.status().ToString();
  const auto program = pipeline::LoadStablehlo(*parsed, "f");
  if (!program.ok()) return program.status().ToString();
  std::vector<pipeline::Transform> transforms;
  for (const std::string& t : stack) transforms.push_back(*pipeline::ParseTransform(t));
  const auto traced = pipeline::Apply(*program, transforms);
  if (!traced.ok()) return traced.status().ToString();
  return ir::Print(traced->program.closed.jaxpr);
}

constexpr char kLoop[] = R"(
func.func @main(%x: tensor<f32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %many = stablehlo.constant dense<LIMIT> : tensor<i32>
  %r:2 = stablehlo.while(%i = %zero, %v = %x) : tensor<i32>, tensor<f32>
   cond {
    %c = stablehlo.compare LT, %i, %many, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %c : tensor<i1>
  } do {
    %s = stablehlo.sine %v : tensor<f32>
    %n = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %n, %s : tensor<i32>, tensor<f32>
  }
  return %r#1 : tensor<f32>
})";

std::string Replace(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what))
    text.replace(at, what.size(), with);
  return text;
}

TEST(RaiseTest, CountedLoopHasAReverseMode) {
  const std::string loop = Replace(kLoop, "LIMIT", "5");
  EXPECT_THAT(RaisedText(loop), HasSubstr("length=5"));
  EXPECT_THAT(RaisedText(loop, {"grad"}), HasSubstr("cos"));
}

TEST(RaiseTest, LoopThatNeverRunsIsOne) {
  EXPECT_THAT(RaisedText(Replace(kLoop, "LIMIT", "-3")), HasSubstr("length=0"));
}

TEST(RaiseTest, OtherLoopIsWhile) {
  const std::string loop = Replace(Replace(kLoop, "LIMIT", "5"), "compare LT", "compare NE");
  EXPECT_THAT(RaisedText(loop), HasSubstr("while["));
  EXPECT_THAT(RaisedText(loop, {"grad"}), HasSubstr("Reverse-mode differentiation does not work"));
}

TEST(RaiseTest, WhatIsRefusedInALoopIsNamed) {
  const std::string counted =
      Replace(Replace(kLoop, "LIMIT", "5"), "%s = stablehlo.sine %v : tensor<f32>",
              "%q = stablehlo.power %i, %i : tensor<i32>\n"
              "%w = stablehlo.convert %q : (tensor<i32>) -> tensor<f32>\n"
              "%s = stablehlo.add %v, %w : tensor<f32>");
  EXPECT_THAT(RaisedText(counted), HasSubstr("stablehlo.power with whole numbers"));
  EXPECT_THAT(RaisedText(Replace(counted, "compare LT", "compare NE")),
              HasSubstr("stablehlo.power with whole numbers"));
}

TEST(RaiseTest, ReductionKeepsAnInitialValueThatIsNotNeutral) {
  const std::string text = R"(
func.func @main(%x: tensor<3xf32>, %i: tensor<f32>) -> tensor<f32> {
  %r = stablehlo.reduce(%x init: %i) applies stablehlo.maximum across dimensions = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
  return %r : tensor<f32>
})";
  EXPECT_THAT(RaisedText(text), HasSubstr("max b"));
}

TEST(RaiseTest, CustomCallIsRefusedByItsTarget) {
  const std::string text = R"(
func.func @main(%x: tensor<3x3xf32>) -> tensor<3x3xf32> {
  %r:2 = stablehlo.custom_call @Qr(%x) : (tensor<3x3xf32>) -> (tensor<3x3xf32>, tensor<3xf32>)
  return %r#0 : tensor<3x3xf32>
})";
  EXPECT_THAT(RaisedText(text), HasSubstr("stablehlo.custom_call of 'Qr' has no primitive"));
}

TEST(RaiseTest, SixtyFourBitsAreFound) {
  EXPECT_TRUE(Uses64Bits(*stablehlo::ParseModule(
      "func.func @main(%x: tensor<3xf64>) -> tensor<3xf64> { return %x : tensor<3xf64> }")));
  EXPECT_FALSE(Uses64Bits(*stablehlo::ParseModule(
      "func.func @main(%x: tensor<3xcomplex<f32>>) -> tensor<3xcomplex<f32>> { return %x : "
      "tensor<3xcomplex<f32>> }")));
}

}  // namespace
}  // namespace megalith::raising
