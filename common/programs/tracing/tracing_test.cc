// What the front end does besides emitting JAX's equations: errors with their place, values,
// coverage of primitives.
#include <set>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/registry.h"
#include "common/programs/tracing/promotion.h"
#include "common/programs/tracing/testing/jaxpr_text.h"

namespace megalith::tracing {
namespace {

using testing::Evaluate;
using ::testing::HasSubstr;
using testing::Text;

Status ErrorOf(const Function& f, const std::vector<Aval>& args) {
  return MakeJaxpr(f, args).status();
}

void ExpectError(const Status& status, std::string_view python_class, const std::string& phrase) {
  EXPECT_EQ(status.python_class(), python_class) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(phrase));
}

tensor::Tensor Vector(const std::vector<float>& values) {
  tensor::Tensor t =
      *tensor::Tensor::Create(DType::kF32, Shape{static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.MutableAs<float>().begin());
  return t;
}

// ---- errors ----

TEST(TracingErrorTest, ShapesThatDoNotFitNameThePlace) {
  const int line = __LINE__ + 1;
  const Status s = ErrorOf([](Array x, Array y) { return x + y; }, {F32(3), F32(4)});
  ExpectError(s, "TypeError", "add got incompatible shapes for broadcasting: (3,), (4,).");
  EXPECT_THAT(s.message(), HasSubstr(StrCat("tracing_test.cc:", line)));
}

TEST(TracingErrorTest, TheFirstErrorWinsAndLaterCodeRunsOn) {
  bool reached = false;
  const Status s = ErrorOf(
      [&](Array x, Array y) {
        const Array broken = x + y;
        EXPECT_FALSE(broken.has_value());
        EXPECT_EQ(broken.dim(-1), 0);
        const Array more = Reshape(Sin(broken), {7, 7}) + Dot(broken, broken)[3];
        reached = true;
        return more;
      },
      {F32(3), F32(4)});
  ExpectError(s, "TypeError", "add got incompatible shapes");
  EXPECT_TRUE(reached);
}

TEST(TracingErrorTest, OperationsRefuseWhatJaxRefuses) {
  const auto two = std::vector<Aval>{F32(3, 4), F32(3)};
  ExpectError(
      ErrorOf([](Array x, Array y) { return Dot(x, y); }, two), "TypeError",
      "dot_general requires contracting dimensions to have the same shape, got (4,) and (3,).");
  ExpectError(ErrorOf([](Array x, Array) { return Reshape(x, {5}); }, two), "TypeError",
              "cannot reshape array of shape (3, 4) (size 12) into shape");
  ExpectError(ErrorOf([](Array x, Array) { return Sum(x, 2); }, two), "ValueError",
              "axis 2 is out of bounds for array of dimension 2");
  ExpectError(ErrorOf([](Array x, Array) { return Sum(x, {0, 0}); }, two), "ValueError",
              "duplicate value in 'axis': (0, 0)");
  ExpectError(ErrorOf([](Array x, Array y) { return Concatenate({x, y}); }, two), "TypeError",
              "Cannot concatenate arrays with different numbers of dimensions");
  ExpectError(ErrorOf([](Array, Array y) { return BroadcastTo(y, {2, 4}); }, two), "ValueError",
              "Incompatible shapes for broadcasting: (3,) and requested shape (2, 4)");
  ExpectError(ErrorOf([](Array x, Array) { return Squeeze(x, 0); }, two), "ValueError",
              "cannot select an axis to squeeze out which has size not equal to one");
  ExpectError(ErrorOf([](Array x, Array) { return ~x; }, two), "TypeError",
              "not does not accept dtype float32");
  ExpectError(ErrorOf([](Array x, Array) { return lax::Sin(AsType(x, DType::kI32)); }, two),
              "TypeError", "sin does not accept dtype int32");
  ExpectError(ErrorOf([](Array x, Array) { return lax::Add(x, 1); }, two), "TypeError",
              "lax.add requires arguments to have the same dtypes");
  ExpectError(ErrorOf([](Array x, Array) { return x[7]; }, two), "IndexError",
              "index 7 is out of bounds");
  ExpectError(ErrorOf([](Array x, Array) { return Einsum("ij,jk->ik", {x, x}); }, two),
              "ValueError", "Size of label 'j' for operand 1");
}

TEST(TracingErrorTest, GradRefusesWhatJaxRefuses) {
  ExpectError(ErrorOf(Grad([](Array x) { return x * 2; }), {F32(3)}), "TypeError",
              "Gradient only defined for scalar-output functions. Output had shape: (3,).");
  ExpectError(ErrorOf(Grad([](Array x) { return x * 2; }), {I32()}), "TypeError",
              "grad requires real- or complex-valued inputs");
  ExpectError(ErrorOf(Grad([](Array x) { return x; }, {.argnums = {3}}), {F32()}), "TypeError",
              "differentiating with respect to argnums=3 requires at least 4 positional arguments");
  ExpectError(ErrorOf(Grad([](Array x) -> Array {
                        return WhileLoop([](Array c) { return c < 3; },
                                         [](Array c) { return c * 2; }, x);
                      }),
                      {F32()}),
              "ValueError", "Reverse-mode differentiation does not work for lax.while_loop");
}

TEST(TracingErrorTest, VmapRefusesWhatJaxRefuses) {
  const auto add = [](Array x, Array y) { return x + y; };
  ExpectError(ErrorOf(Vmap(add), {F32(3), F32(4)}), "ValueError",
              "vmap got inconsistent sizes for array axes to be mapped:");
  ExpectError(ErrorOf(Vmap(add, {.in_axes = {0, 1}}), {F32(3), F32(3)}), "ValueError",
              "vmap was requested to map its argument along axis 1, which implies that its rank "
              "should be at least 2");
}

TEST(TracingErrorTest, ControlFlowRefusesWhatJaxRefuses) {
  ExpectError(ErrorOf(
                  [](Array x) {
                    return Scan([](Array c) { return ExpandDims(c, 0); }, x, {}, {.length = 3});
                  },
                  {F32(3)}),
              "TypeError", "scan body function carry input and carry output must have equal types");
  ExpectError(
      ErrorOf(
          [](Array x, Array y) { return Scan([](Array c, Array, Array) { return c; }, 0, {x, y}); },
          {F32(3), F32(4)}),
      "ValueError", "scan got values with different leading axis sizes: 3, 4.");
  ExpectError(
      ErrorOf(
          [](Array x) {
            return WhileLoop([](Array c) { return c; }, [](Array c) { return c; }, x);
          },
          {F32(3)}),
      "TypeError",
      "cond_fun must return a boolean scalar, but got output type(s) [ShapedArray(float32[3])].");
  ExpectError(
      ErrorOf(
          [](Array x) { return Cond(true, [&] { return x; }, [&] { return Slice(x, {{0, 2}}); }); },
          {F32(3)}),
      "TypeError", "cond branches must have equal output types but they differ.");
  ExpectError(
      ErrorOf([](Array x) { return Cond(x, [] { return 1; }, [] { return 2; }); }, {F32(3)}),
      "TypeError", "Pred must be a scalar");
  ExpectError(
      ErrorOf([](Array x) { return Switch(x, {[] { return 1; }, [] { return 2; }}); }, {F32()}),
      "TypeError", "Index type must be an integer");
  ExpectError(
      ErrorOf([](Array x, Array n) { return ForiLoop(0, n, [](Array, Array c) { return c; }, x); },
              {F32(3), F32()}),
      "TypeError",
      "lower and upper arguments to fori_loop must have equal types, got int32 and float32");
}

TEST(TracingErrorTest, AnArrayOfAnEndedFunctionIsALeak) {
  Array leaked;
  const auto leaks = [&](Array x) { return leaked = x; };
  ASSERT_TRUE(MakeJaxpr(leaks, {F32(3)}).ok());
  ExpectError(ErrorOf([&](Array x) { return x + leaked; }, {F32(3)}), "UnexpectedTracerError",
              "Encountered an unexpected tracer.");
  // From a branch into the function around it.
  ExpectError(ErrorOf(
                  [](Array x) {
                    Array inner;
                    Cond(true, [&] { return inner = x + 1; }, [&] { return x; });
                    return inner * 2;
                  },
                  {F32(3)}),
              "UnexpectedTracerError", "intermediate value with type f32[3]");
}

TEST(TracingErrorTest, ArraysWithoutValueAreErrors) {
  ExpectError(ErrorOf([](Array x) { return x + Array(); }, {F32(3)}), "",
              "an Array without a value is used");
  EXPECT_FALSE(Sin(1.0).has_value()) << "there is no trace to add to";
}

TEST(TracingErrorTest, WrongNumbersOfArgumentsAndResults) {
  const Function pair = [](Array x) { return std::tuple{x, x}; };
  ExpectError(ErrorOf(pair, {F32(), F32()}), "TypeError",
              "a function of 1 arrays is called with 2");
  ExpectError(ErrorOf([&](Array x) -> Array { return pair(x); }, {F32()}), "TypeError",
              "a function gave 2 results");
}

TEST(TracingErrorTest, EndlessRecursionMeetsALimit) {
  std::function<Array(Array)> f;
  f = [&](Array x) -> Array { return Jit([&](Array y) { return f(y); })(x); };
  EXPECT_EQ(ErrorOf(f, {F32()}).code(), Code::kResourceExhausted);
}

TEST(TracingErrorTest, NamedCallsNameWhereItFailed) {
  const Function layer = NamedCall("layer 2", [](Array x, Array w) { return Matmul(x, w); });
  const Status s =
      ErrorOf([&](Array x, Array w) -> Array { return layer(x, w); }, {F32(3, 4), F32(3, 4)});
  EXPECT_THAT(s.message(), HasSubstr("in layer 2: "));
}

TEST(TracingErrorTest, CustomRulesMustFitTheirFunction) {
  const Function sin = [](Array x) { return Sin(x); };
  ExpectError(ErrorOf(CustomJvp(sin, [](Array x, Array t) { return std::tuple{Sin(x), Sum(t)}; }),
                      {F32(3)}),
              "TypeError", "must produce primal and tangent outputs with equal shapes and dtypes");
  ExpectError(ErrorOf(CustomVjp(sin, sin, [](Array ct) { return std::tuple{ct, ct}; }), {F32(3)}),
              "TypeError", "must produce 1 cotangents, one per argument, but gave 2");
  ExpectError(ErrorOf(
                  [&](Array x, Array w) -> Array {
                    return CustomJvp(
                        sin, [&](Array v, Array t) { return std::tuple{Sin(v), t * w}; })(x);
                  },
                  {F32(3), F32(3)}),
              "UnexpectedTracerError", "uses an array of a function around it");
}

// ---- values ----

TEST(TracingValueTest, GradientsAreThoseOfTheFunction) {
  const auto f = [](Array x) { return Sum(Tanh(x) * x); };
  const auto got = Evaluate(Grad(f), {Vector({0.5f, -1.0f, 2.0f})});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  for (int i = 0; i < 3; ++i) {
    const double x = std::vector<double>{0.5, -1, 2}[static_cast<size_t>(i)];
    const double t = std::tanh(x);
    EXPECT_NEAR((*got)[0].DoubleAt(i), t + x * (1 - t * t), 1e-5);
  }
}

TEST(TracingValueTest, LoopsRun) {
  const auto collatz = [](Array n) -> Array {
    const auto step = [](Array m, Array steps) {
      const Array next = Where(m % 2 == 0, m / 2, 3 * m + 1);
      return std::tuple{next, steps + 1};
    };
    return WhileLoop([](Array m, Array) { return m > 1; }, step, {n, 0})[1];
  };
  const auto got = Evaluate(collatz, {tensor::Tensor::Scalar<float>(DType::kF32, 27)});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)[0].IntAt(0), 111);
}

TEST(TracingValueTest, CustomRulesAreUsed) {
  const Function clipped = CustomVjp([](Array x) { return x; }, [](Array x) { return x; },
                                     [](Array ct) { return Clip(ct, -1, 1); });
  const auto got =
      Evaluate(Grad([&](Array x) { return Sum(Array(clipped(x)) * 5.0); }), {Vector({1, 2})});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)[0].DoubleAt(1), 1.0);
}

TEST(TracingValueTest, ConstantsTravelWithTheProgram) {
  const tensor::Tensor c = Vector({1, 2, 3});
  const auto f = [&](Array x) -> Array {
    return ForiLoop(0, 4, [&](Array, Array carry) { return carry + Constant(c); }, x);
  };
  const auto got = Evaluate(f, {Vector({0, 0, 0})});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)[0].DoubleAt(2), 12.0);
}

// ---- programs ----

TEST(TracingTest, ProgramsCarryTheNameOfTheirFunction) {
  const auto sin = [](Array x) { return Sin(x); };
  EXPECT_EQ(MakeJaxpr(Vmap(Function("f", sin)), {F32(3)})->fun_name, "f");
  EXPECT_EQ(MakeJaxpr(sin, {F32(3)})->fun_name, "<lambda>");
}

TEST(TracingTest, WithX64NumbersHaveSixtyFourBits) {
  EXPECT_EQ(Text([](Array x) { return x + 2.0; }, {I32(3)}, {.x64 = true}), R"(
{ lambda ; a:i32[3]. let
    b:f64[3] = convert_element_type[new_dtype=float64 weak_type=True] a
    c:f64[3] = add b 2.0:f64[]
  in (c,) })");
}

TEST(TracingTest, TransformsOfATracedProgramUseItsRules) {
  const Function f = CustomJvp([](Array x) { return Sin(x); },
                               [](Array x, Array t) { return std::tuple{Sin(x), 10.0 * t}; });
  const Result<ir::Program> program = MakeJaxpr(f, {F32()});
  ASSERT_TRUE(program.ok()) << program.status().ToString();
  pipeline::Transform grad;
  grad.name = "grad";
  const Result<pipeline::Traced> traced = pipeline::Apply(*program, {grad, grad});
  ASSERT_TRUE(traced.ok()) << traced.status().ToString();
  const Result<stablehlo::Module> module = pipeline::LowerToStablehlo(traced->program);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const auto got =
      stablehlo::Evaluate(*module, std::vector{tensor::Tensor::Scalar<float>(DType::kF32, 1)});
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ((*got)[0].DoubleAt(0), 0.0) << "the rule's derivative is a constant";
}

TEST(TracingTest, EveryElementwisePrimitiveHasAFunction) {
  std::set<std::string_view> functions = {"conj", "integer_pow", "round", "reduce_precision",
                                          "convert_element_type"};
#define MEGALITH_INSERT(name, primitive) functions.insert(primitive);
  MEGALITH_LAX_UNARY(MEGALITH_INSERT)
  MEGALITH_LAX_BINARY(MEGALITH_INSERT)
  MEGALITH_LAX_TERNARY(MEGALITH_INSERT)
#undef MEGALITH_INSERT
  // Emitted by engines, total orders of sort, keys, and what names or replicates a value.
  const std::set<std::string_view> others = {"add_any",      "eq_to",          "le_to",
                                             "lt_to",        "name",           "random_bits",
                                             "random_clone", "random_fold_in", "random_seed",
                                             "random_split", "random_unwrap",  "threefry2x32"};
  for (const ir::OpDef* op : ops::AllOps().all()) {
    const bool elementwise = op->batch.kind == ir::BatchRule::Kind::kElementwise ||
                             op->batch.kind == ir::BatchRule::Kind::kBroadcasting;
    if (!elementwise || others.count(op->name) > 0) continue;
    EXPECT_TRUE(functions.count(op->name) > 0) << op->name;
  }
  for (const std::string_view f : functions) EXPECT_NE(ops::AllOps().Find(f), nullptr) << f;
}

TEST(TracingTest, AnyPrimitiveCanBeEmitted) {
  EXPECT_EQ(Text(
                [](Array x) {
                  return Emit1(
                      "cumprod", {x},
                      {{"axis", ir::ParamValue::Int(0)}, {"reverse", ir::ParamValue::Bool(true)}});
                },
                {F32(3)}),
            R"(
{ lambda ; a:f32[3]. let b:f32[3] = cumprod[axis=0 reverse=True] a in (b,) })");
  EXPECT_THAT(ErrorOf([](Array x) { return Emit1("no_such", {x}); }, {F32()}).message(),
              HasSubstr("there is no primitive 'no_such'"));
  EXPECT_THAT(ErrorOf([](Array x) { return Emit1("sin", {x, x}); }, {F32()}).message(),
              HasSubstr("takes 1 operands"));
}

// dtypes.lattice_result_type of JAX 0.9.2 for every pair.
TEST(TracingTest, PromotionFollowsTheLattice) {
  struct Row {
    PromotedType a;
    PromotedType b;
    PromotedType want;
  };
  const Row rows[] = {
      {{DType::kBool, false}, {DType::kBool, false}, {DType::kBool, false}},
      {{DType::kBool, false}, {DType::kU8, false}, {DType::kU8, false}},
      {{DType::kBool, false}, {DType::kU32, false}, {DType::kU32, false}},
      {{DType::kBool, false}, {DType::kI8, false}, {DType::kI8, false}},
      {{DType::kBool, false}, {DType::kI32, false}, {DType::kI32, false}},
      {{DType::kBool, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kBool, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kBool, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kBool, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kBool, false}, {DType::kI32, true}, {DType::kI32, true}},
      {{DType::kBool, false}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kBool, false}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kU8, false}, {DType::kU8, false}, {DType::kU8, false}},
      {{DType::kU8, false}, {DType::kU32, false}, {DType::kU32, false}},
      {{DType::kU8, false}, {DType::kI8, false}, {DType::kI16, false}},
      {{DType::kU8, false}, {DType::kI32, false}, {DType::kI32, false}},
      {{DType::kU8, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kU8, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kU8, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kU8, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kU8, false}, {DType::kI32, true}, {DType::kU8, false}},
      {{DType::kU8, false}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kU8, false}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kU32, false}, {DType::kU32, false}, {DType::kU32, false}},
      {{DType::kU32, false}, {DType::kI8, false}, {DType::kI32, false}},
      {{DType::kU32, false}, {DType::kI32, false}, {DType::kI32, false}},
      {{DType::kU32, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kU32, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kU32, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kU32, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kU32, false}, {DType::kI32, true}, {DType::kU32, false}},
      {{DType::kU32, false}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kU32, false}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kI8, false}, {DType::kI8, false}, {DType::kI8, false}},
      {{DType::kI8, false}, {DType::kI32, false}, {DType::kI32, false}},
      {{DType::kI8, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kI8, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kI8, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kI8, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kI8, false}, {DType::kI32, true}, {DType::kI8, false}},
      {{DType::kI8, false}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kI8, false}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kI32, false}, {DType::kI32, false}, {DType::kI32, false}},
      {{DType::kI32, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kI32, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kI32, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kI32, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kI32, false}, {DType::kI32, true}, {DType::kI32, false}},
      {{DType::kI32, false}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kI32, false}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kBF16, false}, {DType::kBF16, false}, {DType::kBF16, false}},
      {{DType::kBF16, false}, {DType::kF16, false}, {DType::kF32, false}},
      {{DType::kBF16, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kBF16, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kBF16, false}, {DType::kI32, true}, {DType::kBF16, false}},
      {{DType::kBF16, false}, {DType::kF32, true}, {DType::kBF16, false}},
      {{DType::kBF16, false}, {DType::kC64, true}, {DType::kC64, false}},
      {{DType::kF16, false}, {DType::kF16, false}, {DType::kF16, false}},
      {{DType::kF16, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kF16, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kF16, false}, {DType::kI32, true}, {DType::kF16, false}},
      {{DType::kF16, false}, {DType::kF32, true}, {DType::kF16, false}},
      {{DType::kF16, false}, {DType::kC64, true}, {DType::kC64, false}},
      {{DType::kF32, false}, {DType::kF32, false}, {DType::kF32, false}},
      {{DType::kF32, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kF32, false}, {DType::kI32, true}, {DType::kF32, false}},
      {{DType::kF32, false}, {DType::kF32, true}, {DType::kF32, false}},
      {{DType::kF32, false}, {DType::kC64, true}, {DType::kC64, false}},
      {{DType::kC64, false}, {DType::kC64, false}, {DType::kC64, false}},
      {{DType::kC64, false}, {DType::kI32, true}, {DType::kC64, false}},
      {{DType::kC64, false}, {DType::kF32, true}, {DType::kC64, false}},
      {{DType::kC64, false}, {DType::kC64, true}, {DType::kC64, false}},
      {{DType::kI32, true}, {DType::kI32, true}, {DType::kI32, true}},
      {{DType::kI32, true}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kI32, true}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kF32, true}, {DType::kF32, true}, {DType::kF32, true}},
      {{DType::kF32, true}, {DType::kC64, true}, {DType::kC64, true}},
      {{DType::kC64, true}, {DType::kC64, true}, {DType::kC64, true}},
  };
  for (const Row& row : rows) {
    const Avals pairs[] = {{{row.a.dtype, row.a.weak, {}}, {row.b.dtype, row.b.weak, {}}},
                           {{row.b.dtype, row.b.weak, {}}, {row.a.dtype, row.a.weak, {}}}};
    for (const Avals& pair : pairs) {
      const Result<PromotedType> got = ResultType(pair, /*x64=*/false);
      ASSERT_TRUE(got.ok());
      EXPECT_EQ(tensor::Name(got->dtype), tensor::Name(row.want.dtype))
          << pair[0].Text() << " " << pair[1].Text();
      EXPECT_EQ(got->weak, row.want.weak) << pair[0].Text() << " " << pair[1].Text();
    }
  }
}

}  // namespace
}  // namespace megalith::tracing
