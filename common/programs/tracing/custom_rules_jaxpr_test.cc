#include "common/programs/tracing/testing/jaxpr_text.h"

// Expectations are JAX 0.9.2's: str(jax.make_jaxpr(f)(...)) of the same function in Python.
namespace megalith::tracing {
namespace {

using testing::Text;

TEST(CustomRulesJaxprTest, CustomJvpIsACall) {
  const auto f = [](Array x) -> Outputs {
    const Function f = CustomJvp(Function("f", [](Array x) { return Sin(x); }),
                                 Function("f_jvp", [](Array x, Array t) {
                                   const Array y = Sin(x);
                                   return std::tuple{y, t * Cos(x)};
                                 }));
    return f(x);
  };
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    b:f32[3] = custom_jvp_call[
      name=f
      call_jaxpr={ lambda ; c:f32[3]. let d:f32[3] = sin c in (d,) }
      jvp=f_jvp
      symbolic_zeros=False
    ] a
  in (b,) })");
}

TEST(CustomRulesJaxprTest, CustomJvpUsesItsRule) {
  const auto f = [](Array x) -> Outputs {
    const Function f = CustomJvp(Function("f", [](Array x) { return Sin(x); }),
                                 Function("f_jvp", [](Array x, Array t) {
                                   const Array y = Sin(x);
                                   return std::tuple{y, t * Cos(x)};
                                 }));
    return Grad(f)(x);
  };
  EXPECT_EQ(Text(f, {F32()}), R"(
{ lambda ; a:f32[]. let
    _:f32[] = sin a
    b:f32[] = cos a
    c:f32[] = mul 1.0:f32[] b
  in (c,) })");
}

TEST(CustomRulesJaxprTest, CustomJvpUnderVmap) {
  const auto f = [](Array x) -> Outputs {
    const Function f = CustomJvp(Function("f", [](Array x) { return Sin(x); }),
                                 Function("f_jvp", [](Array x, Array t) {
                                   const Array y = Sin(x);
                                   return std::tuple{y, t * Cos(x)};
                                 }));
    return Vmap(Grad(f))(x);
  };
  EXPECT_EQ(Text(f, {F32(3)}), R"(
{ lambda ; a:f32[3]. let
    _:f32[3] = sin a
    b:f32[3] = cos a
    c:f32[3] = mul 1.0:f32[] b
  in (c,) })");
}

TEST(CustomRulesJaxprTest, CustomJvpUnderHessian) {
  const auto f = [](Array x) -> Outputs {
    const Function f = CustomJvp(Function("f", [](Array x) { return Sin(x); }),
                                 Function("f_jvp", [](Array x, Array t) {
                                   const Array y = Sin(x);
                                   return std::tuple{y, t * Cos(x)};
                                 }));
    return Grad(Grad(f))(x);
  };
  EXPECT_EQ(Text(f, {F32()}), R"(
{ lambda ; a:f32[]. let
    _:f32[] = sin a
    _:f32[] = cos a
    b:f32[] = cos a
    c:f32[] = sin a
    _:f32[] = mul 1.0:f32[] b
    d:f32[] = mul 1.0:f32[] 1.0:f32[]
    e:f32[] = neg d
    f:f32[] = mul e c
  in (f,) })");
}

TEST(CustomRulesJaxprTest, CustomJvpForward) {
  const auto f = [](Array x, Array y) -> Outputs {
    const Function f = CustomJvp(Function("f", [](Array x) { return Sin(x); }),
                                 Function("f_jvp", [](Array x, Array t) {
                                   const Array y = Sin(x);
                                   return std::tuple{y, t * Cos(x)};
                                 }));
    return Jvp(f)(x, y);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = sin a
    d:f32[3] = cos a
    e:f32[3] = mul b d
  in (c, e) })");
}

TEST(CustomRulesJaxprTest, CustomVjpIsACall) {
  const auto f = [](Array x, Array y) -> Outputs {
    const Function h = CustomVjp(Function("h", [](Array x, Array y) { return Sin(x) * y; }),
                                 Function("h_fwd",
                                          [](Array x, Array y) {
                                            const Array s = Sin(x);
                                            return std::tuple{s * y, x, s};
                                          }),
                                 Function("h_bwd", [](Array x, Array s, Array ct) {
                                   const Array first = ct * x;
                                   return std::tuple{first, ct * s};
                                 }));
    return h(x, y);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = custom_vjp_call[
      name=h
      bwd=h_bwd
      call_jaxpr={ lambda ; d:f32[3] e:f32[3]. let
          f:f32[3] = sin d
          g:f32[3] = mul f e
        in (g,) }
      fwd=h_fwd
      symbolic_zeros=False
    ] a b
  in (c,) })");
}

TEST(CustomRulesJaxprTest, CustomVjpUsesItsRule) {
  const auto f = [](Array x, Array y) -> Outputs {
    const Function h = CustomVjp(Function("h", [](Array x, Array y) { return Sin(x) * y; }),
                                 Function("h_fwd",
                                          [](Array x, Array y) {
                                            const Array s = Sin(x);
                                            return std::tuple{s * y, x, s};
                                          }),
                                 Function("h_bwd", [](Array x, Array s, Array ct) {
                                   const Array first = ct * x;
                                   return std::tuple{first, ct * s};
                                 }));
    return Grad(h, {.argnums = {0, 1}})(x, y);
  };
  EXPECT_EQ(Text(f, {F32(), F32()}), R"(
{ lambda ; a:f32[] b:f32[]. let
    c:f32[] = sin a
    _:f32[] = mul c b
    d:f32[] = mul 1.0:f32[] a
    e:f32[] = mul 1.0:f32[] c
  in (d, e) })");
}

TEST(CustomRulesJaxprTest, CustomVjpUnderVmap) {
  const auto f = [](Array x, Array y) -> Outputs {
    const Function h = CustomVjp(Function("h", [](Array x, Array y) { return Sin(x) * y; }),
                                 Function("h_fwd",
                                          [](Array x, Array y) {
                                            const Array s = Sin(x);
                                            return std::tuple{s * y, x, s};
                                          }),
                                 Function("h_bwd", [](Array x, Array s, Array ct) {
                                   const Array first = ct * x;
                                   return std::tuple{first, ct * s};
                                 }));
    return Vmap(Grad(h))(x, y);
  };
  EXPECT_EQ(Text(f, {F32(3), F32(3)}), R"(
{ lambda ; a:f32[3] b:f32[3]. let
    c:f32[3] = sin a
    _:f32[3] = mul c b
    d:f32[3] = mul 1.0:f32[] a
    _:f32[3] = mul 1.0:f32[] c
  in (d,) })");
}

TEST(CustomRulesJaxprTest, CustomVjpInsideJit) {
  const auto f = [](Array x, Array y) -> Outputs {
    const Function h = CustomVjp(Function("h", [](Array x, Array y) { return Sin(x) * y; }),
                                 Function("h_fwd",
                                          [](Array x, Array y) {
                                            const Array s = Sin(x);
                                            return std::tuple{s * y, x, s};
                                          }),
                                 Function("h_bwd", [](Array x, Array s, Array ct) {
                                   const Array first = ct * x;
                                   return std::tuple{first, ct * s};
                                 }));
    return Grad(Jit(h))(x, y);
  };
  EXPECT_EQ(Text(f, {F32(), F32()}), R"(
{ lambda ; a:f32[] b:f32[]. let
    _:f32[] c:f32[] = jit[
      name=h
      jaxpr={ lambda ; a:f32[] b:f32[]. let
          c:f32[] = sin a
          _:f32[] = mul c b
        in (_, c) }
    ] a b
    d:f32[] = jit[
      name=h
      jaxpr={ lambda ; a:f32[] c:f32[] e:f32[]. let
          d:f32[] = mul e a
          _:f32[] = mul e c
        in (d,) }
    ] a c 1.0:f32[]
  in (d,) })");
}

TEST(CustomRulesJaxprTest, RulesMayCallTheirFunction) {
  const auto f = [](Array x) -> Outputs {
    static const Function e = CustomJvp(Function("e", [](Array v) { return Exp(v); }),
                                        Function("e_jvp", [](Array v, Array t) {
                                          const Array y = e(v);
                                          return std::tuple{y, t * y};
                                        }));
    return Grad(Grad(Grad(e)))(x);
  };
  EXPECT_EQ(Text(f, {F32()}), R"(
{ lambda ; a:f32[]. let
    b:f32[] = custom_jvp_call[
      name=e
      call_jaxpr={ lambda ; c:f32[]. let d:f32[] = exp c in (d,) }
      jvp=e_jvp
      symbolic_zeros=False
    ] a
    _:f32[] = mul 1.0:f32[] b
    e:f32[] = mul 1.0:f32[] 1.0:f32[]
    _:f32[] = mul e b
    f:f32[] = mul e 1.0:f32[]
    g:f32[] = mul f b
  in (g,) })");
}

}  // namespace
}  // namespace megalith::tracing
