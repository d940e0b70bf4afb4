// Random elementwise operations.
#include <algorithm>

#include "tests/property/generator.h"

namespace megalith::property {
namespace {

using stablehlo::CompareDirection;
using stablehlo::CompareType;
using stablehlo::kAnyOk;
using stablehlo::kBoolOk;
using stablehlo::kComplexOk;
using stablehlo::kFloatOk;
using stablehlo::kInexactOk;
using stablehlo::kIntOk;
using stablehlo::kNumberOk;

struct OpChoice {
  std::string_view name;
  uint32_t mask;
  int weight = 1;
};

constexpr OpChoice kUnary[] = {
    {"stablehlo.abs", kNumberOk, 3},
    {"stablehlo.cbrt", kInexactOk},
    {"stablehlo.ceil", kFloatOk, 2},
    {"stablehlo.cosine", kInexactOk, 2},
    {"stablehlo.count_leading_zeros", kIntOk, 3},
    {"stablehlo.exponential", kInexactOk, 4},
    {"stablehlo.exponential_minus_one", kInexactOk, 2},
    {"stablehlo.floor", kFloatOk, 2},
    {"stablehlo.imag", kInexactOk},
    {"stablehlo.is_finite", kFloatOk, 2},
    {"stablehlo.log", kInexactOk, 3},
    {"stablehlo.log_plus_one", kInexactOk, 2},
    {"stablehlo.logistic", kInexactOk, 3},
    {"stablehlo.negate", kNumberOk, 4},
    {"stablehlo.not", kBoolOk | kIntOk, 4},
    {"stablehlo.popcnt", kIntOk, 3},
    {"stablehlo.real", kInexactOk},
    {"stablehlo.round_nearest_afz", kFloatOk, 2},
    {"stablehlo.round_nearest_even", kFloatOk, 2},
    {"stablehlo.rsqrt", kInexactOk, 3},
    {"stablehlo.sign", kNumberOk, 3},
    {"stablehlo.sine", kInexactOk, 2},
    {"stablehlo.sqrt", kInexactOk, 3},
    {"stablehlo.tan", kInexactOk},
    {"stablehlo.tanh", kInexactOk, 4},
    {"chlo.acos", kInexactOk},
    {"chlo.acosh", kInexactOk},
    {"chlo.asin", kInexactOk},
    {"chlo.asinh", kInexactOk},
    {"chlo.atan", kInexactOk},
    {"chlo.atanh", kInexactOk},
    {"chlo.bessel_i1e", kFloatOk},
    {"chlo.conj", kInexactOk},
    {"chlo.cosh", kInexactOk},
    {"chlo.digamma", kFloatOk},
    {"chlo.erf", kFloatOk, 2},
    {"chlo.erf_inv", kFloatOk},
    {"chlo.erfc", kFloatOk},
    {"chlo.is_inf", kFloatOk},
    {"chlo.is_neg_inf", kFloatOk},
    {"chlo.is_pos_inf", kFloatOk},
    {"chlo.lgamma", kFloatOk},
    {"chlo.sinh", kInexactOk},
    {"chlo.square", kNumberOk, 2},
    {"chlo.tan", kInexactOk},
};

constexpr OpChoice kBinary[] = {
    {"stablehlo.add", kAnyOk, 8},
    {"stablehlo.subtract", kNumberOk, 8},
    {"stablehlo.multiply", kAnyOk, 8},
    {"stablehlo.divide", kNumberOk, 5},
    {"stablehlo.remainder", kIntOk | kFloatOk, 3},
    {"stablehlo.maximum", kAnyOk, 4},
    {"stablehlo.minimum", kAnyOk, 4},
    {"stablehlo.power", kNumberOk, 2},
    {"stablehlo.atan2", kInexactOk},
    {"stablehlo.and", kBoolOk | kIntOk, 4},
    {"stablehlo.or", kBoolOk | kIntOk, 4},
    {"stablehlo.xor", kBoolOk | kIntOk, 4},
    {"stablehlo.shift_left", kIntOk, 3},
    {"stablehlo.shift_right_arithmetic", kIntOk, 3},
    {"stablehlo.shift_right_logical", kIntOk, 3},
    {"chlo.next_after", kFloatOk},
    {"chlo.polygamma", kFloatOk},
    {"chlo.zeta", kFloatOk},
};

// An operation that takes this dtype, by weight.
template <size_t n>
const OpChoice* Choose(Rng& rng, const OpChoice (&choices)[n], DType dtype) {
  int total = 0;
  for (const OpChoice& c : choices) total += stablehlo::Matches(dtype, c.mask) ? c.weight : 0;
  if (total == 0) return nullptr;
  auto at = static_cast<int>(rng.Below(static_cast<uint64_t>(total)));
  for (const OpChoice& c : choices) {
    if (!stablehlo::Matches(dtype, c.mask)) continue;
    if (at < c.weight) return &c;
    at -= c.weight;
  }
  return nullptr;
}

// Zeta and polygamma take many steps per element.
bool IsSlow(std::string_view name) { return name == "chlo.polygamma" || name == "chlo.zeta"; }

void EmitUnary(Generator& g) {
  const ValueId x = g.Any();
  if (const OpChoice* op = Choose(g.rng(), kUnary, g.type(x).dtype)) {
    g.Keep(g.b().Unary(op->name, x));
  }
}

void EmitBinary(Generator& g) {
  const ValueId x = g.Any();
  const OpChoice* op = Choose(g.rng(), kBinary, g.type(x).dtype);
  if (op == nullptr || (IsSlow(op->name) && g.elements(x) > 200)) return;
  const ValueId y = g.OfType(g.type(x));
  const bool swap = OneIn(g.rng(), 2);
  g.Keep(g.b().Binary(op->name, swap ? y : x, swap ? x : y));
}

void EmitCompare(Generator& g) {
  const ValueId x = g.Any();
  const ValueId y = g.OfType(g.type(x));
  constexpr CompareDirection kAll[] = {CompareDirection::kEq, CompareDirection::kNe,
                                       CompareDirection::kGe, CompareDirection::kGt,
                                       CompareDirection::kLe, CompareDirection::kLt};
  const bool complex = tensor::IsComplex(g.type(x).dtype);
  const CompareDirection direction = kAll[g.rng().Below(complex ? 2 : 6)];
  if (tensor::IsFloat(g.type(x).dtype) && OneIn(g.rng(), 4)) {
    g.Keep(g.b().Compare(direction, x, y, CompareType::kTotalOrder));
  } else {
    g.Keep(g.b().Compare(direction, x, y));
  }
}

void EmitSelect(Generator& g) {
  const ValueId x = g.Any();
  const ValueId y = g.OfType(g.type(x));
  const bool scalar = OneIn(g.rng(), 5);
  const ValueId p = g.OfType({DType::kBool, scalar ? Shape{} : g.type(x).shape});
  g.Keep(g.b().Select(p, x, y));
}

void EmitClamp(Generator& g) {
  const auto x = g.Where([](const TensorType& t) { return !tensor::IsComplex(t.dtype); });
  if (!x) return;
  const TensorType scalar = TensorType::Scalar(g.type(*x).dtype);
  const ValueId low = g.OfType(OneIn(g.rng(), 2) ? scalar : g.type(*x));
  const ValueId high = g.OfType(OneIn(g.rng(), 2) ? scalar : g.type(*x));
  g.Keep(g.b().Clamp(low, *x, high));
}

void EmitConvert(Generator& g) { g.Keep(g.b().Convert(g.Any(), RandomDType(g.rng()))); }

// bf16 through f32 and back, as mixed-precision programs have it.
void EmitMixedPrecision(Generator& g) {
  const ValueId x = g.b().Convert(g.OfClass(kFloatOk), DType::kBF16);
  const ValueId y = g.b().Mul(x, g.OfType(g.type(x)));
  g.Keep(y);
  const ValueId wide = g.b().Convert(y, DType::kF32);
  g.Keep(wide);
  g.Keep(g.b().Convert(g.b().Add(wide, g.OfType(g.type(wide))), DType::kBF16));
}

void EmitBitcast(Generator& g) {
  const ValueId x = g.Any();
  TensorType t = g.type(x);
  if (tensor::IsBool(t.dtype)) return;
  const uint32_t mask = tensor::IsComplex(t.dtype) ? kComplexOk : kIntOk | kFloatOk;
  const DType to = RandomDType(g.rng(), mask);
  const int from_bits = tensor::BitWidth(t.dtype);
  const int to_bits = tensor::BitWidth(to);
  if (from_bits != to_bits) {
    if (from_bits < 8 || to_bits < 8) return;
    if (from_bits > to_bits) {
      t.shape.push_back(from_bits / to_bits);
    } else {
      if (t.rank() == 0 || t.shape.back() != to_bits / from_bits) return;
      t.shape.erase(t.rank() - 1);
    }
  }
  g.Keep(g.b().BitcastConvert(x, {to, t.shape}));
}

void EmitReducePrecision(Generator& g) {
  g.Keep(g.b().ReducePrecision(g.OfClass(kFloatOk), static_cast<int>(Between(g.rng(), 2, 11)),
                               static_cast<int>(Between(g.rng(), 0, 30))));
}

void EmitComplex(Generator& g) {
  const auto x =
      g.Where([](const TensorType& t) { return t.dtype == DType::kF32 || t.dtype == DType::kF64; });
  if (x) g.Keep(g.b().Complex(*x, g.OfType(g.type(*x))));
}

// A chain on one value: what fusion sees most.
void EmitChain(Generator& g) {
  ValueId x = g.Any();
  for (int64_t i = Between(g.rng(), 2, 8); i > 0; --i) {
    const DType dtype = g.type(x).dtype;
    if (OneIn(g.rng(), 2)) {
      const OpChoice* op = Choose(g.rng(), kUnary, dtype);
      if (op != nullptr) x = g.b().Unary(op->name, x);
    } else {
      const OpChoice* op = Choose(g.rng(), kBinary, dtype);
      if (op != nullptr && !IsSlow(op->name)) x = g.b().Binary(op->name, x, g.OfType(g.type(x)));
    }
    if (OneIn(g.rng(), 4)) g.Keep(x);
  }
  g.Keep(x);
}

constexpr FamilyRow kRows[] = {
    {"unary", 14, EmitUnary},    {"binary", 16, EmitBinary},
    {"chain", 5, EmitChain},     {"compare", 5, EmitCompare},
    {"select", 5, EmitSelect},   {"clamp", 2, EmitClamp},
    {"convert", 5, EmitConvert}, {"mixed_precision", 2, EmitMixedPrecision},
    {"bitcast", 2, EmitBitcast}, {"reduce_precision", 1, EmitReducePrecision},
    {"complex", 1, EmitComplex},
};

}  // namespace

std::span<const FamilyRow> ElementwiseFamilies() { return kRows; }

}  // namespace megalith::property
