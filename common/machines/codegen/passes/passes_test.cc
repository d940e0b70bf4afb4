// Passes keep what programs compute: small programs for each rule, on numbers that include NaN,
// infinities, zeros of both signs and the ends of integer types.
#include "common/machines/codegen/passes/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/passes/pass_cases.h"
#include "common/machines/codegen/passes/rule.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::codegen {
namespace {

using stablehlo::Module;

Module ParseMain(std::string_view program) {
  const auto parsed =
      stablehlo::ParseModule(StrCat("module @m {\n func.func public @main", program, "\n}\n"));
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString() << "\n" << program;
  if (!parsed.ok()) return Module();
  EXPECT_TRUE(stablehlo::Verify(*parsed).ok()) << stablehlo::Verify(*parsed).ToString();
  const auto canonical = stablehlo::Canonicalize(*parsed);
  EXPECT_TRUE(canonical.ok()) << canonical.status().ToString();
  return canonical.ok() ? *canonical : Module();
}

// Special values first, then random ones.
Tensor Sample(const TensorType& type, std::mt19937* random) {
  Tensor t = *Tensor::Create(type.dtype, type.shape);
  const double inf = std::numeric_limits<double>::infinity();
  const double kSpecial[] = {-0.0, std::nan(""), inf, -inf, 0.0, 1.0};
  std::uniform_real_distribution<double> uniform(-4, 4);
  for (int64_t i = 0; i < t.size(); ++i) {
    const bool special = t.size() >= 6 && (*random)() % 3 == 0;
    if (tensor::IsComplex(type.dtype)) {
      t.SetComplex(i, {uniform(*random), uniform(*random)});
    } else if (tensor::IsFloat(type.dtype)) {
      t.SetDouble(i, special ? kSpecial[(*random)() % 6] : uniform(*random));
    } else if (type.dtype == DType::kBool) {
      t.SetInt(i, static_cast<int64_t>((*random)() % 2));
    } else {
      t.SetInt(
          i, special ? static_cast<int64_t>((*random)()) : static_cast<int64_t>(uniform(*random)));
    }
  }
  return t;
}

std::vector<Tensor> SampleInputs(const Module& module, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Tensor> inputs;
  for (const TensorType& t : (*module.Entry())->input_types()) inputs.push_back(Sample(t, &random));
  return inputs;
}

struct Outcome {
  Module module;
  std::map<std::string_view, uint64_t> counts;
  std::vector<PassRecord> records;
};

// The module after each pass that changed it is valid.
void CheckRecords(const std::vector<PassRecord>& records) {
  for (const PassRecord& r : records) {
    if (r.text_after.empty()) continue;
    const auto module = stablehlo::ParseModule(r.text_after);
    ASSERT_TRUE(module.ok()) << r.name << ": " << module.status().ToString() << r.text_after;
    const Status valid = stablehlo::Verify(*module);
    EXPECT_TRUE(valid.ok()) << r.name << ": " << valid.ToString() << r.text_after;
  }
}

// Runs the passes and compares results, bit by bit if the options allow nothing else.
Outcome CheckPasses(const Module& module, PassOptions options = {}) {
  Outcome out;
  out.module = module;
  options.rule_counts = &out.counts;
  options.record_text = true;
  const auto records = RunPasses(&out.module, options);
  EXPECT_TRUE(records.ok()) << records.status().ToString();
  if (records.ok()) out.records = *records;
  CheckRecords(out.records);
  const Status valid = stablehlo::Verify(out.module);
  EXPECT_TRUE(valid.ok()) << valid.ToString() << "\n" << stablehlo::PrintModule(module);
  if (!valid.ok()) return out;
  const double tolerance = options.allow_reassociation || options.allow_reordering ? 2e-6 : 0;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const std::vector<Tensor> inputs = SampleInputs(module, seed);
    const auto want = stablehlo::Evaluate(module, inputs);
    const auto got = stablehlo::Evaluate(out.module, inputs);
    EXPECT_TRUE(want.ok()) << want.status().ToString();
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    if (!want.ok() || !got.ok()) return out;
    for (size_t i = 0; i < want->size(); ++i) {
      EXPECT_EQ(stablehlo::Difference((*got)[i], (*want)[i], tolerance, tolerance), "")
          << "output " << i << "\nbefore\n"
          << stablehlo::PrintModule(module) << "\nafter\n"
          << stablehlo::PrintModule(out.module);
    }
  }
  return out;
}

size_t CountOps(const Module& module, std::string_view name) {
  size_t count = 0;
  for (const auto& func : module.funcs()) {
    stablehlo::ForEachOp(func.body, [&](const stablehlo::Op& op) { count += op.name() == name; });
  }
  return count;
}

std::vector<PassCase> AllCases() {
  std::vector<PassCase> all;
  for (const auto cases :
       {ArithmeticCases(), ShapeCases(), ControlCases(), LayoutCases(), KernelCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

std::vector<Rule> AllRules() {
  std::vector<Rule> all;
  for (const auto rules :
       {ArithmeticRules(), BooleanRules(), ConvertRules(), ShapeRules(), SliceRules(), IndexRules(),
        ReductionRules(), ControlRules(), LayoutRules(), DotRules(), StrengthRules(), TypeRules(),
        BodyRules(), SortRules()}) {
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

const Rule* FindRule(const std::vector<Rule>& rules, std::string_view name) {
  for (const Rule& r : rules) {
    if (r.name == name) return &r;
  }
  return nullptr;
}

class RuleTest : public testing::TestWithParam<PassCase> {};

TEST_P(RuleTest, FiresAndKeepsResults) {
  const std::vector<Rule> rules = AllRules();
  const Rule* rule = FindRule(rules, GetParam().rule);
  ASSERT_NE(rule, nullptr) << GetParam().rule;
  PassOptions options;
  options.allow_reordering = rule->keeps == Keeps::kTerms;
  options.allow_reassociation = rule->keeps == Keeps::kValue;
  const Outcome out = CheckPasses(ParseMain(GetParam().program), options);
  EXPECT_GT(out.counts.count(GetParam().rule), 0u) << stablehlo::PrintModule(out.module);
}

INSTANTIATE_TEST_SUITE_P(Rules, RuleTest, testing::ValuesIn(AllCases()),
                         [](const auto& info) { return StrCat(info.param.rule, "_", info.index); });

// Rules that Canonicalize leaves no work for, other rules do; and one with a test of its own.
const std::set<std::string_view> kTestedElsewhere = {"convert_nothing", "bitcast_nothing",
                                                     "real_of_real", "annotation"};

TEST(RuleListTest, EveryRuleHasACase) {
  std::set<std::string_view> tested;
  for (const PassCase& c : AllCases()) tested.insert(c.rule);
  for (const Rule& rule : AllRules()) {
    if (kTestedElsewhere.contains(rule.name)) continue;
    EXPECT_TRUE(tested.contains(rule.name)) << rule.name;
  }
}

// A call whose target no evaluator knows.
TEST(AnnotationTest, IsRemoved) {
  Module module = ParseMain(R"((%x: tensor<4xf32>) -> tensor<4xf32> {
    %r = stablehlo.custom_call @annotate_device_placement(%x) {has_side_effect = true} : (tensor<4xf32>) -> tensor<4xf32>
    return %r : tensor<4xf32> })");
  ASSERT_TRUE(RunPasses(&module, {}).ok());
  EXPECT_EQ(CountOps(module, "stablehlo.custom_call"), 0u);
}

TEST(MergeEqualTest, MergesExchangedOperandsAndEqualRegions) {
  const Outcome out = CheckPasses(ParseMain(R"((%x: tensor<4xf32>, %y: tensor<4xf32>)
      -> (tensor<4xf32>, tensor<4xf32>) {
    %a = stablehlo.add %x, %y : tensor<4xf32>
    %b = stablehlo.add %y, %x : tensor<4xf32>
    %c = stablehlo.tanh %a : tensor<4xf32>
    %d = stablehlo.tanh %b : tensor<4xf32>
    return %c, %d : tensor<4xf32>, tensor<4xf32> })"));
  EXPECT_EQ(CountOps(out.module, "stablehlo.tanh"), 1u);
}

TEST(FoldConstantsTest, FoldsWithinTheBudgetOnly) {
  const Module module = ParseMain(R"(() -> tensor<4xi32> {
    %a = stablehlo.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
    %b = stablehlo.reverse %a, dims = [0] : tensor<4xi32>
    %c = stablehlo.multiply %a, %b : tensor<4xi32>
    return %c : tensor<4xi32> })");
  EXPECT_EQ(CountOps(CheckPasses(module).module, "stablehlo.multiply"), 0u);
  EXPECT_EQ(CountOps(CheckPasses(module, {.fold_budget_bytes = 32}).module, "stablehlo.multiply"),
            1u);
}

// --- loops ---

// for (i = 0; i < 5; ++i) x = x * 2 + w, with a value that only passes through and one nobody
// reads; `index` is select(i < 0, i + 5, i).
constexpr std::string_view kScan = R"((%x: tensor<8xf32>, %w: tensor<5x8xf32>, %v: tensor<8xf32>)
    -> (tensor<8xf32>, tensor<8xf32>) {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %r:5 = stablehlo.while(%i = %zero, %a = %x, %ws = %w, %pass = %v, %unread = %x)
      : tensor<i32>, tensor<8xf32>, tensor<5x8xf32>, tensor<8xf32>, tensor<8xf32>
    cond {
      %five = stablehlo.constant dense<5> : tensor<i32>
      %p = stablehlo.compare LT, %i, %five, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %p : tensor<i1>
    } do {
      %five = stablehlo.constant dense<5> : tensor<i32>
      %none = stablehlo.constant dense<0> : tensor<i32>
      %one = stablehlo.constant dense<1> : tensor<i32>
      %negative = stablehlo.compare LT, %i, %none, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      %wrapped = stablehlo.add %i, %five : tensor<i32>
      %index = stablehlo.select %negative, %wrapped, %i : tensor<i1>, tensor<i32>
      %slice = stablehlo.dynamic_slice %ws, %index, %none, sizes = [1, 8] : (tensor<5x8xf32>, tensor<i32>, tensor<i32>) -> tensor<1x8xf32>
      %row = stablehlo.reshape %slice : (tensor<1x8xf32>) -> tensor<8xf32>
      %invariant = stablehlo.tanh %pass : tensor<8xf32>
      %b = stablehlo.multiply %a, %invariant : tensor<8xf32>
      %c = stablehlo.add %b, %row : tensor<8xf32>
      %d = stablehlo.sine %unread : tensor<8xf32>
      %j = stablehlo.add %i, %one : tensor<i32>
      stablehlo.return %j, %c, %ws, %pass, %d : tensor<i32>, tensor<8xf32>, tensor<5x8xf32>, tensor<8xf32>, tensor<8xf32>
    }
  return %r#1, %r#3 : tensor<8xf32>, tensor<8xf32> })";

const stablehlo::Op* FindOp(const stablehlo::Region& region, std::string_view name) {
  const stablehlo::Op* found = nullptr;
  stablehlo::ForEachOp(region, [&](const stablehlo::Op& op) {
    if (found == nullptr && op.name() == name) found = &op;
  });
  return found;
}

TEST(LoopTest, CarriesOnlyWhatChangesAndIsRead) {
  const Outcome out = CheckPasses(ParseMain(kScan));
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  EXPECT_EQ(loop->operands.size(), 2u);
  EXPECT_EQ(CountOps(out.module, "stablehlo.sine"), 0u);
}

TEST(LoopTest, MovesInvariantsOut) {
  const Outcome out = CheckPasses(ParseMain(kScan));
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  EXPECT_EQ(CountOps(out.module, "stablehlo.tanh"), 1u);
  EXPECT_EQ(FindOp(loop->regions[1], "stablehlo.tanh"), nullptr);
}

TEST(LoopTest, CountsTurns) {
  const Outcome out = CheckPasses(ParseMain(kScan));
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  ASSERT_TRUE(loop->attr(kTripCountAttr).present());
  EXPECT_EQ(loop->attr(kTripCountAttr).AsInt(), 5);
  EXPECT_EQ(loop->attr(kInductionAttr).AsInt(), 0);
  EXPECT_EQ(loop->attr(kInductionStartAttr).AsInt(), 0);
  EXPECT_EQ(loop->attr(kInductionStepAttr).AsInt(), 1);
}

TEST(LoopTest, KnowsThatIndicesAreNotNegative) {
  const Outcome out = CheckPasses(ParseMain(kScan));
  EXPECT_EQ(CountOps(out.module, "stablehlo.select"), 0u);
  EXPECT_EQ(CountOps(out.module, "stablehlo.compare"), 1u);
}

// A loop that counts from `start` by `step` while the counter is `direction` than `bound`.
Module CountingLoop(std::string_view type, int64_t start, int64_t step, std::string_view direction,
                    int64_t bound) {
  const std::string t = StrCat("tensor<", type, ">");
  return ParseMain(StrCat(R"((%x: tensor<8xi32>) -> (tensor<8xi32>, )", t, R"() {
    %start = stablehlo.constant dense<)",
                          start, "> : ", t, R"(
    %step = stablehlo.constant dense<)",
                          step, "> : ", t, R"(
    %bound = stablehlo.constant dense<)",
                          bound, "> : ", t, R"(
    %r:2 = stablehlo.while(%i = %start, %a = %x) : )",
                          t, R"(, tensor<8xi32>
      cond {
        %p = stablehlo.compare )",
                          direction, ", %i, %bound : (", t, ", ", t, R"() -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %b = stablehlo.add %a, %a : tensor<8xi32>
        %j = stablehlo.add %i, %step : )",
                          t, R"(
        stablehlo.return %j, %b : )",
                          t, R"(, tensor<8xi32>
      }
    return %r#1, %r#0 : tensor<8xi32>, )",
                          t, " }"));
}

int64_t TripCount(const Module& module) {
  const stablehlo::Op* loop = FindOp((*module.Entry())->body, "stablehlo.while");
  if (loop == nullptr) return 0;
  return loop->attr(kTripCountAttr).present() ? loop->attr(kTripCountAttr).AsInt() : -1;
}

TEST(LoopTest, CountsAllForms) {
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i32", 0, 3, "LT", 10), {.unrolled_ops = 0}).module),
            4);
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i32", 0, 3, "LE", 9), {.unrolled_ops = 0}).module),
            4);
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i32", 0, 3, "NE", 9), {.unrolled_ops = 0}).module),
            3);
  EXPECT_EQ(
      TripCount(CheckPasses(CountingLoop("i32", 5, -2, "GT", -4), {.unrolled_ops = 0}).module), 5);
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i8", 5, -2, "GE", 0), {.unrolled_ops = 0}).module),
            3);
  EXPECT_EQ(
      TripCount(CheckPasses(CountingLoop("ui8", 5, 2, "LT", 250), {.unrolled_ops = 0}).module),
      123);
}

TEST(LoopTest, ReplacesLoopsOfNoOrOneTurn) {
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i32", 0, 1, "LT", 0), {.unrolled_ops = 0}).module),
            0);
  EXPECT_EQ(TripCount(CheckPasses(CountingLoop("i32", 0, 1, "LT", 1), {.unrolled_ops = 0}).module),
            0);
}

TEST(LoopTest, DoesNotCountPastTheEndOfTheType) {
  // 124 + 3 = 127, then -126: more turns than the distance says.
  EXPECT_EQ(
      TripCount(CheckPasses(CountingLoop("i8", 118, 3, "LT", 126), {.unrolled_ops = 0}).module), 3);
  EXPECT_EQ(
      TripCount(CheckPasses(CountingLoop("i8", 119, 3, "LE", 126), {.unrolled_ops = 0}).module),
      -1);
}

TEST(LoopTest, MergesCountersThatGoTogether) {
  const Outcome out = CheckPasses(ParseMain(R"((%x: tensor<8xi32>) -> tensor<8xi32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %bound = stablehlo.constant dense<4> : tensor<i32>
    %r:3 = stablehlo.while(%i = %zero, %k = %zero, %a = %x) : tensor<i32>, tensor<i32>, tensor<8xi32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %w = stablehlo.broadcast_in_dim %k, dims = [] : (tensor<i32>) -> tensor<8xi32>
        %b = stablehlo.add %a, %w : tensor<8xi32>
        %j = stablehlo.add %i, %one : tensor<i32>
        %l = stablehlo.add %k, %one : tensor<i32>
        stablehlo.return %j, %l, %b : tensor<i32>, tensor<i32>, tensor<8xi32>
      }
    return %r#2 : tensor<8xi32> })"),
                                  {.unrolled_ops = 0});
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  EXPECT_EQ(loop->operands.size(), 2u);
}

// min(c, x) is c where a part of x is NaN, min(x, c) is x.
TEST(RunPassesTest, KeepsOperandsOfComplexMinimaInOrder) {
  const Outcome out =
      CheckPasses(ParseMain(R"((%x: tensor<8xcomplex<f32>>) -> tensor<8xcomplex<f32>> {
    %c = stablehlo.constant dense<(1.0, 2.0)> : tensor<8xcomplex<f32>>
    %r = stablehlo.minimum %c, %x : tensor<8xcomplex<f32>>
    return %r : tensor<8xcomplex<f32>> })"));
  const stablehlo::Op* op = FindOp((*out.module.Entry())->body, "stablehlo.minimum");
  ASSERT_NE(op, nullptr);
  EXPECT_EQ(op->operands[1], (*out.module.Entry())->body.args[0]);
}

TEST(LoopTest, WritesOutShortLoopsOfWhatFuses) {
  const Outcome out = CheckPasses(CountingLoop("i32", 0, 3, "LT", 10));
  EXPECT_EQ(CountOps(out.module, "stablehlo.while"), 0u);
  EXPECT_EQ(CountOps(out.module, "stablehlo.add"), 4u);
}

TEST(LoopTest, KeepsLoopsOfManyTurns) {
  const Outcome out = CheckPasses(CountingLoop("i32", 0, 1, "LT", 100));
  EXPECT_EQ(CountOps(out.module, "stablehlo.while"), 1u);
}

// for (i = 0; i < 5; ++i) x[i] = y: written at a position that is known to be inside.
TEST(LoopTest, UpdatesWhatAScatterWritesInside) {
  const Outcome out =
      CheckPasses(ParseMain(R"((%x: tensor<5x8xf32>, %y: tensor<8xf32>) -> tensor<5x8xf32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %bound = stablehlo.constant dense<5> : tensor<i32>
    %r:3 = stablehlo.while(%i = %zero, %a = %x, %c = %y) : tensor<i32>, tensor<5x8xf32>, tensor<8xf32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %negative = stablehlo.compare LT, %i, %zero : (tensor<i32>, tensor<i32>) -> tensor<i1>
        %wrapped = stablehlo.add %i, %bound : tensor<i32>
        %index = stablehlo.select %negative, %wrapped, %i : tensor<i1>, tensor<i32>
        %at = stablehlo.broadcast_in_dim %index, dims = [] : (tensor<i32>) -> tensor<1xi32>
        %b = "stablehlo.scatter"(%a, %at, %c) <{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [0], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({
          ^bb0(%e: tensor<f32>, %f: tensor<f32>):
            stablehlo.return %f : tensor<f32>
          }) : (tensor<5x8xf32>, tensor<1xi32>, tensor<8xf32>) -> tensor<5x8xf32>
        %d = stablehlo.sine %c : tensor<8xf32>
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %b, %d : tensor<i32>, tensor<5x8xf32>, tensor<8xf32>
      }
    return %r#1 : tensor<5x8xf32> })"));
  EXPECT_EQ(CountOps(out.module, "stablehlo.scatter"), 0u);
  EXPECT_EQ(CountOps(out.module, "stablehlo.dynamic_update_slice"), 1u);
}

TEST(LoopTest, HoistsOutOfNestedLoopsAndCountsBoth) {
  const Outcome out =
      CheckPasses(ParseMain(R"((%x: tensor<8xf32>, %y: tensor<8x8xf32>) -> tensor<8xf32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %bound = stablehlo.constant dense<3> : tensor<i32>
    %r:3 = stablehlo.while(%i = %zero, %a = %x, %m = %y) : tensor<i32>, tensor<8xf32>, tensor<8x8xf32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %s:3 = stablehlo.while(%k = %zero, %b = %a, %n = %m) : tensor<i32>, tensor<8xf32>, tensor<8x8xf32>
          cond {
            %p = stablehlo.compare LT, %k, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
            stablehlo.return %p : tensor<i1>
          } do {
            %e = stablehlo.tanh %n : tensor<8x8xf32>
            %c = stablehlo.dot_general %e, %b, contracting_dims = [1] x [0] : (tensor<8x8xf32>, tensor<8xf32>) -> tensor<8xf32>
            %l = stablehlo.add %k, %one : tensor<i32>
            stablehlo.return %l, %c, %n : tensor<i32>, tensor<8xf32>, tensor<8x8xf32>
          }
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %s#1, %s#2 : tensor<i32>, tensor<8xf32>, tensor<8x8xf32>
      }
    return %r#1 : tensor<8xf32> })"));
  const auto& ops = (*out.module.Entry())->body.ops;
  EXPECT_TRUE(
      std::ranges::any_of(ops, [](const auto& op) { return op.name() == "stablehlo.tanh"; }));
  size_t counted = 0;
  stablehlo::ForEachOp((*out.module.Entry())->body, [&](const stablehlo::Op& op) {
    counted += op.attr(kTripCountAttr).present();
  });
  EXPECT_EQ(counted, 2u);
}

// for (i = 0; i < 5; ++i) x = tanh(x + w . rows[4 - i]): one product of all rows.
TEST(LoopTest, MultipliesAllRowsBefore) {
  const Module module = ParseMain(
      R"((%x: tensor<6xf32>, %rows: tensor<3x5x2xf32>, %w: tensor<6x2x3xf32>) -> tensor<6xf32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %last = stablehlo.constant dense<4> : tensor<i32>
    %bound = stablehlo.constant dense<5> : tensor<i32>
    %r:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<6xf32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %at = stablehlo.subtract %last, %i : tensor<i32>
        %s = stablehlo.dynamic_slice %rows, %zero, %at, %zero, sizes = [3, 1, 2] : (tensor<3x5x2xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3x1x2xf32>
        %row = stablehlo.reshape %s : (tensor<3x1x2xf32>) -> tensor<3x2xf32>
        %d = stablehlo.dot_general %w, %row, contracting_dims = [1, 2] x [1, 0] : (tensor<6x2x3xf32>, tensor<3x2xf32>) -> tensor<6xf32>
        %b = stablehlo.add %a, %d : tensor<6xf32>
        %c = stablehlo.tanh %b : tensor<6xf32>
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %c : tensor<i32>, tensor<6xf32>
      }
    return %r#1 : tensor<6xf32> })");
  const Outcome out = CheckPasses(module);
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  EXPECT_EQ(FindOp(loop->regions[1], "stablehlo.dot_general"), nullptr);
  EXPECT_EQ(CountOps(out.module, "stablehlo.dot_general"), 1u);
  const Outcome exact = CheckPasses(module, {.allow_reordering = false});
  const stablehlo::Op* same = FindOp((*exact.module.Entry())->body, "stablehlo.while");
  EXPECT_NE(FindOp(same->regions[1], "stablehlo.dot_general"), nullptr);
}

// for (i = 0; i < 40; ++i) h = tanh(h + x[i] w + y[39 - i] w): the products of all turns would take
// 160 KiB, so those of eight turns at a time are made, in a loop around.
TEST(LoopTest, MakesProductsOfSomeRowsAtATime) {
  const Module module = ParseMain(
      R"((%x: tensor<40x3xf32>, %y: tensor<40x3xf32>, %w: tensor<3x512xf32>, %h: tensor<512xf32>) -> tensor<512xf32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %last = stablehlo.constant dense<39> : tensor<i32>
    %bound = stablehlo.constant dense<40> : tensor<i32>
    %r:2 = stablehlo.while(%i = %zero, %a = %h) : tensor<i32>, tensor<512xf32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %s = stablehlo.dynamic_slice %x, %i, %zero, sizes = [1, 3] : (tensor<40x3xf32>, tensor<i32>, tensor<i32>) -> tensor<1x3xf32>
        %row = stablehlo.reshape %s : (tensor<1x3xf32>) -> tensor<3xf32>
        %d = stablehlo.dot_general %row, %w, contracting_dims = [0] x [0] : (tensor<3xf32>, tensor<3x512xf32>) -> tensor<512xf32>
        %back = stablehlo.subtract %last, %i : tensor<i32>
        %t = stablehlo.dynamic_slice %y, %back, %zero, sizes = [1, 3] : (tensor<40x3xf32>, tensor<i32>, tensor<i32>) -> tensor<1x3xf32>
        %other = stablehlo.reshape %t : (tensor<1x3xf32>) -> tensor<3xf32>
        %e = stablehlo.dot_general %other, %w, contracting_dims = [0] x [0] : (tensor<3xf32>, tensor<3x512xf32>) -> tensor<512xf32>
        %b = stablehlo.add %a, %d : tensor<512xf32>
        %f = stablehlo.add %b, %e : tensor<512xf32>
        %c = stablehlo.tanh %f : tensor<512xf32>
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %c : tensor<i32>, tensor<512xf32>
      }
    return %r#1 : tensor<512xf32> })");
  const Outcome out = CheckPasses(module);
  const stablehlo::Op* outer = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(outer, nullptr);
  EXPECT_EQ(outer->attr("megalith.trip_count").AsInt(), 5);
  const stablehlo::Op* inner = FindOp(outer->regions[1], "stablehlo.while");
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->attr("megalith.trip_count").AsInt(), 8);
  EXPECT_EQ(FindOp(inner->regions[1], "stablehlo.dot_general"), nullptr);
  EXPECT_NE(FindOp(outer->regions[1], "stablehlo.dot_general"), nullptr);
  EXPECT_EQ(CountOps(out.module, "stablehlo.dot_general"), 2u);
}

// for (i = 0; i < 5; ++i) { h = tanh(h) * x[4 - i]; g += h (x) x[4 - i]; }: one product after it.
TEST(LoopTest, AddsUpOuterProductsAfter) {
  const Module module = ParseMain(
      R"((%x: tensor<5x6xf32>, %h: tensor<6xf32>, %g: tensor<6x6xf32>) -> (tensor<6x6xf32>, tensor<6xf32>) {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %last = stablehlo.constant dense<4> : tensor<i32>
    %bound = stablehlo.constant dense<5> : tensor<i32>
    %r:3 = stablehlo.while(%i = %zero, %a = %h, %sum = %g) : tensor<i32>, tensor<6xf32>, tensor<6x6xf32>
      cond {
        %p = stablehlo.compare LT, %i, %bound : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %at = stablehlo.subtract %last, %i : tensor<i32>
        %s = stablehlo.dynamic_slice %x, %at, %zero, sizes = [1, 6] : (tensor<5x6xf32>, tensor<i32>, tensor<i32>) -> tensor<1x6xf32>
        %row = stablehlo.reshape %s : (tensor<1x6xf32>) -> tensor<6xf32>
        %t = stablehlo.tanh %a : tensor<6xf32>
        %b = stablehlo.multiply %t, %row : tensor<6xf32>
        %d = stablehlo.dot_general %b, %row, contracting_dims = [] x [] : (tensor<6xf32>, tensor<6xf32>) -> tensor<6x6xf32>
        %e = stablehlo.add %sum, %d : tensor<6x6xf32>
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %b, %e : tensor<i32>, tensor<6xf32>, tensor<6x6xf32>
      }
    return %r#2, %r#1 : tensor<6x6xf32>, tensor<6xf32> })");
  const Outcome out = CheckPasses(module);
  EXPECT_EQ(CountOps(out.module, "stablehlo.dot_general"), 1u);
  const stablehlo::Op* loop = FindOp((*out.module.Entry())->body, "stablehlo.while");
  ASSERT_NE(loop, nullptr);
  EXPECT_EQ(FindOp(loop->regions[1], "stablehlo.dot_general"), nullptr);
  EXPECT_EQ(loop->operands.size(), 3u);
  EXPECT_EQ(loop->attr(kTripCountAttr).AsInt(), 5);
}

// --- programs ---

// Programs that JAX made, and every op over dtypes and special values: what the reference evaluator
// gives stays, up to the order of sums.
void CheckAgainst(const Module& parsed, const std::vector<Tensor>& inputs) {
  const auto canonical = stablehlo::Canonicalize(parsed);
  ASSERT_TRUE(canonical.ok()) << canonical.status().ToString();
  for (const bool reorder : {false, true}) {
    Module after = *canonical;
    const auto records = RunPasses(&after, {.allow_reordering = reorder, .record_text = true});
    ASSERT_TRUE(records.ok());
    CheckRecords(*records);
    const Status valid = stablehlo::Verify(after);
    ASSERT_TRUE(valid.ok()) << valid.ToString();
    const auto want = stablehlo::Evaluate(*canonical, inputs);
    const auto got = stablehlo::Evaluate(after, inputs);
    ASSERT_EQ(want.ok(), got.ok()) << want.status().ToString() << got.status().ToString();
    if (!want.ok()) continue;
    const double tolerance = reorder ? 1e-5 : 0;
    for (size_t i = 0; i < want->size(); ++i) {
      EXPECT_EQ(stablehlo::Difference((*got)[i], (*want)[i], tolerance, tolerance), "")
          << "output " << i << "\n"
          << stablehlo::PrintModule(*canonical) << "\n"
          << stablehlo::PrintModule(after);
    }
  }
}

const std::string kFixtures = std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";
const std::string kCaseFiles = std::string(MEGALITH_SOURCE_DIR) + "/conformance/cases/stablehlo/";

TEST(JaxProgramsTest, KeepTheirResults) {
  for (const std::string& name : stablehlo::NamesIn(kFixtures, ".json")) {
    SCOPED_TRACE(name);
    const auto c =
        stablehlo::ParseNumericCase(stablehlo::ReadFileOrFail(kFixtures + name + ".json"));
    const auto module =
        stablehlo::ParseModule(stablehlo::ReadFileOrFail(kFixtures + name + ".txt"));
    ASSERT_TRUE(module.ok());
    CheckAgainst(*module, c.inputs);
  }
}

class CaseFileTest : public testing::TestWithParam<std::string> {};

TEST_P(CaseFileTest, KeepsItsResults) {
  for (const auto& c : stablehlo::ReadCaseFile(kCaseFiles + GetParam() + ".case")) {
    SCOPED_TRACE(c.name);
    const auto module = stablehlo::ParseModule(c.program);
    ASSERT_TRUE(module.ok());
    CheckAgainst(*module, c.numbers.inputs);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, CaseFileTest,
                         testing::ValuesIn(stablehlo::NamesIn(kCaseFiles, ".case")),
                         [](const auto& info) { return info.param; });

TEST(RunPassesTest, ReportsTextIfAsked) {
  const Module module = ParseMain(R"((%x: tensor<4xi32>) -> tensor<4xi32> {
    %a = stablehlo.constant dense<0> : tensor<4xi32>
    %c = stablehlo.add %x, %a : tensor<4xi32>
    return %c : tensor<4xi32> })");
  const Outcome out = CheckPasses(module);
  ASSERT_FALSE(out.records.empty());
  EXPECT_EQ(out.records[0].name, "simplify");
  EXPECT_GT(out.records[0].rewrites, 0u);
  EXPECT_LT(out.records[0].ops_after, out.records[0].ops_before);
  EXPECT_NE(out.records[0].text_after.find("return %arg0"), std::string::npos);
}

TEST(RunPassesTest, StopsWhenCancelled) {
  Module module = ParseMain(R"((%x: tensor<4xi32>) -> tensor<4xi32> {
    return %x : tensor<4xi32> })");
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_EQ(RunPasses(&module, {.cancellation = &cancellation}).status().code(), Code::kCancelled);
  EXPECT_TRUE(stablehlo::Verify(module).ok());
}

}  // namespace
}  // namespace megalith::codegen
