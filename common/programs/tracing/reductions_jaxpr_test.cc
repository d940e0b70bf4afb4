#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(ReductionsJaxprTest, SumOfEverything) {
  EXPECT_EQ(Text([](Array x) { return Sum(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[] = reduce_sum[axes=(0, 1) out_sharding=None] a
  in (b,) })");
}

TEST(ReductionsJaxprTest, SumKeepsDimensions) {
  EXPECT_EQ(Text([](Array x) { return Sum(x, -1, kKeepDims); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_sum[axes=(1,) out_sharding=None] a
    c:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] b
  in (c,) })");
}

TEST(ReductionsJaxprTest, SumOfAllDimensionsKept) {
  EXPECT_EQ(Text([](Array x) { return Sum(x, {0, 1}, kKeepDims); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[] = reduce_sum[axes=(0, 1) out_sharding=None] a
    c:f32[1,1] = broadcast_in_dim b
  in (c,) })");
}

TEST(ReductionsJaxprTest, BooleansAreCounted) {
  EXPECT_EQ(Text([](Array x) { return Sum(x); }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let
    b:i32[3] = convert_element_type[new_dtype=int32 weak_type=False] a
    c:i32[] = reduce_sum[axes=(0,) out_sharding=None] b
  in (c,) })");
}

TEST(ReductionsJaxprTest, HalvesAreSummedInFloat) {
  EXPECT_EQ(Text([](Array x) { return Sum(x); }, {TypeOf(DType::kF16, Shape{3})}), R"(
{ lambda ; a:f16[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
    d:f16[] = convert_element_type[new_dtype=float16 weak_type=False] c
  in (d,) })");
}

TEST(ReductionsJaxprTest, Mean) {
  EXPECT_EQ(Text([](Array x) { return Mean(x, 0); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[4] = reduce_sum[axes=(0,) out_sharding=None] a
    c:f32[4] = div b 3.0:f32[]
  in (c,) })");
}

TEST(ReductionsJaxprTest, MeanKeepsDimensions) {
  EXPECT_EQ(Text([](Array x) { return Mean(x, 1, kKeepDims); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_sum[axes=(1,) out_sharding=None] a
    c:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] b
    d:f32[3,1] = div c 4.0:f32[]
  in (d,) })");
}

TEST(ReductionsJaxprTest, MeanOfIntegers) {
  EXPECT_EQ(Text([](Array x) { return Mean(x); }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
    d:f32[] = div c 3.0:f32[]
  in (d,) })");
}

TEST(ReductionsJaxprTest, MeanOfHalves) {
  EXPECT_EQ(Text([](Array x) { return Mean(x); }, {TypeOf(DType::kF16, Shape{3})}), R"(
{ lambda ; a:f16[3]. let
    b:f32[3] = convert_element_type[new_dtype=float32 weak_type=False] a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
    d:f32[] = div c 3.0:f32[]
    e:f16[] = convert_element_type[new_dtype=float16 weak_type=False] d
  in (e,) })");
}

TEST(ReductionsJaxprTest, Max) {
  EXPECT_EQ(Text([](Array x) { return Max(x, 1, kKeepDims); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_max[axes=(1,)] a
    c:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] b
  in (c,) })");
}

TEST(ReductionsJaxprTest, Prod) {
  EXPECT_EQ(Text([](Array x) { return Prod(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[] = reduce_prod[axes=(0,)] a in (b,) })");
}

TEST(ReductionsJaxprTest, Any) {
  EXPECT_EQ(Text([](Array x) { return Any(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:bool[3] = convert_element_type[new_dtype=bool weak_type=False] a
    c:bool[] = reduce_or[axes=(0,)] b
  in (c,) })");
}

TEST(ReductionsJaxprTest, All) {
  EXPECT_EQ(Text([](Array x) { return All(x); }, {Bool(3)}), R"(
{ lambda ; a:bool[3]. let b:bool[] = reduce_and[axes=(0,)] a in (b,) })");
}

TEST(ReductionsJaxprTest, Argmax) {
  EXPECT_EQ(Text([](Array x) { return Argmax(x, -1); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:i32[3] = argmax[axes=(1,) index_dtype=int32] a
  in (b,) })");
}

TEST(ReductionsJaxprTest, ArgmaxOfEverything) {
  EXPECT_EQ(Text([](Array x) { return Argmax(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[12] = reshape[dimensions=None new_sizes=(12,) sharding=None] a
    c:i32[] = argmax[axes=(0,) index_dtype=int32] b
  in (c,) })");
}

TEST(ReductionsJaxprTest, Cumsum) {
  EXPECT_EQ(Text([](Array x) { return Cumsum(x, 1); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,4] = jit[
      name=cumsum
      jaxpr={ lambda ; a:f32[3,4]. let
          b:f32[3,4] = cumsum[axis=1 reverse=False] a
        in (b,) }
    ] a
  in (b,) })");
}

TEST(ReductionsJaxprTest, Sort) {
  EXPECT_EQ(Text([](Array x) { return Sort(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,4] = jit[
      name=sort
      jaxpr={ lambda ; a:f32[3,4]. let
          b:f32[3,4] = sort[dimension=1 is_stable=True num_keys=1] a
        in (b,) }
    ] a
  in (b,) })");
}

}  // namespace
}  // namespace megalith::tracing
