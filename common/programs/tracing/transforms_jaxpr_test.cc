#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(TransformsJaxprTest, Grad) {
  const auto f =
      Grad([](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); }, {.argnums = {1}});
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
    d:f32[3] = tanh c
    e:f32[3] = sub 1.0:f32[] d
    f:f32[3] = mul d 2.0:f32[]
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] f
    g:f32[3] = broadcast_in_dim 1.0:f32[]
    h:f32[3] = mul g 2.0:f32[]
    i:f32[3] = mul h e
    j:f32[3] = mul i d
    k:f32[3] = add_any i j
    l:f32[4] = dot_general[
      dimension_numbers=(([0], [0]), ([], []))
      preferred_element_type=float32
    ] k a
  in (l,) })");
}

TEST(TransformsJaxprTest, GradOfSeveral) {
  const auto f =
      Grad([](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); }, {.argnums = {1, 0}});
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
    d:f32[3] = tanh c
    e:f32[3] = sub 1.0:f32[] d
    f:f32[3] = mul d 2.0:f32[]
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] f
    g:f32[3] = broadcast_in_dim 1.0:f32[]
    h:f32[3] = mul g 2.0:f32[]
    i:f32[3] = mul h e
    j:f32[3] = mul i d
    k:f32[3] = add_any i j
    l:f32[4] = dot_general[
      dimension_numbers=(([0], [0]), ([], []))
      preferred_element_type=float32
    ] k a
    m:f32[3,4] = dot_general[
      dimension_numbers=(([], []), ([], []))
      preferred_element_type=float32
    ] k b
  in (l, m) })");
}

TEST(TransformsJaxprTest, ValueAndGrad) {
  const auto f = ValueAndGrad([](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); });
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] a b
    d:f32[3] = tanh c
    e:f32[3] = sub 1.0:f32[] d
    f:f32[3] = mul d 2.0:f32[]
    g:f32[] = reduce_sum[axes=(0,) out_sharding=None] f
    h:f32[3] = broadcast_in_dim 1.0:f32[]
    i:f32[3] = mul h 2.0:f32[]
    j:f32[3] = mul i e
    k:f32[3] = mul j d
    l:f32[3] = add_any j k
    m:f32[3,4] = dot_general[
      dimension_numbers=(([], []), ([], []))
      preferred_element_type=float32
    ] l b
  in (g, m) })");
}

TEST(TransformsJaxprTest, GradWithAux) {
  const auto f = Grad([](Array x) { return std::tuple{Sum(x * x), x + 1}; }, {.has_aux = true});
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = mul a a
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
    c:f32[3] = add a 1.0:f32[]
    d:f32[3] = broadcast_in_dim 1.0:f32[]
    e:f32[3] = mul a d
    f:f32[3] = mul d a
    g:f32[3] = add_any e f
  in (g, c) })");
}

TEST(TransformsJaxprTest, JitOfGrad) {
  const auto f =
      Jit(Grad(Function("f", [](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); })));
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    c:f32[3,4] = jit[
      name=f
      jaxpr={ lambda ; a:f32[3,4] b:f32[4]. let
          d:f32[3] = dot_general[
            dimension_numbers=(([1], [0]), ([], []))
            preferred_element_type=float32
          ] a b
          e:f32[3] = tanh d
          f:f32[3] = sub 1.0:f32[] e
          g:f32[3] = mul e 2.0:f32[]
          _:f32[] = reduce_sum[axes=(0,) out_sharding=None] g
          h:f32[3] = broadcast_in_dim 1.0:f32[]
          i:f32[3] = mul h 2.0:f32[]
          j:f32[3] = mul i f
          k:f32[3] = mul j e
          l:f32[3] = add_any j k
          c:f32[3,4] = dot_general[
            dimension_numbers=(([], []), ([], []))
            preferred_element_type=float32
          ] l b
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(TransformsJaxprTest, GradOfJit) {
  const auto f =
      Grad(Jit(Function("f", [](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); })));
  EXPECT_EQ(Text(f, {F32(3, 4), F32(4)}), R"(
{ lambda ; a:f32[3,4] b:f32[4]. let
    _:f32[] c:f32[3] d:f32[3] = jit[
      name=f
      jaxpr={ lambda ; a:f32[3,4] b:f32[4]. let
          e:f32[3] = dot_general[
            dimension_numbers=(([1], [0]), ([], []))
            preferred_element_type=float32
          ] a b
          c:f32[3] = tanh e
          d:f32[3] = sub 1.0:f32[] c
          f:f32[3] = mul c 2.0:f32[]
          _:f32[] = reduce_sum[axes=(0,) out_sharding=None] f
        in (_, c, d) }
    ] a b
    g:f32[3,4] = jit[
      name=f
      jaxpr={ lambda ; b:f32[4] c:f32[3] d:f32[3] h:f32[]. let
          i:f32[3] = broadcast_in_dim h
          j:f32[3] = mul i 2.0:f32[]
          k:f32[3] = mul j d
          l:f32[3] = mul k c
          m:f32[3] = add_any k l
          g:f32[3,4] = dot_general[
            dimension_numbers=(([], []), ([], []))
            preferred_element_type=float32
          ] m b
        in (g,) }
    ] b c d 1.0:f32[]
  in (g,) })");
}

TEST(TransformsJaxprTest, JitOfVmapOfGrad) {
  const auto f =
      Jit(Vmap(Grad(Function("f", [](Array x, Array w) { return Sum(Tanh(Dot(x, w)) * 2.0); })),
               {.in_axes = {0, std::nullopt}}));
  EXPECT_EQ(Text(f, {F32(5, 3, 4), F32(4)}), R"(
{ lambda ; a:f32[5,3,4] b:f32[4]. let
    c:f32[5,3,4] = jit[
      name=f
      jaxpr={ lambda ; a:f32[5,3,4] b:f32[4]. let
          d:f32[5,3] = dot_general[
            dimension_numbers=(([2], [0]), ([], []))
            preferred_element_type=float32
          ] a b
          e:f32[5,3] = tanh d
          f:f32[5,3] = sub 1.0:f32[] e
          g:f32[5,3] = mul e 2.0:f32[]
          _:f32[5] = reduce_sum[axes=(np.int64(1),) out_sharding=None] g
          h:f32[3] = broadcast_in_dim 1.0:f32[]
          i:f32[3] = mul h 2.0:f32[]
          j:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] i
          k:f32[5,3] = mul j f
          l:f32[5,3] = mul k e
          m:f32[5,3] = add_any k l
          c:f32[5,3,4] = dot_general[
            dimension_numbers=(([], []), ([], []))
            preferred_element_type=float32
          ] m b
        in (c,) }
    ] a b
  in (c,) })");
}

TEST(TransformsJaxprTest, GradOfGrad) {
  EXPECT_EQ(Text(Grad(Grad([](Array x) { return Sin(x) * x; })), {F32()}), R"(
{ lambda ; a:f32[]. let
    b:f32[] = sin a
    c:f32[] = cos a
    d:f32[] = cos a
    e:f32[] = sin a
    _:f32[] = mul b a
    f:f32[] = mul b 1.0:f32[]
    g:f32[] = mul 1.0:f32[] a
    h:f32[] = mul g d
    _:f32[] = add_any f h
    i:f32[] = mul g 1.0:f32[]
    j:f32[] = mul 1.0:f32[] d
    k:f32[] = mul 1.0:f32[] j
    l:f32[] = mul 1.0:f32[] 1.0:f32[]
    m:f32[] = neg i
    n:f32[] = mul m e
    o:f32[] = add_any k n
    p:f32[] = mul l c
    q:f32[] = add_any o p
  in (q,) })");
}

TEST(TransformsJaxprTest, VmapOfVmap) {
  const auto f =
      Vmap(Vmap([](Array x, Array y) { return Dot(x, y); }), {.in_axes = {1, 0}, .out_axes = {1}});
  EXPECT_EQ(Text(f, {F32(2, 3, 4), F32(3, 2, 4)}), R"(
{ lambda ; a:f32[2,3,4] b:f32[3,2,4]. let
    c:f32[3,2] = dot_general[
      dimension_numbers=(([2], [2]), ([1, 0], [0, 1]))
      preferred_element_type=float32
    ] a b
    d:f32[2,3] = transpose[permutation=(1, 0)] c
  in (d,) })");
}

TEST(TransformsJaxprTest, Jvp) {
  EXPECT_EQ(Text(Jvp([](Array x) { return Sin(x) * 2; }), {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = sin a
    d:f32[3] = cos a
    e:f32[3] = mul b d
    f:f32[3] = mul c 2.0:f32[]
    g:f32[3] = mul e 2.0:f32[]
  in (f, g) })");
}

TEST(TransformsJaxprTest, Linearize) {
  EXPECT_EQ(Text(Linearize([](Array x) { return Sin(x) * 2; }), {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = sin a
    d:f32[3] = cos a
    e:f32[3] = mul c 2.0:f32[]
    f:f32[3] = mul b d
    g:f32[3] = mul f 2.0:f32[]
  in (e, g) })");
}

TEST(TransformsJaxprTest, Vjp) {
  EXPECT_EQ(Text(Vjp([](Array x, Array y) { return Sin(x) * y; }), {F32(3), F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3] c:f32[3]. let
    d:f32[3] = sin a
    e:f32[3] = cos a
    f:f32[3] = mul d b
    g:f32[3] = mul d c
    h:f32[3] = mul c b
    i:f32[3] = mul h e
  in (f, i, g) })");
}

TEST(TransformsJaxprTest, Jacfwd) {
  EXPECT_EQ(Text(Jacfwd([](Array x) { return Sin(x); }), {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    c:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    d:i32[3,3] = add b 0:i32[]
    e:bool[3,3] = eq d c
    f:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] e
    g:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] f
    h:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] g
    _:f32[3] = sin a
    i:f32[3] = cos a
    j:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] i
    k:f32[3,3] = mul h j
    l:f32[3,3] = transpose[permutation=(1, 0)] k
    m:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] l
  in (m,) })");
}

TEST(TransformsJaxprTest, Jacrev) {
  EXPECT_EQ(Text(Jacrev([](Array x) { return Sin(x); }), {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    _:f32[3] = sin a
    b:f32[3] = cos a
    c:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    d:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    e:i32[3,3] = add c 0:i32[]
    f:bool[3,3] = eq e d
    g:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] f
    h:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] g
    i:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] h
    j:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    k:f32[3,3] = mul i j
    l:f32[3,3] = split[axis=0 sizes=(np.int64(3),)] k
  in (l,) })");
}

TEST(TransformsJaxprTest, Hessian) {
  EXPECT_EQ(Text(Hessian([](Array x) { return Sum(Sin(x)); }), {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    c:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    d:i32[3,3] = add b 0:i32[]
    e:bool[3,3] = eq d c
    f:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] e
    g:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] f
    h:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] g
    i:f32[3] = sin a
    j:f32[3] = cos a
    k:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] j
    l:f32[3,3] = mul h k
    m:f32[3] = cos a
    n:f32[3] = sin a
    o:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] n
    p:f32[3,3] = mul h o
    q:f32[3,3] = neg p
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] i
    _:f32[3] = reduce_sum[axes=(np.int64(1),) out_sharding=None] l
    r:i32[1,1] = iota[dimension=0 dtype=int32 shape=(1, 1) sharding=None] 
    s:i32[1,1] = iota[dimension=1 dtype=int32 shape=(1, 1) sharding=None] 
    t:i32[1,1] = add r 0:i32[]
    u:bool[1,1] = eq t s
    v:f32[1,1] = convert_element_type[new_dtype=float32 weak_type=False] u
    w:f32[1,1] = split[axis=1 sizes=(np.int64(1),)] v
    x:f32[1] = reshape[dimensions=None new_sizes=(1,) sharding=None] w
    y:f32[1] = convert_element_type[new_dtype=float32 weak_type=False] x
    z:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(0,)] y
    ba:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] m
    bb:f32[3,1,3] = broadcast_in_dim[broadcast_dimensions=(0, np.int64(2))] q
    bc:f32[1,3] = mul z ba
    bd:f32[1,1,3] = broadcast_in_dim[
      broadcast_dimensions=(np.int64(1), np.int64(2))
    ] z
    be:f32[3,1,3] = mul bd bb
    bf:f32[1,3] = split[axis=0 sizes=(np.int64(1),)] bc
    bg:f32[3,1,3] = split[axis=1 sizes=(np.int64(1),)] be
    _:f32[3] = reshape[dimensions=None new_sizes=(3,) sharding=None] bf
    bh:f32[3,3] = reshape[dimensions=None new_sizes=(3, 3) sharding=None] bg
    bi:f32[3,3] = transpose[permutation=(1, 0)] bh
    bj:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] bi
  in (bj,) })");
}

TEST(TransformsJaxprTest, Checkpoint) {
  const auto f = Checkpoint([](Array x) { return Sin(Sin(x)); }, {.policy = "dots_saveable"});
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = remat2[
      differentiated=False
      jaxpr={ lambda ; c:f32[3]. let
          d:f32[3] = sin c
          e:f32[3] = sin d
        in (e,) }
      policy=<function dots_saveable at 0x0>
      prevent_cse=True
    ] a
  in (b,) })");
}

TEST(TransformsJaxprTest, GradOfCheckpoint) {
  EXPECT_EQ(Text(Grad(Checkpoint([](Array x) { return Sum(Sin(Sin(x))); })), {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = sin a
    c:f32[3] = sin b
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] c
    d:f32[3] = remat2[
      differentiated=True
      jaxpr={ lambda ; e:f32[3] f:f32[]. let
          g:f32[3] = sin e
          h:f32[3] = cos e
          i:f32[3] = cos g
          j:f32[3] = broadcast_in_dim f
          k:f32[3] = mul j i
          l:f32[3] = mul k h
        in (l,) }
      policy=None
      prevent_cse=True
    ] a 1.0:f32[]
  in (d,) })");
}

TEST(TransformsJaxprTest, GradOfScan) {
  const auto f = Grad([](Array c, Array xs) -> Array {
    return Scan([](Array c, Array x) { return Sin(c) * x; }, c, xs);
  });
  EXPECT_EQ(Text(f, {F32(), F32(5)}), R"(
{ lambda ; a:f32[] b:f32[5]. let
    _:f32[] c:f32[5] = scan[
      _split_transpose=False
      jaxpr={ lambda ; d:f32[] e:f32[]. let
          f:f32[] = sin d
          g:f32[] = cos d
          h:f32[] = mul f e
        in (h, g) }
      length=5
      linear=(False, False)
      num_carry=1
      num_consts=0
      reverse=False
      unroll=1
    ] a b
    i:f32[] = scan[
      _split_transpose=False
      jaxpr={ lambda ; j:f32[] k:f32[] l:f32[]. let
          m:f32[] = mul j l
          n:f32[] = mul m k
        in (n,) }
      length=5
      linear=(True, False, False)
      num_carry=1
      num_consts=0
      reverse=True
      unroll=1
    ] 1.0:f32[] c b
  in (i,) })");
}

TEST(TransformsJaxprTest, VmapOfCond) {
  const auto f =
      Vmap([](Array p, Array x) { return Cond(p, [&] { return x + 1; }, [&] { return x * 2; }); });
  EXPECT_EQ(Text(f, {Bool(5), F32(5)}), R"(
{ lambda ; a:bool[5] b:f32[5]. let
    c:i32[5] = convert_element_type[new_dtype=int32 weak_type=False] a
    d:bool[5] = eq c 0:i32[]
    e:f32[5] = stop_gradient b
    f:f32[5] = select_n d e b
    g:f32[5] = mul f 2.0:f32[]
    h:bool[5] = eq c 1:i32[]
    i:f32[5] = stop_gradient b
    j:f32[5] = select_n h i b
    k:f32[5] = add j 1.0:f32[]
    l:f32[5] = select_n c g k
  in (l,) })");
}

TEST(TransformsJaxprTest, AFunctionIsJittedOncePerType) {
  const auto f = [](Array x) {
    const Function g = Jit(Function("g", [](Array y) { return y * 2; }));
    const Array first = g(x);
    return first + g(x);
  };
  EXPECT_EQ(Text(f, {F32(3)}), R"(
let g = { lambda ; a:f32[3]. let b:f32[3] = mul a 2.0:f32[] in (b,) } in
{ lambda ; c:f32[3]. let
    d:f32[3] = jit[name=g jaxpr=g] c
    e:f32[3] = jit[name=g jaxpr=g] c
    f:f32[3] = add d e
  in (f,) })");
}

TEST(TransformsJaxprTest, JitPassesArraysAroundItIn) {
  const auto f = [](Array x, Array w) { return Jit([&](Array y) { return y * w + x; })(x); };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = jit[
      name=<lambda>
      jaxpr={ lambda ; b:f32[3] a:f32[3] d:f32[3]. let
          e:f32[3] = mul d b
          c:f32[3] = add e a
        in (c,) }
    ] b a a
  in (c,) })");
}

TEST(TransformsJaxprTest, GradOfJitWithArraysAroundIt) {
  const auto f = [](Array x, Array w) { return Grad(Jit([&](Array y) { return Sum(y * w); }))(x); };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    _:f32[] = jit[
      name=<lambda>
      jaxpr={ lambda ; b:f32[3] a:f32[3]. let
          c:f32[3] = mul a b
          _:f32[] = reduce_sum[axes=(0,) out_sharding=None] c
        in (_,) }
    ] b a
    d:f32[3] = jit[
      name=<lambda>
      jaxpr={ lambda ; b:f32[3] e:f32[]. let
          f:f32[3] = broadcast_in_dim e
          d:f32[3] = mul f b
        in (d,) }
    ] b 1.0:f32[]
  in (d,) })");
}

TEST(TransformsJaxprTest, GradInsideAFunction) {
  const auto f = [](Array x, Array w) { return Grad([&](Array y) { return Sum(y * w); })(x); };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = mul a b
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] c
    d:f32[3] = broadcast_in_dim 1.0:f32[]
    e:f32[3] = mul d b
  in (e,) })");
}

TEST(TransformsJaxprTest, GradOfAFunctionWithAGradInside) {
  const auto f =
      Grad([](Array w, Array x) { return Sum(Grad([&](Array y) { return Sum(y * w * w); })(x)); });
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = mul b a
    d:f32[3] = mul c a
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] d
    e:f32[3] = broadcast_in_dim 1.0:f32[]
    f:f32[3] = mul e a
    g:f32[3] = mul f a
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] g
    h:f32[3] = broadcast_in_dim 1.0:f32[]
    i:f32[3] = mul f h
    j:f32[3] = mul h a
    k:f32[3] = mul e j
    l:f32[3] = add_any i k
  in (l,) })");
}

TEST(TransformsJaxprTest, VmapInsideAFunction) {
  const auto f = [](Array x, Array w) { return Vmap([&](Array y) { return Sum(y * w); })(x); };
  EXPECT_EQ(Text(f, {F32(5, 3), F32(3)}), R"(
{ lambda ; a:f32[5,3] b:f32[3]. let
    c:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    d:f32[5,3] = mul a c
    e:f32[5] = reduce_sum[axes=(np.int64(1),) out_sharding=None] d
  in (e,) })");
}

TEST(TransformsJaxprTest, JacobiansInsideAFunction) {
  const auto f = [](Array x, Array w) {
    const Array forward = Jacfwd([&](Array y) { return Sin(y) * w; })(x);
    const Array reverse = Jacrev([&](Array y) { return Sin(y) * w; })(x);
    return std::tuple{forward, reverse};
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    d:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    e:i32[3,3] = add c 0:i32[]
    f:bool[3,3] = eq e d
    g:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] f
    h:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] g
    i:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] h
    j:f32[3] = sin a
    k:f32[3] = cos a
    l:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] k
    m:f32[3,3] = mul i l
    _:f32[3] = mul j b
    n:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    o:f32[3,3] = mul m n
    p:f32[3,3] = transpose[permutation=(1, 0)] o
    q:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] p
    r:f32[3] = sin a
    s:f32[3] = cos a
    _:f32[3] = mul r b
    t:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    u:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    v:i32[3,3] = add t 0:i32[]
    w:bool[3,3] = eq v u
    x:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] w
    y:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] x
    z:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] y
    ba:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    bb:f32[3,3] = mul z ba
    bc:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] s
    bd:f32[3,3] = mul bb bc
    be:f32[3,3] = split[axis=0 sizes=(np.int64(3),)] bd
  in (q, be) })");
}

TEST(TransformsJaxprTest, HessianInsideAFunction) {
  const auto f = [](Array x, Array w) {
    return Hessian([&](Array y) { return Sum(Sin(y) * w); })(x);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:i32[3,3] = iota[dimension=0 dtype=int32 shape=(3, 3) sharding=None] 
    d:i32[3,3] = iota[dimension=1 dtype=int32 shape=(3, 3) sharding=None] 
    e:i32[3,3] = add c 0:i32[]
    f:bool[3,3] = eq e d
    g:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] f
    h:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] g
    i:f32[3,3] = convert_element_type[new_dtype=float32 weak_type=False] h
    j:f32[3] = sin a
    k:f32[3] = cos a
    l:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] k
    m:f32[3,3] = mul i l
    n:f32[3] = cos a
    o:f32[3] = sin a
    p:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] o
    q:f32[3,3] = mul i p
    r:f32[3,3] = neg q
    s:f32[3] = mul j b
    t:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    u:f32[3,3] = mul m t
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] s
    _:f32[3] = reduce_sum[axes=(np.int64(1),) out_sharding=None] u
    v:i32[1,1] = iota[dimension=0 dtype=int32 shape=(1, 1) sharding=None] 
    w:i32[1,1] = iota[dimension=1 dtype=int32 shape=(1, 1) sharding=None] 
    x:i32[1,1] = add v 0:i32[]
    y:bool[1,1] = eq x w
    z:f32[1,1] = convert_element_type[new_dtype=float32 weak_type=False] y
    ba:f32[1,1] = split[axis=1 sizes=(np.int64(1),)] z
    bb:f32[1] = reshape[dimensions=None new_sizes=(1,) sharding=None] ba
    bc:f32[1] = convert_element_type[new_dtype=float32 weak_type=False] bb
    bd:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(0,)] bc
    be:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] b
    bf:f32[1,3] = mul bd be
    bg:f32[1,3] = broadcast_in_dim[broadcast_dimensions=(np.int64(1),)] n
    bh:f32[3,1,3] = broadcast_in_dim[broadcast_dimensions=(0, np.int64(2))] r
    bi:f32[1,3] = mul bf bg
    bj:f32[1,1,3] = broadcast_in_dim[
      broadcast_dimensions=(np.int64(1), np.int64(2))
    ] bf
    bk:f32[3,1,3] = mul bj bh
    bl:f32[1,3] = split[axis=0 sizes=(np.int64(1),)] bi
    bm:f32[3,1,3] = split[axis=1 sizes=(np.int64(1),)] bk
    _:f32[3] = reshape[dimensions=None new_sizes=(3,) sharding=None] bl
    bn:f32[3,3] = reshape[dimensions=None new_sizes=(3, 3) sharding=None] bm
    bo:f32[3,3] = transpose[permutation=(1, 0)] bn
    bp:f32[3,3] = split[axis=1 sizes=(np.int64(3),)] bo
  in (bp,) })");
}

TEST(TransformsJaxprTest, CheckpointInsideAFunction) {
  const auto f = [](Array x, Array w) {
    return Checkpoint([&](Array y) { return Sin(y) * w; })(x);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = remat2[
      differentiated=False
      jaxpr={ lambda ; d:f32[3] e:f32[3]. let
          f:f32[3] = sin e
          g:f32[3] = mul f d
        in (g,) }
      policy=None
      prevent_cse=True
    ] b a
  in (c,) })");
}

TEST(TransformsJaxprTest, TuplesCountAsOneArgument) {
  const auto f =
      Grad([](std::pair<Array, Array> p, Array x) { return Sum(p.first * x + p.second); });
  EXPECT_EQ(Text(f, {F32(3), F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3] c:f32[3]. let
    d:f32[3] = mul a c
    e:f32[3] = add d b
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] e
    f:f32[3] = broadcast_in_dim 1.0:f32[]
    g:f32[3] = mul f c
  in (g, f) })");
}

}  // namespace
}  // namespace megalith::tracing
