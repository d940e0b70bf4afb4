// Which kernels row fusion makes, and that they compute what the evaluator does.
#include "common/machines/codegen/join_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/codegen/join_kernels.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::Plan;
using runtime::StepKind;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

Plan PlanOf(const std::string& text, LowerReport* report = nullptr) {
  const auto parsed = stablehlo::ParseModule(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  stablehlo::Module module = *stablehlo::Canonicalize(*parsed);
  EXPECT_TRUE(RunPasses(&module, {}).ok());
  LowerOptions options;
  options.find_kernel = kernels::FindLibraryKernel;
  auto plan = Lower(module, options, report);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan.ok() && !runtime::EncodePlan(*plan).empty());
  EXPECT_TRUE(runtime::DecodePlan(runtime::EncodePlan(*plan)).ok());
  return *std::move(plan);
}

int Loops(const Plan& plan) {
  return static_cast<int>(std::ranges::count_if(
      plan.entry.steps, [](const auto& s) { return s.kind == StepKind::kLoop; }));
}

std::string Text(const Plan& plan) {
  std::string text = runtime::PlanText(plan);
  for (const LoopKernel& k : plan.loops) text += runtime::LoopText(k);
  return text;
}

// Numbers between -2 and 2 that repeat nowhere near.
Tensor Numbers(DType type, const Shape& shape, int64_t seed) {
  Tensor t = *Tensor::Create(type, shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    const int64_t mixed = (i * 7919 + seed * 104729) % 4093;
    t.SetDouble(i, tensor::IsInteger(type) ? static_cast<double>(mixed % 7)
                                           : static_cast<double>(mixed) / 1023 - 2);
  }
  return t;
}

// Both tiers against the evaluator: integers exactly, floats closely.
void ExpectRight(const std::string& text) {
  const stablehlo::Module module = *stablehlo::ParseModule(text);
  const stablehlo::Func& f = **module.Entry();
  std::vector<Tensor> inputs;
  for (const stablehlo::ValueId v : f.body.args) {
    inputs.push_back(
        Numbers(f.type(v).dtype, f.type(v).shape, static_cast<int64_t>(inputs.size()) + 1));
  }
  const std::vector<Tensor> wanted = *stablehlo::Evaluate(module, inputs);
  const auto backend = MakeCpuBackend();
  for (const std::string tier : {"0", "1"}) {
    runtime::CompileOptions options;
    options.settings["tier"] = tier;
    const auto package = backend->Compile(text, options, nullptr);
    ASSERT_TRUE(package.ok()) << package.status().ToString();
    const auto executable = backend->Load(*package);
    ASSERT_TRUE(executable.ok()) << executable.status().ToString();
    const std::vector<Tensor> got = *(*executable)->Run(inputs);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].TypeText(), wanted[i].TypeText());
      for (int64_t e = 0; e < got[i].size(); ++e) {
        const double w = wanted[i].DoubleAt(e);
        // Sums of some hundred terms in another order.
        const double most =
            tensor::IsFloat(wanted[i].dtype()) ? 2e-5 * std::max(1.0, std::abs(w)) : 0;
        ASSERT_NEAR(got[i].DoubleAt(e), w, most) << "tier " << tier << ", " << i << ", " << e;
      }
    }
  }
}

std::string Reduce(std::string_view result, std::string_view of, std::string_view op,
                   std::string_view from, std::string_view to) {
  return StrCat("%", result, " = stablehlo.reduce(%", of, " init: %",
                op == "maximum" ? "low" : "zero", ") applies stablehlo.", op,
                " across dimensions = [1] : (tensor<", from, ">, tensor<f32>) -> tensor<", to,
                ">\n");
}

std::string Broadcast(std::string_view result, std::string_view of, std::string_view from,
                      std::string_view to) {
  return StrCat("%", result, " = stablehlo.broadcast_in_dim %", of, ", dims = [0] : (tensor<", from,
                ">) -> tensor<", to, ">\n");
}

constexpr std::string_view kStart =
    "%low = stablehlo.constant dense<0xFF800000> : tensor<f32>\n"
    "%zero = stablehlo.constant dense<0.0> : tensor<f32>\n";

std::string Softmax(int64_t rows, int64_t columns) {
  const std::string all = StrCat(rows, "x", columns, "xf32"), row = StrCat(rows, "xf32");
  return StrCat("module { func.func public @main(%x: tensor<", all, ">) -> tensor<", all, "> {\n",
                kStart, Reduce("m", "x", "maximum", all, row), Broadcast("mb", "m", row, all),
                "%d = stablehlo.subtract %x, %mb : tensor<", all,
                ">\n%e = stablehlo.exponential %d : tensor<", all, ">\n",
                Reduce("s", "e", "add", all, row), Broadcast("sb", "s", row, all),
                "%r = stablehlo.divide %e, %sb : tensor<", all, ">\nreturn %r : tensor<", all,
                "> } }");
}

TEST(JoinStepsTest, SoftmaxIsOneKernelThatKeepsItsRow) {
  for (const int64_t columns : {int64_t{10}, int64_t{300}, int64_t{1024}}) {
    const std::string text = Softmax(128, columns);
    const Plan plan = PlanOf(text);
    ASSERT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
    EXPECT_EQ(plan.arena_bytes, 0u);
    EXPECT_EQ(plan.loops.size(), 1u);
    EXPECT_EQ(plan.loops[0].outer, std::vector<int64_t>{128});
    EXPECT_EQ(plan.loops[0].stages.size(), 4u) << Text(plan);
    ExpectRight(text);
  }
}

// Two threads could not share rows, and one does not have them in its cache.
TEST(JoinStepsTest, FewLongRowsAreNotJoined) { EXPECT_GT(Loops(PlanOf(Softmax(2, 1 << 20))), 1); }

TEST(JoinStepsTest, EmptyRowsAreRight) {
  ExpectRight(Softmax(0, 16));
  ExpectRight(Softmax(16, 0));
  ExpectRight(Softmax(1, 1));
}

TEST(JoinStepsTest, LayernormIsOneKernel) {
  const std::string all = "64x96xf32", row = "64xf32";
  const std::string text = StrCat(
      "module { func.func public @main(%x: tensor<", all, ">, %g: tensor<96xf32>) -> tensor<", all,
      "> {\n", kStart, "%n = stablehlo.constant dense<96.0> : tensor<64xf32>\n",
      "%eps = stablehlo.constant dense<1.0e-5> : tensor<64xf32>\n",
      Reduce("s", "x", "add", all, row), "%mean = stablehlo.divide %s, %n : tensor<64xf32>\n",
      Broadcast("mb", "mean", row, all), "%d = stablehlo.subtract %x, %mb : tensor<", all,
      ">\n%q = stablehlo.multiply %d, %d : tensor<", all, ">\n", Reduce("v", "q", "add", all, row),
      "%var = stablehlo.divide %v, %n : tensor<64xf32>\n"
      "%ve = stablehlo.add %var, %eps : tensor<64xf32>\n"
      "%r = stablehlo.rsqrt %ve : tensor<64xf32>\n",
      Broadcast("rb", "r", row, all), "%y = stablehlo.multiply %d, %rb : tensor<", all,
      ">\n%gb = stablehlo.broadcast_in_dim %g, dims = [1] : (tensor<96xf32>) -> tensor<", all,
      ">\n%o = stablehlo.multiply %y, %gb : tensor<", all, ">\nreturn %o : tensor<", all, "> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  EXPECT_EQ(plan.arena_bytes, 0u);
  ExpectRight(text);
}

// Loss and gradient: rows are read once for both.
TEST(JoinStepsTest, CrossEntropyAndItsGradientAreOneKernel) {
  const std::string all = "128x40xf32", row = "128xf32";
  const std::string text = StrCat(
      "module { func.func public @main(%x: tensor<", all, ">, %t: tensor<", all, ">) -> (tensor<",
      row, ">, tensor<", all, ">) {\n", kStart, Reduce("m", "x", "maximum", all, row),
      Broadcast("mb", "m", row, all), "%d = stablehlo.subtract %x, %mb : tensor<", all,
      ">\n%e = stablehlo.exponential %d : tensor<", all, ">\n", Reduce("s", "e", "add", all, row),
      "%ls = stablehlo.log %s : tensor<", row, ">\n", Broadcast("lb", "ls", row, all),
      "%lp = stablehlo.subtract %d, %lb : tensor<", all,
      ">\n%w = stablehlo.multiply %lp, %t : tensor<", all, ">\n",
      Reduce("loss", "w", "add", all, row), Broadcast("sb", "s", row, all),
      "%p = stablehlo.divide %e, %sb : tensor<", all, ">\n%g = stablehlo.subtract %p, %t : tensor<",
      all, ">\nreturn %loss, %g : tensor<", row, ">, tensor<", all, "> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  EXPECT_EQ(plan.arena_bytes, 0u);
  ExpectRight(text);
}

TEST(JoinStepsTest, ReductionsOfOneInputShareItsReading) {
  const std::string all = "256x200xf32", row = "256xf32";
  const std::string text = StrCat(
      "module { func.func public @main(%x: tensor<", all, ">) -> (tensor<", row, ">, tensor<", row,
      ">) {\n", kStart, Reduce("s", "x", "add", all, row), Reduce("m", "x", "maximum", all, row),
      "return %s, %m : tensor<", row, ">, tensor<", row, "> } }");
  const Plan plan = PlanOf(text);
  ASSERT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  ASSERT_EQ(plan.loops[0].stages.size(), 1u) << Text(plan);
  EXPECT_EQ(plan.loops[0].stages[0].reductions.size(), 2u);
  EXPECT_EQ(plan.loops[0].stages[0].loads.size(), 1u);
  ExpectRight(text);
}

// Updates of three parameters of one shape.
TEST(JoinStepsTest, UpdatesOfSmallParametersAreOneKernel) {
  std::string args, results, body, types;
  for (int i = 0; i < 3; ++i) {
    const std::string sep = i == 0 ? "" : ", ";
    StrAppend(&args, sep, "%p", i, ": tensor<32x32xf32>, %m", i, ": tensor<32x32xf32>, %g", i,
              ": tensor<32x32xf32>");
    StrAppend(&types, sep, "tensor<32x32xf32>, tensor<32x32xf32>");
    StrAppend(&results, sep, "%q", i, ", %n", i);
    StrAppend(&body, "%a", i, " = stablehlo.multiply %m", i, ", %c : tensor<32x32xf32>\n", "%n", i,
              " = stablehlo.add %a", i, ", %g", i, " : tensor<32x32xf32>\n%b", i,
              " = stablehlo.multiply %n", i, ", %c : tensor<32x32xf32>\n%q", i,
              " = stablehlo.subtract %p", i, ", %b", i, " : tensor<32x32xf32>\n");
  }
  const std::string text = StrCat("module { func.func public @main(", args, ") -> (", types,
                                  ") {\n%c = stablehlo.constant dense<0.9> : tensor<32x32xf32>\n",
                                  body, "return ", results, " : ", types, " } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  ExpectRight(text);
}

// Rows of 8 bytes beside rows of 4, integers: everything is exact.
TEST(JoinStepsTest, IntegersAreExact) {
  const std::string text =
      "module { func.func public @main(%x: tensor<64x48xi32>) -> (tensor<64xi32>, "
      "tensor<64x48xi32>) {\n%zero = stablehlo.constant dense<0> : tensor<i32>\n"
      "%s = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1] : "
      "(tensor<64x48xi32>, tensor<i32>) -> tensor<64xi32>\n"
      "%b = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<64xi32>) -> tensor<64x48xi32>\n"
      "%r = stablehlo.multiply %x, %b : tensor<64x48xi32>\n"
      "return %s, %r : tensor<64xi32>, tensor<64x48xi32> } }";
  EXPECT_EQ(PlanOf(text).entry.steps.size(), 1u);
  ExpectRight(text);
}

// A reduction over rows and one over columns cannot run row by row.
TEST(JoinStepsTest, RowsAndColumnsStayApart) {
  const std::string all = "256x200xf32";
  const std::string text =
      StrCat("module { func.func public @main(%x: tensor<", all,
             ">) -> (tensor<256xf32>, tensor<200xf32>) {\n", kStart,
             Reduce("s", "x", "add", all, "256xf32"),
             "%c = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] "
             ": (tensor<",
             all, ">, tensor<f32>) -> tensor<200xf32>\n",
             "return %s, %c : tensor<256xf32>, tensor<200xf32> } }");
  EXPECT_EQ(Loops(PlanOf(text)), 2);
  ExpectRight(text);
}

TEST(JoinStepsTest, PiecesOfAConcatenationAreComputedInPlace) {
  const std::string half = "512x32xf32", all = "512x64xf32";
  const std::string text =
      StrCat("module { func.func public @main(%x: tensor<", all, ">) -> tensor<", all, "> {\n",
             "%a = stablehlo.slice %x [0:512, 0:32] : (tensor<", all, ">) -> tensor<", half, ">\n",
             "%b = stablehlo.slice %x [0:512, 32:64] : (tensor<", all, ">) -> tensor<", half, ">\n",
             "%n = stablehlo.negate %b : tensor<", half, ">\n",
             "%r = stablehlo.concatenate %n, %a, dim = 1 : (tensor<", half, ">, tensor<", half,
             ">) -> tensor<", all, ">\n%o = stablehlo.add %r, %x : tensor<", all,
             ">\nreturn %o : tensor<", all, "> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  EXPECT_EQ(plan.arena_bytes, 0u);
  ExpectRight(text);
}

// Of all logarithms of probabilities only those of the labels are computed.
TEST(JoinStepsTest, GatheredElementsAreComputedAlone) {
  const std::string all = "256x40xf32", row = "256xf32";
  const std::string text = StrCat(
      "module { func.func public @main(%x: tensor<", all, ">, %i: tensor<256x1xi32>) -> tensor<",
      row, "> {\n", kStart, Reduce("m", "x", "maximum", all, row), Broadcast("mb", "m", row, all),
      "%d = stablehlo.subtract %x, %mb : tensor<", all,
      ">\n%e = stablehlo.exponential %d : tensor<", all, ">\n", Reduce("s", "e", "add", all, row),
      "%ls = stablehlo.log %s : tensor<", row, ">\n", Broadcast("lb", "ls", row, all),
      "%lp = stablehlo.subtract %d, %lb : tensor<", all, ">\n",
      "%r = \"stablehlo.gather\"(%lp, %i) <{dimension_numbers = "
      "#stablehlo.gather<collapsed_slice_dims = [1], operand_batching_dims = [0], "
      "start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 1>, "
      "indices_are_sorted = false, slice_sizes = array<i64: 1, 1>}> : (tensor<",
      all, ">, tensor<256x1xi32>) -> tensor<", row, ">\nreturn %r : tensor<", row, "> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  EXPECT_LT(plan.arena_bytes, 256u * 40 * 4) << Text(plan);
  ExpectRight(text);
}

// What is gathered is computed in its two parts, though a gather by itself only moves elements.
TEST(JoinStepsTest, GatheredComplexElementsAreComputed) {
  const std::string all = "5x5xcomplex<f32>", row = "5xcomplex<f32>";
  const std::string text = StrCat(
      "module { func.func public @main(%x: tensor<5x5xf32>, %y: tensor<5x5xf32>, "
      "%p: tensor<5x5xi1>, %i: tensor<5x2xi32>) -> (tensor<5xf32>, tensor<",
      row, ">) {\n%c = stablehlo.complex %x, %y : tensor<", all,
      ">\n%n = stablehlo.constant dense<(1.0, 2.0)> : tensor<", all,
      ">\n%s = stablehlo.select %p, %c, %n : tensor<5x5xi1>, tensor<", all,
      ">\n%r = \"stablehlo.gather\"(%s, %i) <{dimension_numbers = "
      "#stablehlo.gather<collapsed_slice_dims = [0, 1], start_index_map = [0, 1], "
      "index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 1>}> : "
      "(tensor<",
      all, ">, tensor<5x2xi32>) -> tensor<", row, ">\n%m = stablehlo.imag %r : (tensor<", row,
      ">) -> tensor<5xf32>\nreturn %m, %r : tensor<5xf32>, tensor<", row, "> } }");
  const Plan plan = PlanOf(text);
  EXPECT_EQ(plan.entry.steps.size(), 1u) << Text(plan);
  ExpectRight(text);
}

TEST(JoinStepsTest, LargeTransposesAreCopiedInBlocks) {
  const std::string text =
      "module { func.func public @main(%x: tensor<100x90xf32>, %y: tensor<90x100xf32>) -> "
      "tensor<90x100xf32> {\n"
      "%t = stablehlo.transpose %x, dims = [1, 0] : (tensor<100x90xf32>) -> tensor<90x100xf32>\n"
      "%r = stablehlo.add %t, %y : tensor<90x100xf32>\nreturn %r : tensor<90x100xf32> } }";
  const Plan plan = PlanOf(text);
  ASSERT_EQ(plan.library.size(), 1u) << Text(plan);
  EXPECT_EQ(plan.library[0].kernel, "strided_copy");
  ExpectRight(text);
}

TEST(JoinStepsTest, ReportsNameJoinedKernelsOnce) {
  LowerReport report;
  const Plan plan = PlanOf(Softmax(128, 64), &report);
  ASSERT_EQ(report.groups.size(), 1u);
  EXPECT_EQ(report.groups[0].name, plan.loops[0].name);
  EXPECT_GE(report.groups[0].ops, 5u);
}

// A point of the second reads what another point of the first writes.
TEST(JoinKernelsTest, ShiftedReadsAreRefused) {
  const auto kernel = [](int64_t from, int64_t to) {
    LoopKernel k;
    k.buffers = 2;
    k.outer = {64};
    LoopStage& stage = k.stages.emplace_back();
    stage.loads = {{0, DType::kF32, from, {1}, {}, {}, 0}};
    stage.instrs = {{kernels::ScalarOp::kLoad, DType::kF32, {0, 0, 0}, 0},
                    {kernels::ScalarOp::kNegate, DType::kF32, {0, 0, 0}, 0}};
    stage.stores = {{{1, DType::kF32, to, {1}, {}, {}, 0}, 1}};
    return k;
  };
  EXPECT_TRUE(JoinKernels({kernel(0, 0), {0, 1}}, {kernel(0, 0), {1, 2}}).has_value());
  EXPECT_FALSE(JoinKernels({kernel(0, 0), {0, 1}}, {kernel(1, 0), {1, 2}}).has_value());
  // The second overwrites what another point of the first still reads.
  EXPECT_FALSE(JoinKernels({kernel(1, 0), {0, 1}}, {kernel(0, 0), {2, 0}}).has_value());
  // Both may read anything.
  EXPECT_TRUE(JoinKernels({kernel(1, 0), {0, 1}}, {kernel(0, 0), {0, 2}}).has_value());
}

TEST(JoinKernelsTest, ChainsPassValuesInRegisters) {
  LoopKernel k;
  k.buffers = 2;
  k.outer = {64};
  LoopStage& stage = k.stages.emplace_back();
  stage.loads = {{0, DType::kF32, 0, {1}, {}, {}, 0}};
  stage.instrs = {{kernels::ScalarOp::kLoad, DType::kF32, {0, 0, 0}, 0},
                  {kernels::ScalarOp::kNegate, DType::kF32, {0, 0, 0}, 0}};
  stage.stores = {{{1, DType::kF32, 0, {1}, {}, {}, 0}, 1}};
  const auto joined = JoinKernels({k, {0, 1}}, {k, {1, 2}});
  ASSERT_TRUE(joined.has_value());
  ASSERT_EQ(joined->kernel.stages.size(), 1u);
  EXPECT_EQ(joined->kernel.stages[0].loads.size(), 1u);
  EXPECT_EQ(joined->kernel.stages[0].instrs.size(), 3u);
  EXPECT_EQ(joined->places, (std::vector<uint32_t>{0, 1, 2}));
}

}  // namespace
}  // namespace megalith::codegen
