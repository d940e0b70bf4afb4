#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(ShapesJaxprTest, ReshapeInfersOneSize) {
  EXPECT_EQ(Text([](Array x) { return Reshape(x, {2, -1}); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[2,6] = reshape[dimensions=None new_sizes=(2, 6) sharding=None] a
  in (b,) })");
}

TEST(ShapesJaxprTest, ReshapeToTheSameShapeIsNothing) {
  EXPECT_EQ(Text([](Array x) { return Reshape(x, {3}); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let  in (a,) })");
}

TEST(ShapesJaxprTest, Ravel) {
  EXPECT_EQ(Text([](Array x) { return Ravel(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[12] = reshape[dimensions=None new_sizes=(12,) sharding=None] a
  in (b,) })");
}

TEST(ShapesJaxprTest, Transpose) {
  EXPECT_EQ(Text([](Array x) { return Transpose(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[4,3] = transpose[permutation=(1, 0)] a
  in (b,) })");
}

TEST(ShapesJaxprTest, MoveAxis) {
  EXPECT_EQ(Text([](Array x) { return MoveAxis(x, 0, -1); }, {F32(2, 3, 4)}), R"(
{ lambda ; a:f32[2,3,4]. let
    b:f32[3,4,2] = transpose[permutation=(1, 2, 0)] a
  in (b,) })");
}

TEST(ShapesJaxprTest, SwapAxes) {
  EXPECT_EQ(Text([](Array x) { return SwapAxes(x, 0, 2); }, {F32(2, 3, 4)}), R"(
{ lambda ; a:f32[2,3,4]. let
    b:f32[4,3,2] = transpose[permutation=(2, 1, 0)] a
  in (b,) })");
}

TEST(ShapesJaxprTest, ExpandDims) {
  EXPECT_EQ(Text([](Array x) { return ExpandDims(x, {0, 2}); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[1,3,1] = broadcast_in_dim[broadcast_dimensions=(1,)] a
  in (b,) })");
}

TEST(ShapesJaxprTest, Squeeze) {
  EXPECT_EQ(Text([](Array x) { return Squeeze(x); }, {F32(1, 4)}), R"(
{ lambda ; a:f32[1,4]. let b:f32[4] = squeeze[dimensions=(0,)] a in (b,) })");
}

TEST(ShapesJaxprTest, BroadcastTo) {
  EXPECT_EQ(Text([](Array x) { return BroadcastTo(x, {2, 3, 4}); }, {F32(3, 1)}), R"(
{ lambda ; a:f32[3,1]. let
    b:f32[2,3,4] = broadcast_in_dim[broadcast_dimensions=(1, 2)] a
  in (b,) })");
}

TEST(ShapesJaxprTest, Flip) {
  EXPECT_EQ(Text([](Array x) { return Flip(x, 0); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,4] = jit[
      name=_flip
      jaxpr={ lambda ; a:f32[3,4]. let
          b:f32[3,4] = rev[dimensions=(0,)] a
        in (b,) }
    ] a
  in (b,) })");
}

TEST(ShapesJaxprTest, ConcatenatePromotes) {
  EXPECT_EQ(Text([](Array x, Array y) { return Concatenate({x, y}); }, {F32(3), I32(3)}), R"(
{ lambda ; a:f32[3] b:i32[3]. let
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:f32[6] = concatenate[dimension=0] a c
  in (d,) })");
}

TEST(ShapesJaxprTest, ConcatenateAlongTheLastDimension) {
  EXPECT_EQ(Text([](Array x) { return Concatenate({x, x}, -1); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let b:f32[3,8] = concatenate[dimension=1] a a in (b,) })");
}

TEST(ShapesJaxprTest, Stack) {
  EXPECT_EQ(Text([](Array x, Array y) { return Stack({x, y}); }, {F32(3), I32(3)}), R"(
{ lambda ; a:f32[3] b:i32[3]. let
    c:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(1,)] a
    d:i32[1,3] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    e:f32[1,3] = convert_element_type[new_dtype=float32 weak_type=False] d
    f:f32[2,3] = concatenate[dimension=0] c e
  in (f,) })");
}

TEST(ShapesJaxprTest, Split) {
  EXPECT_EQ(Text([](Array x) { return Split(x, 2, 1); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,2] c:f32[3,2] = split[axis=1 sizes=(np.int64(2), np.int64(2))] a
  in (b, c) })");
}

TEST(ShapesJaxprTest, Zeros) {
  EXPECT_EQ(Text([](Array x) { return x + Zeros({3}); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = broadcast_in_dim 0.0:f32[]
    c:f32[3] = add a b
  in (c,) })");
}

TEST(ShapesJaxprTest, FullTakesTheTypeOfTheNumber) {
  EXPECT_EQ(Text([](Array x) { return x + Full({3}, 2); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:i32[3] = broadcast_in_dim 2:i32[]
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:f32[3] = add a c
  in (d,) })");
}

TEST(ShapesJaxprTest, OnesOfADtype) {
  EXPECT_EQ(Text([](Array) { return Ones({2, 3}, DType::kI32); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:i32[2,3] = broadcast_in_dim 1:i32[] in (b,) })");
}

TEST(ShapesJaxprTest, ZerosLike) {
  EXPECT_EQ(Text([](Array x) { return ZerosLike(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let b:f32[3,4] = broadcast_in_dim 0.0:f32[] in (b,) })");
}

TEST(ShapesJaxprTest, Arange) {
  EXPECT_EQ(Text([](Array x) { return x + Arange(3); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:i32[3] = iota[dimension=0 dtype=int32 shape=(3,) sharding=None] 
    c:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] b
    d:f32[3] = add a c
  in (d,) })");
}

}  // namespace
}  // namespace megalith::tracing
