// Calls of the host: how often, in which order, and by whom, in the evaluator and in both tiers.
#include "common/machines/codegen/effects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/foundation/base/host_calls.h"
#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/reference/reference.h"

namespace megalith::codegen {
namespace {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;

// Notes "function:first element"; what has results gets its operand plus one. Function 9 fails.
class Recorder final : public HostCalls {
 public:
  Status Call(uint64_t id, std::span<const Array> in, std::span<const Array> out) const override {
    const float value = in.empty() ? 0 : *static_cast<const float*>(in[0].data);
    log.push_back(StrCat(id, ":", value));
    if (id == 9) return Internal("it failed");
    for (const Array& a : out) {
      for (uint64_t i = 0; i < a.bytes / 4; ++i) {
        static_cast<float*>(a.data)[i] = static_cast<const float*>(in[0].data)[i] + 1;
      }
    }
    return OkStatus();
  }
  mutable std::vector<std::string> log;
};

constexpr std::string_view kType = "tensor<f32>";

std::string Say(int id, std::string_view operand, std::string_view type = kType) {
  return StrCat("stablehlo.custom_call @megalith.host_call(", operand,
                ") {api_version = 4 : i32, has_side_effect = true, mhlo.backend_config = {id = ",
                id, " : ui64}} : (", type, ") -> ()\n");
}
std::string Ask(std::string_view result, int id, std::string_view operand,
                std::string_view type = kType) {
  return StrCat(result, " = stablehlo.custom_call @megalith.host_call(", operand,
                ") {api_version = 4 : i32, mhlo.backend_config = {id = ", id, " : ui64}} : (", type,
                ") -> ", type, "\n");
}
std::string Main(const std::string& body, std::string_view type = kType) {
  return StrCat("func.func @main(%x: ", type, ") -> ", type, " {\n", body, "}\n");
}

// A loop of `turns` turns over a counter and an f32.
std::string Loop(int turns, const std::string& body) {
  return StrCat(
      "%i0 = stablehlo.constant dense<0> : tensor<i32>\n"
      "%one = stablehlo.constant dense<1> : tensor<i32>\n"
      "%n = stablehlo.constant dense<",
      turns,
      "> : tensor<i32>\n"
      "%l:2 = stablehlo.while(%i = %i0, %c = %x) : tensor<i32>, tensor<f32>\n cond {\n"
      "%p = stablehlo.compare LT, %i, %n : (tensor<i32>, tensor<i32>) -> tensor<i1>\n"
      "stablehlo.return %p : tensor<i1>\n} do {\n"
      "%j = stablehlo.add %i, %one : tensor<i32>\n",
      body, "stablehlo.return %j, %d : tensor<i32>, tensor<f32>\n}\n");
}

struct Way {
  std::string name, tier;  // no tier: the evaluator
};

class EffectsTest : public testing::TestWithParam<Way> {
 protected:
  std::shared_ptr<const runtime::Backend> backend() const {
    return GetParam().tier.empty() ? reference::MakeReferenceBackend() : MakeCpuBackend();
  }
  runtime::CompileOptions options() const {
    runtime::CompileOptions o;
    if (!GetParam().tier.empty()) o.settings["tier"] = GetParam().tier;
    return o;
  }
  // What the program gives for `x`, and in recorder_ what it called.
  Result<Tensor> Run(const std::string& program, const Tensor& x = Tensor::Scalar(DType::kF32, 5)) {
    const HostCalls::Scope scope(&recorder_);
    ASSIGN_OR_RETURN(const std::string package, backend()->Compile(program, options(), nullptr));
    EXPECT_TRUE(recorder_.log.empty()) << "called while compiling";
    ASSIGN_OR_RETURN(const auto executable, backend()->Load(package));
    ASSIGN_OR_RETURN(std::vector<Tensor> results, executable->Run({&x, 1}));
    return std::move(results[0]);
  }
  const std::vector<std::string>& log() const { return recorder_.log; }

  Recorder recorder_;
};

TEST_P(EffectsTest, KeepTheOrderOfTheProgramBetweenFusedOperations) {
  // By memory alone the second call would better come first: it frees what is large.
  const std::string big = "tensor<4096xf32>";
  const std::string body = StrCat(
      "%a = stablehlo.exponential %x : ", big, "\n%b = stablehlo.add %a, %x : ", big,
      "\n%s = stablehlo.slice %b [0:1] : (", big, ") -> tensor<1xf32>\n", Say(1, "%x", big),
      "%m = stablehlo.multiply %x, %x : ", big, "\n", Say(2, "%m", big),
      Say(3, "%s", "tensor<1xf32>"), Say(1, "%m", big), "%r = stablehlo.subtract %b, %m : ", big,
      "\n", Say(4, "%r", big), "return %r : ", big, "\n");
  const auto x = Tensor::Create(DType::kF32, Shape{4096});
  ASSERT_TRUE(x.ok());
  ASSERT_TRUE(Run(Main(body, big), *x).ok());
  EXPECT_THAT(log(), ElementsAre("1:0", "2:0", "3:1", "1:0", "4:1"));
}

TEST_P(EffectsTest, HappenOncePerTurn) {
  const std::string program =
      Main(Loop(3, Say(1, "%c") + "%d = stablehlo.add %c, %c : tensor<f32>\n" + Say(2, "%d")) +
           Say(3, "%l#1") + "return %l#1 : tensor<f32>\n");
  const auto result = Run(program);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->DoubleAt(0), 40);
  EXPECT_THAT(log(), ElementsAre("1:5", "2:10", "1:10", "2:20", "1:20", "2:40", "3:40"));
}

TEST_P(EffectsTest, OfALoopHappenThoughNobodyNeedsWhatItComputes) {
  const std::string program =
      Main(Loop(2, Say(1, "%c") + "%d = stablehlo.add %c, %c : tensor<f32>\n") +
           "return %x : tensor<f32>\n");
  ASSERT_TRUE(Run(program).ok());
  EXPECT_THAT(log(), ElementsAre("1:5", "1:10"));
}

TEST_P(EffectsTest, OfTheConditionOfALoopHappenOnceMoreThanItsBody) {
  const std::string program = Main(
      "%n = stablehlo.constant dense<7.0> : tensor<f32>\n"
      "%one = stablehlo.constant dense<1.0> : tensor<f32>\n"
      "%l = stablehlo.while(%c = %x) : tensor<f32>\n cond {\n" +
      Say(1, "%c") +
      "%p = stablehlo.compare LT, %c, %n : (tensor<f32>, tensor<f32>) -> tensor<i1>\n"
      "stablehlo.return %p : tensor<i1>\n} do {\n" +
      Say(2, "%c") +
      "%d = stablehlo.add %c, %one : tensor<f32>\n"
      "stablehlo.return %d : tensor<f32>\n}\nreturn %l : tensor<f32>\n");
  ASSERT_TRUE(Run(program).ok());
  EXPECT_THAT(log(), ElementsAre("1:5", "2:5", "1:6", "2:6", "1:7"));
}

TEST_P(EffectsTest, HappenInTheBranchThatIsTaken) {
  const std::string program = Main(
      "%zero = stablehlo.constant dense<0.0> : tensor<f32>\n"
      "%p = stablehlo.compare LT, %x, %zero : (tensor<f32>, tensor<f32>) -> tensor<i1>\n"
      "%r = \"stablehlo.if\"(%p) ({\n" +
      Say(1, "%x") + Ask("%a", 9, "%x") + "stablehlo.return %a : tensor<f32>\n}, {\n" +
      Say(2, "%x") + Ask("%b", 3, "%x") +
      "stablehlo.return %b : tensor<f32>\n}) : (tensor<i1>) -> tensor<f32>\n"
      "return %r : tensor<f32>\n");
  const auto result = Run(program);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->DoubleAt(0), 6);
  EXPECT_THAT(log(), ElementsAre("2:5", "3:5"));
}

TEST_P(EffectsTest, PureCallsHappenIfSomebodyNeedsThemAndWithConstantsToo) {
  const std::string program = Main("%k = stablehlo.constant dense<2.0> : tensor<f32>\n" +
                                   Ask("%a", 1, "%x") + Ask("%b", 2, "%k") +
                                   "%r = stablehlo.add %b, %x : tensor<f32>\n"
                                   "return %r : tensor<f32>\n");
  const auto result = Run(program);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->DoubleAt(0), 8);
  EXPECT_THAT(log(), ElementsAre("2:2"));
}

TEST_P(EffectsTest, PureCallsDoNotLeaveALoopThatMayNotRun) {
  const std::string program = Main(
      "%k = stablehlo.constant dense<2.0> : tensor<f32>\n"
      "%l = stablehlo.while(%c = %x) : tensor<f32>\n cond {\n"
      "%p = stablehlo.compare LT, %c, %k : (tensor<f32>, tensor<f32>) -> tensor<i1>\n"
      "stablehlo.return %p : tensor<i1>\n} do {\n" +
      Ask("%a", 9, "%x") +
      "%d = stablehlo.add %c, %a : tensor<f32>\n"
      "stablehlo.return %d : tensor<f32>\n}\nreturn %l : tensor<f32>\n");
  const auto result = Run(program);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(log().empty());
}

TEST_P(EffectsTest, AFailedCallEndsTheProgram) {
  const std::string program = Main(Ask("%a", 9, "%x") + Say(1, "%a") + "return %a : tensor<f32>\n");
  const auto result = Run(program);
  EXPECT_EQ(result.status().code(), Code::kInternal);
  EXPECT_THAT(result.status().message(), HasSubstr("it failed"));
  EXPECT_THAT(log(), ElementsAre("9:5"));
}

TEST_P(EffectsTest, AreRefusedWhereNobodyOffersFunctions) {
  const std::string program = Main(Ask("%a", 1, "%x") + "return %a : tensor<f32>\n");
  const auto refused = backend()->Compile(program, options(), nullptr);
  EXPECT_EQ(refused.status().code(), Code::kUnimplemented);
  EXPECT_THAT(refused.status().message(), HasSubstr("@megalith.host_call"));
  std::string package;
  {
    const HostCalls::Scope scope(&recorder_);
    auto made = backend()->Compile(program, options(), nullptr);
    ASSERT_TRUE(made.ok()) << made.status().message();
    package = *std::move(made);
  }
  const auto executable = backend()->Load(package);
  ASSERT_TRUE(executable.ok()) << executable.status().message();
  const Tensor x = Tensor::Scalar(DType::kF32, 5);
  EXPECT_EQ((*executable)->Run({&x, 1}).status().code(), Code::kFailedPrecondition);
}

INSTANTIATE_TEST_SUITE_P(Ways, EffectsTest,
                         testing::Values(Way{"Evaluator", ""}, Way{"Tier0", "0"},
                                         Way{"Tier1", "1"}),
                         [](const auto& p) { return p.param.name; });

TEST(HostCallKernelTest, RefusesDamagedParameters) {
  EXPECT_FALSE(kHostCallKernel.prepare("", {}, {}).ok());
  EXPECT_FALSE(kHostCallKernel.prepare(std::string(16, '\1'), {}, {}).ok());
}

}  // namespace
}  // namespace megalith::codegen
