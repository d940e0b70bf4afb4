// Functions made with the builder evaluate to what they should.
#include "common/programs/stablehlo/builder.h"

#include <gtest/gtest.h>

#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {
namespace {

const TensorType kF4{DType::kF32, {4}};
const TensorType kI32 = TensorType::Scalar(DType::kI32);

// Verifies, prints, parses, and evaluates.
std::vector<Tensor> RunOrFail(FuncBuilder& b, const std::vector<Tensor>& inputs = {}) {
  Module m;
  const Status s = b.FinishInto(&m);
  EXPECT_TRUE(s.ok()) << s.ToString();
  if (!s.ok()) return {};
  const Status verified = Verify(m);
  EXPECT_TRUE(verified.ok()) << verified.ToString() << "\n" << PrintModule(m);
  if (!verified.ok()) return {};
  const auto reparsed = ParseModule(PrintModule(m));
  EXPECT_TRUE(reparsed.ok()) << reparsed.status().ToString() << "\n" << PrintModule(m);
  const auto out = Evaluate(m, inputs);
  EXPECT_TRUE(out.ok()) << out.status().ToString();
  return out.ok() ? *out : std::vector<Tensor>();
}

void ExpectValues(const Tensor& t, const std::vector<double>& want) {
  ASSERT_EQ(t.size(), static_cast<int64_t>(want.size())) << t.TypeText();
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_FLOAT_EQ(t.DoubleAt(static_cast<int64_t>(i)), want[i]) << i;
}

TEST(FuncBuilderTest, BuildsElementwiseOps) {
  FuncBuilder b("main");
  const ValueId x = b.Arg(kF4);
  const ValueId y = b.Add(x, b.Splat(kF4, 1.0));
  const ValueId p = b.Compare(CompareDirection::kGt, y, b.Splat(kF4, 2.5));
  b.Return({b.Select(p, b.Mul(y, y), b.Neg(y)), b.Convert(p, DType::kI32),
            b.Clamp(b.Scalar(DType::kF32, 2.0), y, b.Splat(kF4, 3))});
  const auto out = RunOrFail(b, {MakeTensor(DType::kF32, {4}, {0, 1, 2, 3})});
  ExpectValues(out[0], {-1, -2, 9, 16});
  ExpectValues(out[1], {0, 0, 1, 1});
  ExpectValues(out[2], {2, 2, 3, 3});
}

TEST(FuncBuilderTest, BuildsShapeOps) {
  FuncBuilder b("main");
  const ValueId i = b.Iota({DType::kI32, {2, 3}}, 1);
  const ValueId one = b.Scalar(DType::kI32, 1);
  const ValueId starts[] = {b.Scalar(DType::kI32, 0), one};
  const ValueId cat[] = {i, i};
  b.Return({b.Transpose(i, {1, 0}), b.Reshape(i, {6}), b.Slice(i, {0, 1}, {2, 3}),
            b.Reverse(i, {1}), b.BroadcastInDim(one, {2}, {}), b.Concatenate(cat, 0),
            b.Pad(i, one, {0, 1}, {0, 0}, {0, 0}), b.DynamicSlice(i, starts, {1, 2}),
            b.DynamicUpdateSlice(i, b.Splat({DType::kI32, {1, 2}}, 7), starts)});
  const auto out = RunOrFail(b);
  ExpectValues(out[0], {0, 0, 1, 1, 2, 2});
  ExpectValues(out[2], {1, 2, 1, 2});
  ExpectValues(out[3], {2, 1, 0, 2, 1, 0});
  ExpectValues(out[4], {1, 1});
  ExpectValues(out[6], {1, 0, 1, 2, 1, 0, 1, 2});
  ExpectValues(out[7], {1, 2});
  ExpectValues(out[8], {0, 7, 7, 0, 1, 2});
}

TEST(FuncBuilderTest, BuildsReductionsAndWindows) {
  FuncBuilder b("main");
  const ValueId x = b.Constant(MakeTensor(DType::kF32, {2, 3}, {1, 5, 2, 4, 3, 6}));
  const ValueId zero = b.Scalar(DType::kF32, 0.0);
  const ValueId xs[] = {x, b.Iota({DType::kI32, {2, 3}}, 1)};
  const ValueId inits[] = {b.Scalar(DType::kF32, -1e9), b.Scalar(DType::kI32, -1)};
  const Values argmax = b.Reduce(xs, inits, {1}, [&](std::span<const ValueId> a) -> Values {
    const ValueId better = b.Compare(CompareDirection::kGt, a[2], a[0]);
    return {b.Select(better, a[2], a[0]), b.Select(better, a[3], a[1])};
  });
  const ValueId sort_operands[] = {x};
  const Values sorted = b.Sort(sort_operands, 1, true, [&](std::span<const ValueId> a) -> Values {
    return {b.Compare(CompareDirection::kLt, a[0], a[1])};
  });
  b.Return({b.Reduce(x, zero, {0}, "stablehlo.add"), argmax[1], sorted[0],
            b.ReduceWindow(x, zero, {.dimensions = {1, 2}}, "stablehlo.add"),
            b.SelectAndScatter(x, b.Constant(MakeTensor(DType::kF32, {1, 1}, {10})), zero,
                               {.dimensions = {2, 3}}, CompareDirection::kGe, "stablehlo.add")});
  const auto out = RunOrFail(b);
  ExpectValues(out[0], {5, 8, 8});
  ExpectValues(out[1], {1, 2});
  ExpectValues(out[2], {1, 2, 5, 3, 4, 6});
  ExpectValues(out[3], {6, 7, 7, 9});
  ExpectValues(out[4], {0, 0, 0, 0, 0, 10});
}

TEST(FuncBuilderTest, BuildsGatherAndScatter) {
  FuncBuilder b("main");
  const ValueId x = b.Iota({DType::kF32, {5}}, 0);
  const ValueId i = b.Constant(MakeTensor(DType::kI32, {2, 1}, {4, 1}));
  GatherDims g;
  g.collapsed_slice_dims = {0};
  g.start_index_map = {0};
  g.index_vector_dim = 1;
  ScatterDims s;
  s.inserted_window_dims = {0};
  s.scatter_dims_to_operand_dims = {0};
  s.index_vector_dim = 1;
  const ValueId u = b.Constant(MakeTensor(DType::kF32, {2}, {10, 20}));
  b.Return(
      {b.Gather(x, i, g, {1}), b.Scatter(x, i, u, s, "stablehlo.add"), b.Scatter(x, i, u, s, "")});
  const auto out = RunOrFail(b);
  ExpectValues(out[0], {4, 1});
  ExpectValues(out[1], {0, 21, 2, 3, 14});
  ExpectValues(out[2], {0, 20, 2, 3, 10});
}

TEST(FuncBuilderTest, BuildsProducts) {
  FuncBuilder b("main");
  const ValueId x = b.Constant(MakeTensor(DType::kF32, {2, 2}, {4, 2, 2, 3}));
  const ValueId y = b.Constant(MakeTensor(DType::kF32, {2, 1}, {1, 2}));
  DotDims d;
  d.lhs_contract = {1};
  d.rhs_contract = {0};
  ConvDims c;
  c.input_batch = c.output_batch = 0;
  c.input_feature = c.output_feature = 1;
  c.kernel_input_feature = 0;
  c.kernel_output_feature = 1;
  const ValueId lower = b.Cholesky(x, true);
  b.Return({b.DotGeneral(x, y, d, DType::kF32, {Precision::kHighest, Precision::kHighest}),
            b.Convolution(x, y, c, {}, DType::kF32),
            b.TriangularSolve(lower, y, true, true, false, TransposeA::kNoTranspose),
            b.Fft(b.Complex(x, x), FftType::kFft, {2})});
  const auto out = RunOrFail(b);
  ExpectValues(out[0], {8, 8});
  ExpectValues(out[1], {8, 8});
  ExpectValues(out[2], {0.5, 1.5 / std::sqrt(2.0)});
}

TEST(FuncBuilderTest, BuildsControlFlowAndCalls) {
  Module m;
  {
    FuncBuilder f("half", Visibility::kPrivate);
    const ValueId x = f.Arg(kF4);
    f.Return({f.Mul(x, f.Splat(kF4, 0.5))});
    ASSERT_TRUE(f.FinishInto(&m).ok());
  }
  FuncBuilder b("main");
  const ValueId n = b.Arg(kI32);
  const ValueId x = b.Arg(kF4, {{"jax.name", Attr::String("x")}});
  const ValueId init[] = {b.Scalar(DType::kI32, 0), x};
  const Values loop = b.While(
      init,
      [&](std::span<const ValueId> a) -> Values {
        return {b.Compare(CompareDirection::kLt, a[0], n)};
      },
      [&](std::span<const ValueId> a) -> Values {
        return {b.Add(a[0], b.Scalar(DType::kI32, 1)),
                b.Call("half", std::span(&a[1], 1), {kF4})[0]};
      });
  const RegionFn branches[] = {
      [&](std::span<const ValueId>) -> Values { return {x}; },
      [&](std::span<const ValueId>) -> Values { return {b.Neg(loop[1])}; }};
  const Values chosen = b.Case(b.Scalar(DType::kI32, 9), branches);
  const Values either = b.If(
      b.Compare(CompareDirection::kEq, n, b.Scalar(DType::kI32, 3)),
      [&](std::span<const ValueId>) -> Values { return {b.Scalar(DType::kI32, 100)}; },
      [&](std::span<const ValueId>) -> Values { return {n}; });
  const ValueId barrier[] = {chosen[0], x};
  b.Return({b.OptimizationBarrier(barrier)[0], either[0]},
           {{{"jax.result_info", Attr::String("result[0]")}},
            {{"jax.result_info", Attr::String("result[1]")}}});
  ASSERT_TRUE(b.FinishInto(&m).ok()) << b.status().ToString();
  ASSERT_TRUE(Verify(m).ok()) << Verify(m).ToString();
  const auto out = Evaluate(m, std::vector<Tensor>{Tensor::Scalar(DType::kI32, 3),
                                                   MakeTensor(DType::kF32, {4}, {8, 16, 24, 32})});
  ASSERT_TRUE(out.ok()) << out.status().ToString();
  ExpectValues((*out)[0], {-1, -2, -3, -4});
  ExpectValues((*out)[1], {100});
  EXPECT_NE(PrintModule(m).find("%arg1: tensor<4xf32> {jax.name = \"x\"}"), std::string::npos);
}

TEST(FuncBuilderTest, BuildsRegionsInTwoSteps) {
  FuncBuilder b("main");
  const ValueId x = b.Arg(kF4);
  const TensorType scalar = TensorType::Scalar(DType::kF32);
  const TensorType args[] = {scalar, scalar};
  const auto a = b.BeginRegion(args);
  const ValueId sum[] = {b.Add(a[0], a[1])};
  std::vector<Region> regions;
  regions.push_back(b.EndRegion(sum));
  const ValueId operands[] = {x, b.Scalar(DType::kF32, 0.0)};
  b.Return(b.Emit("stablehlo.reduce", operands, {{"dimensions", Attr::Ints({0})}}, {},
                  std::move(regions)));
  ExpectValues(RunOrFail(b, {MakeTensor(DType::kF32, {4}, {1, 2, 3, 4})})[0], {10});
}

TEST(FuncBuilderTest, KeepsTheFirstErrorAndGoesOnHarmlessly) {
  FuncBuilder b("main");
  const ValueId x = b.Arg(kF4);
  const ValueId bad = b.Add(x, b.Splat({DType::kF32, {5}}, 0.0));
  EXPECT_EQ(bad, kNoValue);
  const ValueId xs[] = {bad, bad};
  EXPECT_EQ(b.Concatenate(xs, 3), kNoValue);
  EXPECT_EQ(
      b.Sort(xs, 0, true, [&](std::span<const ValueId> a) -> Values { return {b.Neg(a[0])}; })[1],
      kNoValue);
  EXPECT_EQ(b.While(
                xs, [&](auto a) -> Values { return {a[0]}; },
                [&](auto a) -> Values { return {a[1]}; })[7],
            kNoValue);
  EXPECT_EQ(b.DotGeneral(bad, x, {}, DType::kF32), kNoValue);
  EXPECT_FALSE(b.type(bad).valid());
  b.Return({bad});
  const Status s = b.Finish().status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_EQ(s.message(),
            "@main: op 1 (stablehlo.add): operand 1 has type tensor<5xf32>, wanted that of operand "
            "0, tensor<4xf32>");
}

TEST(FuncBuilderTest, NoticesMisuse) {
  FuncBuilder unfinished("f");
  EXPECT_FALSE(unfinished.Finish().ok());
  FuncBuilder unknown("f");
  unknown.Unary("stablehlo.frobnicate", unknown.Arg(kF4));
  unknown.Return({});
  EXPECT_EQ(unknown.Finish().status().code(), Code::kUnimplemented);
  FuncBuilder twice("f");
  twice.Return({});
  twice.Return({});
  EXPECT_FALSE(twice.Finish().ok());
  FuncBuilder foreign("f");
  foreign.Neg(12345);
  foreign.Return({});
  EXPECT_FALSE(foreign.Finish().ok());
  FuncBuilder own("f");
  own.Fail(NotFound("rule"));
  own.Return({});
  EXPECT_EQ(own.Finish().status().code(), Code::kNotFound);
  FuncBuilder unbalanced("f");
  unbalanced.EndRegion({});
  unbalanced.Return({});
  EXPECT_FALSE(unbalanced.Finish().ok());
}

}  // namespace
}  // namespace megalith::stablehlo
