// What the pipeline refuses, in JAX's words, and what stops it: limits, cancellation, deadlines.
#include "common/programs/pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/print.h"

namespace megalith::pipeline {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSine = "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }";
constexpr std::string_view kVector = "{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }";
constexpr std::string_view kTwo =
    "{ lambda ; a:f32[] b:i32[]. let c:f32[] = sin a; d:i32[] = neg b in (c, d) }";
constexpr std::string_view kSquare = "{ lambda ; a:f32[3]. let b:f32[3] = mul a a in (b,) }";

std::string ErrorOf(std::string_view text, const std::vector<Transform>& stack,
                    TraceOptions options = {}) {
  const auto program = Load({.text = std::string(text)}, options);
  if (!program.ok()) return program.status().ToString();
  const auto traced = Apply(*program, stack, options);
  if (traced.ok()) return ir::Print(traced->program.closed.jaxpr);
  EXPECT_NE(traced.status().code(), Code::kInternal);
  const std::string& python = traced.status().python_class();
  return StrCat(CodeName(traced.status().code()), python.empty() ? "" : " ", python, ": ",
                traced.status().message());
}

Transform Vmap(Axes in, bool in_is_list, Axes out = {0}, bool out_is_list = false) {
  Transform t{.name = "vmap", .in_axes = std::move(in), .in_axes_is_list = in_is_list};
  t.out_axes = std::move(out);
  t.out_axes_is_list = out_is_list;
  return t;
}

TraceOptions Args(std::initializer_list<ir::Aval> avals) {
  TraceOptions options;
  options.arg_avals = avals;
  return options;
}

const ir::Aval kF32{ir::DType::kF32, false, {}};
const ir::Aval kF32x3{ir::DType::kF32, false, {3}};
const ir::Aval kI32{ir::DType::kI32, false, {}};

struct Wrong {
  std::string_view program;
  std::vector<Transform> stack;
  TraceOptions options;
  std::string_view says;
};

TEST(ApplyTest, RefusesInTheWordsOfJax) {
  const Wrong cases[] = {
      {kSine, {{.name = "frob"}}, {}, "unknown transform 'frob'"},
      {kVector,
       {{.name = "grad"}},
       {},
       "TypeError: Gradient only defined for scalar-output functions. Output had shape: (3,)."},
      {kTwo,
       {{.name = "grad", .argnums = {1}}},
       {},
       "TypeError: grad requires real- or complex-valued inputs (input dtype that is a sub-dtype "
       "of np.inexact), but got int32"},
      {kSine,
       {{.name = "grad", .argnums = {1}}},
       {},
       "TypeError: differentiating with respect to argnums=1 requires at least 2 positional "
       "arguments"},
      {kSine,
       {{.name = "grad", .argnums = {-2}}},
       {},
       "ValueError: argnums -2 is out of bounds for 1 positional arguments"},
      {kSine, {{.name = "grad", .argnums = {}}}, {}, "TypeError: argnums must not be empty"},
      {kSine,
       {{.name = "grad", .argnums = {0, -1}, .argnums_is_list = true}},
       {},
       "ValueError: argnums name an argument twice"},
      {kSine,
       {{.name = "grad", .has_aux = true}},
       {},
       "expected function with aux output to return a two-element tuple"},
      {"{ lambda ; a:f32[]. let in () }",
       {{.name = "grad"}},
       {},
       "Gradient only defined for scalar-output functions. Output was 0 values."},
      {"{ lambda ; a:f32[]. let in () }",
       {{.name = "jacrev"}},
       {},
       "ValueError: at least one array or dtype is required"},
      {kTwo,
       {{.name = "jacfwd", .argnums = {1}}},
       {},
       "TypeError: jacfwd requires real-valued inputs"},
      {kSine,
       {{.name = "jvp"}},
       Args({kF32, kF32, kF32}),
       "TypeError: jvp takes as many tangents as primals, got 3 arguments"},
      {kSine,
       {{.name = "jvp"}},
       Args({kF32, kI32}),
       "TypeError: primal and tangent arguments to jax.jvp do not match"},
      {kSine,
       {{.name = "jvp"}},
       Args({kF32, kF32x3}),
       "ValueError: jvp called with different primal and tangent shapes"},
      {kSine, {{.name = "vjp", .num_primals = -1}}, {}, "vjp has num_primals=-1 but 2 arguments"},
      {kSine,
       {{.name = "vjp", .num_primals = 2}},
       Args({kF32}),
       "vjp has num_primals=2 but 1 arguments"},
      {kSine,
       {{.name = "vjp", .num_primals = 1}},
       Args({kF32, kF32x3}),
       "ValueError: unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got "
       "f32[3], but expected f32[]"},
      {kSine,
       {{.name = "vjp", .num_primals = 1}},
       Args({kF32}),
       "ValueError: unexpected tree structure"},
      {kSine,
       {{.name = "linear_transpose", .num_primals = 1}},
       {},
       "NotImplementedError: Transpose rule (for reverse-mode differentiation) for 'sin' not "
       "implemented"},
      {kSquare,
       {{.name = "linear_transpose", .num_primals = 1}},
       {},
       "AssertionError: the function is not linear"},
      {kTwo,
       {{.name = "linear_transpose", .num_primals = 2}},
       {},
       "TypeError: linear_transpose only supports"},
      {kVector,
       {Vmap({0}, false)},
       Args({kF32}),
       "ValueError: vmap was requested to map its argument along axis 0, which implies that its "
       "rank should be at least 1, but is only 0"},
      {kVector,
       {Vmap({std::nullopt}, false)},
       Args({kF32x3}),
       "ValueError: vmap must have at least one non-None value in in_axes"},
      {kVector, {Vmap({0}, false)}, {}, "vmap needs axis_size"},
      {kVector, {Vmap({0, 0}, true)}, Args({kF32x3}), "got len(in_axes)=2, len(args)=1"},
      {kVector,
       {Vmap({0}, false, {0, 0}, true)},
       Args({{ir::DType::kF32, false, {2, 3}}}),
       "vmap out_axes specification must be a tree prefix"},
      {kVector,
       {Vmap({0}, false, {2})},
       Args({{ir::DType::kF32, false, {2, 3}}}),
       "axis 2 is out of bounds for array of dimension 2"},
      {kVector,
       {Vmap({0}, false, {std::nullopt})},
       Args({{ir::DType::kF32, false, {2, 3}}}),
       "got axis spec None but output was batched on axis 0"},
      {kTwo,
       {Vmap({0}, false)},
       Args({kF32x3, {ir::DType::kI32, false, {2}}}),
       "ValueError: vmap got inconsistent sizes for array axes to be mapped"},
      {kSine, {}, Args({kF32, kF32}), "TypeError: the program takes 1 arguments, got 2"},
      {kSine, {}, Args({kF32x3}), "TypeError: input 0 has type f32[3], its binder says f32[]"},
  };
  for (const Wrong& c : cases) {
    EXPECT_THAT(ErrorOf(c.program, c.stack, c.options), HasSubstr(c.says))
        << c.program << " " << (c.stack.empty() ? "" : c.stack[0].Text());
  }
}

// Each of these transposes asks for the value of an input that has none.
TEST(ApplyTest, TransposesOfFunctionsThatAreNotLinearAreRefused) {
  for (const std::string_view text :
       {"{ lambda ; a:f32[3]. let b:f32[3] = div a a in (b,) }",
        "{ lambda ; a:f32[3]. let b:f32[] = dot_general[dimension_numbers=(([0], [0]), ([], []))] "
        "a a in (b,) }",
        "{ lambda ; a:i32[3]. let b:i32[3] = select_n a a a a in (b,) }",
        "{ lambda ; a:f32[3,3]. let b:f32[3,3] = triangular_solve[conjugate_a=False left_side=True "
        "lower=True transpose_a=False unit_diagonal=False] a a in (b,) }",
        "{ lambda ; a:f32[]. let b:bool[] = gt a 0.0:f32[]; c:f32[] = select_n b a a in (c,) }",
        "{ lambda ; a:f32[3]. let b:i32[3] = convert_element_type[new_dtype=int32 weak_type=False] "
        "a; c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b; "
        "d:f32[3] = mul c a in (d,) }"}) {
    const std::string error = ErrorOf(text, {{.name = "linear_transpose", .num_primals = 1}});
    EXPECT_TRUE(error.starts_with("INVALID_ARGUMENT") || error.starts_with("UNIMPLEMENTED"))
        << text << "\n"
        << error;
  }
}

TEST(LoadTest, ChecksWhatComesBesideTheText) {
  const std::string with_const = "{ lambda a:f32[2]; b:f32[2]. let c:f32[2] = add a b in (c,) }";
  const auto error = [](const Source& source) { return Load(source).status().ToString(); };
  EXPECT_THAT(error({.text = with_const}),
              HasSubstr("the program has 1 constvars but 0 constants were sent with it"));
  EXPECT_THAT(
      error({.text = with_const, .consts = {*tensor::Tensor::Create(ir::DType::kF32, {3})}}),
      HasSubstr("constant 0 has type f32[3], its binder says f32[2]"));
  EXPECT_THAT(error({.text = std::string(kSine), .weak_inputs = {true, false}}),
              HasSubstr("2 weak-type flags were sent for 1 inputs"));
  EXPECT_THAT(error({.text = "{ lambda ; a:f32[]. let b:f32[3] = sin a in (b,) }"}),
              HasSubstr("eqn 0 (sin): result 0 has type f32[], its binder says f32[3]"));
  ir::RuleBodies rule;
  rule.jvp.jaxpr = Load({.text = std::string(kSine)})->closed.jaxpr;
  EXPECT_THAT(error({.text = std::string(kSine), .rules = {rule}}), HasSubstr("rule"));
}

// ---- sizes ----

TEST(ApplyTest, ArraysBeyondAnyMemoryAreRefused) {
  constexpr std::string_view kHuge = "larger than any machine's memory";
  const std::string vector =
      "{ lambda ; a:f32[1099511627776]. let b:f32[1099511627776] = sin a in (b,) }";
  EXPECT_THAT(ErrorOf(vector, {{.name = "jacfwd"}}), HasSubstr(kHuge));
  EXPECT_THAT(ErrorOf(vector, {{.name = "jacrev"}}), HasSubstr(kHuge));
  Transform vmap = Vmap({0}, false);
  vmap.axis_size = INT64_MAX;
  EXPECT_THAT(ErrorOf(vector, {vmap}), HasSubstr(kHuge));
  EXPECT_THAT(ErrorOf("{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }", {vmap, vmap}),
              HasSubstr(kHuge));
  EXPECT_THAT(ErrorOf("{ lambda ; a:f32[9223372036854775807]. let in (a,) }", {}),
              HasSubstr(kHuge));
  EXPECT_THAT(ErrorOf("{ lambda ; a:f32[9223372036854775807,0]. let in (a,) }", {}),
              HasSubstr(kHuge));
  EXPECT_THAT(ErrorOf("{ lambda ; a:f32[]. let b:f32[4611686018427387904,4] = "
                      "broadcast_in_dim[shape=(4611686018427387904, 4)] a in (b,) }",
                      {}),
              HasSubstr(kHuge));
}

// ---- limits ----

std::string Chain(int eqns) {
  std::string text = "{ lambda ; v0:f32[3]. let\n";
  for (int i = 0; i < eqns; ++i)
    StrAppend(&text, "    v", i + 1, ":f32[3] = ", i % 2 == 0 ? "sin" : "tanh", " v", i, "\n");
  return StrCat(text, "    s:f32[] = reduce_sum[axes=(0,) out_sharding=None] v", eqns,
                "\n  in (s,) }");
}

TEST(LimitTest, EquationsAreCountedInsideTransforms) {
  TraceOptions options;
  options.limits.max_eqns = 1000;
  for (const std::string_view name :
       {"jvp", "grad", "linearize", "hessian", "jacfwd", "vmap", "value_and_grad"}) {
    Transform t{.name = std::string(name)};
    t.axis_size = 3;
    EXPECT_THAT(ErrorOf(Chain(1001), {t}, options),
                HasSubstr("RESOURCE_EXHAUSTED: the transformed program has more than 1000 "
                          "equations (limit max_eqns)"))
        << name;
  }
}

TEST(LimitTest, StacksThatMultiplyEquationsEnd) {
  TraceOptions options;
  options.limits.max_eqns = 200'000;
  const std::vector<Transform> stack(30, Transform{.name = "jvp"});
  EXPECT_THAT(ErrorOf(Chain(20), stack, options),
              HasSubstr("more than 200000 inputs (limit max_eqns)"));
  const std::vector<Transform> hessians(12, Transform{.name = "jacfwd"});
  EXPECT_THAT(ErrorOf(Chain(20), hessians, options), HasSubstr("(limit max_eqns)"));
  const std::vector<Transform> calls(200, Transform{.name = "jit"});
  EXPECT_THAT(ErrorOf(Chain(2), calls, options), HasSubstr("(limit max_depth)"));
}

// A body is transformed once however often it is called; what its calls expand to is not bounded by
// the text.
TEST(LimitTest, LoweringEndsAtItsOwnLimits) {
  std::string text = "let f0 = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in\n";
  for (int i = 1; i < 40; ++i) {
    StrAppend(&text, "let f", i, " = { lambda ; c:i32[] a:f32[]. let b:f32[] = cond[branches=(f",
              i - 1, " f", i - 1, ")] ", i == 1 ? "c a" : "c c a", "; d:f32[] = cond[branches=(f",
              i - 1, " f", i - 1, ")] ", i == 1 ? "c b" : "c c b", " in (d,) } in\n");
  }
  StrAppend(&text,
            "{ lambda ; c:i32[] a:f32[]. let b:f32[] = cond[branches=(f39 f39)] c c a in (b,) }");
  const auto program = Load({.text = text});
  ASSERT_TRUE(program.ok()) << program.status().ToString();
  const Cancellation cancel(RealClock().Monotonic() + std::chrono::milliseconds(200));
  TraceOptions options;
  options.cancel = &cancel;
  const auto module = LowerToStablehlo(*program, options);
  EXPECT_EQ(module.status().code(), Code::kDeadlineExceeded) << module.status().ToString();
}

// ---- cancellation ----

struct Polls {
  int left = 0;
  static bool Cancelled(const void* polls) {
    return --const_cast<Polls*>(static_cast<const Polls*>(polls))->left < 0;
  }
};

TEST(CancellationTest, StopsTransformsWhereverTheyAre) {
  const std::string text = Chain(3000);
  const auto program = Load({.text = text});
  ASSERT_TRUE(program.ok());
  for (const std::string_view name : {"grad", "hessian", "linearize", "vmap"}) {
    Transform t{.name = std::string(name)};
    t.axis_size = 2;
    int cancelled = 0;
    for (Polls polls{0}; polls.left < 50; ++cancelled) {
      Polls now = polls;
      const Cancellation cancel(std::nullopt, RealClock(), Polls::Cancelled, &now);
      TraceOptions options;
      options.cancel = &cancel;
      const auto traced = Apply(*program, {t}, options);
      if (traced.ok()) break;
      EXPECT_EQ(traced.status().code(), Code::kCancelled)
          << name << " " << traced.status().ToString();
      ++polls.left;
    }
    EXPECT_GE(cancelled, 2) << name;
  }
}

TEST(CancellationTest, DeadlinesStopTransforms) {
  const auto program = Load({.text = Chain(20'000)});
  ASSERT_TRUE(program.ok());
  const Cancellation cancel(RealClock().Monotonic() + std::chrono::milliseconds(1));
  TraceOptions options;
  options.cancel = &cancel;
  const auto traced = Apply(*program, {{.name = "hessian"}}, options);
  EXPECT_EQ(traced.status().code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace megalith::pipeline
