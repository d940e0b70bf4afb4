// The evaluator beyond single answers: every row over every dtype and length, buffers, limits,
// cancellation, threads.
#include "common/programs/stablehlo/evaluate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/test_util.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {
namespace {

Module ParseOrFail(const std::string& text) {
  auto m = ParseModule(text);
  EXPECT_TRUE(m.ok()) << m.status().ToString() << "\n" << text;
  return m.ok() ? *std::move(m) : Module();
}

// --- every elementwise row ---

std::vector<DType> NumericDTypes() {
  std::vector<DType> out;
  for (int i = 1; i < tensor::kNumDTypes; ++i) {
    const auto d = static_cast<DType>(i);
    if (!tensor::MlirName(d).empty()) out.push_back(d);
  }
  return out;
}

// Moderate values that are exact in small types; booleans for predicates.
Tensor Values(const TensorType& type, int64_t salt) {
  Tensor t = *Tensor::Create(type.dtype, type.shape);
  for (int64_t i = 0; i < t.size(); ++i) {
    const auto v =
        static_cast<double>((i * 5 + salt * 3) % 7) - (tensor::IsUnsigned(type.dtype) ? 0.0 : 3.0);
    if (tensor::IsComplex(type.dtype)) {
      t.SetComplex(i, {v / 2, static_cast<double>((i + salt) % 3)});
    } else if (tensor::IsFloat(type.dtype)) {
      t.SetDouble(i, v / 2);
    } else {
      t.SetInt(i,
               type.dtype == DType::kBool ? static_cast<int64_t>(v) & 1 : static_cast<int64_t>(v));
    }
  }
  return t;
}

// Attributes that elementwise rows require.
AttrDict RequiredAttrs(const OpDef& def) {
  AttrDict attrs;
  if (def.FindAttr("comparison_direction") != nullptr)
    SetAttr(&attrs, "comparison_direction", Attr::Of(CompareDirection::kLt));
  if (def.FindAttr("exponent_bits") != nullptr) {
    SetAttr(&attrs, "exponent_bits", Attr::Int(5, DType::kI32));
    SetAttr(&attrs, "mantissa_bits", Attr::Int(3, DType::kI32));
  }
  return attrs;
}

// The op on operands of these types, or an error if it does not accept them.
Result<Module> OneOp(const OpDef& def, const std::vector<TensorType>& operands,
                     std::vector<TensorType> results) {
  FuncBuilder b("main");
  std::vector<ValueId> args;
  for (const TensorType& t : operands) args.push_back(b.Arg(t));
  b.Return(b.Emit(def.name, args, RequiredAttrs(def), std::move(results)));
  Module m;
  RETURN_IF_ERROR(b.FinishInto(&m));
  RETURN_IF_ERROR(Verify(m));
  return m;
}

// Each element of a long array is what the op gives for that element alone: no lane, chunk or
// remainder is special.
TEST(ElementwiseTest, EveryRowTreatsEveryElementAlike) {
  int programs = 0;
  for (const OpDef* def : AllOps()) {
    if (!def->has(kElementwise)) continue;
    for (const DType d : NumericDTypes()) {
      const auto types = [&](const Shape& shape) {
        std::vector<TensorType> t(static_cast<size_t>(def->operands), TensorType{d, shape});
        if (def->name == "stablehlo.select") t[0].dtype = DType::kBool;
        return t;
      };
      const std::vector<TensorType> declared =
          def->name == "stablehlo.convert" ? types({}) : std::vector<TensorType>();
      const auto scalar = OneOp(*def, types({}), declared);
      if (!scalar.ok()) continue;  // the type rule refuses this dtype
      const Result<Plan> planned = Plan::Create(*scalar);
      if (!planned.ok() && def->name == "stablehlo.remainder" && tensor::IsComplex(d))
        continue;  // XLA has none either
      ASSERT_TRUE(planned.ok()) << def->name << " " << tensor::Name(d) << ": "
                                << planned.status().ToString();
      const Plan& one = *planned;
      for (const Shape& shape : {Shape{0}, Shape{1}, Shape{3, 5}, Shape{1037}}) {
        const auto result =
            def->name == "stablehlo.convert" ? types(shape) : std::vector<TensorType>();
        const auto module = OneOp(*def, types(shape), result);
        ASSERT_TRUE(module.ok()) << def->name << " " << tensor::Name(d) << ": "
                                 << module.status().ToString();
        std::vector<Tensor> inputs;
        for (size_t i = 0; i < types(shape).size(); ++i)
          inputs.push_back(Values(types(shape)[i], static_cast<int64_t>(i)));
        const auto out = Evaluate(*module, inputs);
        ASSERT_TRUE(out.ok()) << def->name << " " << tensor::Name(d) << ": "
                              << out.status().ToString();
        const Tensor& t = (*out)[0];
        const auto width = static_cast<size_t>(tensor::ByteWidth(t.dtype()));
        for (int64_t i = 0; i < t.size(); i += t.size() > 100 ? 31 : 1) {
          std::vector<Tensor> element;
          for (const Tensor& in : inputs) {
            const auto w = static_cast<size_t>(tensor::ByteWidth(in.dtype()));
            element.push_back(*Tensor::FromBytes(in.dtype(), {},
                                                 in.bytes().substr(static_cast<size_t>(i) * w, w)));
          }
          const Tensor want = one.Run(element)->at(0);
          EXPECT_EQ(Difference(
                        *Tensor::FromBytes(t.dtype(), {},
                                           t.bytes().substr(static_cast<size_t>(i) * width, width)),
                        want, 1e-6, 0),
                    "")
              << def->name << " " << tensor::Name(d) << " element " << i;
        }
        ++programs;
      }
    }
  }
  EXPECT_GT(programs, 2000);
}

TEST(ElementwiseTest, NarrowIntegersWrapAtTheirWidth) {
  const auto run = [](const std::string& op, DType d, double a, double b) {
    const OpDef* def = FindOp(op);
    std::vector<Tensor> in = {MakeTensor(d, {}, {a})};
    if (def->operands == 2) in.push_back(MakeTensor(d, {}, {b}));
    return Evaluate(*OneOp(*def, std::vector<TensorType>(in.size(), TensorType::Scalar(d)), {}), in)
        ->at(0)
        .IntAt(0);
  };
  EXPECT_EQ(run("stablehlo.add", DType::kI4, 7, 1), -8);
  EXPECT_EQ(run("stablehlo.multiply", DType::kU4, 5, 5), 9);
  EXPECT_EQ(run("stablehlo.negate", DType::kI2, -2, 0), -2);
  EXPECT_EQ(run("stablehlo.shift_left", DType::kI4, 3, 2), -4);
  EXPECT_EQ(run("stablehlo.shift_left", DType::kU4, 3, 4), 0);
  EXPECT_EQ(run("stablehlo.shift_right_logical", DType::kI4, -1, 1), 7);
  EXPECT_EQ(run("stablehlo.shift_right_arithmetic", DType::kI4, -8, 9), -1);
  EXPECT_EQ(run("stablehlo.shift_right_arithmetic", DType::kU4, 8, 1), 12);
  EXPECT_EQ(run("stablehlo.popcnt", DType::kI4, -1, 0), 4);
  EXPECT_EQ(run("stablehlo.count_leading_zeros", DType::kU4, 1, 0), 3);
  EXPECT_EQ(run("stablehlo.not", DType::kU2, 1, 0), 2);
}

// --- buffers ---

constexpr const char* kScan = R"(
func.func public @main(%x: tensor<2000x1000xf32>, %n: tensor<i32>) -> (tensor<2000x1000xf32>, tensor<f32>) {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %z = stablehlo.constant dense<0.0> : tensor<f32>
  %0:3 = stablehlo.while(%i = %zero, %a = %x, %s = %z) : tensor<i32>, tensor<2000x1000xf32>, tensor<f32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %row = stablehlo.broadcast_in_dim %s, dims = [] : (tensor<f32>) -> tensor<1x1000xf32>
    %b = stablehlo.dynamic_update_slice %a, %row, %i, %zero : (tensor<2000x1000xf32>, tensor<1x1000xf32>, tensor<i32>, tensor<i32>) -> tensor<2000x1000xf32>
    %old = stablehlo.dynamic_slice %a, %i, %zero, sizes = [1, 1] : (tensor<2000x1000xf32>, tensor<i32>, tensor<i32>) -> tensor<1x1xf32>
    %1 = stablehlo.reshape %old : (tensor<1x1xf32>) -> tensor<f32>
    %t = stablehlo.add %s, %1 : tensor<f32>
    %j = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %j, %b, %t : tensor<i32>, tensor<2000x1000xf32>, tensor<f32>
  }
  return %0#1, %0#2 : tensor<2000x1000xf32>, tensor<f32>
})";

// The update stands before a read of the old array and must wait for it; then 2000 updates of 8 MB
// copy it once.
TEST(ElementwiseTest, ClampPutsNegativeZeroBelowZero) {
  const Module m = ParseOrFail(R"(func.func @main(%low: tensor<4xf32>, %x: tensor<4xf32>,
      %high: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.clamp %low, %x, %high : tensor<4xf32>
    return %0 : tensor<4xf32>
  })");
  const auto of = [](std::initializer_list<double> values) {
    Tensor t = *Tensor::Create(DType::kF32, {4});
    for (int64_t i = 0; i < 4; ++i) t.SetDouble(i, values.begin()[i]);
    return t;
  };
  const auto out = Evaluate(m, std::vector<Tensor>{of({0, -0.0, -0.0, 0}), of({-0.0, 0, 0, -0.0}),
                                                   of({0, 0, -0.0, -0.0})});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_TRUE((*out)[0].BitEquals(of({0, 0, -0.0, -0.0})));  // XLA's, too
}

TEST(ElementwiseTest, ComplexTangentOfInfinityIsNanInBothParts) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::kC64, DType::kC128}) {
    FuncBuilder b("main");
    const ValueId x = b.Arg({dtype, {3}});
    b.Return({b.Emit1("chlo.tan", {x}, {}, {dtype, {3}})});
    Module m;
    ASSERT_TRUE(b.FinishInto(&m).ok());
    Tensor in = *Tensor::Create(dtype, {3});
    in.SetComplex(0, {-inf, 0.0});
    in.SetComplex(1, {inf, 1.0});
    in.SetComplex(2, {1.0, inf});
    const auto out = Evaluate(m, std::vector<Tensor>{in});
    ASSERT_TRUE(out.ok()) << out.status().ToString();
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(std::isnan((*out)[0].ComplexAt(i).real())) << i;
      EXPECT_TRUE(std::isnan((*out)[0].ComplexAt(i).imag())) << i;
    }
    EXPECT_EQ((*out)[0].ComplexAt(2), std::complex<double>(0, 1));
  }
}

TEST(ElementwiseTest, BitcastsNarrowTypesByTheirBits) {
  constexpr DType kFourBits[] = {DType::kI4, DType::kU4, DType::kF4E2M1FN};
  for (const DType from : kFourBits) {
    for (const DType to : kFourBits) {
      FuncBuilder b("main");
      const ValueId x = b.Arg({DType::kU4, {16}});
      const ValueId y = b.BitcastConvert(b.BitcastConvert(x, {from, {16}}), {to, {16}});
      b.Return({b.BitcastConvert(y, {DType::kU4, {16}})});
      Module m;
      ASSERT_TRUE(b.FinishInto(&m).ok());
      Tensor all = *Tensor::Create(DType::kU4, {16});
      for (int i = 0; i < 16; ++i) all.SetInt(i, i);
      const auto out = Evaluate(m, std::vector<Tensor>{all});
      ASSERT_TRUE(out.ok()) << out.status().ToString();
      EXPECT_TRUE((*out)[0].BitEquals(all)) << tensor::Name(from) << " to " << tensor::Name(to);
    }
  }
}

TEST(ElementwiseTest, BitcastsCutNarrowTypesOutOfWideOnes) {
  for (const DType narrow : {DType::kI2, DType::kU2, DType::kI4, DType::kU4, DType::kF4E2M1FN}) {
    const int64_t pieces = 32 / tensor::BitWidth(narrow);
    FuncBuilder b("main");
    const ValueId x = b.Arg({DType::kU32, {3}});
    const ValueId cut = b.BitcastConvert(x, {narrow, {3, pieces}});
    b.Return({cut, b.BitcastConvert(cut, {DType::kU32, {3}})});
    Module m;
    ASSERT_TRUE(b.FinishInto(&m).ok());
    Tensor words = *Tensor::Create(DType::kU32, {3});
    for (int i = 0; i < 3; ++i) words.SetInt(i, 0x89ABCDEFLL >> (i * 3));
    const auto out = Evaluate(m, std::vector<Tensor>{words});
    ASSERT_TRUE(out.ok()) << out.status().ToString();
    EXPECT_TRUE((*out)[1].BitEquals(words)) << tensor::Name(narrow);
    if (narrow == DType::kI4) {
      EXPECT_EQ((*out)[0].IntAt(0), -1);
    }
    if (narrow == DType::kU4) {
      EXPECT_EQ((*out)[0].IntAt(1), 14);
    }
  }
}

TEST(PlanTest, LoopsUpdateArraysInPlace) {
  const Plan plan = *Plan::Create(ParseOrFail(kScan));
  Tensor x = *Tensor::Create(DType::kF32, {2000, 1000});
  for (int64_t i = 0; i < 2000; ++i) x.SetDouble(i * 1000, 1.0);
  const std::vector<Tensor> inputs = {x, Tensor::Scalar(DType::kI32, 2000)};
  const auto start = std::chrono::steady_clock::now();
  const auto out = plan.Run(inputs);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[1].DoubleAt(0), 2000);
  EXPECT_EQ((*out)[0].DoubleAt(1999 * 1000 + 7), 1999);
  EXPECT_EQ(x.DoubleAt(5), 0) << "the caller's array was written";
  // Copying each time would move 32 GB.
  EXPECT_LT(spent.count(), 2.0);
}

// Branches run at most once, so an array that dies in them is theirs to overwrite.
TEST(PlanTest, BranchesUpdateDyingArraysInPlace) {
  const Plan plan = *Plan::Create(ParseOrFail(R"(
func.func public @main(%x: tensor<1000000xf32>, %n: tensor<i32>) -> tensor<1000000xf32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %one = stablehlo.constant dense<1> : tensor<i32>
  %u = stablehlo.constant dense<5.0> : tensor<1xf32>
  %0:2 = stablehlo.while(%i = %zero, %a = %x) : tensor<i32>, tensor<1000000xf32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %c = stablehlo.and %i, %one : tensor<i32>
    %b = "stablehlo.case"(%c) ({
      %1 = stablehlo.dynamic_update_slice %a, %u, %i : (tensor<1000000xf32>, tensor<1xf32>, tensor<i32>) -> tensor<1000000xf32>
      stablehlo.return %1 : tensor<1000000xf32>
    }, {
      stablehlo.return %a : tensor<1000000xf32>
    }) : (tensor<i32>) -> tensor<1000000xf32>
    %j = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %j, %b : tensor<i32>, tensor<1000000xf32>
  }
  return %0#1 : tensor<1000000xf32>
})"));
  const auto start = std::chrono::steady_clock::now();
  const auto out = plan.Run(std::vector<Tensor>{*Tensor::Create(DType::kF32, {1000000}),
                                                Tensor::Scalar(DType::kI32, 4000)});
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[0].DoubleAt(2), 5);
  EXPECT_EQ((*out)[0].DoubleAt(3), 0);
  EXPECT_LT(spent.count(), 2.0);  // 2000 copies would be 8 GB
}

TEST(PlanTest, NeverWritesWhatOthersHold) {
  const std::string text = R"(
func.func public @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %i = stablehlo.constant dense<1> : tensor<i32>
  %c = stablehlo.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %u = stablehlo.constant dense<9.0> : tensor<1xf32>
  %0 = stablehlo.dynamic_update_slice %c, %u, %i : (tensor<4xf32>, tensor<1xf32>, tensor<i32>) -> tensor<4xf32>
  %1 = stablehlo.dynamic_update_slice %x, %u, %i : (tensor<4xf32>, tensor<1xf32>, tensor<i32>) -> tensor<4xf32>
  %2 = stablehlo.add %0, %0 : tensor<4xf32>
  %3 = stablehlo.negate %1 : tensor<4xf32>
  %4 = stablehlo.reshape %1 : (tensor<4xf32>) -> tensor<4xf32>
  return %2, %3, %4, %4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
})";
  const Plan plan = *Plan::Create(ParseOrFail(text));
  const Tensor x = MakeTensor(DType::kF32, {4}, {5, 6, 7, 8});
  for (int i = 0; i < 3; ++i) {  // constants must survive
    const auto out = plan.Run(std::vector<Tensor>{x});
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(Difference((*out)[0], MakeTensor(DType::kF32, {4}, {2, 18, 6, 8}), 0, 0), "");
    EXPECT_EQ(Difference((*out)[1], MakeTensor(DType::kF32, {4}, {-5, -9, -7, -8}), 0, 0), "");
    EXPECT_EQ(Difference((*out)[2], MakeTensor(DType::kF32, {4}, {5, 9, 7, 8}), 0, 0), "");
    EXPECT_EQ(x.DoubleAt(1), 6);
  }
}

TEST(PlanTest, ServesManyThreads) {
  const Plan plan = *Plan::Create(ParseOrFail(kScan));
  std::vector<std::thread> threads;
  std::vector<double> sums(4);
  const Tensor x = Values({DType::kF32, {2000, 1000}}, 1);
  for (size_t t = 0; t < sums.size(); ++t) {
    threads.emplace_back([&, t] {
      sums[t] =
          plan.Run(std::vector<Tensor>{x, Tensor::Scalar(DType::kI32, 50)})->at(1).DoubleAt(0);
    });
  }
  for (std::thread& t : threads) t.join();
  for (const double s : sums) EXPECT_EQ(s, sums[0]);
}

TEST(PlanTest, OutlivesItsModule) {
  std::optional<Plan> plan;
  {
    const Module m = ParseOrFail(kScan);
    plan = *Plan::Create(m);
  }
  EXPECT_TRUE(plan->Run(std::vector<Tensor>{*Tensor::Create(DType::kF32, {2000, 1000}),
                                            Tensor::Scalar(DType::kI32, 2)})
                  .ok());
}

// --- errors and limits ---

TEST(PlanTest, NamesTheWrongInput) {
  const Plan plan = *Plan::Create(ParseOrFail(kScan));
  const Tensor x = *Tensor::Create(DType::kF32, {2000, 1000});
  EXPECT_EQ(plan.Run(std::vector<Tensor>{x}).status().message(), "got 1 inputs, wanted 2");
  EXPECT_EQ(plan.Run(std::vector<Tensor>{x, x}).status().message(),
            "input 1 is f32[2000,1000], wanted i32[]");
}

TEST(PlanTest, StopsAtItsLimits) {
  const Module m = ParseOrFail(kScan);
  const std::vector<Tensor> inputs = {*Tensor::Create(DType::kF32, {2000, 1000}),
                                      Tensor::Scalar(DType::kI32, 2000)};
  EvalLimits limits;
  limits.max_steps = 100;
  EXPECT_EQ(Evaluate(m, inputs, {}, limits).status().message(),
            "the program ran more operations than max_steps");
  limits = {};
  limits.max_live_bytes = 1 << 20;
  EXPECT_EQ(Evaluate(m, inputs, {}, limits).status().code(), Code::kResourceExhausted);
  limits = {};
  limits.max_bytes_per_value = 1 << 20;
  EXPECT_FALSE(
      Evaluate(ParseOrFail("func.func @main() -> tensor<1000000xf32> {\n%0 = stablehlo.iota dim = "
                           "0 : tensor<1000000xf32>\nreturn %0 : tensor<1000000xf32>\n}"),
               {}, {}, limits)
          .ok());
  limits = {};
  limits.max_flops_per_op = 1000;
  const Status s =
      Evaluate(ParseOrFail(R"(func.func @main(%x: tensor<100x100xf32>) -> tensor<100x100xf32> {
    %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<100x100xf32>, tensor<100x100xf32>) -> tensor<100x100xf32>
    return %0 : tensor<100x100xf32>
  })"),
               {}, {}, limits)
          .status();
  EXPECT_NE(s.message().find("max_flops_per_op"), std::string::npos) << s.message();
}

TEST(PlanTest, NamesUnsupportedCustomCalls) {
  const Status s =
      Plan::Create(
          ParseOrFail(
              "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n%0 = stablehlo.custom_call "
              "@Mystery(%x) : (tensor<2xf32>) -> tensor<2xf32>\nreturn %0 : tensor<2xf32>\n}"))
          .status();
  EXPECT_EQ(s.code(), Code::kUnimplemented);
  EXPECT_EQ(s.message(), "@main: line 2: custom call target @Mystery is not supported");
}

TEST(PlanTest, CancellationAndDeadlinesStopLoops) {
  const Plan plan = *Plan::Create(ParseOrFail(R"(
func.func @main(%x: tensor<i32>) -> tensor<i32> {
  %0 = stablehlo.while(%i = %x) : tensor<i32> cond {
    %t = stablehlo.constant dense<true> : tensor<i1>
    stablehlo.return %t : tensor<i1>
  } do {
    stablehlo.return %i : tensor<i32>
  }
  return %0 : tensor<i32>
})"));
  const std::vector<Tensor> inputs = {Tensor::Scalar(DType::kI32, 0)};
  const Cancellation deadline(RealClock().Monotonic() + std::chrono::milliseconds(20));
  EXPECT_EQ(plan.Run(inputs, {.cancellation = &deadline}).status().code(), Code::kDeadlineExceeded);
  Cancellation cancelled;
  std::thread other([&] { cancelled.Cancel(); });
  EXPECT_EQ(plan.Run(inputs, {.cancellation = &cancelled}).status().code(), Code::kCancelled);
  other.join();
  EXPECT_EQ(plan.Run(inputs, {.max_steps = 1000}).ok(), false);
}

// One op that would run for seconds hears of a deadline before it is done.
TEST(PlanTest, CancellationStopsLongOps) {
  const char* programs[] = {
      R"(func.func @main(%x: tensor<4000x4000xf32>) -> tensor<4000x4000xf32> {
    %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<4000x4000xf32>, tensor<4000x4000xf32>) -> tensor<4000x4000xf32>
    return %0 : tensor<4000x4000xf32>
  })",
      R"(func.func @main(%x: tensor<4000x4000xf32>) -> tensor<4000x4000xf32> {
    %z = stablehlo.constant dense<0.0> : tensor<f32>
    %0 = "stablehlo.reduce_window"(%x, %z) <{padding = dense<200> : tensor<2x2xi64>, window_dimensions = array<i64: 401, 401>}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %1 = stablehlo.add %a, %b : tensor<f32>
      stablehlo.return %1 : tensor<f32>
    }) : (tensor<4000x4000xf32>, tensor<f32>) -> tensor<4000x4000xf32>
    return %0 : tensor<4000x4000xf32>
  })",
      R"(func.func @main(%x: tensor<4000x4000xf32>) -> tensor<4000x4000xf32> {
    %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %s = stablehlo.sine %a : tensor<f32>
      %1 = stablehlo.compare LT, %s, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    }) : (tensor<4000x4000xf32>) -> tensor<4000x4000xf32>
    return %0 : tensor<4000x4000xf32>
  })"};
  const Tensor x = Values({DType::kF32, {4000, 4000}}, 1);
  for (const char* text : programs) {
    const Plan plan = *Plan::Create(ParseOrFail(text));
    const Cancellation deadline(RealClock().Monotonic() + std::chrono::milliseconds(100));
    EXPECT_EQ(plan.Run(std::vector<Tensor>{x}, {.cancellation = &deadline}).status().code(),
              Code::kDeadlineExceeded);
  }
}

TEST(PlanTest, ProfilesByOp) {
  std::vector<ProfileRow> profile;
  const Plan plan = *Plan::Create(ParseOrFail(kScan));
  ASSERT_TRUE(plan.Run(std::vector<Tensor>{*Tensor::Create(DType::kF32, {2000, 1000}),
                                           Tensor::Scalar(DType::kI32, 7)},
                       {.profile = &profile})
                  .ok());
  uint64_t updates = 0;
  for (const ProfileRow& row : profile)
    updates += row.name == "stablehlo.dynamic_update_slice" ? row.calls : 0;
  EXPECT_EQ(updates, 7u);
  EXPECT_EQ(profile[0].name, "stablehlo.while");
}

// --- odd programs ---

TEST(PlanTest, PassesTokensThrough) {
  const auto out = Evaluate(
      ParseOrFail(R"(func.func @main(%t: !stablehlo.token) -> (!stablehlo.token, tensor<i32>) {
    %0 = stablehlo.create_token : !stablehlo.token
    %1 = stablehlo.after_all %0, %t : !stablehlo.token
    %2 = stablehlo.constant dense<3> : tensor<i32>
    return %1, %2 : !stablehlo.token, tensor<i32>
  })"),
      std::vector<Tensor>{*Tensor::Create(DType::kBool, {0})});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ((*out)[1].IntAt(0), 3);
}

// Bodies that are not elementwise (here: one that calls a function with a reshape) are interpreted.
TEST(PlanTest, InterpretsGeneralRegions) {
  const std::string text = R"(
module {
  func.func public @main(%x: tensor<3x4xf32>, %k: tensor<f32>) -> (tensor<3xf32>, tensor<3x4xf32>, tensor<3x4xf32>) {
    %z = stablehlo.constant dense<0.0> : tensor<f32>
    %0 = stablehlo.reduce(%x init: %z) across dimensions = [1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
     reducer(%a: tensor<f32>, %b: tensor<f32>)  {
      %1 = func.call @plus(%a, %b) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      stablehlo.return %1 : tensor<f32>
    }
    %2 = "stablehlo.sort"(%x) <{dimension = 1 : i64}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %1 = func.call @plus(%a, %k) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      %3 = func.call @plus(%b, %k) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      %4 = stablehlo.compare GT, %1, %3 : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %4 : tensor<i1>
    }) : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %5 = "stablehlo.reduce_window"(%x, %z) <{padding = dense<[[0, 0], [3, 0]]> : tensor<2x2xi64>, window_dimensions = array<i64: 1, 4>}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %1 = func.call @plus(%a, %b) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      stablehlo.return %1 : tensor<f32>
    }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
    return %0, %2, %5 : tensor<3xf32>, tensor<3x4xf32>, tensor<3x4xf32>
  }
  func.func private @plus(%a: tensor<f32>, %b: tensor<f32>) -> tensor<f32> {
    %0 = stablehlo.reshape %a : (tensor<f32>) -> tensor<1xf32>
    %1 = stablehlo.reshape %0 : (tensor<1xf32>) -> tensor<f32>
    %2 = stablehlo.add %1, %b : tensor<f32>
    return %2 : tensor<f32>
  }
})";
  const auto out = Evaluate(
      ParseOrFail(text),
      std::vector<Tensor>{MakeTensor(DType::kF32, {3, 4}, {1, 2, 3, 4, 8, 7, 6, 5, 0, -1, 1, -2}),
                          MakeTensor(DType::kF32, {}, {10})});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  EXPECT_EQ(Difference((*out)[0], MakeTensor(DType::kF32, {3}, {10, 26, -2}), 0, 0), "");
  EXPECT_EQ(
      Difference((*out)[1], MakeTensor(DType::kF32, {3, 4}, {4, 3, 2, 1, 8, 7, 6, 5, 1, 0, -1, -2}),
                 0, 0),
      "");
  EXPECT_EQ(
      Difference((*out)[2],
                 MakeTensor(DType::kF32, {3, 4}, {1, 3, 6, 10, 8, 15, 21, 26, 0, -1, 0, -2}), 0, 0),
      "");
}

// What `body` gives for two arrays of 600 ones: reduced, and at the end of a cumulative window.
template <typename Body>
std::vector<double> FoldOnes(DType dtype, const Body& body) {
  FuncBuilder b("main");
  const ValueId x = b.Arg({dtype, {600}});
  const ValueId zero = b.Scalar(dtype, 0.0);
  const ValueId xs[] = {x, x}, inits[] = {zero, zero};
  const auto in_b = [&](std::span<const ValueId> a) -> stablehlo::Values { return body(b, a); };
  stablehlo::Values results = b.Reduce(xs, inits, {0}, in_b);
  const Window cumulative{.dimensions = {600}, .padding = {599, 0}};
  for (const ValueId v : b.ReduceWindow(xs, inits, cumulative, in_b)) {
    results.push_back(b.Slice(v, {599}, {600}, {1}));
  }
  b.Return(results);
  Module m;
  const Status made = b.FinishInto(&m);
  EXPECT_TRUE(made.ok()) << made.ToString();
  const auto out =
      Evaluate(m, std::vector<Tensor>{MakeTensor(dtype, {600}, std::vector<double>(600, 1))});
  EXPECT_TRUE(out.ok()) << out.status().ToString();
  std::vector<double> numbers;
  for (size_t i = 0; out.ok() && i < out->size(); ++i) numbers.push_back((*out)[i].DoubleAt(0));
  return numbers;
}

// If every step were rounded, a count of ones would end at 256 in bf16 and at 8 in f8E5M2, whose
// number nearest to 600 is 640. What else the op computes does not change that.
TEST(PlanTest, SumsOfNarrowFloatsDoNotDependOnWhatElseIsReduced) {
  for (const auto& [dtype, sum] :
       {std::pair(DType::kBF16, 600.0), std::pair(DType::kF8E5M2, 640.0)}) {
    const std::vector<double> want = {sum, 1, sum, 1};
    EXPECT_EQ(FoldOnes(dtype,
                       [](FuncBuilder& b, std::span<const ValueId> a) -> stablehlo::Values {
                         return {b.Add(a[0], a[2]), b.Max(a[1], a[3])};
                       }),
              want)
        << tensor::Name(dtype);
    EXPECT_EQ(FoldOnes(dtype,
                       [](FuncBuilder& b, std::span<const ValueId> a) -> stablehlo::Values {
                         const ValueId larger = b.Max(a[3], a[1]);
                         return {b.Add(a[2], a[0]), larger};
                       }),
              want)
        << tensor::Name(dtype) << ", element first";
  }
}

// The steps of results that look at each other are those of the body, each rounded.
TEST(PlanTest, SumsOfNarrowFloatsThatOthersLookAtAreRoundedInEveryStep) {
  const std::vector<double> want(4, 256);
  EXPECT_EQ(FoldOnes(DType::kBF16,
                     [](FuncBuilder& b, std::span<const ValueId> a) -> stablehlo::Values {
                       const ValueId sum = b.Add(a[0], a[2]);
                       return {sum, b.Max(sum, a[3])};
                     }),
            want);
}

// A comparator that is no order neither hangs nor reads out of bounds.
TEST(PlanTest, SortSurvivesAnyComparator) {
  for (const char* body :
       {"%1 = stablehlo.constant dense<true> : tensor<i1>",
        "%1 = stablehlo.constant dense<false> : tensor<i1>",
        "%1 = stablehlo.compare NE, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>"}) {
    const auto out =
        Evaluate(ParseOrFail(StrCat(R"(func.func @main(%x: tensor<1000xf32>) -> tensor<1000xf32> {
    %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      )",
                                    body, R"(
      stablehlo.return %1 : tensor<i1>
    }) : (tensor<1000xf32>) -> tensor<1000xf32>
    return %0 : tensor<1000xf32>
  })")),
                 std::vector<Tensor>{Values({DType::kF32, {1000}}, 3)});
    EXPECT_TRUE(out.ok()) << out.status().ToString();
  }
}

TEST(PlanTest, RngIsReproducibleAndInRange) {
  const Module m = ParseOrFail(
      R"(func.func @main(%a: tensor<f32>, %b: tensor<f32>) -> (tensor<1000xf32>, tensor<1000xf32>, tensor<1000xf32>) {
    %n = stablehlo.constant dense<1000> : tensor<1xi64>
    %0 = stablehlo.rng %a, %b, %n, distribution = UNIFORM : (tensor<f32>, tensor<f32>, tensor<1xi64>) -> tensor<1000xf32>
    %1 = stablehlo.rng %a, %b, %n, distribution = UNIFORM : (tensor<f32>, tensor<f32>, tensor<1xi64>) -> tensor<1000xf32>
    %2 = stablehlo.rng %a, %b, %n, distribution = NORMAL : (tensor<f32>, tensor<f32>, tensor<1xi64>) -> tensor<1000xf32>
    return %0, %1, %2 : tensor<1000xf32>, tensor<1000xf32>, tensor<1000xf32>
  })");
  const std::vector<Tensor> inputs = {MakeTensor(DType::kF32, {}, {2}),
                                      MakeTensor(DType::kF32, {}, {5})};
  const auto out = *Evaluate(m, inputs);
  EXPECT_TRUE(out[0].BitEquals((*Evaluate(m, inputs))[0]));
  EXPECT_FALSE(out[0].BitEquals(out[1]));
  double uniform = 0, normal = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_GE(out[0].DoubleAt(i), 2);
    EXPECT_LT(out[0].DoubleAt(i), 5);
    uniform += out[0].DoubleAt(i) / 1000;
    normal += out[2].DoubleAt(i) / 1000;
  }
  EXPECT_NEAR(uniform, 3.5, 0.15);
  EXPECT_NEAR(normal, 2.0, 0.7);
}

}  // namespace
}  // namespace megalith::stablehlo
