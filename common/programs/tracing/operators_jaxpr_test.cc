#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(OperatorsJaxprTest, BroadcastsByTrailingDimensions) {
  EXPECT_EQ(Text([](Array x, Array y) { return x + y; }, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    d:f32[3,4] = add a c
  in (d,) })");
}

TEST(OperatorsJaxprTest, PythonNumbersTakeTheDtypeOfTheArray) {
  EXPECT_EQ(Text([](Array x) { return x + 2; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = add a 2.0:f32[] in (b,) })");
}

TEST(OperatorsJaxprTest, NumbersAreRoundedOnceToTheDtype) {
  EXPECT_EQ(Text([](Array x) { return x + 2.1; }, {TypeOf(DType::kF16, Shape{3})}), R"(
{ lambda ; a:f16[3]. let b:f16[3] = add a 2.099609375:f16[] in (b,) })");
}

TEST(OperatorsJaxprTest, WeakInputsBecomeStrongBesideStrongOnes) {
  EXPECT_EQ(Text([](Array x, Array y) { return x + y; }, {F32(3), Weak(F32())}), R"(
{ lambda ; a:f32[3] b:f32[]. let
    c:f32[] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:f32[3] = add a c
  in (d,) })");
}

TEST(OperatorsJaxprTest, TwoWeakOperandsStayWeak) {
  EXPECT_EQ(Text([](Array x) { return x + 2.1; }, {Weak(F32())}), R"(
{ lambda ; a:f32[]. let b:f32[] = add a 2.1:f32[] in (b,) })");
}

TEST(OperatorsJaxprTest, IntegersBecomeWeakFloatsBesideAFloatNumber) {
  EXPECT_EQ(Text([](Array x) { return x + 2.0; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=True] a
    c:f32[3] = add b 2.0:f32[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, IntegersBecomeFloatsBesideFloatArrays) {
  EXPECT_EQ(Text([](Array x, Array y) { return x * y; }, {I32(3), F32(3)}), R"(
{ lambda ; a:i32[3] b:f32[3]. let
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    d:f32[3] = mul c b
  in (d,) })");
}

TEST(OperatorsJaxprTest, DivisionOfIntegersIsTrueDivision) {
  EXPECT_EQ(Text([](Array x) { return x / 2; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    c:f32[3] = div b 2.0:f32[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, DivisionOfIntegerArrays) {
  EXPECT_EQ(Text([](Array x, Array y) { return x / y; }, {I32(3), I32(3)}), R"(
{ lambda ; a:i32[3] b:i32[3]. let
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    d:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    e:f32[3] = div c d
  in (e,) })");
}

TEST(OperatorsJaxprTest, BooleansAreIntegersBesideIntegers) {
  EXPECT_EQ(Text([](Array x) { return x + true; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let b:i32[3] = add a 1:i32[] in (b,) })");
}

TEST(OperatorsJaxprTest, BooleanArraysBecomeWeakIntegers) {
  EXPECT_EQ(Text([](Array x) { return x + 1; }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let
    b:i32[3] = convert_element_type[new_dtype=int32 weak_type=True] a
    c:i32[3] = add b 1:i32[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, TheSumOfBooleansIsOr) {
  EXPECT_EQ(Text([](Array x) { return x + x; }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let b:bool[3] = or a a in (b,) })");
}

TEST(OperatorsJaxprTest, TheProductOfBooleansIsAnd) {
  EXPECT_EQ(Text([](Array x) { return x * x; }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let b:bool[3] = and a a in (b,) })");
}

TEST(OperatorsJaxprTest, ComplexNumbers) {
  EXPECT_EQ(Text([](Array x) { return x * std::complex<double>(0, 1); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:c64[3] = convert_element_type[new_dtype=complex64 weak_type=False] a
    c:c64[3] = mul b 1j:c64[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, UnsignedAndSignedMeetInSigned) {
  const auto f = [](Array x, Array y) { return x + y; };
  EXPECT_EQ(Text(f, {TypeOf(DType::kU32, Shape{3}), I32(3)}), R"(
{ lambda ; a:u32[3] b:i32[3]. let
    c:i32[3] = convert_element_type[new_dtype=int32 weak_type=False] a
    d:i32[3] = add c b
  in (d,) })");
}

TEST(OperatorsJaxprTest, HalfAndBfloatMeetInFloat) {
  const auto f = [](Array x, Array y) { return x + y; };
  EXPECT_EQ(Text(f, {TypeOf(DType::kF16, Shape{3}), TypeOf(DType::kBF16, Shape{3})}), R"(
{ lambda ; a:f16[3] b:bf16[3]. let
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    d:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    e:f32[3] = add c d
  in (e,) })");
}

TEST(OperatorsJaxprTest, NumbersOnTheLeft) {
  EXPECT_EQ(Text([](Array x) { return 1 - x; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = sub 1.0:f32[] a in (b,) })");
}

TEST(OperatorsJaxprTest, Negation) {
  EXPECT_EQ(Text([](Array x) { return -x; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = neg a in (b,) })");
}

TEST(OperatorsJaxprTest, ComparisonPromotes) {
  EXPECT_EQ(Text([](Array x) { return x < 2.5; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=True] a
    c:bool[3] = lt b 2.5:f32[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, Equality) {
  EXPECT_EQ(Text([](Array x) { return x == 0; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:bool[3] = eq a 0.0:f32[] in (b,) })");
}

TEST(OperatorsJaxprTest, Inequality) {
  EXPECT_EQ(Text([](Array x, Array y) { return x != y; }, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    d:bool[3,4] = ne a c
  in (d,) })");
}

TEST(OperatorsJaxprTest, Bits) {
  EXPECT_EQ(Text([](Array x) { return (~x ^ 3) & 1; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:i32[3] = not a
    c:i32[3] = xor b 3:i32[]
    d:i32[3] = and c 1:i32[]
  in (d,) })");
}

TEST(OperatorsJaxprTest, Shifts) {
  EXPECT_EQ(Text([](Array x) { return (x << 1) >> 2; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:i32[3] = shift_left a 1:i32[]
    c:i32[3] = shift_right_arithmetic b 2:i32[]
  in (c,) })");
}

TEST(OperatorsJaxprTest, UnsignedShiftsAreLogical) {
  EXPECT_EQ(Text([](Array x) { return x >> 2; }, {TypeOf(DType::kU32, Shape{3})}), R"(
{ lambda ; a:u32[3]. let b:u32[3] = shift_right_logical a 2:u32[] in (b,) })");
}

TEST(OperatorsJaxprTest, RemainderOfFloats) {
  EXPECT_EQ(Text([](Array x, Array y) { return x % y; }, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3,4] = jit[
      name=remainder
      jaxpr={ lambda ; a:f32[3,4] b:f32[4]. let
          d:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] b
          e:f32[3,4] = rem a d
          f:bool[3,4] = ne e 0.0:f32[]
          g:bool[3,4] = lt e 0.0:f32[]
          h:bool[1,4] = lt d 0.0:f32[]
          i:bool[3,4] = ne g h
          j:bool[3,4] = and i f
          k:f32[3,4] = add e d
          c:f32[3,4] = select_n j e k
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(OperatorsJaxprTest, RemainderOfIntegers) {
  EXPECT_EQ(Text([](Array x) { return x % 2; }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:i32[3] = jit[
      name=remainder
      jaxpr={ lambda ; a:i32[3] c:i32[]. let
          d:i32[] = convert_element_type[new_dtype=int32 weak_type=False] c
          e:bool[] = eq d 0:i32[]
          f:i32[] = jit[
            name=_where
            jaxpr={ lambda ; e:bool[] g:i32[] d:i32[]. let
                f:i32[] = select_n e d g
              in (f,) }
          ] e 1:i32[] d
          h:i32[3] = rem a f
          i:bool[3] = ne h 0:i32[]
          j:bool[3] = lt h 0:i32[]
          k:bool[] = lt f 0:i32[]
          l:bool[3] = ne j k
          m:bool[3] = and l i
          n:i32[3] = add h f
          b:i32[3] = select_n m h n
        in (b,) }
    ] a 2:i32[]
  in (b,) })");
}

TEST(OperatorsJaxprTest, ScalarsBroadcastWithoutEquation) {
  EXPECT_EQ(Text([](Array x, Array y) { return x * y; }, {F32(3, 4), F32()}), R"(
{ lambda ; a:f32[3,4] b:f32[]. let c:f32[3,4] = mul a b in (c,) })");
}

TEST(OperatorsJaxprTest, NumbersAreResults) {
  EXPECT_EQ(Text([](Array) { return 1.0; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let  in (1.0:f32[],) })");
}

TEST(OperatorsJaxprTest, Identity) {
  EXPECT_EQ(Text([](Array x) { return x; }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let  in (a,) })");
}

}  // namespace
}  // namespace megalith::tracing
