#include "common/programs/ops/special_lowering.h"

#include <limits>

#include "common/programs/ops/loops.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Binary;
using ir::Div;
using ir::FullLike;
using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::Select;
using ir::Sub;
using ir::Unary;

using Operands = std::span<const Value>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Eps(Value x) { return tensor::Limits(x.dtype()).eps; }

Value Or(Builder& b, Value x, Value y) { return Binary(b, "or", x, y); }
Value And(Builder& b, Value x, Value y) { return Binary(b, "and", x, y); }
Value Not(Builder& b, Value x) { return Unary(b, "not", x); }
Value IsNan(Builder& b, Value x) { return Binary(b, "ne", x, x); }
Value Compare(Builder& b, std::string_view op, Value x, double y) {
  return Binary(b, op, x, ScalarLike(b, x, y));
}

Value AnyOf(Builder& b, Value predicates) {
  return b.Emit1("reduce_or", {predicates},
                 {{"axes", ParamValue::Ints(ir::Range(static_cast<int64_t>(predicates.rank())))}});
}

// ---- incomplete gamma ----

// What is wanted of the incomplete gamma function: its value, its derivative in a, or the
// derivative in a of a sample x of the gamma distribution (dx/da at fixed probability).
enum class Mode { kValue, kDerivative, kSampleDerivative };

struct GammaArgs {
  Value ax;  // x^a e^-x / gamma(a)
  Value x;
  Value a;
  Mode mode;
};

// Power series for lanes that are `enabled`; the loop runs until every lane has converged.
Value IgammaSeries(Builder& b, const GammaArgs& g, Value enabled) {
  const Value& a = g.a;
  const Mode mode = g.mode;
  enum : size_t { kEnabled, kR, kC, kAns, kX, kDcDa, kDansDa };
  const Value c0 = FullLike(b, a, 1);
  const Value ans0 = FullLike(b, a, 1);
  const Value dc0 = FullLike(b, a, 0);
  const Value dans0 = FullLike(b, a, 0);
  const std::vector<Value> out = WhileLoop(
      b, {enabled, a, c0, ans0, g.x, dc0, dans0},
      [](Builder& e, Operands v) { return std::vector<Value>{AnyOf(e, v[kEnabled])}; },
      [mode](Builder& e, Operands v) {
        const Value& x = v[kX];
        const Value r = Add(e, v[kR], ScalarLike(e, v[kR], 1));
        const Value decay = Mul(e, v[kDcDa], Div(e, x, r));
        const Value cx = Mul(e, v[kC], x);
        const Value dc_da = Sub(e, decay, Div(e, cx, Mul(e, r, r)));
        const Value dans_da = Add(e, v[kDansDa], dc_da);
        const Value c = Mul(e, v[kC], Div(e, x, r));
        const Value ans = Add(e, v[kAns], c);
        const Value step =
            mode == Mode::kValue ? Div(e, c, ans) : Unary(e, "abs", Div(e, dc_da, dans_da));
        const Value live = And(e, v[kEnabled], Compare(e, "gt", step, Eps(x)));
        std::vector<Value> next{live};
        const Value fresh[] = {r, c, ans, x, dc_da, dans_da};
        for (size_t i = 0; i < 6; ++i) next.push_back(Select(e, v[kEnabled], fresh[i], v[i + 1]));
        return next;
      });
  const Value& ans = out[kAns];
  if (mode == Mode::kValue) return Div(b, Mul(b, ans, g.ax), a);
  const Value log_x = Unary(b, "log", g.x);
  const Value dlogax_da = Sub(b, log_x, Unary(b, "digamma", Add(b, a, ScalarLike(b, a, 1))));
  const Value product = Mul(b, ans, dlogax_da);
  if (mode == Mode::kDerivative) return Div(b, Mul(b, g.ax, Add(b, product, out[kDansDa])), a);
  return Div(b, Mul(b, Neg(b, Add(b, out[kDansDa], product)), g.x), a);
}

// One step of the continued fraction: the state is (enabled, ans, t, y, z, c, pkm1, qkm1, pkm2,
// qkm2, and the derivatives in a of pkm2, qkm2, pkm1, qkm1 and ans).
std::vector<Value> FractionStep(Builder& b, Operands v, Mode mode) {
  enum : size_t {
    kEnabled,
    kAns,
    kT,
    kY,
    kZ,
    kC,
    kPkm1,
    kQkm1,
    kPkm2,
    kQkm2,
    kDp2,
    kDq2,
    kDp1,
    kDq1,
    kDans
  };
  const double eps = Eps(v[kAns]);
  const Value c = Add(b, v[kC], ScalarLike(b, v[kC], 1));
  const Value y = Add(b, v[kY], ScalarLike(b, v[kY], 1));
  const Value z = Add(b, v[kZ], ScalarLike(b, v[kZ], 2));
  const Value yc = Mul(b, y, c);
  const auto advance = [&](size_t last, size_t before) {
    const Value left = Mul(b, v[last], z);
    return Sub(b, left, Mul(b, v[before], yc));
  };
  const Value pk = advance(kPkm1, kPkm2);
  const Value qk = advance(kQkm1, kQkm2);
  const Value nonzero = Compare(b, "ne", qk, 0);
  const Value r = Div(b, pk, qk);
  const Value change = Unary(b, "abs", Div(b, Sub(b, v[kAns], r), r));
  const Value t = Select(b, nonzero, change, FullLike(b, r, 1));
  const Value ans = Select(b, nonzero, r, v[kAns]);
  const auto derivative = [&](size_t d1, size_t last, size_t d2, size_t before) {
    const Value left = Sub(b, Mul(b, v[d1], z), v[last]);
    const Value less = Sub(b, left, Mul(b, v[d2], yc));
    return Add(b, less, Mul(b, v[before], c));
  };
  const Value dpk = derivative(kDp1, kPkm1, kDp2, kPkm2);
  const Value dqk = derivative(kDq1, kQkm1, kDq2, kQkm2);
  const Value slope = Div(b, Sub(b, dpk, Mul(b, ans, dqk)), qk);
  const Value dans = Select(b, nonzero, slope, v[kDans]);
  const Value dans_change = Unary(b, "abs", Sub(b, dans, v[kDans]));
  const Value grad_change = Select(b, nonzero, dans_change, FullLike(b, v[kDans], 1));
  // Numerators and denominators are scaled down before they overflow.
  const Value size = Unary(b, "abs", pk);
  const Value rescale = Binary(b, "gt", size, ir::IntegerPow(b, ScalarLike(b, pk, eps), -1));
  const auto scaled = [&](Value x) {
    return Select(b, rescale, Mul(b, x, ScalarLike(b, x, eps)), x);
  };
  const Value pkm2 = scaled(v[kPkm1]);
  const Value pkm1 = scaled(pk);
  const Value qkm2 = scaled(v[kQkm1]);
  const Value qkm1 = scaled(qk);
  const Value dp2 = scaled(v[kDp1]);
  const Value dq2 = scaled(v[kDq1]);
  const Value dp1 = scaled(dpk);
  const Value dq1 = scaled(dqk);
  const Value& measure = mode == Mode::kValue ? t : grad_change;
  const Value live = And(b, v[kEnabled], Compare(b, "gt", measure, eps));
  std::vector<Value> next{live};
  const Value fresh[] = {ans, t, y, z, c, pkm1, qkm1, pkm2, qkm2, dp2, dq2, dp1, dq1, dans};
  for (size_t i = 1; i <= 14; ++i) {
    next.push_back(i == kC ? c : Select(b, v[kEnabled], fresh[i - 1], v[i]));
  }
  return next;
}

// Continued fraction of the upper incomplete gamma function, at most 2000 terms.
Value IgammacFraction(Builder& b, const GammaArgs& g, Value enabled) {
  const Value& a = g.a;
  const Value& x = g.x;
  const Mode mode = g.mode;
  const Value y = Sub(b, ScalarLike(b, a, 1), a);
  const Value z = Add(b, Add(b, x, y), ScalarLike(b, x, 1));
  const Value c = ScalarLike(b, x, 0);
  const Value pkm2 = FullLike(b, x, 1);
  const Value pkm1 = Add(b, x, ScalarLike(b, x, 1));
  const Value qkm1 = Mul(b, z, x);
  const Value ans = Div(b, pkm1, qkm1);
  const Value t = FullLike(b, x, 1);
  const Value dp2 = FullLike(b, x, 0);
  const Value dq2 = FullLike(b, x, 0);
  const Value dp1 = FullLike(b, x, 0);
  const Value dq1 = Neg(b, x);
  const Value dans = Div(b, Sub(b, dp1, Mul(b, ans, dq1)), qkm1);
  const std::vector<Value> out = WhileLoop(
      b, {enabled, ans, t, y, z, c, pkm1, qkm1, pkm2, x, dp2, dq2, dp1, dq1, dans},
      [](Builder& e, Operands v) {
        const Value more = Compare(e, "lt", v[5], 2000);
        return std::vector<Value>{And(e, more, AnyOf(e, v[0]))};
      },
      [mode](Builder& e, Operands v) { return FractionStep(e, v, mode); });
  if (mode == Mode::kValue) return Mul(b, out[1], g.ax);
  const Value log_x = Unary(b, "log", x);
  const Value dlogax_da = Sub(b, log_x, Unary(b, "digamma", a));
  const Value product = Mul(b, out[1], dlogax_da);
  if (mode == Mode::kDerivative) return Mul(b, g.ax, Add(b, product, out[14]));
  return Neg(b, Mul(b, Add(b, out[14], product), x));
}

// ln of x^a e^-x / gamma(a), and whether its exponential underflows.
Value LogAx(Builder& b, Value a, Value x) {
  const Value power = Sub(b, Mul(b, a, Unary(b, "log", x)), x);
  return Sub(b, power, Unary(b, "lgamma", a));
}
Value Underflows(Builder& b, Value log_ax) {
  const Value largest = Unary(b, "log", ScalarLike(b, log_ax, tensor::Limits(log_ax.dtype()).max));
  return Binary(b, "lt", log_ax, Neg(b, largest));
}

// x < 0, a < 0, both zero, or either NaN.
Value IgammaDomainError(Builder& b, Value a, Value x, Value a_is_zero, Value x_is_zero) {
  const Value a_is_nan = IsNan(b, a);
  const Value is_nan = Or(b, a_is_nan, IsNan(b, x));
  const Value x_negative = Compare(b, "lt", x, 0);
  const Value a_negative = Compare(b, "lt", a, 0);
  const Value both_zero = And(b, a_is_zero, x_is_zero);
  return Or(b, Or(b, Or(b, x_negative, a_negative), both_zero), is_nan);
}

// The derivative in a, of the function or of a sample.
Value GammaDerivative(Builder& b, Value a, Value x, Mode mode) {
  const Value a_is_nan = IsNan(b, a);
  const Value is_nan = Or(b, a_is_nan, IsNan(b, x));
  const Value x_is_zero = Binary(b, "eq", x, FullLike(b, x, 0));
  const Value x_negative = Binary(b, "lt", x, FullLike(b, x, 0));
  const Value domain_error = Or(b, x_negative, Binary(b, "le", a, FullLike(b, a, 0)));
  const Value beyond_one = Binary(b, "gt", x, FullLike(b, x, 1));
  const Value use_fraction = And(b, beyond_one, Binary(b, "gt", x, a));
  const Value log_ax = LogAx(b, a, x);
  const Value underflow = Underflows(b, log_ax);
  const GammaArgs g{Unary(b, "exp", log_ax), x, a, mode};
  const Value refused = Or(b, Or(b, Or(b, x_is_zero, domain_error), underflow), is_nan);
  const Value enabled = Not(b, refused);
  const Value upper = Neg(b, IgammacFraction(b, g, And(b, enabled, use_fraction)));
  const Value lower = IgammaSeries(b, g, And(b, enabled, Not(b, use_fraction)));
  Value out = Select(b, use_fraction, upper, lower);
  out = Select(b, x_is_zero, FullLike(b, out, 0), out);
  const Value bad = Or(b, domain_error, is_nan);
  return Select(b, bad, FullLike(b, a, kNan), out);
}

// ---- polynomials ----

// Clenshaw's recurrence for a Chebyshev series whose last coefficient is the constant one.
Value Chebyshev(Builder& b, Value x, std::span<const double> coefficients) {
  Value b0 = FullLike(b, x, 0);
  Value b1 = FullLike(b, x, 0);
  Value b2 = b1;
  for (const double c : coefficients) {
    b2 = b1;
    b1 = b0;
    const Value difference = Sub(b, Mul(b, x, b1), b2);
    b0 = Add(b, difference, FullLike(b, x, c));
  }
  return Mul(b, ScalarLike(b, x, 0.5), Sub(b, b0, b2));
}

// Cephes: e^-|x| I0(x) on [0, 8] and, times sqrt x, beyond.
constexpr double kI0eNear32[] = {
    -1.30002500998624804212E-8, 6.04699502254191894932E-8,  -2.67079385394061173391E-7,
    1.11738753912010371815E-6,  -4.41673835845875056359E-6, 1.64484480707288970893E-5,
    -5.75419501008210370398E-5, 1.88502885095841655729E-4,  -5.76375574538582365885E-4,
    1.63947561694133579842E-3,  -4.32430999505057594430E-3, 1.05464603945949983183E-2,
    -2.37374148058994688156E-2, 4.93052842396707084878E-2,  -9.49010970480476444210E-2,
    1.71620901522208775349E-1,  -3.04682672343198398683E-1, 6.76795274409476084995E-1};
constexpr double kI0eFar32[] = {3.39623202570838634515E-9, 2.26666899049817806459E-8,
                                2.04891858946906374183E-7, 2.89137052083475648297E-6,
                                6.88975834691682398426E-5, 3.36911647825569408990E-3,
                                8.04490411014108831608E-1};
constexpr double kI0eNear64[] = {
    -4.41534164647933937950E-18, 3.33079451882223809783E-17,  -2.43127984654795469359E-16,
    1.71539128555513303061E-15,  -1.16853328779934516808E-14, 7.67618549860493561688E-14,
    -4.85644678311192946090E-13, 2.95505266312963983461E-12,  -1.72682629144155570723E-11,
    9.67580903537323691224E-11,  -5.18979560163526290666E-10, 2.65982372468238665035E-9,
    -1.30002500998624804212E-8,  6.04699502254191894932E-8,   -2.67079385394061173391E-7,
    1.11738753912010371815E-6,   -4.41673835845875056359E-6,  1.64484480707288970893E-5,
    -5.75419501008210370398E-5,  1.88502885095841655729E-4,   -5.76375574538582365885E-4,
    1.63947561694133579842E-3,   -4.32430999505057594430E-3,  1.05464603945949983183E-2,
    -2.37374148058994688156E-2,  4.93052842396707084878E-2,   -9.49010970480476444210E-2,
    1.71620901522208775349E-1,   -3.04682672343198398683E-1,  6.76795274409476084995E-1};
constexpr double kI0eFar64[] = {
    -7.23318048787475395456E-18, -4.83050448594418207126E-18, 4.46562142029675999901E-17,
    3.46122286769746109310E-17,  -2.82762398051658348494E-16, -3.42548561967721913462E-16,
    1.77256013305652638360E-15,  3.81168066935262242075E-15,  -9.55484669882830764870E-15,
    -4.15056934728722208663E-14, 1.54008621752140982691E-14,  3.85277838274214270114E-13,
    7.18012445138366623367E-13,  -1.79417853150680611778E-12, -1.32158118404477131188E-11,
    -3.14991652796324136454E-11, 1.18891471078464383424E-11,  4.94060238822496958910E-10,
    3.39623202570838634515E-9,   2.26666899049817806459E-8,   2.04891858946906374183E-7,
    2.89137052083475648297E-6,   6.88975834691682398426E-5,   3.36911647825569408990E-3,
    8.04490411014108831608E-1};

// ---- incomplete beta ----

// NumPy's remainder, which has the sign of the divisor; a zero divisor counts as one.
Value Remainder(Builder& b, Value x, Value y) {
  const Value is_zero = Compare(b, "eq", y, 0);
  const Value divisor = Select(b, is_zero, FullLike(b, y, 1), y);
  const Value rest = Binary(b, "rem", x, divisor);
  const Value inexact = Compare(b, "ne", rest, 0);
  const Value rest_negative = Compare(b, "lt", rest, 0);
  const Value divisor_negative = Compare(b, "lt", divisor, 0);
  const Value signs_differ = Binary(b, "ne", rest_negative, divisor_negative);
  const Value shift = And(b, signs_differ, inexact);
  return Select(b, shift, Add(b, rest, divisor), rest);
}

// NumPy's integer division, which rounds down.
Value FloorDivide(Builder& b, Value x, Value y) {
  const Value quotient = Div(b, x, y);
  const Value sign_x = Unary(b, "sign", x);
  const Value signs_differ = Binary(b, "ne", sign_x, Unary(b, "sign", y));
  const Value rest = Binary(b, "rem", x, y);
  const Value inexact = Binary(b, "ne", rest, ir::WeakScalarLike(b, rest, 0));
  const Value left = ir::ConvertElementType(b, signs_differ, DType::kBool);
  const Value shift = And(b, left, ir::ConvertElementType(b, inexact, DType::kBool));
  const Value less = Sub(b, quotient, ScalarLike(b, quotient, 1));
  return Select(b, shift, less, quotient);
}

// The numerator of the continued fraction (dlmf.nist.gov/8.17.E23) at one iteration, counted from
// 1, where it is 1.
Value BetaNumerator(Builder& b, Value iteration, Value a, Value bb, Value x) {
  const Value i = ir::BroadcastInDim(b, iteration, a.shape(), Dims{});
  const Value half = Remainder(b, i, FullLike(b, i, 2));
  const Value is_even = Binary(b, "eq", half, FullLike(b, i, 0));
  const Value is_one = Binary(b, "eq", i, FullLike(b, i, 1));
  const Value before = Sub(b, i, FullLike(b, i, 1));
  const Value m_int = FloorDivide(b, before, FullLike(b, before, 2));
  const Value m_is_zero = Binary(b, "eq", m_int, FullLike(b, m_int, 0));
  const Value m = ir::ConvertElementType(b, m_int, a.dtype());
  const Value one = FullLike(b, a, 1);
  const Value two = FullLike(b, a, 2);
  const Value zero_top = Mul(b, Neg(b, Add(b, a, bb)), x);
  const Value zero_numerator = Div(b, zero_top, Add(b, a, one));
  const auto a_plus_2m = [&] { return Add(b, a, Mul(b, two, m)); };
  const Value negated = Neg(b, Add(b, a, m));
  const Value sum = Add(b, Add(b, a, bb), m);
  const Value even_top = Mul(b, Mul(b, negated, sum), x);
  const Value even_left = a_plus_2m();
  const Value even_bottom = Mul(b, even_left, Add(b, a_plus_2m(), one));
  const Value even = Select(b, m_is_zero, zero_numerator, Div(b, even_top, even_bottom));
  const Value odd_top = Mul(b, Mul(b, m, Sub(b, bb, m)), x);
  const Value odd_left = Sub(b, a_plus_2m(), one);
  const Value odd_bottom = Mul(b, odd_left, a_plus_2m());
  const Value odd = Div(b, odd_top, odd_bottom);
  const Value first = FullLike(b, x, 1);
  const Value numerator = Select(b, is_even, even, odd);
  return Select(b, is_one, first, numerator);
}

// The denominator: 0 before the first iteration, 1 from then on.
Value BetaDenominator(Builder& b, Value iteration, Value x) {
  const Value i = ir::BroadcastInDim(b, iteration, x.shape(), Dims{});
  const Value first = Binary(b, "eq", i, FullLike(b, i, 0));
  const Value zero = FullLike(b, x, 0);
  const Value one = FullLike(b, x, 1);
  return Select(b, first, zero, one);
}

// Lentz, Thompson and Barnett's evaluation of the continued fraction, until every lane has
// converged.
Value BetaFraction(Builder& b, Value a, Value bb, Value x, DType counter) {
  const double small = Eps(x) / 2;
  const int64_t max_iterations = x.dtype() == DType::kF32 ? 200 : 600;
  const auto away_from_zero = [small](Builder& e, Value v) {
    const Value bound = FullLike(e, v, small);
    return Select(e, Binary(e, "lt", Unary(e, "abs", v), bound), bound, v);
  };
  const Value start = BetaDenominator(b, b.Lit(Literal::Int(counter, 0, /*weak=*/true)), x);
  const Value tiny = Compare(b, "lt", Unary(b, "abs", start), small);
  const Value h = Select(b, tiny, FullLike(b, start, small), start);
  const Value one = b.Lit(Literal::Int(counter, 1, /*weak=*/true));
  const Value yes = b.Lit(Literal::Int(DType::kBool, 1));
  enum : size_t { kIteration, kUnconverged, kC, kD, kH };
  const std::vector<Value> out = WhileLoop(
      b, {one, yes, h, FullLike(b, h, 0), h},
      [max_iterations, counter](Builder& e, Operands v) {
        const Value limit = e.Lit(Literal::Int(counter, max_iterations, /*weak=*/true));
        return std::vector<Value>{And(e, Binary(e, "lt", v[kIteration], limit), v[kUnconverged])};
      },
      [&](Builder& e, Operands v) {
        const Value numerator = BetaNumerator(e, v[kIteration], a, bb, x);
        const Value denominator = BetaDenominator(e, v[kIteration], x);
        const Value c = away_from_zero(e, Add(e, denominator, Div(e, numerator, v[kC])));
        const Value d = away_from_zero(e, Add(e, denominator, Mul(e, numerator, v[kD])));
        const Value inverse = ir::IntegerPow(e, d, -1);
        const Value delta = Mul(e, c, inverse);
        const Value next_h = Mul(e, v[kH], delta);
        const Value next = Add(e, v[kIteration], e.Lit(Literal::Int(counter, 1, /*weak=*/true)));
        const Value error = Unary(e, "abs", Sub(e, delta, ScalarLike(e, delta, 1)));
        const Value unconverged = AnyOf(e, Compare(e, "ge", error, small));
        return std::vector<Value>{next, unconverged, c, inverse, next_h};
      });
  return out[kH];
}

// x^a (1-x)^b / (a B(a, b)); for tiny a through a gamma(a) = gamma(a + 1) -> 1.
Value BetaFactor(Builder& b, Value a, Value bb, Value x) {
  const double very_small = tensor::Limits(x.dtype()).tiny * 2;
  const Value lgamma_b = Unary(b, "lgamma", bb);
  const Value lbeta_small = Sub(b, lgamma_b, Unary(b, "lgamma", Add(b, a, bb)));
  const Value lbeta = Add(b, Unary(b, "lgamma", a), lbeta_small);
  const Value is_small = Binary(b, "lt", a, FullLike(b, a, very_small));
  const auto tail = [&] { return Mul(b, Unary(b, "log1p", Neg(b, x)), bb); };
  const Value small_factor = Unary(b, "exp", Sub(b, tail(), lbeta_small));
  const Value head = Mul(b, Unary(b, "log", x), a);
  const Value exponent = Sub(b, Add(b, head, tail()), lbeta);
  const Value factor = Div(b, Unary(b, "exp", exponent), a);
  return Select(b, is_small, small_factor, factor);
}

}  // namespace

Value Igamma(Builder& b, Operands v) {
  const Value& a = v[0];
  const Value& x = v[1];
  const Value x_is_infinity = Compare(b, "eq", x, kInf);
  const Value a_is_zero = Compare(b, "eq", a, 0);
  const Value x_is_zero = Compare(b, "eq", x, 0);
  const Value domain_error = IgammaDomainError(b, a, x, a_is_zero, x_is_zero);
  const Value from_one = Compare(b, "ge", x, 1);
  const Value use_fraction = And(b, from_one, Binary(b, "gt", x, a));
  const Value log_ax = LogAx(b, a, x);
  const Value underflow = Underflows(b, log_ax);
  const GammaArgs g{Unary(b, "exp", log_ax), x, a, Mode::kValue};
  const Value refused = Or(b, Or(b, Or(b, x_is_zero, domain_error), underflow), x_is_infinity);
  const Value enabled = Not(b, refused);
  const Value upper = IgammacFraction(b, g, And(b, enabled, use_fraction));
  const Value from_upper = Sub(b, ScalarLike(b, a, 1), upper);
  const Value lower = IgammaSeries(b, g, And(b, enabled, Not(b, use_fraction)));
  Value out = Select(b, use_fraction, from_upper, lower);
  out = Select(b, x_is_zero, FullLike(b, a, 0), out);
  out = Select(b, x_is_infinity, FullLike(b, a, 1), out);
  return Select(b, domain_error, FullLike(b, a, kNan), out);
}

Value Igammac(Builder& b, Operands v) {
  const Value& a = v[0];
  const Value& x = v[1];
  const Value a_is_zero = Compare(b, "eq", a, 0);
  const Value x_is_zero = Compare(b, "eq", x, 0);
  const Value x_is_infinity = Compare(b, "eq", x, kInf);
  const Value domain_error = IgammaDomainError(b, a, x, a_is_zero, x_is_zero);
  const Value below_one = Compare(b, "lt", x, 1);
  const Value use_series = Or(b, below_one, Binary(b, "lt", x, a));
  const Value log_ax = LogAx(b, a, x);
  const Value underflow = Underflows(b, log_ax);
  const Value refused = Or(b, Or(b, Or(b, domain_error, underflow), x_is_infinity), a_is_zero);
  const Value enabled = Not(b, refused);
  const GammaArgs g{Unary(b, "exp", log_ax), x, a, Mode::kValue};
  const Value lower = IgammaSeries(b, g, And(b, enabled, use_series));
  const Value upper = IgammacFraction(b, g, And(b, enabled, Not(b, use_series)));
  const Value from_lower = Sub(b, ScalarLike(b, a, 1), lower);
  Value out = Select(b, use_series, from_lower, upper);
  const Value is_zero = Or(b, x_is_infinity, a_is_zero);
  out = Select(b, is_zero, FullLike(b, out, 0), out);
  return Select(b, domain_error, FullLike(b, a, kNan), out);
}

Value IgammaGradA(Builder& b, Operands v) {
  return GammaDerivative(b, v[0], v[1], Mode::kDerivative);
}

Value RandomGammaGrad(Builder& b, Operands v) {
  return GammaDerivative(b, v[0], v[1], Mode::kSampleDerivative);
}

Value BesselI0e(Builder& b, Operands v) {
  const bool wide = v[0].dtype() == DType::kF64;
  const std::span<const double> near_coefficients =
      wide ? std::span<const double>(kI0eNear64) : kI0eNear32;
  const std::span<const double> far_coefficients =
      wide ? std::span<const double>(kI0eFar64) : kI0eFar32;
  const Value x = Unary(b, "abs", v[0]);
  const Value half = FullLike(b, x, 0.5);
  const Value two = FullLike(b, x, 2);
  const Value thirty_two = FullLike(b, x, 32);
  const Value near_x = Sub(b, Mul(b, half, x), two);
  const Value near_value = Chebyshev(b, near_x, near_coefficients);
  const Value far_x = Sub(b, Div(b, thirty_two, x), two);
  const Value series = Chebyshev(b, far_x, far_coefficients);
  const Value far_value = Div(b, series, Unary(b, "sqrt", x));
  return Select(b, Compare(b, "le", x, 8), near_value, far_value);
}

Value RegularizedBeta(Builder& b, Operands v, DType counter) {
  const Value& a = v[0];
  const Value& bb = v[1];
  const Value& x = v[2];
  const auto equals = [&](Value y, double k) { return Binary(b, "eq", y, FullLike(b, y, k)); };
  const Value a_zero = equals(a, 0);
  const Value a_is_zero = Or(b, a_zero, equals(bb, kInf));
  const Value b_zero = equals(bb, 0);
  const Value b_is_zero = Or(b, b_zero, equals(a, kInf));
  const Value x_is_zero = equals(x, 0);
  const Value x_is_one = equals(x, 1);
  const Value x_is_not_zero = Not(b, x_is_zero);
  const Value x_is_not_one = Not(b, x_is_one);
  const Value a_is_nan = IsNan(b, a);
  const Value ab_is_nan = Or(b, a_is_nan, IsNan(b, bb));
  const Value is_nan = Or(b, ab_is_nan, IsNan(b, x));
  const Value zero_by_b = And(b, b_is_zero, x_is_not_one);
  const Value result_is_zero = Or(b, zero_by_b, And(b, a_is_zero, x_is_zero));
  const Value one_by_a = And(b, a_is_zero, x_is_not_zero);
  const Value result_is_one = Or(b, one_by_a, And(b, b_is_zero, x_is_one));
  const Value a_negative = Binary(b, "lt", a, FullLike(b, a, 0));
  const Value b_negative = Binary(b, "lt", bb, FullLike(b, bb, 0));
  const Value x_negative = Binary(b, "lt", x, FullLike(b, x, 0));
  const Value x_beyond = Binary(b, "gt", x, FullLike(b, x, 1));
  const Value outside = Or(b, Or(b, Or(b, a_negative, b_negative), x_negative), x_beyond);
  const Value undefined = Or(b, And(b, a_is_zero, b_is_zero), is_nan);
  const Value result_is_nan = Or(b, outside, undefined);
  // Beyond (a+1)/(a+b+2) the fraction converges slowly; the symmetry in (a, x) and (b, 1-x) helps.
  const Value numerator = Add(b, a, FullLike(b, a, 1));
  const Value bound = Div(b, numerator, Add(b, Add(b, a, bb), FullLike(b, bb, 2)));
  const Value rapid = Binary(b, "lt", x, bound);
  const Value p = Select(b, rapid, a, bb);
  const Value q = Select(b, rapid, bb, a);
  const Value mirrored = Sub(b, FullLike(b, x, 1), x);
  const Value y = Select(b, rapid, x, mirrored);
  const Value fraction = BetaFraction(b, p, q, y, counter);
  Value out = Mul(b, fraction, BetaFactor(b, p, q, y));
  const Value complement = Sub(b, FullLike(b, out, 1), out);
  out = Select(b, rapid, out, complement);
  out = Select(b, result_is_zero, FullLike(b, p, 0), out);
  out = Select(b, result_is_one, FullLike(b, p, 1), out);
  return Select(b, result_is_nan, FullLike(b, p, kNan), out);
}

}  // namespace megalith::ops
