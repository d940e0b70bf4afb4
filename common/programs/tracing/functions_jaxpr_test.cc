#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(FunctionsJaxprTest, RealFunctionsOfIntegersConvert) {
  EXPECT_EQ(Text([](Array x) { return Tanh(x); }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    c:f32[3] = tanh b
  in (c,) })");
}

TEST(FunctionsJaxprTest, RealFunctionsOfWeakIntegersStayWeak) {
  EXPECT_EQ(Text([](Array x) { return Sqrt(x); }, {Weak(I32())}), R"(
{ lambda ; a:i32[]. let
    b:f32[] = convert_element_type[new_dtype=float32 weak_type=True] a
    c:f32[] = sqrt b
  in (c,) })");
}

TEST(FunctionsJaxprTest, RealFunctionsOfNumbersAreEquations) {
  EXPECT_EQ(Text([](Array x) { return x * Sqrt(2.0); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[] = sqrt 2.0:f32[]
    c:f32[] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:f32[3] = mul a c
  in (d,) })");
}

TEST(FunctionsJaxprTest, IntegerPowers) {
  EXPECT_EQ(Text([](Array x) { return Pow(x, 3); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = integer_pow[y=3] a in (b,) })");
}

TEST(FunctionsJaxprTest, NegativePowers) {
  EXPECT_EQ(Text([](Array x) { return Pow(x, -2); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = integer_pow[y=-2] a in (b,) })");
}

TEST(FunctionsJaxprTest, FloatPowers) {
  EXPECT_EQ(Text([](Array x) { return Pow(x, 0.5); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = pow a 0.5:f32[] in (b,) })");
}

TEST(FunctionsJaxprTest, PowersOfNumbers) {
  EXPECT_EQ(Text([](Array x) { return Pow(2, x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = pow 2.0:f32[] a in (b,) })");
}

TEST(FunctionsJaxprTest, FloatsToIntegerArrays) {
  EXPECT_EQ(Text([](Array x, Array y) { return Pow(x, y); }, {F32(3), I32(3)}), R"(
{ lambda ; a:f32[3] b:i32[3]. let
    _:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    c:f32[3] = pow a b
  in (c,) })");
}

TEST(FunctionsJaxprTest, MaximumBroadcasts) {
  EXPECT_EQ(Text([](Array x, Array y) { return Maximum(x, y); }, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    d:f32[3,4] = max a c
  in (d,) })");
}

TEST(FunctionsJaxprTest, MinimumWithNumber) {
  EXPECT_EQ(Text([](Array x) { return Minimum(x, 3); }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let b:i32[3] = min a 3:i32[] in (b,) })");
}

TEST(FunctionsJaxprTest, WhereWithNumber) {
  EXPECT_EQ(Text([](Array x, Array y) { return Where(x, y, 0.0); }, {Bool(3), F32(3)}), R"(
{ lambda ; a:bool[3] b:f32[3]. let
    c:f32[3] = jit[
      name=_where
      jaxpr={ lambda ; a:bool[3] b:f32[3] d:f32[]. let
          e:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          f:f32[3] = broadcast_in_dim e
          c:f32[3] = select_n a f b
        in (c,) }
    ] a b 0.0:f32[]
  in (c,) })");
}

TEST(FunctionsJaxprTest, WhereBroadcasts) {
  const auto f = [](Array x, Array y, Array z) { return Where(x, y, z); };
  EXPECT_EQ(Text(f, {Bool(3, 1), F32(3, 4), F32(4)}), R"(
{ lambda ; a:bool[3,1] b:f32[3,4] c:f32[4]. let
    d:f32[3,4] = jit[
      name=_where
      jaxpr={ lambda ; a:bool[3,1] b:f32[3,4] c:f32[4]. let
          e:bool[3,4] = broadcast_in_dim[broadcast_dimensions=(0, 1)] a
          f:f32[3,4] = broadcast_in_dim[broadcast_dimensions=(1,)] c
          d:f32[3,4] = select_n e f b
        in (d,) }
    ] a b c
  in (d,) })");
}

TEST(FunctionsJaxprTest, WhereOfNumbers) {
  EXPECT_EQ(Text([](Array x) { return Where(x, 1, 0); }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let
    b:i32[3] = jit[
      name=_where
      jaxpr={ lambda ; a:bool[3] c:i32[] d:i32[]. let
          e:i32[3] = broadcast_in_dim c
          f:i32[3] = broadcast_in_dim d
          b:i32[3] = select_n a f e
        in (b,) }
    ] a 1:i32[] 0:i32[]
  in (b,) })");
}

TEST(FunctionsJaxprTest, WhereComparesNumbersWithZero) {
  EXPECT_EQ(Text([](Array x, Array y) { return Where(x, y, 0); }, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = jit[
      name=_where
      jaxpr={ lambda ; a:f32[3] b:f32[3] d:i32[]. let
          e:bool[3] = ne a 0.0:f32[]
          f:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          g:f32[3] = broadcast_in_dim f
          c:f32[3] = select_n e g b
        in (c,) }
    ] a b 0:i32[]
  in (c,) })");
}

TEST(FunctionsJaxprTest, EqualCallsShareTheirProgram) {
  const auto f = [](Array x, Array y) { return Where(x, Where(x, y, 0.0), 0.0); };
  EXPECT_EQ(Text(f, {Bool(3), F32(3)}), R"(
let _where = { lambda ; a:bool[3] b:f32[3] c:f32[]. let
    d:f32[] = convert_element_type[new_dtype=float32 weak_type=False] c
    e:f32[3] = broadcast_in_dim d
    f:f32[3] = select_n a e b
  in (f,) } in
{ lambda ; g:bool[3] h:f32[3]. let
    i:f32[3] = jit[name=_where jaxpr=_where] g h 0.0:f32[]
    j:f32[3] = jit[name=_where jaxpr=_where] g i 0.0:f32[]
  in (j,) })");
}

TEST(FunctionsJaxprTest, Clip) {
  EXPECT_EQ(Text([](Array x) { return Clip(x, 0, 1); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = jit[
      name=clip
      jaxpr={ lambda ; a:f32[3] c:i32[] d:i32[]. let
          e:f32[] = convert_element_type[new_dtype=float32 weak_type=False] c
          f:f32[3] = max e a
          g:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          b:f32[3] = min g f
        in (b,) }
    ] a 0:i32[] 1:i32[]
  in (b,) })");
}

TEST(FunctionsJaxprTest, LogicalNot) {
  EXPECT_EQ(Text([](Array x) { return LogicalNot(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:bool[3] = ne a 0.0:f32[]; c:bool[3] = not b in (c,) })");
}

TEST(FunctionsJaxprTest, LogicalAndPromotesFirst) {
  EXPECT_EQ(Text([](Array x) { return LogicalAnd(x, x > 0); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:bool[3] = gt a 0.0:f32[]
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:bool[3] = ne a 0.0:f32[]
    e:bool[3] = ne c 0.0:f32[]
    f:bool[3] = and d e
  in (f,) })");
}

TEST(FunctionsJaxprTest, IsNan) {
  EXPECT_EQ(Text([](Array x) { return IsNan(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:bool[3] = ne a a in (b,) })");
}

TEST(FunctionsJaxprTest, Logaddexp) {
  EXPECT_EQ(Text([](Array x) { return Logaddexp(x, x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = custom_jvp_call[
      name=logaddexp
      call_jaxpr={ lambda ; c:f32[3] d:f32[3]. let
          e:f32[3] = max c d
          f:f32[3] = sub c d
          g:bool[3] = ne f f
          h:f32[3] = add c d
          i:f32[3] = abs f
          j:f32[3] = neg i
          k:f32[3] = exp j
          l:f32[3] = log1p k
          m:f32[3] = add e l
          n:f32[3] = select_n g m h
        in (n,) }
      jvp=_logaddexp_jvp
      symbolic_zeros=False
    ] a a
  in (b,) })");
}

TEST(FunctionsJaxprTest, AsType) {
  EXPECT_EQ(Text([](Array x) { return AsType(x, DType::kI32); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:i32[3] = convert_element_type[new_dtype=int32 weak_type=False] a
  in (b,) })");
}

TEST(FunctionsJaxprTest, AsTypeDropsWeakness) {
  EXPECT_EQ(Text([](Array x) { return AsType(x, DType::kF32); }, {Weak(F32())}), R"(
{ lambda ; a:f32[]. let
    b:f32[] = convert_element_type[new_dtype=float32 weak_type=False] a
  in (b,) })");
}

TEST(FunctionsJaxprTest, StopGradient) {
  EXPECT_EQ(Text([](Array x) { return StopGradient(x) * 2; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = stop_gradient a
    c:f32[3] = mul b 2.0:f32[]
  in (c,) })");
}

TEST(FunctionsJaxprTest, LaxKeepsWeakNumbers) {
  EXPECT_EQ(Text([](Array x) { return lax::Add(x, 2.0); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = add a 2.0:f32[] in (b,) })");
}

TEST(FunctionsJaxprTest, LaxPowerOfIntegers) {
  EXPECT_EQ(Text([](Array x) { return lax::Pow(x, 2); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = pow a 2:i32[] in (b,) })");
}

TEST(FunctionsJaxprTest, LaxClamp) {
  EXPECT_EQ(Text([](Array x) { return lax::Clamp(0.0, x, 1.0); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = clamp 0.0:f32[] a 1.0:f32[] in (b,) })");
}

}  // namespace
}  // namespace megalith::tracing
