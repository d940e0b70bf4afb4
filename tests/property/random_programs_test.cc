// Random programs on every backend, and the machinery that judges them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/printer.h"
#include "tests/property/agreement.h"
#include "tests/property/movement.h"
#include "tests/property/perturbed.h"
#include "tests/property/random_trace.h"
#include "tests/property/shrink.h"

namespace megalith::property {
namespace {

constexpr uint64_t kFirstSeed = 20250101;
constexpr uint64_t kPrograms = 300;

RandomProgram ProgramOrFail(uint64_t seed) {
  auto program = MakeRandomProgram(seed);
  EXPECT_TRUE(program.ok()) << program.status().ToString();
  return program.ok() ? *std::move(program) : RandomProgram();
}

TEST(RandomProgramsTest, EveryBackendAgreesWithTheEvaluator) {
  const std::vector<Engine> engines = AllEngines();
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kPrograms; ++seed) {
    const auto program = MakeAnyProgram(seed);
    ASSERT_TRUE(program.ok()) << program.status().ToString();
    const auto d = Check(*program, engines);
    ASSERT_FALSE(d) << "seed " << seed << ": " << d->engine << ": " << d->message
                    << "\nshrink it with: random_programs --count 1 --seed " << seed;
  }
}

TEST(RandomProgramsTest, OneSeedGivesOneProgram) {
  const RandomProgram a = ProgramOrFail(7), b = ProgramOrFail(7);
  EXPECT_EQ(stablehlo::PrintModule(a.module), stablehlo::PrintModule(b.module));
  ASSERT_EQ(a.inputs.size(), b.inputs.size());
  for (size_t i = 0; i < a.inputs.size(); ++i) EXPECT_TRUE(a.inputs[i].BitEquals(b.inputs[i]));
}

bool Concerns(const stablehlo::OpDef& def) {
  if (def.prepare == nullptr && def.span == nullptr) return false;
  // Numbers nobody can foresee, an annotation that carries no meaning, and what several devices do.
  constexpr std::string_view kOthers[] = {"stablehlo.rng", "sdy.sharding_constraint",
                                          "sdy.manual_computation"};
  return std::find(std::begin(kOthers), std::end(kOthers), def.name) == std::end(kOthers);
}

TEST(RandomProgramsTest, EveryOperationAndDTypeOccurs) {
  std::set<std::string_view> ops;
  std::set<DType> dtypes;
  bool empty = false, large = false, high = false;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    const RandomProgram program = ProgramOrFail(seed);
    for (const stablehlo::Func& func : program.module.funcs()) {
      stablehlo::ForEachOp(func.body, [&](const stablehlo::Op& op) { ops.insert(op.name()); });
      for (const auto& t : func.types) {
        dtypes.insert(t.dtype);
        empty = empty || stablehlo::ElementCount(t) == 0;
        large = large || stablehlo::ElementCount(t) > 1'000'000;
        high = high || t.rank() > 6;
      }
    }
  }
  for (const stablehlo::OpDef* def : stablehlo::AllOps()) {
    if (!Concerns(*def)) continue;
    EXPECT_TRUE(ops.contains(def->name)) << def->name;
  }
  for (int d = 1; d < static_cast<int>(DType::kFloat0); ++d) {
    EXPECT_TRUE(dtypes.contains(static_cast<DType>(d))) << tensor::Name(static_cast<DType>(d));
  }
  EXPECT_TRUE(empty);
  EXPECT_TRUE(large);
  EXPECT_TRUE(high);
}

// Results moved as far as an inexact operation may be off are right answers.
TEST(ExpectationTest, AcceptsOtherRightAnswers) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 150; ++seed) {
    const RandomProgram program = ProgramOrFail(seed);
    auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    auto other = *PerturbedProgram::Create(program.module);
    const auto answer = other.Run(program.inputs, 1001, 1.0);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    for (size_t i = 0; i < answer->size(); ++i) {
      if (expectation->Difference(i, (*answer)[i]).empty()) continue;
      ASSERT_TRUE(expectation->Widen(program, 64, 2).ok());
      EXPECT_EQ(expectation->Difference(i, (*answer)[i]), "") << "seed " << seed;
    }
  }
}

// Adds 1000 units in the last place (integers: 1; booleans: the other one) to one element.
Tensor Spoilt(const Tensor& t, int64_t i) {
  Tensor out = t;
  EXPECT_TRUE(out.MakeUnique().ok());
  if (tensor::IsBool(t.dtype()) || tensor::IsInteger(t.dtype())) {
    out.SetInt(i, t.IntAt(i) == 0 ? 1 : 0);
  } else if (tensor::IsComplex(t.dtype())) {
    const auto z = t.ComplexAt(i);
    const DType part = tensor::RealPart(t.dtype());
    out.SetComplex(i, {z.real() + 1000 * UlpOf(std::abs(z), part), z.imag()});
  } else {
    const double v = t.DoubleAt(i);
    out.SetDouble(i, std::isfinite(v) ? v + 1000 * UlpOf(v, t.dtype()) : 0);
  }
  return out;
}

TEST(ExpectationTest, RejectsMostWrongAnswers) {
  int spoilt = 0, found = 0;
  Rng rng(5);
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kPrograms; ++seed) {
    const RandomProgram program = ProgramOrFail(seed);
    const auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    for (size_t i = 0; i < expectation->outputs().size(); ++i) {
      const Tensor& t = expectation->outputs()[i];
      if (t.size() == 0) continue;
      const Tensor wrong =
          Spoilt(t, static_cast<int64_t>(rng.Below(static_cast<uint64_t>(t.size()))));
      if (wrong.BitEquals(t)) continue;
      ++spoilt;
      found += expectation->Difference(i, wrong).empty() ? 0 : 1;
    }
  }
  RecordProperty("spoilt", spoilt);
  RecordProperty("found", found);
  EXPECT_GT(found, spoilt * 9 / 10) << found << " of " << spoilt;
}

// Of [numbers..., 0, 0, ..., 2]: the element that the sum points at, and which of the sums of the
// elements and of their negatives is larger.
RandomProgram SumThatDecides(const std::vector<double>& numbers) {
  constexpr int64_t n = 100;
  stablehlo::FuncBuilder b("main");
  const stablehlo::ValueId x = b.Arg({DType::kF32, {n}});
  const stablehlo::ValueId zero = b.Scalar(DType::kF32, 0.0);
  const stablehlo::ValueId sum = b.Reduce(x, zero, {0}, "stablehlo.add");
  const stablehlo::ValueId other = b.Reduce(b.Neg(x), zero, {0}, "stablehlo.add");
  const stablehlo::ValueId starts[] = {b.Convert(sum, DType::kI32)};
  const stablehlo::ValueId pair[] = {b.Reshape(sum, {1}), b.Reshape(other, {1})};
  const auto top = b.Emit("chlo.top_k", {b.Concatenate(pair, 0)}, {{"k", stablehlo::Attr::Int(2)}});
  b.Return({b.DynamicSlice(x, starts, {1}), top[1]});
  RandomProgram out;
  EXPECT_TRUE(b.FinishInto(&out.module).ok());
  out.inputs = {*Tensor::Create(DType::kF32, {n})};
  for (size_t i = 0; i < numbers.size(); ++i) {
    out.inputs[0].SetDouble(static_cast<int64_t>(i), numbers[i]);
  }
  out.inputs[0].SetDouble(n - 1, 2);
  return out;
}

// The same answer with element 0 as another implementation may have it.
std::string WithFirst(const Expectation& expectation, size_t output, double first) {
  Tensor got = expectation.outputs()[output];
  EXPECT_TRUE(got.MakeUnique().ok());
  tensor::IsFloat(got.dtype()) ? got.SetDouble(0, first)
                               : got.SetInt(0, static_cast<int64_t>(first));
  return expectation.Difference(output, got);
}

// The sum is -inf, NaN or inf, depending on the order: the first element or the last, and either
// may be the larger.
TEST(ExpectationTest, SumsThatMayOverflowDecideEitherWay) {
  const double max = std::numeric_limits<float>::max(), inf = HUGE_VAL;
  for (const auto& numbers :
       {std::vector<double>{-max, -max, inf}, std::vector<double>{max, max, -inf},
        std::vector<double>{-max, -max, max, max}}) {
    const RandomProgram program = SumThatDecides(numbers);
    auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    ASSERT_TRUE(expectation->Widen(program, 64, 2).ok());
    EXPECT_EQ(WithFirst(*expectation, 0, numbers[0]), "");
    EXPECT_EQ(WithFirst(*expectation, 0, 2), "");
    EXPECT_EQ(WithFirst(*expectation, 1, 0), "");
    EXPECT_EQ(WithFirst(*expectation, 1, 1), "");
  }
}

// One part of a complex number counts though the other is infinite: max + max + -inf is NaN if the
// first two are added first. A sum that stays small has one answer.
TEST(ExpectationTest, PartsOfComplexSumsMayOverflow) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const double large : {std::numeric_limits<double>::max(), 1.0}) {
    stablehlo::FuncBuilder b("main");
    const stablehlo::ValueId x = b.Arg({DType::kC128, {3}});
    const stablehlo::TensorType scalar = stablehlo::TensorType::Scalar(DType::kC128);
    b.Return({b.Reduce(x, b.Splat(scalar, 0), {0}, "stablehlo.add")});
    RandomProgram program;
    ASSERT_TRUE(b.FinishInto(&program.module).ok());
    program.inputs = {*Tensor::Create(DType::kC128, {3})};
    program.inputs[0].SetComplex(0, {-kInf, large});
    program.inputs[0].SetComplex(1, {0, large});
    program.inputs[0].SetComplex(2, {0, -kInf});
    const auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    Tensor other = *Tensor::Create(DType::kC128, {});
    other.SetComplex(0, {-kInf, -kInf});
    const bool minus_infinity = expectation->Difference(0, other).empty();
    other.SetComplex(0, {-kInf, std::numeric_limits<double>::quiet_NaN()});
    const bool nan = expectation->Difference(0, other).empty();
    EXPECT_TRUE(minus_infinity);
    EXPECT_EQ(nan, large != 1.0);
  }
}

// Of the sign of a NaN that arithmetic gives, in every type that has one.
TEST(ExpectationTest, SignsOfNansAreOpen) {
  for (const DType dtype : {DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3FN, DType::kF8E4M3FNUZ,
                            DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const int bits = tensor::BitWidth(dtype);
    const DType word = bits == 8    ? DType::kU8
                       : bits == 16 ? DType::kU16
                       : bits == 32 ? DType::kU32
                                    : DType::kU64;
    stablehlo::FuncBuilder b("main");
    const stablehlo::ValueId x = b.Arg({dtype, {1}});
    const stablehlo::ValueId sum = b.Add(x, x);
    const stablehlo::ValueId sign = b.ShiftRightLogical(
        b.BitcastConvert(sum, {word, {1}}), b.Splat(stablehlo::TensorType{word, {1}}, bits - 1));
    b.Return({sign});
    RandomProgram program;
    ASSERT_TRUE(b.FinishInto(&program.module).ok());
    program.inputs = {*Tensor::Create(dtype, {1})};
    program.inputs[0].SetDouble(0, std::numeric_limits<double>::quiet_NaN());
    const auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    const bool has_sign = dtype != DType::kF8E4M3FNUZ;
    Tensor other = expectation->outputs()[0];
    ASSERT_TRUE(other.MakeUnique().ok());
    other.SetInt(0, 1 - other.IntAt(0));
    EXPECT_EQ(expectation->Difference(0, other).empty(), has_sign) << tensor::Name(dtype);
  }
}

TEST(ExpectationTest, OtherSumsDecideOneWay) {
  const double inf = HUGE_VAL;
  for (const auto& numbers : {std::vector<double>{-1, -1, inf}, std::vector<double>{1e30, 1e30, 1},
                              std::vector<double>{0.25, 0.5, 0.5}}) {
    const RandomProgram program = SumThatDecides(numbers);
    auto expectation = Expectation::Of(program);
    ASSERT_TRUE(expectation.ok()) << expectation.status().ToString();
    ASSERT_TRUE(expectation->Widen(program, 64, 2).ok());
    EXPECT_NE(WithFirst(*expectation, 0, numbers[0]), "");
    EXPECT_NE(WithFirst(*expectation, 1, 1), "");
  }
}

TEST(ShrinkTest, KeepsOnlyWhatFailureNeeds) {
  const auto fails = [](const RandomProgram& p) {
    bool tanh = false, product = false;
    const auto needed = stablehlo::Canonicalize(p.module);
    if (!needed.ok()) return false;
    for (const stablehlo::Op& op : (*needed->Entry())->body.ops) {
      tanh = tanh || op.name() == "stablehlo.tanh";
      product = product || op.name() == "stablehlo.dot_general";
    }
    return tanh || product;
  };
  int shrunk = 0;
  for (uint64_t seed = 1; seed <= 300 && shrunk < 10; ++seed) {
    const RandomProgram program = ProgramOrFail(seed);
    if (!fails(program)) continue;
    const RandomProgram small = Shrink(program, fails, 500);
    EXPECT_TRUE(fails(small));
    EXPECT_TRUE(stablehlo::Evaluate(small.module, small.inputs).ok());
    EXPECT_LE(small.module.CountOps(), 2u) << ProgramText(small);
    ++shrunk;
  }
  EXPECT_EQ(shrunk, 10);
}

}  // namespace
}  // namespace megalith::property
