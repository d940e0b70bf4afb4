#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(IndexingJaxprTest, ConstantIndex) {
  EXPECT_EQ(Text([](Array x) { return x[-1]; }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[1,4] = slice[limit_indices=(3, 4) start_indices=(2, 0) strides=None] a
    c:f32[4] = squeeze[dimensions=(0,)] b
  in (c,) })");
}

TEST(IndexingJaxprTest, ArrayIndex) {
  EXPECT_EQ(Text([](Array x, Array y) { return x[y]; }, {F32(3, 4), I32()}), R"(
{ lambda ; a:f32[3,4] b:i32[]. let
    c:bool[] = lt b 0:i32[]
    d:i32[] = add b 3:i32[]
    e:i32[] = select_n c b d
    f:bool[] = lt 0:i32[] 0:i32[]
    g:i32[] = add 0:i32[] 4:i32[]
    h:i32[] = select_n f 0:i32[] g
    i:f32[1,4] = dynamic_slice[slice_sizes=(1, 4)] a e h
    j:f32[4] = squeeze[dimensions=(0,)] i
  in (j,) })");
}

TEST(IndexingJaxprTest, VectorIndex) {
  EXPECT_EQ(Text([](Array x, Array y) { return x[y]; }, {F32(3, 4), I32(3)}), R"(
{ lambda ; a:f32[3,4] b:i32[3]. let
    c:bool[3] = lt b 0:i32[]
    d:i32[3] = add b 3:i32[]
    e:i32[3] = select_n c b d
    f:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] e
    g:f32[3,4] = gather[
      dimension_numbers=GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), start_indices_batching_dims=())
      fill_value=None
      indices_are_sorted=False
      mode=GatherScatterMode.PROMISE_IN_BOUNDS
      slice_sizes=(1, 4)
      unique_indices=False
    ] a f
  in (g,) })");
}

TEST(IndexingJaxprTest, SliceOfRows) {
  EXPECT_EQ(Text([](Array x) { return Slice(x, {{1, 3}}); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[2,4] = slice[limit_indices=(3, 4) start_indices=(1, 0) strides=None] a
  in (b,) })");
}

TEST(IndexingJaxprTest, SliceWithStep) {
  EXPECT_EQ(Text([](Array x) { return Slice(x, {{}, {0, std::nullopt, 2}}); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,2] = slice[limit_indices=(3, 4) start_indices=(0, 0) strides=(1, 2)] a
  in (b,) })");
}

TEST(IndexingJaxprTest, TakeFills) {
  EXPECT_EQ(Text([](Array x, Array y) { return Take(x, y, 0); }, {F32(3, 4), I32(3)}), R"(
{ lambda ; a:f32[3,4] b:i32[3]. let
    c:f32[3,4] = jit[
      name=_take
      jaxpr={ lambda ; a:f32[3,4] b:i32[3]. let
          d:bool[3] = lt b 0:i32[]
          e:i32[3] = add b 3:i32[]
          f:i32[3] = jit[
            name=_where
            jaxpr={ lambda ; d:bool[3] e:i32[3] b:i32[3]. let
                f:i32[3] = select_n d b e
              in (f,) }
          ] d e b
          g:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] f
          c:f32[3,4] = gather[
            dimension_numbers=GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), start_indices_batching_dims=())
            fill_value=nan
            indices_are_sorted=False
            mode=GatherScatterMode.FILL_OR_DROP
            slice_sizes=(1, 4)
            unique_indices=False
          ] a g
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(IndexingJaxprTest, TakeClips) {
  const auto f = [](Array x, Array y) { return Take(x, y, 1, TakeMode::kClip); };
  EXPECT_EQ(Text(f, {F32(3, 4), I32(3)}), R"(
{ lambda ; a:f32[3,4] b:i32[3]. let
    c:f32[3,3] = jit[
      name=_take
      jaxpr={ lambda ; a:f32[3,4] b:i32[3]. let
          d:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] b
          c:f32[3,3] = gather[
            dimension_numbers=GatherDimensionNumbers(offset_dims=(0,), collapsed_slice_dims=(1,), start_index_map=(1,), operand_batching_dims=(), start_indices_batching_dims=())
            fill_value=None
            indices_are_sorted=False
            mode=GatherScatterMode.CLIP
            slice_sizes=(3, 1)
            unique_indices=False
          ] a d
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(IndexingJaxprTest, TakeOfEverything) {
  EXPECT_EQ(Text([](Array x, Array y) { return Take(x, y); }, {F32(3, 4), I32(3)}), R"(
{ lambda ; a:f32[3,4] b:i32[3]. let
    c:f32[3] = jit[
      name=_take
      jaxpr={ lambda ; a:f32[3,4] b:i32[3]. let
          d:f32[12] = reshape[dimensions=None new_sizes=(12,) sharding=None] a
          e:bool[3] = lt b 0:i32[]
          f:i32[3] = add b 12:i32[]
          g:i32[3] = jit[
            name=_where
            jaxpr={ lambda ; e:bool[3] f:i32[3] b:i32[3]. let
                g:i32[3] = select_n e b f
              in (g,) }
          ] e f b
          h:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] g
          c:f32[3] = gather[
            dimension_numbers=GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), start_indices_batching_dims=())
            fill_value=nan
            indices_are_sorted=False
            mode=GatherScatterMode.FILL_OR_DROP
            slice_sizes=(1,)
            unique_indices=False
          ] d h
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(IndexingJaxprTest, TakeOfIntegers) {
  EXPECT_EQ(Text([](Array x, Array y) { return Take(x, y, 0); }, {I32(3), I32(3)}), R"(
{ lambda ; a:i32[3] b:i32[3]. let
    c:i32[3] = jit[
      name=_take
      jaxpr={ lambda ; a:i32[3] b:i32[3]. let
          d:bool[3] = lt b 0:i32[]
          e:i32[3] = add b 3:i32[]
          f:i32[3] = jit[
            name=_where
            jaxpr={ lambda ; d:bool[3] e:i32[3] b:i32[3]. let
                f:i32[3] = select_n d b e
              in (f,) }
          ] d e b
          g:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] f
          c:i32[3] = gather[
            dimension_numbers=GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), start_indices_batching_dims=())
            fill_value=-2147483648
            indices_are_sorted=False
            mode=GatherScatterMode.FILL_OR_DROP
            slice_sizes=(1,)
            unique_indices=False
          ] a g
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(IndexingJaxprTest, DynamicSlice) {
  const auto f = [](Array x, Array y) { return DynamicSlice(x, {y, 0}, {2, 2}); };
  EXPECT_EQ(Text(f, {F32(3, 4), I32()}), R"(
{ lambda ; a:f32[3,4] b:i32[]. let
    c:bool[] = lt b 0:i32[]
    d:i32[] = add b 3:i32[]
    e:i32[] = select_n c b d
    f:f32[2,2] = dynamic_slice[slice_sizes=(2, 2)] a e 0:i32[]
  in (f,) })");
}

TEST(IndexingJaxprTest, DynamicUpdateSlice) {
  const auto f = [](Array x, Array y) {
    return DynamicUpdateSlice(x, Slice(x, {{0, 2}, {0, 2}}), {y, 0});
  };
  EXPECT_EQ(Text(f, {F32(3, 4), I32()}), R"(
{ lambda ; a:f32[3,4] b:i32[]. let
    c:f32[2,2] = slice[limit_indices=(2, 2) start_indices=(0, 0) strides=None] a
    d:bool[] = lt b 0:i32[]
    e:i32[] = add b 3:i32[]
    f:i32[] = select_n d b e
    g:f32[3,4] = dynamic_update_slice a c f 0:i32[]
  in (g,) })");
}

TEST(IndexingJaxprTest, DynamicIndex) {
  EXPECT_EQ(Text([](Array x, Array y) { return DynamicIndex(x, y); }, {F32(3, 4), I32()}), R"(
{ lambda ; a:f32[3,4] b:i32[]. let
    c:bool[] = lt b 0:i32[]
    d:i32[] = add b 3:i32[]
    e:i32[] = select_n c b d
    f:f32[1,4] = dynamic_slice[slice_sizes=(1, 4)] a e 0:i32[]
    g:f32[4] = squeeze[dimensions=(0,)] f
  in (g,) })");
}

}  // namespace
}  // namespace megalith::tracing
