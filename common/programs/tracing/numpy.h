// jax.numpy's functions over traced arrays: promotion, broadcasting, and equations as jax.numpy
// emits them.
#pragma once

#include "common/programs/tracing/array.h"
#include "common/programs/tracing/lax.h"

namespace megalith::tracing {

// Dimensions to reduce: one, several, or (default) all. Negative ones count from the end.
struct Axes {
  Axes() = default;
  template <std::integral T>
  Axes(T axis) : all(false), dims{static_cast<int64_t>(axis)} {}  // NOLINT: implicit by design
  Axes(std::initializer_list<int64_t> axes)
      : all(false), dims(axes) {}                     // NOLINT: implicit by design
  Axes(const Dims& axes) : all(false), dims(axes) {}  // NOLINT: implicit by design
  bool all = true;
  Dims dims;
};
inline constexpr bool kKeepDims = true;

// ---- elementwise; integers become floats where the function is one of real numbers ----
#define MEGALITH_NUMPY_UNARY(V)                                                                 \
  V(Acos, "acos")                                                                               \
  V(Acosh, "acosh")                                                                             \
  V(Asin, "asin")                                                                               \
  V(Asinh, "asinh")                                                                             \
  V(Atan, "atan")                                                                               \
  V(Atanh, "atanh") V(Cbrt, "cbrt") V(Cos, "cos") V(Cosh, "cosh") V(Exp, "exp") V(Exp2, "exp2") \
      V(Expm1, "expm1") V(Log, "log") V(Log1p, "log1p") V(Sin, "sin") V(Sinh, "sinh")           \
          V(Sqrt, "sqrt") V(Tan, "tan") V(Tanh, "tanh")

#define MEGALITH_DECLARE(name, primitive) Array name(Operand x);
MEGALITH_NUMPY_UNARY(MEGALITH_DECLARE)
#undef MEGALITH_DECLARE
using lax::Abs;
using lax::Ceil;
using lax::Digamma;
using lax::Erf;
using lax::Erfc;
using lax::ErfInv;
using lax::Floor;
using lax::Imag;
using lax::IsFinite;
using lax::Lgamma;
using lax::Real;
using lax::Rsqrt;
using lax::Sign;
using lax::Square;
using lax::StopGradient;
Array Maximum(Operand x, Operand y);
Array Minimum(Operand x, Operand y);
Array Atan2(Operand x, Operand y);
Array Logaddexp(Operand x, Operand y);
// x to the power y. An integer number as exponent gives a chain of products (integer_pow), which is
// exact for integers. Errors: kUnimplemented for an array of integers to the power of another.
Array Pow(Operand x, Operand y);
Array Remainder(Operand x, Operand y);
Array LogicalAnd(Operand x, Operand y);
Array LogicalOr(Operand x, Operand y);
Array LogicalNot(Operand x);
Array IsNan(Operand x);
// x where `condition` is true (not zero), y elsewhere; all three broadcast.
Array Where(Operand condition, Operand x, Operand y);
Array Clip(Operand x, Operand low, Operand high);
Array AsType(Operand x, DType dtype);

// ---- reductions ----
// Sums of f16 and bf16 are accumulated in f32.
Array Sum(Operand x, Axes axes = {}, bool keepdims = false);
Array Mean(Operand x, Axes axes = {}, bool keepdims = false);
Array Prod(Operand x, Axes axes = {}, bool keepdims = false);
Array Max(Operand x, Axes axes = {}, bool keepdims = false);
Array Min(Operand x, Axes axes = {}, bool keepdims = false);
Array Any(Operand x, Axes axes = {}, bool keepdims = false);
Array All(Operand x, Axes axes = {}, bool keepdims = false);
// Of the whole array read in row-major order, or along one axis.
Array Argmax(Operand x, std::optional<int64_t> axis = {});
Array Argmin(Operand x, std::optional<int64_t> axis = {});
Array Cumsum(Operand x, int64_t axis);
Array Sort(Operand x, int64_t axis = -1);

// ---- shapes ----
// One size may be -1: what is left.
Array Reshape(Operand x, const Shape& shape);
Array Ravel(Operand x);
// Dimensions in reverse order, or as `permutation` says.
Array Transpose(Operand x);
Array Transpose(Operand x, const Dims& permutation);
Array SwapAxes(Operand x, int64_t a, int64_t b);
Array MoveAxis(Operand x, int64_t from, int64_t to);
Array ExpandDims(Operand x, Axes axes);
Array Squeeze(Operand x, Axes axes = {});
Array BroadcastTo(Operand x, const Shape& shape);
Array Flip(Operand x, int64_t axis);
Array Concatenate(const Arrays& xs, int64_t axis = 0, Place where = Place::current());
Array Stack(const Arrays& xs, int64_t axis = 0, Place where = Place::current());
Arrays Split(Operand x, int64_t parts, int64_t axis = 0);

// ---- new arrays ----
Array Full(const Shape& shape, Operand value, DType dtype = DType::kInvalid);
Array Zeros(const Shape& shape, DType dtype = DType::kF32, Place where = Place::current());
Array Ones(const Shape& shape, DType dtype = DType::kF32, Place where = Place::current());
Array ZerosLike(Operand x);
Array OnesLike(Operand x);
// 0, 1, ..., n-1.
Array Arange(int64_t n, DType dtype = DType::kI32, Place where = Place::current());
Array Iota(const Shape& shape, int64_t dimension, DType dtype = DType::kI32,
           Place where = Place::current());

// ---- products; f32 operands accumulate in f32 ----
Array Dot(Operand x, Operand y);
// Stacks of matrices multiply pairwise; stacks broadcast.
Array Matmul(Operand x, Operand y);
Array Outer(Operand x, Operand y);
// jnp.einsum of one or two operands in explicit form ("ij,jk->ik"), each index once per operand, no
// ellipsis. Errors: kUnimplemented for other forms.
Array Einsum(std::string_view formula, std::initializer_list<Operand> operands,
             Place where = Place::current());

}  // namespace megalith::tracing
