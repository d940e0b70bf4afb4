#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(ProductsJaxprTest, DotOfMatrixAndVector) {
  EXPECT_EQ(Text([](Array x, Array y) { return Dot(x, y); }, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, DotOfVectors) {
  EXPECT_EQ(Text([](Array x) { return Dot(x, x); }, {F32(4)}), R"(
{ lambda ; a:f32[4]. let
    b:f32[] = dot_general[
      dimension_numbers=(([0], [0]), ([], []))
      preferred_element_type=float32
    ] a a
  in (b,) })");
}

TEST(ProductsJaxprTest, DotWithScalar) {
  EXPECT_EQ(Text([](Array x, Array y) { return Dot(x, y); }, {F32(4), F32()}), R"(
{ lambda ; a:f32[4] b:f32[]. let
    c:f32[4] = dot_general[
      dimension_numbers=(([], []), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, DotOfDifferentDtypes) {
  EXPECT_EQ(Text([](Array x, Array y) { return Dot(x, y); }, {F32(3, 4), I32(4)}), R"(
{ lambda ; a:f32[3,4] b:i32[4]. let
    c:f32[3] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, Matmul) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(3, 4), F32(4, 5)}), R"(
{ lambda ; a:f32[3,4] b:f32[4,5]. let
    c:f32[3,5] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, MatmulOfStacks) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(2, 3, 4), F32(2, 4, 5)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[2,4,5]. let
    c:f32[2,3,5] = dot_general[
      dimension_numbers=(([2], [1]), ([0], [0]))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, MatmulOfStackAndMatrix) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(2, 3, 4), F32(4, 5)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[4,5]. let
    c:f32[2,3,5] = dot_general[
      dimension_numbers=(([2], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, MatmulOfMatrixAndStack) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(3, 4), F32(2, 4, 5)}), R"(
{ lambda ; a:f32[3,4] b:f32[2,4,5]. let
    c:f32[3,2,5] = dot_general[
      dimension_numbers=(([1], [1]), ([], []))
      preferred_element_type=float32
    ] a b
    d:f32[2,3,5] = transpose[permutation=(1, 0, 2)] c
  in (d,) })");
}

TEST(ProductsJaxprTest, MatmulSqueezesSizesOfOne) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(2, 3, 4), F32(1, 4, 5)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[1,4,5]. let
    c:f32[4,5] = squeeze[dimensions=(0,)] b
    d:f32[2,3,5] = dot_general[
      dimension_numbers=(([2], [0]), ([], []))
      preferred_element_type=float32
    ] a c
  in (d,) })");
}

TEST(ProductsJaxprTest, MatmulOfFourDimensions) {
  const auto f = [](Array x, Array y) { return Matmul(x, y); };
  EXPECT_EQ(Text(f, {F32(6, 2, 3, 4), F32(2, 4, 5)}), R"(
{ lambda ; a:f32[6,2,3,4] b:f32[2,4,5]. let
    c:f32[2,6,3,5] = dot_general[
      dimension_numbers=(([3], [1]), ([1], [0]))
      preferred_element_type=float32
    ] a b
    d:f32[6,2,3,5] = transpose[permutation=(1, 0, 2, 3)] c
  in (d,) })");
}

TEST(ProductsJaxprTest, MatmulWithVector) {
  EXPECT_EQ(Text([](Array x, Array y) { return Matmul(x, y); }, {F32(2, 3, 4), F32(4)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[4]. let
    c:f32[2,3] = dot_general[
      dimension_numbers=(([2], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, Outer) {
  EXPECT_EQ(Text([](Array x, Array y) { return Outer(x, y); }, {F32(3), F32(4)}), R"(
{ lambda ; a:f32[3] b:f32[4]. let
    c:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] a
    d:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    e:f32[3,4] = mul c d
  in (e,) })");
}

TEST(ProductsJaxprTest, EinsumAsMatmul) {
  const auto f = [](Array x, Array y) { return Einsum("ij,jk->ik", {x, y}); };
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4, 5)}), R"(
{ lambda ; a:f32[3,4] b:f32[4,5]. let
    c:f32[3,5] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, EinsumOfStacks) {
  const auto f = [](Array x, Array y) { return Einsum("bij,bjk->bik", {x, y}); };
  EXPECT_EQ(Text(f, {F32(2, 3, 4), F32(2, 4, 5)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[2,4,5]. let
    c:f32[2,3,5] = dot_general[
      dimension_numbers=(([2], [1]), ([0], [0]))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, EinsumSwapsOperands) {
  const auto f = [](Array x, Array y) { return Einsum("ij,kj->ki", {x, y}); };
  EXPECT_EQ(Text(f, {F32(3, 4), F32(5, 4)}), R"(
{ lambda ; a:f32[3,4] b:f32[5,4]. let
    c:f32[5,3] = dot_general[
      dimension_numbers=(([1], [1]), ([], []))
      preferred_element_type=float32
    ] b a
  in (c,) })");
}

TEST(ProductsJaxprTest, EinsumTransposes) {
  EXPECT_EQ(Text([](Array x) { return Einsum("ij->ji", {x}); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[4,3] = transpose[permutation=(1, 0)] a
  in (b,) })");
}

TEST(ProductsJaxprTest, EinsumSums) {
  EXPECT_EQ(Text([](Array x) { return Einsum("ij->j", {x}); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[4] = reduce_sum[axes=(0,) out_sharding=None] a
  in (b,) })");
}

TEST(ProductsJaxprTest, EinsumOfAttention) {
  const auto f = [](Array x, Array y) { return Einsum("bqhd,bkhd->bhqk", {x, y}); };
  EXPECT_EQ(Text(f, {F32(2, 3, 4, 5), F32(2, 6, 4, 5)}), R"(
{ lambda ; a:f32[2,3,4,5] b:f32[2,6,4,5]. let
    c:f32[2,4,3,6] = dot_general[
      dimension_numbers=(([3], [3]), ([0, 2], [0, 2]))
      preferred_element_type=float32
    ] a b
  in (c,) })");
}

TEST(ProductsJaxprTest, DotGeneral) {
  const auto f = [](Array x, Array y) { return lax::DotGeneral(x, y, {{1}, {0}}); };
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4, 5)}), R"(
{ lambda ; a:f32[3,4] b:f32[4,5]. let
    c:f32[3,5] = dot_general[dimension_numbers=(([1], [0]), ([], []))] a b
  in (c,) })");
}

}  // namespace
}  // namespace megalith::tracing
