#include "tests/property/movement.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::property {
namespace {

using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::ValueId;

// Series, continued fractions and rational approximations; some cancel near their zeros.
constexpr std::string_view kSpecial[] = {"chlo.bessel_i1e", "chlo.digamma",   "chlo.erf_inv",
                                         "chlo.lgamma",     "chlo.polygamma", "chlo.zeta"};
// Complex operations with more than one usual formula.
constexpr std::string_view kComplexFormulas[] = {"stablehlo.abs",      "stablehlo.divide",
                                                 "stablehlo.sign",     "stablehlo.sqrt",
                                                 "stablehlo.multiply", "chlo.square"};

template <size_t n>
bool OneOf(std::string_view name, const std::string_view (&list)[n]) {
  return std::find(list, list + n, name) != list + n;
}

// What the bodies of a reduction do with floats.
struct BodyOps {
  bool adds = false, multiplies = false, functions = false;
};
void Collect(const Region& region, const Func& func, BodyOps* out) {
  for (const Op& op : region.ops) {
    if (op.num_results == 1 && tensor::IsInexact(func.type(op.result()).dtype)) {
      out->adds |= op.name() == "stablehlo.add" || op.name() == "stablehlo.subtract";
      out->multiplies |= op.name() == "stablehlo.multiply";
      out->functions |= op.def->has(stablehlo::kTranscendental);
    }
    for (const Region& inner : op.regions) Collect(inner, func, out);
  }
}

double Elements(const Func& func, ValueId v) {
  return std::max<double>(1, static_cast<double>(stablehlo::ElementCount(func.type(v))));
}

// How many terms at most go into one element of the result.
double Terms(const Op& op, const Func& func) {
  const double in = Elements(func, op.operands[0]);
  const std::string_view name = op.name();
  if (name == "stablehlo.dot_general") {
    double n = 1;
    for (const int64_t d : op.attr("dot_dimension_numbers").AsDot().lhs_contract) {
      n *= static_cast<double>(func.type(op.operands[0]).shape[static_cast<size_t>(d)]);
    }
    return std::max(n, 1.0);
  }
  if (name == "stablehlo.convolution") return Elements(func, op.operands[1]);
  if (name == "stablehlo.scatter") return Elements(func, op.operands.back());
  if (name == "stablehlo.reduce") return in / Elements(func, op.result());
  double n = 1;
  for (const int64_t w : op.attr("window_dimensions").AsInts()) n *= static_cast<double>(w);
  return n;
}

DType PartOf(DType d) { return tensor::IsComplex(d) ? tensor::RealPart(d) : d; }

// Sums of narrow floats are kept in f32 by products and one-op reductions; elsewhere each step
// rounds.
Inexactness SumOf(const Op& op, const Func& func) {
  const DType part = PartOf(func.type(op.result()).dtype);
  const bool widens = op.def->has(stablehlo::kWidensProducts) || op.name() == "stablehlo.reduce";
  const bool narrow = tensor::BitWidth(part) < 32;
  const double n = Terms(op, func);
  Inexactness out{Inexactness::kSum, 2 + 2 * std::sqrt(n), tensor::Limits(part).eps};
  if (narrow && widens) out.eps = tensor::Limits(DType::kF32).eps;
  if (narrow && !widens) out.amount = 2 + n;
  out.either_zero = op.def->has(stablehlo::kWidensProducts);
  return out;
}

bool IsReduction(std::string_view name) {
  return name == "stablehlo.reduce" || name == "stablehlo.reduce_window" ||
         name == "stablehlo.scatter" || name == "stablehlo.select_and_scatter";
}

uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// In [-1, -1/2] or [1/2, 1]; exactly 1 or -1 in the first pair.
double Direction(const Movement& m, uint64_t i) {
  const uint64_t bits = Mix(Mix(m.salt * 64 + static_cast<uint64_t>(m.pair)) ^ (i * 0x9E37u));
  const double size = m.pair == 0 ? 1 : 0.5 + static_cast<double>(bits >> 12) * 0x1p-53;
  return ((bits & 1) != 0) != m.opposite ? size : -size;
}

// Something different in every variant. Where partial sums may overflow, so may the whole: what a
// branch, a sort or an index makes of infinities is a right answer too. First all elements are the
// same, as equal sums are, then each of them is on its own.
double Anything(const Movement& m, uint64_t i) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kValues[] = {kNaN, 0, kInf, -2, -kInf, 64};
  const auto variant = static_cast<uint64_t>(m.pair) * 2 + (m.opposite ? 1 : 0);
  return kValues[(variant < 6 ? variant : Mix(Mix(m.salt * 64 + variant) ^ i)) % 6];
}

// What rounding may have left of an exact zero, or the other way round.
bool MayBeZero(const Movement& m, double v, double movement) {
  return m.pair == 1 && std::abs(v) <= std::abs(movement);
}

double MoveByUlps(double v, double ulps, DType dtype) {
  if (!std::isfinite(v)) return v;
  const double step = std::copysign(std::max(1.0, std::round(std::abs(ulps))), ulps);
  return v + step * UlpOf(v, dtype);
}

bool AllFinite(const Tensor& t) {
  for (int64_t i = 0; i < t.size(); ++i) {
    if (!std::isfinite(t.DoubleAt(i)) ||
        (tensor::IsComplex(t.dtype()) && !std::isfinite(t.ComplexAt(i).imag()))) {
      return false;
    }
  }
  return true;
}

double LargestOf(const Tensor& t) {
  double largest = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    largest = std::max(
        largest, tensor::IsComplex(t.dtype()) ? std::abs(t.ComplexAt(i)) : std::abs(t.DoubleAt(i)));
  }
  return largest;
}

// A zero that a function gave stays one unless it may have underflowed.
double MoveFunction(double v, double ulps, DType dtype, double operand) {
  if (v == 0 && operand == 0) return v;
  return MoveByUlps(v, ulps, dtype);
}

void MoveReal(const Inexactness& x, const Movement& m, std::span<const Tensor> operands,
              const Tensor* magnitudes, double norm, Tensor* out) {
  const DType dtype = out->dtype();
  const bool unary = operands.size() == 1 && operands[0].size() == out->size() &&
                     tensor::IsFloat(operands[0].dtype());
  for (int64_t i = 0; i < out->size(); ++i) {
    const double v = out->DoubleAt(i);
    const auto at = static_cast<uint64_t>(i);
    const double direction = Direction(m, at) * m.scale;
    double moved = v;
    if (x.kind == Inexactness::kProduct && !std::isfinite(magnitudes->DoubleAt(i))) {
      moved = Anything(m, at);
    } else if (x.kind == Inexactness::kUlps || x.kind == Inexactness::kProduct) {
      const double amount = tensor::BitWidth(dtype) < 32 ? 1 : x.amount;
      moved = MoveFunction(v, direction * amount, dtype, unary ? operands[0].DoubleAt(i) : 1);
    } else {
      const double size = magnitudes != nullptr ? std::abs(magnitudes->DoubleAt(i)) : norm;
      if (!std::isfinite(size)) {
        moved = Anything(m, at);
      } else if (size != 0 && std::isfinite(v)) {
        const double movement = direction * x.amount * x.eps * size;
        moved = MayBeZero(m, v, movement) ? std::copysign(0.0, direction)
                                          : MoveByUlps(v + movement, direction, dtype);
      } else if (v == 0 && x.either_zero) {
        moved = std::copysign(0.0, direction);
      }
    }
    out->SetDouble(i, moved);
  }
}

void MoveComplex(const Inexactness& x, const Movement& m, const Tensor* magnitudes, double norm,
                 Tensor* out) {
  const double eps = tensor::Limits(tensor::RealPart(out->dtype())).eps;
  for (int64_t i = 0; i < out->size(); ++i) {
    const std::complex<double> v = out->ComplexAt(i);
    const auto at = static_cast<uint64_t>(i);
    double size = std::abs(v);
    double amount = x.amount * eps;
    if (x.kind == Inexactness::kSum || x.kind == Inexactness::kNormed) {
      // A complex number's absolute value is its parts' sum here, so that products of two cover
      // all four terms.
      size = magnitudes != nullptr ? std::abs(magnitudes->ComplexAt(i)) : norm;
    }
    if (!std::isfinite(size)) {
      // With an infinite or NaN part the others depend on the formula.
      if (x.kind != Inexactness::kUlps || !std::isnan(v.real()) || !std::isnan(v.imag())) {
        out->SetComplex(i, {Anything(m, 2 * at), Anything(m, 2 * at + 1)});
      }
      continue;
    }
    const auto part = [&](double p, uint64_t which) {
      const double movement = Direction(m, which) * m.scale * amount * size;
      const bool zero = x.kind != Inexactness::kUlps && MayBeZero(m, p, movement);
      if (zero || (p == 0 && size == 0 && x.either_zero)) {
        return std::copysign(0.0, Direction(m, which));
      }
      return p + movement;
    };
    out->SetComplex(i, {part(v.real(), 2 * at), part(v.imag(), 2 * at + 1)});
  }
}

}  // namespace

double UlpOf(double v, DType dtype) {
  const tensor::FloatLimits& l = tensor::Limits(dtype);
  const double size = std::max(std::abs(v), l.tiny);
  if (!std::isfinite(size)) return 0;
  return std::ldexp(l.eps, std::ilogb(size));
}

Inexactness InexactnessOf(const Op& op, const Func& func) {
  if (op.num_results == 0) return {};
  bool inexact = false;
  for (uint32_t i = 0; i < op.num_results; ++i) {
    inexact = inexact || tensor::IsInexact(func.type(op.result(i)).dtype);
  }
  if (!inexact) return {};
  const std::string_view name = op.name();
  const bool complex =
      tensor::IsComplex(func.type(op.operands.empty() ? op.result() : op.operands[0]).dtype);
  if (OneOf(name, kSpecial)) return {Inexactness::kUlps, kSpecialUlps};
  if (complex && OneOf(name, kComplexFormulas)) return {Inexactness::kUlps, 2 * kFunctionUlps};
  if (op.def->has(stablehlo::kTranscendental)) {
    const bool correctly_rounded = name == "stablehlo.sqrt";
    if (correctly_rounded) return {};
    return {Inexactness::kUlps, complex ? 4 * kFunctionUlps : kFunctionUlps};
  }
  if (op.def->has(stablehlo::kWidensProducts)) return SumOf(op, func);
  if (name == "stablehlo.cholesky" || name == "stablehlo.triangular_solve" ||
      name == "stablehlo.fft" || name == "stablehlo.custom_call") {  // calls are factorizations
    const DType part = PartOf(func.type(op.result()).dtype);
    return {Inexactness::kNormed, kFactorEps * std::sqrt(Elements(func, op.operands[0])),
            tensor::Limits(part).eps, true};
  }
  if (!IsReduction(name)) return {};
  BodyOps body;
  for (const Region& r : op.regions) Collect(r, func, &body);
  if (body.adds || (complex && body.multiplies)) return SumOf(op, func);
  if (body.multiplies) return {Inexactness::kProduct, Terms(op, func) + 2};
  if (body.functions) return {Inexactness::kUlps, Terms(op, func) + 2};
  return {};
}

void MoveElements(const Inexactness& inexactness, const Movement& movement,
                  std::span<const Tensor> operands, const Tensor* magnitudes, Tensor* out) {
  if (!tensor::IsInexact(out->dtype()) || out->size() == 0) return;
  if (!out->MakeUnique().ok()) return;
  double norm = 0;
  if (inexactness.kind == Inexactness::kNormed) {
    norm = LargestOf(*out);
    for (const Tensor& t : operands) {
      norm = std::max(norm, LargestOf(t));
      if (!AllFinite(t)) norm = std::numeric_limits<double>::infinity();
    }
  }
  if (tensor::IsComplex(out->dtype())) {
    MoveComplex(inexactness, movement, magnitudes, norm, out);
  } else {
    MoveReal(inexactness, movement, operands, magnitudes, norm, out);
  }
}

Tensor FiniteMagnitude(const Tensor& t) {
  if (!tensor::IsInexact(t.dtype())) return t;
  Tensor out = *Tensor::Create(t.dtype(), t.shape());
  const auto finite = [](double v) { return std::isfinite(v) ? std::abs(v) : 0; };
  for (int64_t i = 0; i < t.size(); ++i) {
    if (tensor::IsComplex(t.dtype())) {
      const std::complex<double> z = t.ComplexAt(i);
      out.SetComplex(i, {finite(z.real()) + finite(z.imag()), 0});
    } else {
      out.SetDouble(i, finite(t.DoubleAt(i)));
    }
  }
  return out;
}

Tensor FactorMagnitude(const Tensor& t, bool large) {
  if (!tensor::IsFloat(t.dtype())) return t;
  Tensor out = *Tensor::Create(t.dtype(), t.shape());
  for (int64_t i = 0; i < t.size(); ++i) {
    const double v = std::abs(t.DoubleAt(i));
    const bool counts = large ? v >= 1 && std::isfinite(v) : v <= 1 && v != 0;
    out.SetDouble(i, counts ? v : 1);
  }
  return out;
}

}  // namespace megalith::property
