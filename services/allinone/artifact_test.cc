// Lowered programs through all services: the 25 artifacts that JAX wrote, as bytes and as text, on
// every backend; and what transforms mean for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/fleet/stubs/ledger_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/test_util.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/allinone/engines.h"

namespace megalith::services {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kDirectory = StrCat(MEGALITH_SOURCE_DIR, "/conformance/fixtures/stablehlo/");

trace::v1::ProgramSource TextSource(const std::string& text) {
  trace::v1::ProgramSource source;
  source.set_stablehlo_text(text);
  return source;
}
trace::v1::ProgramSource ArtifactSource(const std::string& bytes) {
  trace::v1::ProgramSource source;
  source.set_stablehlo_artifact(bytes);
  return source;
}

// One fleet for all tests: they differ in their programs.
class ArtifactTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TempDirectory;
    EmbeddedFleet::Options options;
    options.process.listen.clear();
    options.data_directory = directory_->path();
    auto fleet = EmbeddedFleet::Start(std::move(options), RealEngines());
    ASSERT_TRUE(fleet.ok()) << fleet.status().ToString();
    fleet_ = fleet->release();
  }
  static void TearDownTestSuite() {
    delete fleet_;
    delete directory_;
  }
  void SetUp() override { ASSERT_NE(fleet_, nullptr); }

  static EmbeddedFleet* fleet() { return fleet_; }
  stubs::ExecuteClient execute() { return stubs::ExecuteClient(fleet_->channel()); }
  stubs::CompileClient compile() { return stubs::CompileClient(fleet_->channel()); }
  stubs::TraceClient trace() { return stubs::TraceClient(fleet_->channel()); }

  static execute::v1::ExecuteRequest ChainOf(const trace::v1::ProgramSource& source,
                                             const std::vector<tensor::Tensor>& arguments) {
    execute::v1::ExecuteRequest request;
    *request.mutable_chain()->mutable_source() = source;
    for (const tensor::Tensor& t : arguments)
      *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(t);
    return request;
  }
  static std::vector<tensor::Tensor> Results(const execute::v1::ExecuteResponse& response) {
    std::vector<tensor::Tensor> out;
    for (const execute::v1::ResultValue& r : response.results())
      out.push_back(*tensor::TensorFromProto(r.tensor()));
    return out;
  }
  Result<trace::v1::LowerResponse> Lower(const trace::v1::ProgramSource& source,
                                         const std::vector<trace::v1::Transform>& stack = {}) {
    trace::v1::LowerRequest request;
    *request.mutable_source() = source;
    for (const trace::v1::Transform& t : stack) *request.add_stack() = t;
    return trace().Lower(request);
  }

 private:
  static TempDirectory* directory_;
  static EmbeddedFleet* fleet_;
};
TempDirectory* ArtifactTest::directory_ = nullptr;
EmbeddedFleet* ArtifactTest::fleet_ = nullptr;

// ---- the public artifacts ----

struct Backend {
  std::string name, target, tier;
};
const Backend kBackends[] = {
    {"reference", "reference", ""}, {"tier0", "cpu", "0"}, {"tier1", "cpu", "1"}};

class PublicArtifactTest : public ArtifactTest, public ::testing::WithParamInterface<std::string> {
 protected:
  std::string Read(const std::string& suffix) const {
    return stablehlo::ReadFileOrFail(StrCat(kDirectory, GetParam(), suffix));
  }
};

std::vector<std::string> Programs() { return stablehlo::NamesIn(kDirectory, ".mlirbc"); }

TEST(PublicArtifactListTest, HasTwentyFivePrograms) { EXPECT_EQ(Programs().size(), 25u); }

TEST_P(PublicArtifactTest, RunsFromItsBytesToTheNumbersOfJax) {
  const stablehlo::NumericCase c = stablehlo::ParseNumericCase(Read(".json"));
  for (const Backend& backend : kBackends) {
    SCOPED_TRACE(backend.name);
    auto request = ChainOf(ArtifactSource(Read(".mlirbc")), c.inputs);
    compile::v1::CompileOptions* options = request.mutable_chain()->mutable_compile_options();
    options->set_target(backend.target);
    if (!backend.tier.empty()) (*options->mutable_extra())["tier"] = backend.tier;
    const auto response = execute().Execute(request);
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    const std::vector<tensor::Tensor> out = Results(*response);
    ASSERT_EQ(out.size(), c.outputs.size());
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_EQ(stablehlo::Difference(out[i], c.outputs[i], c.rtol, c.atol), "") << "output " << i;
  }
}

TEST_P(PublicArtifactTest, TextAndBytesHaveOneKeyInEveryService) {
  const std::string text = Read(".txt"), bytes = Read(".mlirbc");
  const auto of_text = Lower(TextSource(text)), of_bytes = Lower(ArtifactSource(bytes));
  ASSERT_TRUE(of_text.ok()) << of_text.status().ToString();
  ASSERT_TRUE(of_bytes.ok()) << of_bytes.status().ToString();
  EXPECT_EQ(of_text->key(), of_bytes->key());
  EXPECT_EQ(of_text->canonical_digest(), of_bytes->canonical_digest());
  compile::v1::CompileRequest compile_text, compile_bytes, compile_lowered;
  compile_text.set_stablehlo_text(text);
  compile_bytes.set_stablehlo_artifact(bytes);
  compile_lowered.set_stablehlo_text(of_bytes->stablehlo_text());
  const auto first = compile().Compile(compile_text, nullptr);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  for (const compile::v1::CompileRequest& request : {compile_bytes, compile_lowered}) {
    const auto result = compile().Compile(request, nullptr);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(result->key(), first->key());
    EXPECT_EQ(result->cache(), compile::v1::CACHE_OUTCOME_HIT);
  }
  const stablehlo::NumericCase c = stablehlo::ParseNumericCase(Read(".json"));
  for (const auto& source : {TextSource(text), ArtifactSource(bytes)}) {
    const auto response = execute().Execute(ChainOf(source, c.inputs));
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_EQ(response->key(), first->key());
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, PublicArtifactTest, ::testing::ValuesIn(Programs()),
                         [](const auto& info) { return info.param; });

// ---- transforms ----

// The sum of sines, three ways.
constexpr char kSines[] = R"(
func.func @main(%x: tensor<3xf32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %s = stablehlo.sine %x : tensor<3xf32>
  %r = stablehlo.reduce(%s init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
  return %r : tensor<f32>
})";
constexpr char kSinesJaxpr[] =
    "{ lambda ; a:f32[3]. let b:f32[3] = sin a; c:f32[] = reduce_sum[axes=(0,) out_sharding=None] "
    "b "
    "in (c,) }";

std::string SinesArtifact() {
  return *stablehlo::artifact::WriteArtifact(*stablehlo::ParseModule(kSines));
}

trace::v1::Transform Gradient() {
  trace::v1::Transform t;
  t.mutable_grad();
  return t;
}
trace::v1::Transform Jit() {
  trace::v1::Transform t;
  t.mutable_jit();
  return t;
}

const std::vector<double> kPoints = {0.25, 1.0, 2.0};

TEST_F(ArtifactTest, JitLeavesALoweredProgramAsItIs) {
  const auto plain = Lower(ArtifactSource(SinesArtifact()));
  const auto jitted = Lower(TextSource(kSines), {Jit(), Jit()});
  ASSERT_TRUE(plain.ok() && jitted.ok()) << jitted.status().ToString();
  EXPECT_EQ(plain->canonical_digest(), jitted->canonical_digest());
  EXPECT_EQ(plain->key(), jitted->key());
  EXPECT_EQ(jitted->steps_size(), 2);
}

TEST_F(ArtifactTest, TraceAnswersWithTheJaxprOfEveryForm) {
  for (const auto& source : {TextSource(kSines), ArtifactSource(SinesArtifact())}) {
    trace::v1::TraceRequest request;
    *request.mutable_source() = source;
    const auto traced = trace().Trace(request);
    ASSERT_TRUE(traced.ok()) << traced.status().ToString();
    EXPECT_THAT(traced->jaxpr_text(), HasSubstr("b:f32[3] = sin a"));
    EXPECT_THAT(traced->jaxpr_text(), HasSubstr("reduce_sum[axes=(0,)"));
    EXPECT_EQ(traced->in_avals(0).dims(0), 3);
  }
}

TEST_F(ArtifactTest, GradientOfAnArtifactIsThatOfItsJaxpr) {
  const tensor::Tensor x = stablehlo::MakeTensor(tensor::DType::kF32, {3}, kPoints);
  trace::v1::ProgramSource jaxpr;
  jaxpr.set_jaxpr_text(kSinesJaxpr);
  std::vector<std::string> keys;
  for (const auto& source : {TextSource(kSines), ArtifactSource(SinesArtifact()), jaxpr}) {
    auto request = ChainOf(source, {x});
    *request.mutable_chain()->add_stack() = Gradient();
    const auto response = execute().Execute(request);
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    const tensor::Tensor out = Results(*response)[0];
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_NEAR(out.DoubleAt(i), std::cos(kPoints[static_cast<size_t>(i)]), 1e-6);
    keys.push_back(response->key());
  }
  EXPECT_THAT(keys, ::testing::Each(keys[0]));
}

TEST_F(ArtifactTest, LoweredProgramGoesPastTheTraceService) {
  const tensor::Tensor x = stablehlo::MakeTensor(tensor::DType::kF32, {3}, {5, 6, 7});
  const std::string text = StrCat("// its own key\n", kSines);
  const auto response = execute().Execute(ChainOf(TextSource(text), {x}));
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  const auto entries =
      *stubs::LedgerClient(fleet()->channel()).Query({.trace_id = response->ids().trace_id()}, 100);
  std::vector<std::string> services;
  for (const ledger::Entry& e : entries) services.push_back(e.service);
  EXPECT_THAT(services, Contains("compile"));
  EXPECT_THAT(services, Not(Contains("trace")));
}

TEST_F(ArtifactTest, WhatHasNoPrimitiveIsRefusedByName) {
  const std::string text = R"(
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = "stablehlo.sort"(%x) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %p = stablehlo.compare GT, %a, %b, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %p : tensor<i1>
  }) {dimension = 0 : i64, is_stable = true} : (tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
})";
  EXPECT_TRUE(Lower(TextSource(text)).ok());
  const Status status = Lower(TextSource(text), {Gradient()}).status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("stablehlo.sort in this order has no primitive"));
  EXPECT_THAT(status.message(), HasSubstr("transform the function in JAX"));
}

TEST_F(ArtifactTest, WhatBelongsToOtherFormsIsRefused) {
  trace::v1::ProgramSource source = TextSource(kSines);
  *source.add_consts() =
      tensor::TensorToProto(stablehlo::MakeTensor(tensor::DType::kF32, {1}, {1}));
  EXPECT_THAT(Lower(source).status().message(), HasSubstr("belong to jaxpr_text"));
  const tensor::Tensor x = stablehlo::MakeTensor(tensor::DType::kF32, {3}, kPoints);
  EXPECT_EQ(execute().Execute(ChainOf(source, {x})).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Lower(ArtifactSource("ML\xefR")).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Lower(ArtifactSource("neither of them")).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Lower(TextSource("func.func")).status().code(), Code::kInvalidArgument);
}

TEST_F(ArtifactTest, ArgumentTypesMustBeThoseOfTheProgram) {
  trace::v1::LowerRequest request;
  *request.mutable_source() = TextSource(kSines);
  request.mutable_arguments();
  EXPECT_THAT(trace().Lower(request).status().message(), HasSubstr("takes 1"));
  *request.mutable_arguments()->add_types() =
      tensor::TypeToProto({.dtype = tensor::DType::kF32, .shape = {4}, .weak_type = false});
  EXPECT_THAT(trace().Lower(request).status().message(), HasSubstr("the program takes f32[3]"));
}

}  // namespace
}  // namespace megalith::services
