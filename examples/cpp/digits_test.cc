// The classifier's programs are those of the same model in JAX 0.9.2 (text of jax.make_jaxpr), and
// it learns.
#include <gtest/gtest.h>

#include "common/programs/ir/print.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/evaluate.h"
#include "examples/cpp/digits_data.h"
#include "examples/cpp/digits_model.h"

namespace digits {
namespace {

using namespace megalith;  // NOLINT: a test
using tracing::Function;

std::string Text(const Function& f, const std::vector<tracing::Aval>& args) {
  const Result<ir::Program> program = tracing::MakeJaxpr(f, args);
  return "\n" + (program.ok() ? ir::Print(program->closed.jaxpr) : program.status().ToString());
}

TEST(DigitsTest, LossIsThatOfJax) {
  EXPECT_EQ(Text(Loss, ArgumentTypes(8)), R"(
{ lambda ; a:f32[64,32] b:f32[32] c:f32[32,10] d:f32[10] e:f32[8,64] f:i32[8]. let
    g:f32[8,32] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] e a
    h:f32[1,32] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    i:f32[8,32] = add g h
    j:f32[8,32] = tanh i
    k:f32[8,10] = dot_general[
      dimension_numbers=(([1], [0]), ([], []))
      preferred_element_type=float32
    ] j c
    l:f32[1,10] = broadcast_in_dim[broadcast_dimensions=(1,)] d
    m:f32[8,10] = add k l
    n:f32[8,10] = jit[
      name=_one_hot
      jaxpr={ lambda ; f:i32[8]. let
          o:i32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] f
          p:i32[1,10] = iota[
            dimension=1
            dtype=int32
            shape=(1, 10)
            sharding=None
          ] 
          q:bool[8,10] = eq o p
          n:f32[8,10] = convert_element_type[new_dtype=float32 weak_type=False] q
        in (n,) }
    ] f
    r:f32[8,10] = jit[
      name=log_softmax
      jaxpr={ lambda ; m:f32[8,10]. let
          s:f32[8] = reduce_max[axes=(1,)] m
          t:f32[8] = max -inf:f32[] s
          u:f32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] t
          v:f32[8,1] = stop_gradient u
          w:f32[8,10] = sub m v
          x:f32[8,10] = exp w
          y:f32[8] = reduce_sum[axes=(1,) out_sharding=None] x
          z:f32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] y
          ba:f32[8,1] = log z
          r:f32[8,10] = sub w ba
        in (r,) }
    ] m
    bb:f32[8,10] = mul n r
    bc:f32[8] = reduce_sum[axes=(1,) out_sharding=None] bb
    bd:f32[] = reduce_sum[axes=(0,) out_sharding=None] bc
    be:f32[] = div bd 8.0:f32[]
    bf:f32[] = neg be
  in (bf,) })");
}

TEST(DigitsTest, JittedValueAndGradIsThatOfJax) {
  EXPECT_EQ(Text(tracing::Jit(tracing::ValueAndGrad(Function("loss", Loss))), ArgumentTypes(8)), R"(
{ lambda ; a:f32[64,32] b:f32[32] c:f32[32,10] d:f32[10] e:f32[8,64] f:i32[8]. let
    g:f32[] h:f32[64,32] i:f32[32] j:f32[32,10] k:f32[10] = jit[
      name=loss
      jaxpr={ lambda ; a:f32[64,32] b:f32[32] c:f32[32,10] d:f32[10] e:f32[8,64]
          f:i32[8]. let
          l:f32[8,32] = dot_general[
            dimension_numbers=(([1], [0]), ([], []))
            preferred_element_type=float32
          ] e a
          m:f32[1,32] = broadcast_in_dim[broadcast_dimensions=(1,)] b
          n:f32[8,32] = add l m
          o:f32[8,32] = tanh n
          p:f32[8,32] = sub 1.0:f32[] o
          q:f32[8,10] = dot_general[
            dimension_numbers=(([1], [0]), ([], []))
            preferred_element_type=float32
          ] o c
          r:f32[1,10] = broadcast_in_dim[broadcast_dimensions=(1,)] d
          s:f32[8,10] = add q r
          t:f32[8,10] = jit[
            name=_one_hot
            jaxpr={ lambda ; f:i32[8]. let
                u:i32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] f
                v:i32[1,10] = iota[
                  dimension=1
                  dtype=int32
                  shape=(1, 10)
                  sharding=None
                ] 
                w:bool[8,10] = eq u v
                t:f32[8,10] = convert_element_type[
                  new_dtype=float32
                  weak_type=False
                ] w
              in (t,) }
          ] f
          x:f32[8,10] y:f32[8,10] z:f32[8,1] = jit[
            name=log_softmax
            jaxpr={ lambda ; s:f32[8,10]. let
                ba:f32[8] = reduce_max[axes=(1,)] s
                bb:f32[8] = max -inf:f32[] ba
                bc:f32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] bb
                bd:f32[8,1] = stop_gradient bc
                be:f32[8,10] = sub s bd
                y:f32[8,10] = exp be
                bf:f32[8] = reduce_sum[axes=(1,) out_sharding=None] y
                z:f32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] bf
                bg:f32[8,1] = log z
                x:f32[8,10] = sub be bg
              in (x, y, z) }
          ] s
          bh:f32[8,10] = mul t x
          bi:f32[8] = reduce_sum[axes=(1,) out_sharding=None] bh
          bj:f32[] = reduce_sum[axes=(0,) out_sharding=None] bi
          bk:f32[] = div bj 8.0:f32[]
          g:f32[] = neg bk
          bl:f32[] = neg 1.0:f32[]
          bm:f32[] = div bl 8.0:f32[]
          bn:f32[8] = broadcast_in_dim bm
          bo:f32[8,10] = broadcast_in_dim[broadcast_dimensions=(np.int64(0),)] bn
          bp:f32[8,10] = mul t bo
          bq:f32[8,10] = jit[
            name=log_softmax
            jaxpr={ lambda ; y:f32[8,10] z:f32[8,1] bp:f32[8,10]. let
                br:f32[8,10] = neg bp
                bs:f32[8] = reduce_sum[axes=(1,) out_sharding=None] br
                bt:f32[8,1] = reshape[
                  dimensions=None
                  new_sizes=(8, 1)
                  sharding=None
                ] bs
                bu:f32[8,1] = div bt z
                bv:f32[8] = reduce_sum[axes=(1,) out_sharding=None] bu
                bw:f32[8,10] = broadcast_in_dim[
                  broadcast_dimensions=(np.int64(0),)
                ] bv
                bx:f32[8,10] = mul bw y
                bq:f32[8,10] = add_any bp bx
              in (bq,) }
          ] y z bp
          by:f32[10] = reduce_sum[axes=(0,) out_sharding=None] bq
          bz:f32[1,10] = reshape[
            dimensions=None
            new_sizes=(1, 10)
            sharding=None
          ] by
          k:f32[10] = reduce_sum[axes=(0,) out_sharding=None] bz
          ca:f32[10,32] = dot_general[
            dimension_numbers=(([0], [0]), ([], []))
            preferred_element_type=float32
          ] bq o
          j:f32[32,10] = transpose[permutation=(1, 0)] ca
          cb:f32[8,32] = dot_general[
            dimension_numbers=(([1], [1]), ([], []))
            preferred_element_type=float32
          ] bq c
          cc:f32[8,32] = mul cb p
          cd:f32[8,32] = mul cc o
          ce:f32[8,32] = add_any cc cd
          cf:f32[32] = reduce_sum[axes=(0,) out_sharding=None] ce
          cg:f32[1,32] = reshape[
            dimensions=None
            new_sizes=(1, 32)
            sharding=None
          ] cf
          i:f32[32] = reduce_sum[axes=(0,) out_sharding=None] cg
          ch:f32[32,64] = dot_general[
            dimension_numbers=(([0], [0]), ([], []))
            preferred_element_type=float32
          ] ce e
          h:f32[64,32] = transpose[permutation=(1, 0)] ch
        in (g, h, i, j, k) }
    ] a b c d e f
  in (g, h, i, j, k) })");
}

TEST(DigitsTest, GradientsPerExampleAreThoseOfJax) {
  std::vector<tracing::Aval> args = ArgumentTypes(8);
  args[4] = tracing::F32(8, 1, 64);
  args[5] = tracing::I32(8, 1);
  const Function per_example =
      tracing::Vmap(tracing::Grad(Loss), {.in_axes = {std::nullopt, 0, 0}});
  EXPECT_EQ(Text(per_example, args), R"(
{ lambda ; a:f32[64,32] b:f32[32] c:f32[32,10] d:f32[10] e:f32[8,1,64] f:i32[8,1]. let
    g:f32[8,1,32] = dot_general[
      dimension_numbers=(([2], [0]), ([], []))
      preferred_element_type=float32
    ] e a
    h:f32[1,32] = broadcast_in_dim[broadcast_dimensions=(1,)] b
    i:f32[1,1,32] = broadcast_in_dim[
      broadcast_dimensions=(np.int64(1), np.int64(2))
    ] h
    j:f32[8,1,32] = add g i
    k:f32[8,1,32] = tanh j
    l:f32[8,1,32] = sub 1.0:f32[] k
    m:f32[8,1,10] = dot_general[
      dimension_numbers=(([2], [0]), ([], []))
      preferred_element_type=float32
    ] k c
    n:f32[1,10] = broadcast_in_dim[broadcast_dimensions=(1,)] d
    o:f32[1,1,10] = broadcast_in_dim[
      broadcast_dimensions=(np.int64(1), np.int64(2))
    ] n
    p:f32[8,1,10] = add m o
    q:f32[8,1,10] = jit[
      name=_one_hot
      jaxpr={ lambda ; f:i32[8,1]. let
          r:i32[8,1,1] = broadcast_in_dim[broadcast_dimensions=(0, np.int64(1))] f
          s:i32[1,10] = iota[
            dimension=1
            dtype=int32
            shape=(1, 10)
            sharding=None
          ] 
          t:i32[1,1,10] = broadcast_in_dim[
            broadcast_dimensions=(np.int64(1), np.int64(2))
          ] s
          u:bool[8,1,10] = eq r t
          q:f32[8,1,10] = convert_element_type[
            new_dtype=float32
            weak_type=False
          ] u
        in (q,) }
    ] f
    v:f32[8,1,10] w:f32[8,1,10] x:f32[8,1,1] = jit[
      name=log_softmax
      jaxpr={ lambda ; p:f32[8,1,10]. let
          y:f32[8,1] = reduce_max[axes=(np.int64(2),)] p
          z:f32[8,1] = max -inf:f32[] y
          ba:f32[8,1,1] = broadcast_in_dim[
            broadcast_dimensions=(0, np.int64(1))
          ] z
          bb:f32[8,1,1] = stop_gradient ba
          bc:f32[8,1,10] = sub p bb
          w:f32[8,1,10] = exp bc
          bd:f32[8,1] = reduce_sum[axes=(np.int64(2),) out_sharding=None] w
          x:f32[8,1,1] = broadcast_in_dim[broadcast_dimensions=(0, np.int64(1))] bd
          be:f32[8,1,1] = log x
          v:f32[8,1,10] = sub bc be
        in (v, w, x) }
    ] p
    bf:f32[8,1,10] = mul q v
    bg:f32[8,1] = reduce_sum[axes=(np.int64(2),) out_sharding=None] bf
    bh:f32[8] = reduce_sum[axes=(np.int64(1),) out_sharding=None] bg
    bi:f32[8] = div bh 1.0:f32[]
    _:f32[8] = neg bi
    bj:f32[] = neg 1.0:f32[]
    bk:f32[] = div bj 1.0:f32[]
    bl:f32[1] = broadcast_in_dim bk
    bm:f32[1,10] = broadcast_in_dim[broadcast_dimensions=(np.int64(0),)] bl
    bn:f32[1,1,10] = broadcast_in_dim[
      broadcast_dimensions=(np.int64(1), np.int64(2))
    ] bm
    bo:f32[8,1,10] = mul q bn
    bp:f32[8,1,10] = jit[
      name=log_softmax
      jaxpr={ lambda ; w:f32[8,1,10] x:f32[8,1,1] bo:f32[8,1,10]. let
          bq:f32[8,1,10] = neg bo
          br:f32[8,1] = reduce_sum[axes=(np.int64(2),) out_sharding=None] bq
          bs:f32[8,1,1] = reshape[
            dimensions=None
            new_sizes=(8, 1, 1)
            sharding=None
          ] br
          bt:f32[8,1,1] = div bs x
          bu:f32[8] = reduce_sum[
            axes=(np.int64(1), np.int64(2))
            out_sharding=None
          ] bt
          bv:f32[8,1] = broadcast_in_dim[broadcast_dimensions=(0,)] bu
          bw:f32[8,1,10] = broadcast_in_dim[
            broadcast_dimensions=(0, np.int64(1))
          ] bv
          bx:f32[8,1,10] = mul bw w
          bp:f32[8,1,10] = add_any bo bx
        in (bp,) }
    ] w x bo
    by:f32[8,10] = reduce_sum[axes=(np.int64(1),) out_sharding=None] bp
    bz:f32[8,10,32] = dot_general[
      dimension_numbers=(([1], [1]), ([0], [0]))
      preferred_element_type=float32
    ] bp k
    ca:f32[8,32,10] = transpose[permutation=(0, 2, 1)] bz
    cb:f32[8,1,32] = dot_general[
      dimension_numbers=(([2], [1]), ([], []))
      preferred_element_type=float32
    ] bp c
    cc:f32[8,1,32] = mul cb l
    cd:f32[8,1,32] = mul cc k
    ce:f32[8,1,32] = add_any cc cd
    cf:f32[8,32] = reduce_sum[axes=(np.int64(1),) out_sharding=None] ce
    cg:f32[8,32,64] = dot_general[
      dimension_numbers=(([1], [1]), ([0], [0]))
      preferred_element_type=float32
    ] ce e
    ch:f32[8,64,32] = transpose[permutation=(0, 2, 1)] cg
  in (ch, cf, ca, by) })");
}

TEST(DigitsTest, TrainingLowersTheLoss) {
  const Result<ir::Program> step = tracing::MakeJaxpr(Function("step", Step), ArgumentTypes(20));
  ASSERT_TRUE(step.ok()) << step.status().ToString();
  const Result<stablehlo::Module> module = pipeline::LowerToStablehlo(*step);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  std::vector<tensor::Tensor> state = InitialParams();
  const std::vector<tensor::Tensor> batch = MadeUpDigits(20);
  std::vector<double> losses;
  for (int i = 0; i < 20; ++i) {
    std::vector<tensor::Tensor> args = state;
    args.insert(args.end(), batch.begin(), batch.end());
    const Result<std::vector<tensor::Tensor>> outs = stablehlo::Evaluate(*module, args);
    ASSERT_TRUE(outs.ok()) << outs.status().ToString();
    losses.push_back((*outs)[0].DoubleAt(0));
    state.assign(outs->begin() + 1, outs->end());
  }
  EXPECT_NEAR(losses.front(), 2.3, 0.4);  // about log(10): nothing is known yet
  EXPECT_LT(losses.back(), 0.2);
}

}  // namespace
}  // namespace digits
