#include "common/machines/codegen/cpu_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/op_support.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::CompileOptions;
using runtime::Package;
using runtime::Plan;
using runtime::StepKind;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

constexpr std::string_view kSoftmax = R"(
module {
  func.func public @main(%x: tensor<5x40xf32>) -> tensor<5x40xf32> {
    %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %m = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across dimensions = [1] : (tensor<5x40xf32>, tensor<f32>) -> tensor<5xf32>
    %mb = stablehlo.broadcast_in_dim %m, dims = [0] : (tensor<5xf32>) -> tensor<5x40xf32>
    %d = stablehlo.subtract %x, %mb : tensor<5x40xf32>
    %e = stablehlo.exponential %d : tensor<5x40xf32>
    %s = stablehlo.reduce(%e init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<5x40xf32>, tensor<f32>) -> tensor<5xf32>
    %sb = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<5xf32>) -> tensor<5x40xf32>
    %r = stablehlo.divide %e, %sb : tensor<5x40xf32>
    return %r : tensor<5x40xf32>
  }
})";

// Ten turns; turn i writes the running sum at i: what a scan becomes.
constexpr std::string_view kScan = R"(
module {
  func.func public @main(%x: tensor<10xf32>) -> (tensor<f32>, tensor<10xf32>) {
    %c0 = stablehlo.constant dense<0> : tensor<i32>
    %c1 = stablehlo.constant dense<1> : tensor<i32>
    %c10 = stablehlo.constant dense<10> : tensor<i32>
    %f0 = stablehlo.constant dense<0.0> : tensor<f32>
    %ys = stablehlo.constant dense<0.0> : tensor<10xf32>
    %r:3 = stablehlo.while(%i = %c0, %sum = %f0, %out = %ys) : tensor<i32>, tensor<f32>, tensor<10xf32>
    cond {
      %p = stablehlo.compare LT, %i, %c10, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %p : tensor<i1>
    } do {
      %e = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<10xf32>, tensor<i32>) -> tensor<1xf32>
      %s = stablehlo.reshape %e : (tensor<1xf32>) -> tensor<f32>
      %next = stablehlo.add %sum, %s : tensor<f32>
      %u = stablehlo.reshape %next : (tensor<f32>) -> tensor<1xf32>
      %o = stablehlo.dynamic_update_slice %out, %u, %i : (tensor<10xf32>, tensor<1xf32>, tensor<i32>) -> tensor<10xf32>
      %n = stablehlo.add %i, %c1 : tensor<i32>
      stablehlo.return %n, %next, %o : tensor<i32>, tensor<f32>, tensor<10xf32>
    }
    return %r#1, %r#2 : tensor<f32>, tensor<10xf32>
  }
})";

Tensor Numbers(const Shape& shape) {
  Tensor t = *Tensor::Create(DType::kF32, shape);
  for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, 0.25 * static_cast<double>(i % 13) - 1);
  return t;
}

Plan PlanOf(std::string_view text) {
  stablehlo::Module module = *stablehlo::Canonicalize(*stablehlo::ParseModule(text));
  EXPECT_TRUE(RunPasses(&module, {}).ok());
  LowerOptions options;
  options.find_kernel = kernels::FindLibraryKernel;
  auto plan = Lower(module, options, nullptr);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  return *std::move(plan);
}

std::shared_ptr<const runtime::Executable> Load(std::string_view text, std::string_view tier) {
  const auto backend = MakeCpuBackend();
  CompileOptions options;
  options.settings["tier"] = tier;
  const auto package = backend->Compile(text, options, nullptr);
  EXPECT_TRUE(package.ok()) << package.status().ToString();
  auto executable = backend->Load(*package);
  EXPECT_TRUE(executable.ok()) << executable.status().ToString();
  return *executable;
}

void ExpectNear(const Tensor& got, const Tensor& wanted) {
  ASSERT_EQ(got.TypeText(), wanted.TypeText());
  for (int64_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got.DoubleAt(i), wanted.DoubleAt(i), 1e-6) << i;
  }
}

TEST(CpuBackendTest, TiersAgreeWithTheEvaluator) {
  for (const std::string_view text : {kSoftmax, kScan}) {
    const stablehlo::Module module = *stablehlo::ParseModule(text);
    const Tensor x = Numbers(text == kSoftmax ? Shape{5, 40} : Shape{10});
    const std::vector<Tensor> wanted = *stablehlo::Evaluate(module, std::vector<Tensor>{x});
    for (const std::string_view tier : {"0", "1", "auto"}) {
      const auto executable = Load(text, tier);
      for (int run = 0; run < 4; ++run) {
        const std::vector<Tensor> got = *executable->Run(std::vector<Tensor>{x});
        ASSERT_EQ(got.size(), wanted.size());
        for (size_t i = 0; i < got.size(); ++i) ExpectNear(got[i], wanted[i]);
      }
    }
  }
}

// x[i < 0 ? i + 96 : i], as JAX writes it.
constexpr std::string_view kRows = R"(
  func.func @main(%x: tensor<96x8xf32>, %i: tensor<48xi32>) -> tensor<48x8xf32> {
    %zero = stablehlo.constant dense<0> : tensor<48xi32>
    %n = stablehlo.constant dense<96> : tensor<48xi32>
    %negative = stablehlo.compare LT, %i, %zero : (tensor<48xi32>, tensor<48xi32>) -> tensor<48xi1>
    %j = stablehlo.add %i, %n : tensor<48xi32>
    %k = stablehlo.select %negative, %j, %i : tensor<48xi1>, tensor<48xi32>
    %l = stablehlo.broadcast_in_dim %k, dims = [0] : (tensor<48xi32>) -> tensor<48x1xi32>
    %r = "stablehlo.gather"(%x, %l) <{dimension_numbers = #stablehlo.gather<offset_dims = [1],
      collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>,
      indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}>
      : (tensor<96x8xf32>, tensor<48x1xi32>) -> tensor<48x8xf32>
    return %r : tensor<48x8xf32>
  })";

// Special values in both parts, through every operation on complex numbers that is fused.
TEST(CpuBackendTest, ComplexNumbersAreFused) {
  constexpr std::string_view kText = R"(
  func.func @main(%a: tensor<64xcomplex<f32>>, %b: tensor<64xcomplex<f32>>)
      -> (tensor<64xcomplex<f32>>, tensor<64xcomplex<f32>>, tensor<64xf32>, tensor<64xcomplex<f32>>) {
    %0 = stablehlo.add %a, %b : tensor<64xcomplex<f32>>
    %1 = stablehlo.multiply %0, %b : tensor<64xcomplex<f32>>
    %2 = stablehlo.divide %a, %b : tensor<64xcomplex<f32>>
    %3 = stablehlo.abs %a : (tensor<64xcomplex<f32>>) -> tensor<64xf32>
    %4 = stablehlo.imag %b : (tensor<64xcomplex<f32>>) -> tensor<64xf32>
    %5 = stablehlo.complex %3, %4 : tensor<64xcomplex<f32>>
    %6 = stablehlo.compare EQ, %a, %b : (tensor<64xcomplex<f32>>, tensor<64xcomplex<f32>>) -> tensor<64xi1>
    %7 = stablehlo.select %6, %5, %a : tensor<64xi1>, tensor<64xcomplex<f32>>
    %8 = stablehlo.exponential %7 : tensor<64xcomplex<f32>>
    return %1, %2, %3, %8 : tensor<64xcomplex<f32>>, tensor<64xcomplex<f32>>, tensor<64xf32>, tensor<64xcomplex<f32>>
  })";
  const Plan plan = PlanOf(kText);
  EXPECT_TRUE(plan.library.empty()) << runtime::PlanText(plan);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kParts[] = {0.0f, -0.0f, 1.5f, -2.25f, kInf, -kInf, kNan, 1e30f};
  std::vector<Tensor> inputs;
  for (int64_t which = 0; which < 2; ++which) {
    inputs.push_back(*Tensor::Create(DType::kC64, {64}));
    auto* parts = static_cast<float*>(inputs.back().mutable_data());
    for (int64_t k = 0; k < 64; ++k) {
      parts[2 * k] = kParts[(which == 0 ? k : 3 * k + 1) % 8];
      parts[2 * k + 1] = kParts[(which == 0 ? k / 8 : k / 8 + 5 * k) % 8];
    }
  }
  const auto wanted = *stablehlo::Evaluate(*stablehlo::ParseModule(kText), inputs);
  for (const std::string_view tier : {"0", "1"}) {
    const auto got = *Load(kText, tier)->Run(inputs);
    for (size_t i = 0; i < got.size(); ++i) {
      const auto* x = static_cast<const float*>(got[i].data());
      const auto* y = static_cast<const float*>(wanted[i].data());
      for (size_t k = 0; k < got[i].byte_size() / sizeof(float); ++k) {
        if (std::isnan(x[k]) && std::isnan(y[k])) continue;
        EXPECT_FLOAT_EQ(x[k], y[k]) << "output " << i << " part " << k;
        EXPECT_TRUE(y[k] != 0 || std::signbit(x[k]) == std::signbit(y[k])) << i << " " << k;
      }
    }
  }
}

TEST(OpSupportTest, SaysOfEveryOperationHowItRuns) {
  for (const stablehlo::OpDef* op : stablehlo::AllOps()) {
    const OpSupport support = SupportOf(op->name);
    EXPECT_NE(support.handling, OpHandling::kUnlisted) << op->name;
    EXPECT_TRUE(support.handling != OpHandling::kEvaluator || !support.remark.empty()) << op->name;
  }
  EXPECT_TRUE(RemarksAreKnown());
}

TEST(CpuBackendTest, GathersNeedNoArrayOfIndices) {
  EXPECT_EQ(PlanOf(kRows).arena_bytes, 0u);
  const Tensor x = Numbers({96, 8});
  Tensor i = *Tensor::Create(DType::kI32, {48});
  for (int64_t k = 0; k < 48; ++k)
    static_cast<int32_t*>(i.mutable_data())[k] = static_cast<int32_t>(k * 7 - 120);
  const std::vector<Tensor> inputs = {x, i};
  const auto wanted = *stablehlo::Evaluate(*stablehlo::ParseModule(kRows), inputs);
  for (const std::string_view tier : {"0", "1"}) {
    ExpectNear((*Load(kRows, tier)->Run(inputs))[0], wanted[0]);
  }
}

TEST(CpuBackendTest, ScansUpdateInPlace) {
  const Plan plan = PlanOf(kScan);
  ASSERT_EQ(plan.whiles.size(), 1u);
  EXPECT_EQ(plan.whiles[0].trip_count, 10);
  // At most the counter is copied.
  for (const runtime::PlanStep& s : plan.whiles[0].body.steps) {
    if (s.kind != StepKind::kCopy) continue;
    EXPECT_LE(plan.buffers[s.out[0]].bytes, sizeof(int32_t)) << runtime::PlanText(plan);
  }
}

TEST(CpuBackendTest, ElementwiseChainsAreOneKernel) {
  std::string text = "module { func.func public @main(%v0: tensor<64xf32>) -> tensor<64xf32> {\n";
  for (int i = 0; i < 10; ++i) {
    StrAppend(&text, "%v", i + 1, " = stablehlo.", i % 2 == 0 ? "sine" : "tanh", " %v", i,
              " : tensor<64xf32>\n");
  }
  StrAppend(&text, "return %v10 : tensor<64xf32> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << runtime::PlanText(plan);
  EXPECT_EQ(plan.arena_bytes, 0u);
}

TEST(CpuBackendTest, TailsRunOnRowsOfProducts) {
  const Plan plan = PlanOf(R"(
module { func.func public @main(%a: tensor<32x64xf32>, %b: tensor<64x48xf32>, %c: tensor<48xf32>) -> tensor<32x48xf32> {
  %d = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<32x64xf32>, tensor<64x48xf32>) -> tensor<32x48xf32>
  %cb = stablehlo.broadcast_in_dim %c, dims = [1] : (tensor<48xf32>) -> tensor<32x48xf32>
  %s = stablehlo.add %d, %cb : tensor<32x48xf32>
  %t = stablehlo.tanh %s : tensor<32x48xf32>
  return %t : tensor<32x48xf32>
} })");
  ASSERT_EQ(plan.entry.steps.size(), 1u) << runtime::PlanText(plan);
  EXPECT_NE(plan.entry.steps[0].epilogue, UINT32_MAX);
}

TEST(CpuBackendTest, OutputsThatAreInputsAreShared) {
  const auto executable = Load(
      "module { func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {\n"
      "return %x, %x : tensor<4xf32>, tensor<4xf32> } }",
      "0");
  const Tensor x = Numbers({4});
  const std::vector<Tensor> got = *executable->Run(std::vector<Tensor>{x});
  EXPECT_EQ(got[0].data(), x.data());
  EXPECT_EQ(got[1].data(), x.data());
}

TEST(CpuBackendTest, RefusesWhatItDoesNotKnow) {
  const auto backend = MakeCpuBackend();
  CompileOptions options;
  options.settings["tier"] = "7";
  EXPECT_THAT(backend->Compile(kSoftmax, options, nullptr).status().message(),
              HasSubstr("wanted 0, 1 or auto"));
  options.settings = {{"explain", "poetry"}};
  EXPECT_THAT(backend->Compile(kSoftmax, options, nullptr).status().message(),
              HasSubstr("'poetry'"));
}

TEST(CpuBackendTest, RefusesPackagesForOtherMachinesAndDamage) {
  const auto backend = MakeCpuBackend();
  CompileOptions options;
  options.settings["tier"] = "1";
  const std::string bytes = *backend->Compile(kSoftmax, options, nullptr);
  Package other = *runtime::DecodePackage(bytes);
  other.target = "x86-64 of another world";
  EXPECT_EQ(backend->Load(runtime::EncodePackage(other)).status().code(),
            Code::kFailedPrecondition);
  // Sections whose checksums are right but whose content is cut: never run.
  for (const std::string_view section : {"plan", "code"}) {
    for (size_t cut = 1; cut < 400; cut += 7) {
      Package damaged = *runtime::DecodePackage(bytes);
      for (Package::Section& s : damaged.sections) {
        if (s.name == section && s.bytes.size() > cut) s.bytes.resize(s.bytes.size() - cut);
      }
      EXPECT_FALSE(backend->Load(runtime::EncodePackage(damaged)).ok()) << section << cut;
    }
  }
}

TEST(CpuBackendTest, ExplainsEveryStage) {
  CompileOptions options;
  options.settings = {{"tier", "1"}, {"explain", "all"}};
  const Package p = *runtime::DecodePackage(*MakeCpuBackend()->Compile(kSoftmax, options, nullptr));
  const std::string text(*p.Find("explain"));
  for (const std::string_view part :
       {"=== canonical program ===", "=== pass simplify ===", "=== fused kernels ===",
        "=== plan ===", "=== kernel 0 ===", "=== LLVM IR of kernel 0 ===",
        "=== machine code of kernel 0 ==="}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(CpuBackendTest, ClampsToZeroOfTheRightSign) {
  const std::string_view text = R"(
func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %one = stablehlo.constant dense<1.0> : tensor<f32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %minus_zero = stablehlo.constant dense<-0.0> : tensor<f32>
  %minus_one = stablehlo.constant dense<-1.0> : tensor<f32>
  %0 = stablehlo.clamp %zero, %x, %one : (tensor<f32>, tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %1 = stablehlo.clamp %minus_one, %x, %minus_zero
      : (tensor<f32>, tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
})";
  const auto of = [](std::initializer_list<double> values) {
    Tensor t = *Tensor::Create(DType::kF32, {4});
    for (int64_t i = 0; i < 4; ++i) t.SetDouble(i, values.begin()[i]);
    return t;
  };
  for (const char* tier : {"0", "1"}) {
    const auto out = *Load(text, tier)->Run(std::vector<Tensor>{of({-0.0, 0.0, -2, 0.5})});
    EXPECT_TRUE(out[0].BitEquals(of({0.0, 0.0, 0.0, 0.5})));
    EXPECT_TRUE(out[1].BitEquals(of({-0.0, -0.0, -1, -0.0})));
  }
}

// A complex division is some thirty instructions: fewer of them than of others fit a kernel.
TEST(CpuBackendTest, KernelsThatGetTooLargeAreMadeOfFewerOperations) {
  std::string text = "func.func @main(%x: tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {\n";
  std::string last = "%x";
  for (int i = 0; i < 150; ++i) {
    const std::string next = StrCat("%d", i);
    text += StrCat("  ", next, " = stablehlo.divide %x, ", last, " : tensor<4xcomplex<f32>>\n");
    last = next;
  }
  text += StrCat("  return ", last, " : tensor<4xcomplex<f32>>\n}");
  Tensor x = *Tensor::Create(DType::kC64, {4});
  for (int64_t i = 0; i < 4; ++i) x.SetComplex(i, {1.0 + static_cast<double>(i), 0.5});
  const auto out = Load(text, "0")->Run(std::vector<Tensor>{x});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_NEAR(std::abs((*out)[0].ComplexAt(i) - x.ComplexAt(i)), 0, 1e-4);
}

// The product has no kernel for this type; what was prepared for it must go with it.
TEST(CpuBackendTest, KernelsThatRefuseLeaveNothingBehind) {
  const auto executable = Load(R"(
func.func public @main(%x: tensor<4x5x1xf8E3M4>, %y: tensor<5x4x1x4xf8E3M4>) -> tensor<4x1x1xf8E3M4> {
  %0 = stablehlo.dot_general %y, %x, contracting_dims = [3, 0] x [0, 1]
      : (tensor<5x4x1x4xf8E3M4>, tensor<4x5x1xf8E3M4>) -> tensor<4x1x1xf8E3M4>
  return %0 : tensor<4x1x1xf8E3M4>
})",
                               "0");
  std::vector<Tensor> zeros;
  for (const auto& spec : executable->signature().inputs) {
    zeros.push_back(*Tensor::Create(spec.dtype, spec.shape));
  }
  EXPECT_TRUE(executable->Run(zeros).ok());
}

TEST(CpuBackendTest, PlansSurviveTheirBytes) {
  for (const std::string_view text : {kSoftmax, kScan}) {
    const Plan plan = PlanOf(text);
    const auto again = runtime::DecodePlan(runtime::EncodePlan(plan));
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_TRUE(*again == plan);
  }
}

// Bytes of a plan changed one at a time: refused, or a plan that passes all checks.
TEST(CpuBackendTest, DamagedPlansAreNeverUnchecked) {
  const std::string bytes = runtime::EncodePlan(PlanOf(kScan));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const auto plan = runtime::DecodePlan(damaged);
      if (!plan.ok()) continue;
      EXPECT_TRUE(runtime::CheckPlan(*plan).ok());
    }
  }
}

TEST(CpuBackendTest, ManyThreadsShareOneExecutable) {
  const auto executable = Load(kSoftmax, "auto");
  const Tensor x = Numbers({5, 40});
  const Tensor wanted = (*executable->Run(std::vector<Tensor>{x}))[0];
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        ExpectNear((*executable->Run(std::vector<Tensor>{x}))[0], wanted);
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace megalith::codegen
