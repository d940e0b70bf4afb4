// Transcendental functions and other float operations, each written once as an expression over a
// vector machine (vector_math_base.h): the tile routines (tier 0) instantiate them on SIMD
// registers, the code generator (tier 1) on values of its intermediate code. So both tiers compute
// the same formulas.
//
// The comment above each function gives the largest error in ulps of the result, against exact
// arithmetic (docs/numerics.md has what was measured). NaN gives NaN; zeros, infinities, denormals,
// overflow and poles are those of the C library.
#pragma once

#include "common/machines/kernels/vector_math_f32.h"
#include "common/machines/kernels/vector_math_f64.h"
#include "common/machines/kernels/vector_math_special.h"
#include "common/machines/kernels/vector_math_trig.h"

namespace megalith::kernels::vector_math {

// The value of operation `op` of its operands (`y` is not looked at by operations of one operand),
// for those IsVectorMath knows; `x` for others.
template <class B>
typename B::F Apply(B& b, ScalarOp op, typename B::F x, [[maybe_unused]] typename B::F y,
                    uint64_t imm) {
  switch (op) {
    case ScalarOp::kSign:
      return Sign(b, x);
    case ScalarOp::kRoundAway:
      return RoundAway(b, x);
    case ScalarOp::kRsqrt:
      return Rsqrt(b, x);
    case ScalarOp::kCbrt:
      return Cbrt(b, x);
    case ScalarOp::kExp:
      return Exp(b, x);
    case ScalarOp::kExpm1:
      return Expm1(b, x);
    case ScalarOp::kLog:
      return Log(b, x);
    case ScalarOp::kLog1p:
      return Log1p(b, x);
    case ScalarOp::kSine:
      return Sine(b, x);
    case ScalarOp::kCosine:
      return Cosine(b, x);
    case ScalarOp::kTan:
      return Tan(b, x);
    case ScalarOp::kTanh:
      return Tanh(b, x);
    case ScalarOp::kLogistic:
      return Logistic(b, x);
    case ScalarOp::kErf:
      return Erf(b, x);
    case ScalarOp::kErfc:
      return Erfc(b, x);
    case ScalarOp::kErfInv:
      return ErfInv(b, x);
    case ScalarOp::kLgamma:
      return Lgamma(b, x);
    case ScalarOp::kDigamma:
      return Digamma(b, x);
    case ScalarOp::kAsin:
      return Asin(b, x);
    case ScalarOp::kAcos:
      return Acos(b, x);
    case ScalarOp::kAtan:
      return Atan(b, x);
    case ScalarOp::kSinh:
      return Sinh(b, x);
    case ScalarOp::kCosh:
      return Cosh(b, x);
    case ScalarOp::kAsinh:
      return Asinh(b, x);
    case ScalarOp::kAcosh:
      return Acosh(b, x);
    case ScalarOp::kAtanh:
      return Atanh(b, x);
    case ScalarOp::kReducePrecision:
      return ReducePrecision(b, x, imm);
    case ScalarOp::kRemainder:
      return Remainder(b, x, y);
    case ScalarOp::kMaximum:
      return Maximum(b, x, y);
    case ScalarOp::kMinimum:
      return Minimum(b, x, y);
    case ScalarOp::kPower:
      return Pow(b, x, y);
    case ScalarOp::kAtan2:
      return Atan2(b, x, y);
    case ScalarOp::kNextAfter:
      return NextAfter(b, x, y);
    default:
      return x;
  }
}

// On operands of kF32 and kF64: the operations Apply knows. The others of the table are a machine
// instruction or two.
constexpr bool IsVectorMath(ScalarOp op) {
  switch (op) {
    case ScalarOp::kSign:
    case ScalarOp::kRoundAway:
    case ScalarOp::kRsqrt:
    case ScalarOp::kCbrt:
    case ScalarOp::kExp:
    case ScalarOp::kExpm1:
    case ScalarOp::kLog:
    case ScalarOp::kLog1p:
    case ScalarOp::kSine:
    case ScalarOp::kCosine:
    case ScalarOp::kTan:
    case ScalarOp::kTanh:
    case ScalarOp::kLogistic:
    case ScalarOp::kErf:
    case ScalarOp::kErfc:
    case ScalarOp::kErfInv:
    case ScalarOp::kLgamma:
    case ScalarOp::kDigamma:
    case ScalarOp::kAsin:
    case ScalarOp::kAcos:
    case ScalarOp::kAtan:
    case ScalarOp::kSinh:
    case ScalarOp::kCosh:
    case ScalarOp::kAsinh:
    case ScalarOp::kAcosh:
    case ScalarOp::kAtanh:
    case ScalarOp::kReducePrecision:
    case ScalarOp::kRemainder:
    case ScalarOp::kMaximum:
    case ScalarOp::kMinimum:
    case ScalarOp::kPower:
    case ScalarOp::kAtan2:
    case ScalarOp::kNextAfter:
      return true;
    default:
      return false;
  }
}

// Of those, the ones that go through float64 for f32: half the lanes fill a register.
constexpr bool IsThroughF64(ScalarOp op) {
  switch (op) {
    case ScalarOp::kCbrt:
    case ScalarOp::kTan:
    case ScalarOp::kErfc:
    case ScalarOp::kLgamma:
    case ScalarOp::kDigamma:
    case ScalarOp::kAsin:
    case ScalarOp::kAcos:
    case ScalarOp::kAtan:
    case ScalarOp::kSinh:
    case ScalarOp::kCosh:
    case ScalarOp::kAsinh:
    case ScalarOp::kAcosh:
    case ScalarOp::kAtanh:
    case ScalarOp::kRemainder:
    case ScalarOp::kPower:
    case ScalarOp::kAtan2:
      return true;
    default:
      return false;
  }
}

}  // namespace megalith::kernels::vector_math
