#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(NnJaxprTest, Relu) {
  EXPECT_EQ(Text([](Array x) { return Relu(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = custom_jvp_call[
      name=relu
      call_jaxpr={ lambda ; c:f32[3]. let
          d:f32[3] = jit[
            name=relu
            jaxpr={ lambda ; c:f32[3]. let d:f32[3] = max c 0.0:f32[] in (d,) }
          ] c
        in (d,) }
      jvp=jvp
      symbolic_zeros=False
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, ReluTwice) {
  EXPECT_EQ(Text([](Array x) { return Relu(Relu(x) * 2); }, {F32(3)}), R"(
let relu = { lambda ; a:f32[3]. let b:f32[3] = max a 0.0:f32[] in (b,) } in
{ lambda ; c:f32[3]. let
    d:f32[3] = custom_jvp_call[
      name=relu
      call_jaxpr={ lambda ; e:f32[3]. let
          f:f32[3] = jit[name=relu jaxpr=relu] e
        in (f,) }
      jvp=jvp
      symbolic_zeros=False
    ] c
    g:f32[3] = mul d 2.0:f32[]
    h:f32[3] = custom_jvp_call[
      name=relu
      call_jaxpr={ lambda ; i:f32[3]. let
          j:f32[3] = jit[name=relu jaxpr=relu] i
        in (j,) }
      jvp=jvp
      symbolic_zeros=False
    ] g
  in (h,) })");
}

TEST(NnJaxprTest, Sigmoid) {
  EXPECT_EQ(Text([](Array x) { return Sigmoid(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let b:f32[3] = logistic a in (b,) })");
}

TEST(NnJaxprTest, Silu) {
  EXPECT_EQ(Text([](Array x) { return Silu(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = jit[
      name=silu
      jaxpr={ lambda ; a:f32[3]. let
          c:f32[3] = logistic a
          b:f32[3] = mul a c
        in (b,) }
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, Gelu) {
  EXPECT_EQ(Text([](Array x) { return Gelu(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = integer_pow[y=3] a
    c:f32[3] = mul 0.044714998453855515:f32[] b
    d:f32[3] = add a c
    e:f32[3] = mul 0.7978845834732056:f32[] d
    f:f32[3] = tanh e
    g:f32[3] = add 1.0:f32[] f
    h:f32[3] = mul 0.5:f32[] g
    i:f32[3] = mul a h
  in (i,) })");
}

// The second operand of logaddexp is a scalar here.
TEST(NnJaxprTest, JvpOfSoftplus) {
  EXPECT_EQ(Text(Jvp(Function([](Array x) { return Logaddexp(x, 0.0); })), {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = custom_jvp_call[
      name=logaddexp
      call_jaxpr={ lambda ; d:f32[3] e:f32[]. let
          f:f32[3] = max d e
          g:f32[3] = sub d e
          h:bool[3] = ne g g
          i:f32[3] = add d e
          j:f32[3] = abs g
          k:f32[3] = neg j
          l:f32[3] = exp k
          m:f32[3] = log1p l
          n:f32[3] = add f m
          o:f32[3] = select_n h n i
        in (o,) }
      jvp=_logaddexp_jvp
      symbolic_zeros=False
    ] a 0.0:f32[]
    p:bool[3] = eq a inf:f32[]
    q:f32[3] = broadcast_in_dim 0.0:f32[]
    r:f32[3] = select_n p a q
    s:bool[3] = eq c inf:f32[]
    t:f32[3] = broadcast_in_dim 0.0:f32[]
    u:f32[3] = select_n s c t
    v:f32[3] = sub r u
    w:f32[3] = exp v
    x:f32[3] = mul b w
    y:bool[] = eq 0.0:f32[] inf:f32[]
    z:f32[] = select_n y 0.0:f32[] 0.0:f32[]
    ba:bool[3] = eq c inf:f32[]
    bb:f32[3] = broadcast_in_dim 0.0:f32[]
    bc:f32[3] = select_n ba c bb
    bd:f32[3] = sub z bc
    be:f32[3] = exp bd
    bf:f32[3] = mul 0.0:f32[] be
    bg:f32[3] = add x bf
  in (c, bg) })");
}

TEST(NnJaxprTest, Softplus) {
  EXPECT_EQ(Text([](Array x) { return Softplus(x); }, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = jit[
      name=softplus
      jaxpr={ lambda ; a:f32[3]. let
          b:f32[3] = custom_jvp_call[
            name=logaddexp
            call_jaxpr={ lambda ; c:f32[3] d:f32[]. let
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
          ] a 0.0:f32[]
        in (b,) }
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, Softmax) {
  EXPECT_EQ(Text([](Array x) { return Softmax(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_max[axes=(1,)] a
    c:f32[3] = max -inf:f32[] b
    d:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] c
    e:f32[3,1] = stop_gradient d
    f:f32[3,4] = sub a e
    g:f32[3,4] = exp f
    h:f32[3] = reduce_sum[axes=(1,) out_sharding=None] g
    i:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] h
    j:f32[3,4] = div g i
  in (j,) })");
}

TEST(NnJaxprTest, LogSoftmax) {
  EXPECT_EQ(Text([](Array x) { return LogSoftmax(x, 0); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3,4] = jit[
      name=log_softmax
      jaxpr={ lambda ; a:f32[3,4]. let
          c:f32[4] = reduce_max[axes=(0,)] a
          d:f32[4] = max -inf:f32[] c
          e:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] d
          f:f32[1,4] = stop_gradient e
          g:f32[3,4] = sub a f
          h:f32[3,4] = exp g
          i:f32[4] = reduce_sum[axes=(0,) out_sharding=None] h
          j:f32[1,4] = broadcast_in_dim[broadcast_dimensions=(1,)] i
          k:f32[1,4] = log j
          b:f32[3,4] = sub g k
        in (b,) }
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, LogSumExp) {
  EXPECT_EQ(Text([](Array x) { return LogSumExp(x, 1); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_max[axes=(1,)] a
    c:f32[3] = max -inf:f32[] b
    d:bool[3] = is_finite c
    e:f32[3] = broadcast_in_dim 0.0:f32[]
    f:f32[3] = select_n d e c
    g:f32[3] = stop_gradient f
    h:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] g
    i:f32[3,4] = sub a h
    j:f32[3,4] = exp i
    k:f32[3] = reduce_sum[axes=(1,) out_sharding=None] j
    _:f32[3] = sign k
    l:f32[3] = abs k
    m:f32[3] = log l
    n:f32[3] = add m g
  in (n,) })");
}

TEST(NnJaxprTest, LogSumExpOfEverything) {
  EXPECT_EQ(Text([](Array x) { return LogSumExp(x); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[] = reduce_max[axes=(0, 1)] a
    c:f32[] = max -inf:f32[] b
    d:bool[] = is_finite c
    e:f32[] = select_n d 0.0:f32[] c
    f:f32[] = stop_gradient e
    g:f32[1,1] = broadcast_in_dim f
    h:f32[3,4] = sub a g
    i:f32[3,4] = exp h
    j:f32[] = reduce_sum[axes=(0, 1) out_sharding=None] i
    _:f32[] = sign j
    k:f32[] = abs j
    l:f32[] = log k
    m:f32[] = add l f
  in (m,) })");
}

TEST(NnJaxprTest, LogSumExpKeepsDimensions) {
  EXPECT_EQ(Text([](Array x) { return LogSumExp(x, -1, kKeepDims); }, {F32(3, 4)}), R"(
{ lambda ; a:f32[3,4]. let
    b:f32[3] = reduce_max[axes=(1,)] a
    c:f32[3] = max -inf:f32[] b
    d:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] c
    e:bool[3,1] = is_finite d
    f:f32[3,1] = broadcast_in_dim 0.0:f32[]
    g:f32[3,1] = select_n e f d
    h:f32[3,1] = stop_gradient g
    i:f32[3,4] = sub a h
    j:f32[3,4] = exp i
    k:f32[3] = reduce_sum[axes=(1,) out_sharding=None] j
    l:f32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] k
    _:f32[3,1] = sign l
    m:f32[3,1] = abs l
    n:f32[3,1] = log m
    o:f32[3,1] = add n h
  in (o,) })");
}

TEST(NnJaxprTest, OneHot) {
  EXPECT_EQ(Text([](Array x) { return OneHot(x, 10); }, {I32(3)}), R"(
{ lambda ; a:i32[3]. let
    b:f32[3,10] = jit[
      name=_one_hot
      jaxpr={ lambda ; a:i32[3]. let
          c:i32[3,1] = broadcast_in_dim[broadcast_dimensions=(0,)] a
          d:i32[1,10] = iota[
            dimension=1
            dtype=int32
            shape=(1, 10)
            sharding=None
          ] 
          e:bool[3,10] = eq c d
          b:f32[3,10] = convert_element_type[new_dtype=float32 weak_type=False] e
        in (b,) }
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, OneHotOfMatrix) {
  EXPECT_EQ(Text([](Array x) { return OneHot(x, 4); }, {I32(2, 3)}), R"(
{ lambda ; a:i32[2,3]. let
    b:f32[2,3,4] = jit[
      name=_one_hot
      jaxpr={ lambda ; a:i32[2,3]. let
          c:i32[2,3,1] = broadcast_in_dim[broadcast_dimensions=(0, 1)] a
          d:i32[1,1,4] = iota[
            dimension=2
            dtype=int32
            shape=(1, 1, 4)
            sharding=None
          ] 
          e:bool[2,3,4] = eq c d
          b:f32[2,3,4] = convert_element_type[new_dtype=float32 weak_type=False] e
        in (b,) }
    ] a
  in (b,) })");
}

TEST(NnJaxprTest, GradientOfRelu) {
  EXPECT_EQ(Text(Grad([](Array x) { return Sum(Relu(x)); }), {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = custom_jvp_call[
      name=relu
      call_jaxpr={ lambda ; c:f32[3]. let
          d:f32[3] = jit[
            name=relu
            jaxpr={ lambda ; c:f32[3]. let d:f32[3] = max c 0.0:f32[] in (d,) }
          ] c
        in (d,) }
      jvp=jvp
      symbolic_zeros=False
    ] a
    e:bool[3] = gt a 0.0:f32[]
    _:f32[3] = broadcast_in_dim 0.0:f32[]
    _:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
    f:f32[3] = broadcast_in_dim 1.0:f32[]
    g:f32[3] = broadcast_in_dim 0.0:f32[]
    h:f32[3] = select_n e g f
  in (h,) })");
}

}  // namespace
}  // namespace megalith::tracing
