#include "common/machines/codegen/complex_formulas.h"

#include <bit>
#include <limits>
#include <numbers>
#include <string_view>

namespace megalith::codegen {
namespace {

constexpr DType kF64 = DType::kF64;
constexpr DType kI64 = DType::kI64;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

uint32_t ComplexFormulas::Real(double value) {
  return b_.Emit(ScalarOp::kConstant, kF64, {}, std::bit_cast<uint64_t>(value));
}
uint32_t ComplexFormulas::Int(int64_t value) {
  return b_.Emit(ScalarOp::kConstant, kI64, {}, static_cast<uint64_t>(value));
}

uint32_t ComplexFormulas::IsInf(uint32_t x) { return Test(ScalarOp::kEqual, Abs(x), Real(kInf)); }

uint32_t ComplexFormulas::CopySign(uint32_t magnitude, uint32_t sign) {
  const auto bits = [&](uint32_t x) { return b_.Emit(ScalarOp::kBitcast, kI64, {x}); };
  const uint32_t top = Int(std::numeric_limits<int64_t>::min());
  const uint32_t low =
      b_.Emit(ScalarOp::kAnd, kI64, {bits(magnitude), b_.Emit(ScalarOp::kNot, kI64, {top})});
  const uint32_t high = b_.Emit(ScalarOp::kAnd, kI64, {bits(sign), top});
  return F(ScalarOp::kBitcast, b_.Emit(ScalarOp::kOr, kI64, {low, high}));
}

uint32_t ComplexFormulas::PowerOfTwo(uint32_t exponent) {
  const uint32_t field = b_.Emit(ScalarOp::kAdd, kI64, {exponent, Int(1023)});
  return F(ScalarOp::kBitcast, b_.Emit(ScalarOp::kShiftLeft, kI64, {field, Int(52)}));
}

uint32_t ComplexFormulas::TimesPower(uint32_t x, uint32_t exponent) {
  const uint32_t half = b_.Emit(ScalarOp::kShiftRightArithmetic, kI64, {exponent, Int(1)});
  const uint32_t rest = b_.Emit(ScalarOp::kSubtract, kI64, {exponent, half});
  return Mul(Mul(x, PowerOfTwo(half)), PowerOfTwo(rest));
}

ComplexFormulas::Scaled ComplexFormulas::ScaleDown(ComplexParts z) {
  const uint32_t big = F(ScalarOp::kMaximum, Abs(z.re), Abs(z.im));
  const uint32_t field = b_.Emit(ScalarOp::kShiftRightLogical, kI64,
                                 {b_.Emit(ScalarOp::kBitcast, kI64, {big}), Int(52)});
  const uint32_t plain = b_.Emit(ScalarOp::kSubtract, kI64, {field, Int(1023)});
  const uint32_t even = b_.Emit(ScalarOp::kAnd, kI64, {plain, Int(-2)});
  const uint32_t none = Either(IsZero(big), Not(IsFinite(big)));
  Scaled out;
  out.exponent = b_.Emit(ScalarOp::kSelect, kI64, {none, Int(0), even});
  const uint32_t down = b_.Emit(ScalarOp::kNegate, kI64, {out.exponent});
  out.z = {TimesPower(z.re, down), TimesPower(z.im, down)};
  return out;
}

uint32_t ComplexFormulas::Abs(ComplexParts z) {
  Scaled s{z};
  if (wide_) s = ScaleDown(z);
  uint32_t root = F(ScalarOp::kSqrt, Add(Mul(s.z.re, s.z.re), Mul(s.z.im, s.z.im)));
  if (wide_) root = TimesPower(root, s.exponent);
  return Choose(AnyInf(z), Real(kInf), root);
}

uint32_t ComplexFormulas::LogAbs(ComplexParts z) {
  const uint32_t x = Abs(z.re), y = Abs(z.im);
  const uint32_t big = F(ScalarOp::kMaximum, x, y), small = F(ScalarOp::kMinimum, x, y);
  const uint32_t near =
      Both(Test(ScalarOp::kGreater, big, Real(0.5)), Test(ScalarOp::kLess, big, Real(2.0)));
  const uint32_t rest = Add(Mul(Sub(big, Real(1)), Add(big, Real(1))), Mul(small, small));
  const uint32_t half = Real(0.5);
  const uint32_t close = Mul(half, F(ScalarOp::kLog1p, rest));
  Scaled s{z};
  if (wide_) s = ScaleDown(z);
  uint32_t far = Mul(half, F(ScalarOp::kLog, Add(Mul(s.z.re, s.z.re), Mul(s.z.im, s.z.im))));
  if (wide_) {
    const uint32_t power = F(ScalarOp::kConvert, s.exponent);
    far = Add(far, Mul(power, Real(std::numbers::ln2)));
  }
  return Choose(AnyInf(z), Real(kInf), Choose(near, close, far));
}

ComplexParts ComplexFormulas::Multiply(ComplexParts x, ComplexParts y) {
  return {Sub(Mul(x.re, y.re), Mul(x.im, y.im)), Add(Mul(x.re, y.im), Mul(x.im, y.re))};
}

// The quotient, but where both its parts are NaN: a nonzero number by zero, an infinity by a finite
// number and the reverse have results of their own.
ComplexParts ComplexFormulas::Divide(ComplexParts a, ComplexParts b) {
  Scaled s{b};
  ComplexParts from = a;
  uint32_t shift = 0;
  if (wide_) {
    s = ScaleDown(b);
    // Products of large parts stay finite, and those of small ones exact.
    const uint32_t big = F(ScalarOp::kMaximum, Abs(a.re), Abs(a.im));
    const uint32_t up = Test(ScalarOp::kLess, big, Real(0x1p-900));
    const uint32_t down = Test(ScalarOp::kGreaterEqual, big, Real(0x1p1000));
    const auto pick = [&](uint32_t when, int64_t yes, uint32_t no) {
      return b_.Emit(ScalarOp::kSelect, kI64, {when, Int(yes), no});
    };
    shift = pick(up, 512, pick(down, -64, Int(0)));
    from = {TimesPower(a.re, shift), TimesPower(a.im, shift)};
  }
  const ComplexParts by = s.z;
  const auto sums = [&](ComplexParts x, ComplexParts y) {  // x * conj(y)
    return ComplexParts{Add(Mul(x.re, y.re), Mul(x.im, y.im)),
                        Sub(Mul(x.im, y.re), Mul(x.re, y.im))};
  };
  // +-1 for infinities, +-0 for the rest.
  const auto unit = [&](uint32_t x) { return CopySign(Choose(IsInf(x), Real(1), Real(0)), x); };
  const auto scaled = [&](double factor, ComplexParts z) {
    return ComplexParts{Mul(Real(factor), z.re), Mul(Real(factor), z.im)};
  };
  const uint32_t d = Add(Mul(by.re, by.re), Mul(by.im, by.im));
  const ComplexParts products = sums(from, by);
  ComplexParts out{Div(products.re, d), Div(products.im, d)};
  if (wide_) {
    const uint32_t both = b_.Emit(ScalarOp::kAdd, kI64, {s.exponent, shift});
    const uint32_t back = b_.Emit(ScalarOp::kNegate, kI64, {both});
    out = {TimesPower(out.re, back), TimesPower(out.im, back)};
  }
  const uint32_t lost = Both(IsNan(out.re), IsNan(out.im));
  const auto finite = [&](ComplexParts z) { return Both(IsFinite(z.re), IsFinite(z.im)); };
  const auto repair = [&](uint32_t when, ComplexParts with) {
    out = Choose(Both(lost, when), with, out);
  };
  repair(Both(AnyInf(b), finite(a)), scaled(0.0, sums(a, {unit(b.re), unit(b.im)})));
  repair(Both(AnyInf(a), finite(b)), scaled(kInf, sums({unit(a.re), unit(a.im)}, b)));
  const uint32_t infinity = CopySign(Real(kInf), b.re);
  const uint32_t number = Not(Both(IsNan(a.re), IsNan(a.im)));
  repair(Both(IsZero(d), number), {Mul(infinity, a.re), Mul(infinity, a.im)});
  return out;
}

ComplexParts ComplexFormulas::Sign(ComplexParts z) {
  const uint32_t size = Abs(z);
  const ComplexParts unit = {Div(z.re, size), Div(z.im, size)};
  const ComplexParts some = Choose(AnyNan(z), {Real(kNan), Real(kNan)}, unit);
  return Choose(AllZero(z), z, some);
}

// Half the angle: (|x| + |z|) / 2 cannot cancel, and gives the larger part; the smaller follows.
ComplexParts ComplexFormulas::Sqrt(ComplexParts z) {
  Scaled s{z};
  if (wide_) s = ScaleDown(z);
  const uint32_t size = F(ScalarOp::kSqrt, Add(Mul(s.z.re, s.z.re), Mul(s.z.im, s.z.im)));
  const uint32_t all = Choose(AnyInf(z), Real(kInf), size);
  uint32_t large = F(ScalarOp::kSqrt, Mul(Add(Abs(s.z.re), all), Real(0.5)));
  uint32_t small = Div(Mul(Abs(s.z.im), Real(0.5)), large);
  if (wide_) {
    const uint32_t half = b_.Emit(ScalarOp::kShiftRightArithmetic, kI64, {s.exponent, Int(1)});
    large = Mul(large, PowerOfTwo(half));
    small = Mul(small, PowerOfTwo(half));
  }
  const uint32_t right = Test(ScalarOp::kGreaterEqual, z.re, Real(0));
  const ComplexParts root = {Choose(right, large, small),
                             CopySign(Choose(right, small, large), z.im)};
  const ComplexParts some = Choose(AllZero(z), {Real(0), z.im}, root);
  const ComplexParts nan = {Real(kNan), Real(kNan)};
  const ComplexParts number = Choose(IsNan(z.re), nan, some);
  return Choose(IsInf(z.im), {Real(kInf), z.im}, number);
}

ComplexParts ComplexFormulas::Rsqrt(ComplexParts z) {
  const ComplexParts quotient = Divide({Real(1), Real(0)}, Sqrt(z));
  const ComplexParts end = {Real(0), CopySign(Real(0), Negate(z.im))};
  const ComplexParts some = Choose(Both(AnyInf(z), Not(AnyNan(z))), end, quotient);
  return Choose(AllZero(z), {Real(kInf), Real(kNan)}, some);
}

ComplexParts ComplexFormulas::Exp(ComplexParts z) {
  const uint32_t whole = F(ScalarOp::kExp, z.re);
  const uint32_t c = F(ScalarOp::kCosine, z.im), s = F(ScalarOp::kSine, z.im);
  ComplexParts out = {Mul(whole, c), Mul(whole, s)};
  if (wide_) {
    const uint32_t half = F(ScalarOp::kExp, Mul(z.re, Real(0.5)));
    const uint32_t large = Both(IsInf(whole), IsFinite(z.re));
    out = Choose(large, {Mul(Mul(half, c), half), Mul(Mul(half, s), half)}, out);
  }
  return Choose(IsZero(z.im), {whole, z.im}, out);
}

// e^x cos y - 1 = (e^x - 1) cos y - 2 sin^2(y / 2)
ComplexParts ComplexFormulas::Expm1(ComplexParts z) {
  const uint32_t s = F(ScalarOp::kSine, Mul(z.im, Real(0.5)));
  const uint32_t less = F(ScalarOp::kExpm1, z.re);
  const uint32_t re = Sub(Mul(less, F(ScalarOp::kCosine, z.im)), Mul(Mul(Real(2), s), s));
  const uint32_t im = Mul(F(ScalarOp::kExp, z.re), F(ScalarOp::kSine, z.im));
  return Choose(IsZero(z.im), {less, z.im}, {re, im});
}

ComplexParts ComplexFormulas::Log(ComplexParts z) {
  return {LogAbs(z), F(ScalarOp::kAtan2, z.im, z.re)};
}

// |1 + z|^2 - 1 = x (2 + x) + y^2
ComplexParts ComplexFormulas::Log1p(ComplexParts z) {
  const uint32_t t = Add(Mul(z.re, Add(Real(2), z.re)), Mul(z.im, z.im));
  const uint32_t x = Add(Real(1), z.re);
  const uint32_t near = Test(ScalarOp::kLess, Abs(t), Real(0.5));
  const uint32_t close = Mul(Real(0.5), F(ScalarOp::kLog1p, t));
  return {Choose(near, close, LogAbs({x, z.im})), F(ScalarOp::kAtan2, z.im, x)};
}

ComplexParts ComplexFormulas::Logistic(ComplexParts z) {
  const ComplexParts e = Exp({Negate(z.re), Negate(z.im)});
  // 1 + 0 i added to it: -0 becomes 0.
  return Divide({Real(1), Real(0)}, {Add(Real(1), e.re), Add(Real(0), e.im)});
}

ComplexParts ComplexFormulas::Cbrt(ComplexParts z) {
  const uint32_t angle = Div(F(ScalarOp::kAtan2, z.im, z.re), Real(3));
  const uint32_t size = F(ScalarOp::kCbrt, Abs(z));
  const ComplexParts root = {Mul(size, F(ScalarOp::kCosine, angle)),
                             Mul(size, F(ScalarOp::kSine, angle))};
  return Choose(AllZero(z), z, root);
}

// (sinh x cosh x + i sin y cos y) / (sinh^2 x + cos^2 y)
ComplexParts ComplexFormulas::Tanh(ComplexParts z) {
  constexpr double kFlat = 22;  // from here on the real part is 1 in f64
  const uint32_t s = F(ScalarOp::kSine, z.im), c = F(ScalarOp::kCosine, z.im);
  const uint32_t sh = F(ScalarOp::kSinh, z.re), ch = F(ScalarOp::kCosh, z.re);
  const uint32_t d = Add(Mul(sh, sh), Mul(c, c));
  const ComplexParts steep = {Div(Mul(sh, ch), d), Div(Mul(s, c), d)};
  const uint32_t one = CopySign(Real(1), z.re);
  const uint32_t fall = F(ScalarOp::kExp, Mul(Real(-2), Abs(z.re)));
  const uint32_t both = Mul(Mul(Real(4), Mul(s, c)), fall);
  const uint32_t unknown = Not(IsFinite(z.im));  // the angle
  const uint32_t at_end = IsInf(z.re);
  const ComplexParts flat = {Choose(Both(unknown, Not(at_end)), Real(kNan), one),
                             Choose(Both(unknown, at_end), CopySign(Real(0), z.im), both)};
  ComplexParts out = Choose(Test(ScalarOp::kGreater, Abs(z.re), Real(kFlat)), flat, steep);
  // On the imaginary axis the real part stays zero whatever the other is.
  out.re = Choose(Both(IsZero(z.re), unknown), z.re, out.re);
  return Choose(IsZero(z.im), {F(ScalarOp::kTanh, z.re), z.im}, out);
}

ComplexParts ComplexFormulas::Tan(ComplexParts z) {
  const ComplexParts t = Tanh({Negate(z.im), z.re});
  // Of an angle that nobody knows, neither part is known.
  const uint32_t unknown = Both(Not(IsFinite(z.re)), IsFinite(z.im));
  return Choose(unknown, {Real(kNan), Real(kNan)}, {t.im, Negate(t.re)});
}

// e^(b log a); 0^0 = 1, 0^b = 0 if b has a positive real part.
ComplexParts ComplexFormulas::Power(ComplexParts a, ComplexParts b) {
  const uint32_t size = LogAbs(a), angle = F(ScalarOp::kAtan2, a.im, a.re);
  const uint32_t modulus = F(ScalarOp::kExp, Sub(Mul(b.re, size), Mul(b.im, angle)));
  const uint32_t phase = Add(Mul(b.im, size), Mul(b.re, angle));
  const ComplexParts power = {Mul(modulus, F(ScalarOp::kCosine, phase)),
                              Mul(modulus, F(ScalarOp::kSine, phase))};
  const uint32_t pole = Choose(IsZero(b.im), Real(kInf), Real(kNan));
  const uint32_t falls = Test(ScalarOp::kGreater, b.re, Real(0));
  const ComplexParts of_zero = {Choose(falls, Real(0), pole), Choose(falls, Real(0), Real(kNan))};
  const ComplexParts some = Choose(AllZero(a), of_zero, power);
  return Choose(AllZero(b), {Real(1), Real(0)}, some);
}

// -i log((x + i y) / sqrt(x^2 + y^2))
ComplexParts ComplexFormulas::Atan2(ComplexParts y, ComplexParts x) {
  const ComplexParts numerator = {Sub(x.re, y.im), Add(x.im, y.re)};
  const ComplexParts xx = Multiply(x, x), yy = Multiply(y, y);
  const ComplexParts root = Sqrt({Add(xx.re, yy.re), Add(xx.im, yy.im)});
  const ComplexParts l = Log(Divide(numerator, root));
  return {l.im, Negate(l.re)};
}

ComplexFormulas::Formula ComplexFormulas::Find(std::string_view op) {
  struct Row {
    std::string_view op;
    Formula formula;
  };
  static constexpr Row kRows[] = {
      {"stablehlo.cbrt", &ComplexFormulas::Cbrt},
      {"stablehlo.exponential", &ComplexFormulas::Exp},
      {"stablehlo.exponential_minus_one", &ComplexFormulas::Expm1},
      {"stablehlo.log", &ComplexFormulas::Log},
      {"stablehlo.log_plus_one", &ComplexFormulas::Log1p},
      {"stablehlo.logistic", &ComplexFormulas::Logistic},
      {"stablehlo.rsqrt", &ComplexFormulas::Rsqrt},
      {"stablehlo.sign", &ComplexFormulas::Sign},
      {"stablehlo.sqrt", &ComplexFormulas::Sqrt},
      {"stablehlo.tan", &ComplexFormulas::Tan},
      {"stablehlo.tanh", &ComplexFormulas::Tanh},
  };
  for (const Row& row : kRows) {
    if (row.op == op) return row.formula;
  }
  return nullptr;
}

}  // namespace megalith::codegen
