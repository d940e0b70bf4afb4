#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(ControlJaxprTest, Scan) {
  const auto f = [](Array x, Array y) -> Outputs {
    return Scan([](Array c, Array x) { return std::tuple{c + x, c * 2.0}; }, x, y);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(5, 3)}), R"(
{ lambda ; a:f32[3] b:f32[5,3]. let
    c:f32[3] d:f32[5,3] = scan[
      _split_transpose=False
      jaxpr={ lambda ; e:f32[3] f:f32[3]. let
          g:f32[3] = add e f
          h:f32[3] = mul e 2.0:f32[]
        in (g, h) }
      length=5
      linear=(False, False)
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] a b
  in (c, d) })");
}

TEST(ControlJaxprTest, ScanUsesArraysAroundIt) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return Scan(
        [&](Array c, Array v) {
          const Array next = c + v * z;
          return std::tuple{next, Sum(z + 1)};
        },
        x, y);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(5, 3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[5,3] c:f32[3]. let
    d:f32[3] e:f32[5] = scan[
      _split_transpose=False
      jaxpr={ lambda ; f:f32[3] g:f32[3] h:f32[3]. let
          i:f32[3] = mul h f
          j:f32[3] = add g i
          k:f32[3] = add f 1.0:f32[]
          l:f32[] = reduce_sum[axes=(0,) out_sharding=None] k
        in (j, l) }
      length=5
      linear=(False, False, False)
      num_carry=1
      num_consts=1
      reverse=False
      unroll=1
    ] c a b
  in (d, e) })");
}

TEST(ControlJaxprTest, ScanKeepsAWeakCarry) {
  const auto f = [](Array x) -> Outputs {
    return Scan([](Array c, Array v) { return c + Sum(v); }, 0.0, x);
  };
  EXPECT_EQ(Text(f, {F32(5, 3)}), R"(
{ lambda ; a:f32[5,3]. let
    b:f32[] = scan[
      _split_transpose=False
      jaxpr={ lambda ; c:f32[] d:f32[3]. let
          e:f32[] = reduce_sum[axes=(0,) out_sharding=None] d
          f:f32[] = convert_element_type[new_dtype=float32 weak_type=False] c
          g:f32[] = add f e
        in (g,) }
      length=5
      linear=(False, False)
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] 0.0:f32[] a
  in (b,) })");
}

TEST(ControlJaxprTest, ScanPromotesAWeakCarry) {
  const auto f = [](Array x) -> Outputs {
    return Scan([](Array c, Array v) { return std::tuple{c + Sum(v), c}; }, 0, x);
  };
  EXPECT_EQ(Text(f, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[] c:f32[3] = scan[
      _split_transpose=False
      jaxpr={ lambda ; d:f32[] e:f32[4]. let
          f:f32[] = reduce_sum[axes=(0,) out_sharding=None] e
          g:f32[] = add d f
        in (g, d) }
      length=3
      linear=(False, False)
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] 0.0:f32[] a
  in (b, c) })");
}

TEST(ControlJaxprTest, ScanOfALength) {
  const auto f = [](Array x) -> Outputs {
    return Scan([](Array c) { return std::tuple{c * 2, c}; }, x, {}, {.length = 4});
  };
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] c:f32[4,3] = scan[
      _split_transpose=False
      jaxpr={ lambda ; d:f32[3]. let e:f32[3] = mul d 2.0:f32[] in (e, d) }
      length=4
      linear=(False,)
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] a
  in (b, c) })");
}

TEST(ControlJaxprTest, ScanReversed) {
  const auto f = [](Array x, Array y) -> Outputs {
    return Scan([](Array c, Array v) { return c + v; }, x, y, {.reverse = true, .unroll = 2});
  };
  EXPECT_EQ(Text(f, {F32(4), F32(3, 4)}), R"(
{ lambda ; a:f32[4] b:f32[3,4]. let
    c:f32[4] = scan[
      _split_transpose=False
      jaxpr={ lambda ; d:f32[4] e:f32[4]. let f:f32[4] = add d e in (f,) }
      length=3
      linear=(False, False)
      num_carry=1
      num_consts=0
      reverse=True
      unroll=2
    ] a b
  in (c,) })");
}

TEST(ControlJaxprTest, ScanMakesUnchangedCarriesConstants) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return Scan([](Array c, Array w, Array v) { return std::tuple{c + w * v, w, v}; }, {x, y}, z);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3), F32(5, 3)}), R"(
{ lambda ; a:f32[3] b:f32[3] c:f32[5,3]. let
    d:f32[3] = scan[
      _split_transpose=False
      jaxpr={ lambda ; e:f32[3] f:f32[3] g:f32[3]. let
          h:f32[3] = mul e g
          i:f32[3] = add f h
        in (i,) }
      length=5
      linear=(False, False, False)
      num_carry=1
      num_consts=1
      reverse=False
      unroll=1
    ] b a c
  in (d, b, c) })");
}

TEST(ControlJaxprTest, Map) {
  const auto f = [](Array x) -> Outputs { return Map([](Array v) { return Sum(v); }, x); };
  EXPECT_EQ(Text(f, {F32(5, 3)}), R"(
{ lambda ; a:f32[5,3]. let
    b:f32[5] = scan[
      _split_transpose=False
      jaxpr={ lambda ; c:f32[3]. let
          d:f32[] = reduce_sum[axes=(0,) out_sharding=None] c
        in (d,) }
      length=5
      linear=(False,)
      num_carry=0
      num_consts=0
      reverse=False
      unroll=1
    ] a
  in (b,) })");
}

TEST(ControlJaxprTest, WhileLoop) {
  const auto f = [](Array x) -> Outputs {
    return WhileLoop([](Array c) { return c < 10; }, [](Array c) { return c + 1; }, x);
  };
  EXPECT_EQ(Text(f, {I32()}), R"(
{ lambda ; a:i32[]. let
    b:i32[] = while[
      body_jaxpr={ lambda ; c:i32[]. let d:i32[] = add c 1:i32[] in (d,) }
      body_nconsts=0
      cond_jaxpr={ lambda ; e:i32[]. let f:bool[] = lt e 10:i32[] in (f,) }
      cond_nconsts=0
    ] a
  in (b,) })");
}

TEST(ControlJaxprTest, WhileLoopUsesArraysAroundIt) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return WhileLoop([&](Array c) { return Sum(c) < y; }, [&](Array c) { return c + z; }, x);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[] c:f32[3]. let
    d:f32[3] = while[
      body_jaxpr={ lambda ; e:f32[3] f:f32[3]. let g:f32[3] = add f e in (g,) }
      body_nconsts=1
      cond_jaxpr={ lambda ; h:f32[] i:f32[3]. let
          j:f32[] = reduce_sum[axes=(0,) out_sharding=None] i
          k:bool[] = lt j h
        in (k,) }
      cond_nconsts=1
    ] b c a
  in (d,) })");
}

TEST(ControlJaxprTest, WhileLoopMakesUnchangedCarriesConstants) {
  const auto f = [](Array x, Array y) -> Outputs {
    return WhileLoop([](Array c, Array) { return Sum(c) < 3; },
                     [](Array c, Array w) { return std::tuple{c + w, w}; }, {x, y});
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = while[
      body_jaxpr={ lambda ; d:f32[3] e:f32[3]. let f:f32[3] = add e d in (f,) }
      body_nconsts=1
      cond_jaxpr={ lambda ; g:f32[3]. let
          h:f32[] = reduce_sum[axes=(0,) out_sharding=None] g
          i:bool[] = lt h 3.0:f32[]
        in (i,) }
      cond_nconsts=0
    ] b a
  in (c, b) })");
}

TEST(ControlJaxprTest, WhileLoopOfAWeakCarry) {
  const auto f = [](Array x) -> Outputs {
    return WhileLoop([](Array c) { return c < 10; }, [&](Array c) { return c + x; }, 0.0);
  };
  EXPECT_EQ(Text(f, {F32()}), R"(
{ lambda ; a:f32[]. let
    b:f32[] = while[
      body_jaxpr={ lambda ; c:f32[] d:f32[]. let
          e:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          f:f32[] = add e c
        in (f,) }
      body_nconsts=1
      cond_jaxpr={ lambda ; g:f32[]. let h:bool[] = lt g 10.0:f32[] in (h,) }
      cond_nconsts=0
    ] a 0.0:f32[]
  in (b,) })");
}

TEST(ControlJaxprTest, Cond) {
  const auto f = [](Array x, Array y) -> Outputs {
    return Cond(x, [](Array v) { return v + 1; }, [](Array v) { return v * 2; }, y);
  };
  EXPECT_EQ(Text(f, {Bool(), F32(3)}), R"(
{ lambda ; a:bool[] b:f32[3]. let
    c:i32[] = convert_element_type[new_dtype=int32 weak_type=False] a
    d:f32[3] = cond[
      branches=(
        { lambda ; e:f32[3]. let f:f32[3] = mul e 2.0:f32[] in (f,) }
        { lambda ; g:f32[3]. let h:f32[3] = add g 1.0:f32[] in (h,) }
      )
    ] c b
  in (d,) })");
}

TEST(ControlJaxprTest, CondUsesArraysAroundIt) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return Cond(x, [&] { return y + 1; }, [&] { return z * 2 + y; });
  };
  EXPECT_EQ(Text(f, {Bool(), F32(3), F32(3)}), R"(
{ lambda ; a:bool[] b:f32[3] c:f32[3]. let
    d:i32[] = convert_element_type[new_dtype=int32 weak_type=False] a
    e:f32[3] = cond[
      branches=(
        { lambda ; f:f32[3] g:f32[3]. let
            h:f32[3] = mul g 2.0:f32[]
            i:f32[3] = add h f
          in (i,) }
        { lambda ; j:f32[3] k:f32[3]. let l:f32[3] = add j 1.0:f32[] in (l,) }
      )
    ] d b c
  in (e,) })");
}

TEST(ControlJaxprTest, CondOfANumber) {
  const auto f = [](Array x, Array y) -> Outputs {
    return Cond(x, [](Array v) { return v + 1; }, [](Array v) { return v * 2; }, y);
  };
  EXPECT_EQ(Text(f, {I32(), F32(3)}), R"(
{ lambda ; a:i32[] b:f32[3]. let
    c:bool[] = ne a 0:i32[]
    d:i32[] = convert_element_type[new_dtype=int32 weak_type=False] c
    e:f32[3] = cond[
      branches=(
        { lambda ; f:f32[3]. let g:f32[3] = mul f 2.0:f32[] in (g,) }
        { lambda ; h:f32[3]. let i:f32[3] = add h 1.0:f32[] in (i,) }
      )
    ] d b
  in (e,) })");
}

TEST(ControlJaxprTest, CondPassesInputsOn) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return Cond(
        x, [](Array a, Array b) { return std::tuple{a, b * 2}; },
        [](Array a, Array b) { return std::tuple{a, b + 1}; }, {y, z});
  };
  EXPECT_EQ(Text(f, {Bool(), F32(3), F32(3)}), R"(
{ lambda ; a:bool[] b:f32[3] c:f32[3]. let
    d:i32[] = convert_element_type[new_dtype=int32 weak_type=False] a
    e:f32[3] = cond[
      branches=(
        { lambda ; f:f32[3] g:f32[3]. let h:f32[3] = add g 1.0:f32[] in (h,) }
        { lambda ; i:f32[3] j:f32[3]. let k:f32[3] = mul j 2.0:f32[] in (k,) }
      )
    ] d b c
  in (b, e) })");
}

TEST(ControlJaxprTest, CondOfWeakAndStrong) {
  const auto f = [](Array x, Array y) -> Outputs {
    return Cond(x, [](Array v) { return v; }, [](Array) { return 1.0; }, y);
  };
  EXPECT_EQ(Text(f, {Bool(), F32()}), R"(
{ lambda ; a:bool[] b:f32[]. let
    c:i32[] = convert_element_type[new_dtype=int32 weak_type=False] a
    d:f32[] = cond[
      branches=(
        { lambda ; e:f32[]. let  in (1.0:f32[],) }
        { lambda ; f:f32[]. let  in (f,) }
      )
    ] c b
  in (d,) })");
}

TEST(ControlJaxprTest, Switch) {
  const auto f = [](Array x, Array y, Array z) -> Outputs {
    return Switch(
        x,
        {[&](Array v) { return v + z; }, [](Array v) { return v * 2; }, [&](Array) { return -z; }},
        y);
  };
  EXPECT_EQ(Text(f, {I32(), F32(3), F32(3)}), R"(
{ lambda ; a:i32[] b:f32[3] c:f32[3]. let
    d:i32[] = clamp 0:i32[] a 2:i32[]
    e:f32[3] = cond[
      branches=(
        { lambda ; f:f32[3] g:f32[3]. let h:f32[3] = add g f in (h,) }
        { lambda ; i:f32[3] j:f32[3]. let k:f32[3] = mul j 2.0:f32[] in (k,) }
        { lambda ; l:f32[3] m:f32[3]. let n:f32[3] = neg l in (n,) }
      )
    ] d c b
  in (e,) })");
}

TEST(ControlJaxprTest, ForiLoopOfConstantBoundsIsAScan) {
  const auto f = [](Array x) -> Outputs {
    return ForiLoop(2, 5, [](Array i, Array c, Array n) { return std::tuple{c * 2, n + i}; },
                    {x, 0});
  };
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    _:i32[] b:f32[3] c:i32[] = scan[
      _split_transpose=False
      jaxpr={ lambda ; d:i32[] e:f32[3] f:i32[]. let
          g:i32[] = add d 1:i32[]
          h:f32[3] = mul e 2.0:f32[]
          i:i32[] = add f d
        in (g, h, i) }
      length=3
      linear=(False, False, False)
      num_carry=3
      num_consts=0
      reverse=False
      unroll=1
    ] 2:i32[] a 0:i32[]
  in (b, c) })");
}

TEST(ControlJaxprTest, ForiLoopOfArrayBoundsIsAWhile) {
  const auto f = [](Array x, Array y) -> Outputs {
    return ForiLoop(0, y, [](Array i, Array c) { return c + i; }, x);
  };
  EXPECT_EQ(Text(f, {F32(3), I32()}), R"(
{ lambda ; a:f32[3] b:i32[]. let
    _:i32[] _:i32[] c:f32[3] = while[
      body_jaxpr={ lambda ; d:i32[] e:i32[] f:f32[3]. let
          g:i32[] = add d 1:i32[]
          h:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          i:f32[3] = add f h
        in (g, e, i) }
      body_nconsts=0
      cond_jaxpr={ lambda ; j:i32[] k:i32[] l:f32[3]. let
          m:bool[] = lt j k
        in (m,) }
      cond_nconsts=0
    ] 0:i32[] b a
  in (c,) })");
}

TEST(ControlJaxprTest, ForiLoopFromAnArray) {
  const auto f = [](Array x, Array y) -> Outputs {
    return ForiLoop(y, 10, [](Array i, Array c) { return c + i; }, x);
  };
  EXPECT_EQ(Text(f, {F32(3), I32()}), R"(
{ lambda ; a:f32[3] b:i32[]. let
    _:i32[] _:i32[] c:f32[3] = while[
      body_jaxpr={ lambda ; d:i32[] e:i32[] f:f32[3]. let
          g:i32[] = add d 1:i32[]
          h:f32[] = convert_element_type[new_dtype=float32 weak_type=False] d
          i:f32[3] = add f h
        in (g, e, i) }
      body_nconsts=0
      cond_jaxpr={ lambda ; j:i32[] k:i32[] l:f32[3]. let
          m:bool[] = lt j k
        in (m,) }
      cond_nconsts=0
    ] b 10:i32[] a
  in (c,) })");
}

}  // namespace
}  // namespace megalith::tracing
