// Functions of complex numbers as scalar operations on their parts.
#pragma once

#include <cstdint>

#include "common/machines/codegen/kernel_builder.h"

namespace megalith::codegen {

// Two f64 registers.
struct ComplexParts {
  uint32_t re = 0, im = 0;
};

// Emits the formulas of the reference evaluator (programs/stablehlo/kernels/complex_math.h) and of
// the C library's complex functions, infinities and NaN included. Results are a few units in the
// last place of the modulus from theirs. With `wide` any f64 may come in; without, only numbers
// that fit into f32, whose squares need no scaling.
class ComplexFormulas {
 public:
  ComplexFormulas(KernelBuilder& builder, bool wide) : b_(builder), wide_(wide) {}

  using Formula = ComplexParts (ComplexFormulas::*)(ComplexParts);
  // nullptr if there is no formula for the operation on one number.
  static Formula Find(std::string_view op);

  uint32_t Abs(ComplexParts z);
  ComplexParts Divide(ComplexParts a, ComplexParts b);
  ComplexParts Power(ComplexParts a, ComplexParts b);
  ComplexParts Atan2(ComplexParts y, ComplexParts x);

  ComplexParts Cbrt(ComplexParts z);
  ComplexParts Exp(ComplexParts z);
  ComplexParts Expm1(ComplexParts z);
  ComplexParts Log(ComplexParts z);
  ComplexParts Log1p(ComplexParts z);
  ComplexParts Logistic(ComplexParts z);
  ComplexParts Rsqrt(ComplexParts z);
  ComplexParts Sign(ComplexParts z);
  ComplexParts Sqrt(ComplexParts z);
  ComplexParts Tan(ComplexParts z);
  ComplexParts Tanh(ComplexParts z);

 private:
  // x = scaled * 2^exponent, by powers of two that bring the larger part near 1 (wide only).
  struct Scaled {
    ComplexParts z;
    uint32_t exponent = 0;  // i64, even
  };

  uint32_t F(ScalarOp op, uint32_t x) { return b_.Emit(op, DType::kF64, {x}); }
  uint32_t F(ScalarOp op, uint32_t x, uint32_t y) { return b_.Emit(op, DType::kF64, {x, y}); }
  uint32_t Add(uint32_t x, uint32_t y) { return F(ScalarOp::kAdd, x, y); }
  uint32_t Sub(uint32_t x, uint32_t y) { return F(ScalarOp::kSubtract, x, y); }
  uint32_t Mul(uint32_t x, uint32_t y) { return F(ScalarOp::kMultiply, x, y); }
  uint32_t Div(uint32_t x, uint32_t y) { return F(ScalarOp::kDivide, x, y); }
  uint32_t Abs(uint32_t x) { return F(ScalarOp::kAbs, x); }
  uint32_t Negate(uint32_t x) { return F(ScalarOp::kNegate, x); }
  uint32_t Real(double value);
  uint32_t Int(int64_t value);
  uint32_t Test(ScalarOp op, uint32_t x, uint32_t y) { return b_.Emit(op, DType::kBool, {x, y}); }
  uint32_t Both(uint32_t p, uint32_t q) { return Test(ScalarOp::kAnd, p, q); }
  uint32_t Either(uint32_t p, uint32_t q) { return Test(ScalarOp::kOr, p, q); }
  uint32_t Not(uint32_t p) { return b_.Emit(ScalarOp::kNot, DType::kBool, {p}); }
  uint32_t IsZero(uint32_t x) { return Test(ScalarOp::kEqual, x, Real(0)); }
  uint32_t IsNan(uint32_t x) { return Test(ScalarOp::kNotEqual, x, x); }
  uint32_t IsInf(uint32_t x);
  uint32_t IsFinite(uint32_t x) { return b_.Emit(ScalarOp::kIsFinite, DType::kBool, {x}); }
  uint32_t AnyInf(ComplexParts z) { return Either(IsInf(z.re), IsInf(z.im)); }
  uint32_t AnyNan(ComplexParts z) { return Either(IsNan(z.re), IsNan(z.im)); }
  uint32_t AllZero(ComplexParts z) { return Both(IsZero(z.re), IsZero(z.im)); }
  uint32_t Choose(uint32_t p, uint32_t x, uint32_t y) {
    return b_.Emit(ScalarOp::kSelect, DType::kF64, {p, x, y});
  }
  ComplexParts Choose(uint32_t p, ComplexParts x, ComplexParts y) {
    return {Choose(p, x.re, y.re), Choose(p, x.im, y.im)};
  }
  uint32_t CopySign(uint32_t magnitude, uint32_t sign);
  // 2^exponent, of an i64 in [-1022, 1023].
  uint32_t PowerOfTwo(uint32_t exponent);
  // x * 2^exponent, rounded once unless the result is denormal.
  uint32_t TimesPower(uint32_t x, uint32_t exponent);
  Scaled ScaleDown(ComplexParts z);
  // log of the modulus, accurate near 1.
  uint32_t LogAbs(ComplexParts z);
  ComplexParts Multiply(ComplexParts x, ComplexParts y);

  KernelBuilder& b_;
  const bool wide_;
};

}  // namespace megalith::codegen
