// The elementwise primitives as functions, with lax's rules: operands of one dtype, of one shape or
// rank 0, and no promotion. One line per primitive; a test holds the lists against the table of
// primitives.
#pragma once

#include <string_view>

#include "common/programs/ir/builder.h"
#include "common/programs/tracing/array.h"

namespace megalith::tracing {

// Any primitive by name, with the parameters that differ from their defaults: what this header has
// no function for. The operands are used as they are. Errors: kInvalidArgument if there is no such
// primitive.
Array Emit1(std::string_view primitive, std::initializer_list<Operand> operands,
            ir::NamedParams params = {}, Place where = Place::current());
// The same for primitives of several results.
Arrays EmitN(std::string_view primitive, const Arrays& operands, ir::NamedParams params = {},
             Place where = Place::current());

namespace lax {

#define MEGALITH_LAX_UNARY(V)                                                                      \
  V(Abs, "abs")                                                                                    \
  V(Acos, "acos")                                                                                  \
  V(Acosh, "acosh")                                                                                \
  V(Asin, "asin")                                                                                  \
  V(Asinh, "asinh")                                                                                \
  V(Atan, "atan") V(Atanh, "atanh") V(BesselI0e, "bessel_i0e") V(BesselI1e, "bessel_i1e")          \
      V(Cbrt, "cbrt") V(Ceil, "ceil") V(Clz, "clz") V(Copy, "copy") V(Cos, "cos") V(Cosh, "cosh")  \
          V(Digamma, "digamma") V(Erf, "erf") V(ErfInv, "erf_inv") V(Erfc, "erfc") V(Exp, "exp")   \
              V(Exp2, "exp2") V(Expm1, "expm1") V(Floor, "floor") V(Imag, "imag")                  \
                  V(IsFinite, "is_finite") V(Lgamma, "lgamma") V(Log, "log") V(Log1p, "log1p")     \
                      V(Logistic, "logistic") V(Neg, "neg") V(Not, "not")                          \
                          V(PopulationCount, "population_count") V(Real, "real") V(Rsqrt, "rsqrt") \
                              V(Sign, "sign") V(Sin, "sin") V(Sinh, "sinh") V(Sqrt, "sqrt")        \
                                  V(Square, "square") V(StopGradient, "stop_gradient")             \
                                      V(Tan, "tan") V(Tanh, "tanh")

#define MEGALITH_LAX_BINARY(V)                                                                \
  V(Add, "add")                                                                               \
  V(And, "and")                                                                               \
  V(Atan2, "atan2")                                                                           \
  V(Complex, "complex")                                                                       \
  V(Div, "div")                                                                               \
  V(Eq, "eq") V(Ge, "ge") V(Gt, "gt") V(Igamma, "igamma") V(IgammaGradA, "igamma_grad_a")     \
      V(Igammac, "igammac") V(Le, "le") V(Lt, "lt") V(Max, "max") V(Min, "min") V(Mul, "mul") \
          V(Ne, "ne") V(Nextafter, "nextafter") V(Or, "or") V(Polygamma, "polygamma")         \
              V(Pow, "pow") V(Rem, "rem") V(ShiftLeft, "shift_left")                          \
                  V(ShiftRightArithmetic, "shift_right_arithmetic")                           \
                      V(ShiftRightLogical, "shift_right_logical") V(Sub, "sub") V(Xor, "xor") \
                          V(Zeta, "zeta")

#define MEGALITH_LAX_TERNARY(V) V(Betainc, "regularized_incomplete_beta") V(Clamp, "clamp")

#define MEGALITH_DECLARE(name, primitive) \
  inline Array name(Operand x) { return Emit1(primitive, {x}, {}, x.where); }
MEGALITH_LAX_UNARY(MEGALITH_DECLARE)
#undef MEGALITH_DECLARE
#define MEGALITH_DECLARE(name, primitive) \
  inline Array name(Operand x, Operand y) { return Emit1(primitive, {x, y}, {}, x.where); }
MEGALITH_LAX_BINARY(MEGALITH_DECLARE)
#undef MEGALITH_DECLARE
#define MEGALITH_DECLARE(name, primitive)              \
  inline Array name(Operand x, Operand y, Operand z) { \
    return Emit1(primitive, {x, y, z}, {}, x.where);   \
  }
MEGALITH_LAX_TERNARY(MEGALITH_DECLARE)
#undef MEGALITH_DECLARE

Array Conj(Operand x);
Array IntegerPow(Operand x, int64_t y);
// To the nearest integer, halves away from zero or to the even one.
Array Round(Operand x, bool to_even = false);
Array ReducePrecision(Operand x, int64_t exponent_bits, int64_t mantissa_bits);
// `on_true` where `pred` (of its shape, or a scalar) holds; both have one type.
Array Select(Operand pred, Operand on_true, Operand on_false);
// lax.dot_general; an absent preferred type is the operands'.
struct DotNumbers {
  Dims lhs_contract;
  Dims rhs_contract;
  Dims lhs_batch = {};
  Dims rhs_batch = {};
};
Array DotGeneral(Operand x, Operand y, const DotNumbers& numbers,
                 DType preferred = DType::kInvalid);

}  // namespace lax
}  // namespace megalith::tracing
