// The reference backend through the interface every backend has.
#include "common/machines/reference/reference.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/machines/runtime/package.h"

namespace megalith::reference {
namespace {

using runtime::CompileOptions;
using tensor::DType;
using tensor::Tensor;

constexpr std::string_view kProgram = R"(
module @sum attributes {mhlo.num_partitions = 1 : i32} {
  func.func public @main(%x: tensor<3xf32>, %n: tensor<i32>) -> (tensor<3xf32>, tensor<i32>) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %0:2 = stablehlo.while(%i = %c, %v = %x) : tensor<i32>, tensor<3xf32>
    cond {
      %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %1 = stablehlo.add %i, %one : tensor<i32>
      %2 = call_x
      stablehlo.return %1, %2 : tensor<i32>, tensor<3xf32>
    }
    return %0#1, %0#0 : tensor<3xf32>, tensor<i32>
  }
})";

std::string Program(std::string_view body = "stablehlo.add %v, %x : tensor<3xf32>") {
  std::string text(kProgram);
  const std::string_view hole = "call_x";
  text.replace(text.find(hole), hole.size(), body);
  return text;
}

std::vector<Tensor> Inputs(int n) {
  Tensor x = *Tensor::Create(DType::kF32, {3});
  for (int i = 0; i < 3; ++i) x.SetDouble(i, i + 1);
  return {x, Tensor::Scalar(DType::kI32, n)};
}

std::string CompileOrFail(const CompileOptions& options = {}) {
  auto package = MakeReferenceBackend()->Compile(Program(), options, nullptr);
  EXPECT_TRUE(package.ok()) << package.status().ToString();
  return package.ok() ? *package : "";
}

TEST(ReferenceTest, CompilesLoadsAndRuns) {
  const auto backend = MakeReferenceBackend();
  CompileOptions options;
  options.key = "k1";
  std::vector<std::string> stages;
  const auto package = backend->Compile(
      Program(), options, [&](std::string_view s, double) { stages.emplace_back(s); });
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  EXPECT_EQ(stages, (std::vector<std::string>{"verify", "canonicalize", "plan", "package"}));
  const auto executable = backend->Load(*package);
  ASSERT_TRUE(executable.ok()) << executable.status().ToString();
  EXPECT_EQ((*executable)->key(), "k1");
  EXPECT_EQ((*executable)->backend(), "reference");
  EXPECT_GT((*executable)->cost().flops, 0);
  EXPECT_EQ((*executable)->signature().inputs.size(), 2u);
  std::vector<runtime::OpTime> profile;
  const auto out = (*executable)->Run(Inputs(4), {.profile = &profile});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].DoubleAt(2), 15);
  EXPECT_EQ((*out)[1].IntAt(0), 4);
  EXPECT_FALSE(profile.empty());
}

// Names, locations and module attributes do not reach the package.
TEST(ReferenceTest, SpellingsOfOneProgramGiveOnePackage) {
  std::string renamed = Program();
  for (size_t at; (at = renamed.find("%v")) != std::string::npos;)
    renamed.replace(at, 2, "%carried");
  renamed.replace(renamed.find("@sum"), 4, "@other");
  const auto backend = MakeReferenceBackend();
  EXPECT_EQ(*backend->Compile(Program(), {}, nullptr), *backend->Compile(renamed, {}, nullptr));
}

TEST(ReferenceTest, RefusesWrongInputs) {
  const auto executable = *MakeReferenceBackend()->Load(CompileOrFail());
  std::vector<Tensor> inputs = Inputs(1);
  inputs[0] = *Tensor::Create(DType::kF32, {4});
  const Status s = executable->Run(inputs).status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_EQ(s.message(), "input 0 is f32[4], wanted f32[3]");
  inputs.pop_back();
  EXPECT_EQ(executable->Run(inputs).status().message(), "got 1 inputs, wanted 2");
}

TEST(ReferenceTest, RefusesBadProgramsAndSettings) {
  const auto backend = MakeReferenceBackend();
  EXPECT_EQ(backend->Compile("module {", {}, nullptr).status().code(), Code::kInvalidArgument);
  const Status s =
      backend
          ->Compile(
              Program("stablehlo.custom_call @Mystery(%v) : (tensor<3xf32>) -> tensor<3xf32>"), {},
              nullptr)
          .status();
  EXPECT_EQ(s.code(), Code::kUnimplemented);
  EXPECT_NE(s.message().find("@Mystery"), std::string::npos) << s.message();
  CompileOptions options;
  options.settings["speed"] = "1";
  EXPECT_EQ(backend->Compile(Program(), options, nullptr).status().code(), Code::kInvalidArgument);
  options.settings = {{"max_steps", "0"}};
  EXPECT_EQ(backend->Compile(Program(), options, nullptr).status().code(), Code::kInvalidArgument);
}

TEST(ReferenceTest, LimitsTravelWithThePackage) {
  CompileOptions options;
  options.settings = {{"max_steps", "50"}};
  const auto executable = *MakeReferenceBackend()->Load(CompileOrFail(options));
  EXPECT_TRUE(executable->Run(Inputs(3)).ok());
  EXPECT_EQ(executable->Run(Inputs(1000)).status().code(), Code::kResourceExhausted);
}

TEST(ReferenceTest, StopsWhenCancelled) {
  const auto executable = *MakeReferenceBackend()->Load(CompileOrFail());
  Cancellation cancellation;
  std::thread canceller([&] { cancellation.Cancel(); });
  const Status s = executable->Run(Inputs(2000000000), {.cancellation = &cancellation}).status();
  canceller.join();
  EXPECT_EQ(s.code(), Code::kCancelled);
}

TEST(ReferenceTest, RefusesDamagedPackages) {
  const std::string good = CompileOrFail();
  const auto backend = MakeReferenceBackend();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(backend->Load(bad).ok()) << "byte " << i;
  }
  // A package whose checksums are right and whose program is not.
  auto p = *runtime::DecodePackage(good);
  for (size_t i = 0; i < p.sections[0].bytes.size(); ++i) {
    auto q = p;
    q.sections[0].bytes[i] = static_cast<char>(q.sections[0].bytes[i] ^ 0x11);
    const auto loaded = backend->Load(runtime::EncodePackage(q));  // may succeed; must not crash
    if (loaded.ok()) {
      EXPECT_EQ((*loaded)->signature(), p.signature);
    }
  }
}

TEST(ReferenceTest, OneExecutableServesManyThreads) {
  const auto executable = *MakeReferenceBackend()->Load(CompileOrFail());
  std::vector<std::thread> threads;
  std::vector<double> results(4);
  for (size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i)
        results[t] = (*executable->Run(Inputs(static_cast<int>(t))))[0].DoubleAt(0);
    });
  }
  for (std::thread& t : threads) t.join();
  for (size_t t = 0; t < results.size(); ++t) EXPECT_EQ(results[t], static_cast<double>(t + 1));
}

}  // namespace
}  // namespace megalith::reference
