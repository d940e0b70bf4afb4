// Complex numbers in fused kernels: a value is two registers, its real and its imaginary part, so
// that nothing that runs kernels knows of them. Formulas are those of the reference evaluator;
// where it computes complex64 in complex128, so does this.
#include "common/machines/codegen/kernel_builder.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <span>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr uint64_t kInfinity = uint64_t{0x7FF} << 52;

// Operations on both parts, and those that need the room of f64 for their squares or products,
// which fused kernels have for complex64 alone.
constexpr std::string_view kPlain[] = {
    "stablehlo.add",     "stablehlo.subtract", "stablehlo.multiply",
    "stablehlo.negate",  "stablehlo.real",     "stablehlo.imag",
    "stablehlo.complex", "chlo.conj",          "stablehlo.select"};
constexpr std::string_view kWide[] = {"stablehlo.abs", "stablehlo.divide", "stablehlo.exponential"};

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

DType PartOf(DType type) { return type == DType::kC128 ? DType::kF64 : DType::kF32; }

bool IsComplexName(std::string_view op) { return Has(kPlain, op) || Has(kWide, op); }

bool IsFusibleComplex(const Op& op, const Func& func) {
  if (op.num_results != 1) return false;
  const std::string_view name = op.def->name;
  const DType result = func.type(op.result()).dtype;
  const DType operand = func.type(op.operands.back()).dtype;
  if (name == "stablehlo.convert") {
    const auto known = [](DType d) { return tensor::IsComplex(d) || IsComputable(d); };
    return known(operand) && (tensor::IsComplex(result) || tensor::IsFloat(result)) &&
           known(result);
  }
  if (name == "stablehlo.compare") {
    const ScalarOp comparison = ComparisonOf(op);
    return comparison == ScalarOp::kEqual || comparison == ScalarOp::kNotEqual;
  }
  return Has(kPlain, name) || (Has(kWide, name) && operand == DType::kC64);
}

// The access to one part of the elements of a complex array.
runtime::LoopAccess AccessPart(runtime::LoopAccess access, DType type, int part) {
  access.dtype = PartOf(type);
  access.offset = access.offset * 2 + part;
  for (int64_t& stride : access.strides) stride *= 2;
  for (runtime::LoopIndexTerm& term : access.terms) term.stride *= 2;
  if (type == DType::kC64) access.fill = part == 0 ? access.fill & UINT32_MAX : access.fill >> 32;
  return access;
}

bool KernelBuilder::OnlyMoves(ValueId v) const {
  const Source source = find_(v);
  if (source.op == nullptr || source.in_memory || IsSplat(*source.op)) return true;
  if (IsFusibleElementwise(*source.op, func_)) return false;
  return OnlyMoves(source.op->operands[0]);
}

Result<std::vector<uint32_t>> KernelBuilder::EvalParts(ValueId v, const IndexMap& map) {
  const DType type = func_.type(v).dtype;
  if (!tensor::IsComplex(type) || (MovableAs(type) != DType::kInvalid && OnlyMoves(v))) {
    ASSIGN_OR_RETURN(const uint32_t value, Eval(v, map));
    return std::vector<uint32_t>{value};
  }
  ASSIGN_OR_RETURN(const Complex parts, Both(v, map));
  return std::vector<uint32_t>{parts.re, parts.im};
}

void KernelBuilder::StoreParts(ValueId v, const IndexMap& map, std::span<const uint32_t> values) {
  if (values.size() == 1) return Store(v, map, values[0]);
  for (int part = 0; part < 2; ++part) {
    stage().stores.push_back(
        {AccessPart(Access(v, map), func_.type(v).dtype, part), values[static_cast<size_t>(part)]});
  }
}

Result<KernelBuilder::Complex> KernelBuilder::Both(ValueId v, const IndexMap& map) {
  const IndexMap at = func_.type(v).rank() == 0 ? IndexMap() : map;
  Complex out;
  const int before = std::exchange(part_, 0);
  auto re = Eval(v, at);
  part_ = 1;
  auto im = Eval(v, at);
  part_ = before;
  ASSIGN_OR_RETURN(out.re, std::move(re));
  ASSIGN_OR_RETURN(out.im, std::move(im));
  return out;
}

uint32_t KernelBuilder::Number(DType type, double value) {
  return Emit(ScalarOp::kConstant, type, {},
              type == DType::kF64 ? std::bit_cast<uint64_t>(value)
                                  : std::bit_cast<uint32_t>(static_cast<float>(value)));
}

uint32_t KernelBuilder::Cast(uint32_t value, DType to) {
  return stage().instrs[value].type == to ? value : Emit(ScalarOp::kConvert, to, {value});
}

KernelBuilder::Complex KernelBuilder::MultiplyComplex(Complex x, Complex y) {
  const DType type = stage().instrs[x.re].type;
  const auto times = [&](uint32_t a, uint32_t b) {
    return Emit(ScalarOp::kMultiply, type, {a, b});
  };
  return {Emit(ScalarOp::kSubtract, type, {times(x.re, y.re), times(x.im, y.im)}),
          Emit(ScalarOp::kAdd, type, {times(x.re, y.im), times(x.im, y.re)})};
}

// On f64. The quotient, but where both its parts are NaN: a nonzero number by zero, an infinity by
// a finite number and the reverse have results of their own.
KernelBuilder::Complex KernelBuilder::DivideComplex(Complex a, Complex b) {
  const DType f64 = DType::kF64, u64 = DType::kU64, truth = DType::kBool;
  const auto op2 = [&](ScalarOp op, uint32_t x, uint32_t y) { return Emit(op, f64, {x, y}); };
  const auto times = [&](uint32_t x, uint32_t y) { return op2(ScalarOp::kMultiply, x, y); };
  const auto both = [&](uint32_t p, uint32_t q) { return Emit(ScalarOp::kAnd, truth, {p, q}); };
  const auto either = [&](uint32_t p, uint32_t q) { return Emit(ScalarOp::kOr, truth, {p, q}); };
  const auto is_nan = [&](uint32_t x) { return Emit(ScalarOp::kNotEqual, truth, {x, x}); };
  const auto bits = [&](uint32_t x) { return Emit(ScalarOp::kBitcast, u64, {x}); };
  const auto word = [&](uint64_t w) { return Emit(ScalarOp::kConstant, u64, {}, w); };
  const auto is_inf = [&](uint32_t x) {
    return Emit(ScalarOp::kEqual, truth, {Emit(ScalarOp::kAbs, f64, {x}), Number(f64, kInf)});
  };
  const auto signed_like = [&](uint32_t magnitude_bits, uint32_t x) {
    const uint32_t sign = Emit(ScalarOp::kAnd, u64, {bits(x), word(kSign)});
    return Emit(ScalarOp::kBitcast, f64, {Emit(ScalarOp::kOr, u64, {sign, magnitude_bits})});
  };
  // +-1 for infinities, +-0 for the rest.
  const auto unit = [&](uint32_t x) {
    const uint32_t one = word(std::bit_cast<uint64_t>(1.0));
    return signed_like(Emit(ScalarOp::kSelect, u64, {is_inf(x), one, word(0)}), x);
  };
  const auto sums = [&](Complex x, Complex y) {  // x * conj(y)
    return Complex{op2(ScalarOp::kAdd, times(x.re, y.re), times(x.im, y.im)),
                   op2(ScalarOp::kSubtract, times(x.im, y.re), times(x.re, y.im))};
  };
  const auto scaled = [&](double factor, Complex x) {
    const uint32_t f = Number(f64, factor);
    return Complex{times(f, x.re), times(f, x.im)};
  };
  const uint32_t d = op2(ScalarOp::kAdd, times(b.re, b.re), times(b.im, b.im));
  const Complex products = sums(a, b);
  Complex out{op2(ScalarOp::kDivide, products.re, d), op2(ScalarOp::kDivide, products.im, d)};
  const uint32_t lost = both(is_nan(out.re), is_nan(out.im));
  const uint32_t a_inf = either(is_inf(a.re), is_inf(a.im));
  const uint32_t b_inf = either(is_inf(b.re), is_inf(b.im));
  const auto finite = [&](Complex x) {
    return both(Emit(ScalarOp::kIsFinite, truth, {x.re}), Emit(ScalarOp::kIsFinite, truth, {x.im}));
  };
  const auto repair = [&](uint32_t when, Complex with) {
    const uint32_t now = both(lost, when);
    out = {Emit(ScalarOp::kSelect, f64, {now, with.re, out.re}),
           Emit(ScalarOp::kSelect, f64, {now, with.im, out.im})};
  };
  repair(both(b_inf, finite(a)), scaled(0.0, sums(a, {unit(b.re), unit(b.im)})));
  repair(both(a_inf, finite(b)), scaled(kInf, sums({unit(a.re), unit(a.im)}, b)));
  const uint32_t infinity = signed_like(word(kInfinity), b.re);
  const uint32_t number = Emit(ScalarOp::kNot, truth, {both(is_nan(a.re), is_nan(a.im))});
  repair(both(Emit(ScalarOp::kEqual, truth, {d, Number(f64, 0)}), number),
         {times(infinity, a.re), times(infinity, a.im)});
  return out;
}

// On f64, of numbers from f32.
KernelBuilder::Complex KernelBuilder::ExpComplex(Complex x) {
  const DType f64 = DType::kF64;
  const uint32_t real = Emit(ScalarOp::kEqual, DType::kBool, {x.im, Number(f64, 0)});
  const uint32_t whole = Emit(ScalarOp::kExp, f64, {x.re});
  const uint32_t re = Emit(ScalarOp::kMultiply, f64, {whole, Emit(ScalarOp::kCosine, f64, {x.im})});
  const uint32_t im = Emit(ScalarOp::kMultiply, f64, {whole, Emit(ScalarOp::kSine, f64, {x.im})});
  return {Emit(ScalarOp::kSelect, f64, {real, whole, re}),
          Emit(ScalarOp::kSelect, f64, {real, x.im, im})};
}

uint32_t KernelBuilder::AbsComplex(Complex x) {
  const DType f64 = DType::kF64;
  const uint32_t inf = Number(f64, kInf);
  const auto is_inf = [&](uint32_t part) {
    return Emit(ScalarOp::kEqual, DType::kBool, {Emit(ScalarOp::kAbs, f64, {part}), inf});
  };
  const uint32_t squares = Emit(
      ScalarOp::kAdd, f64,
      {Emit(ScalarOp::kMultiply, f64, {x.re, x.re}), Emit(ScalarOp::kMultiply, f64, {x.im, x.im})});
  const uint32_t any = Emit(ScalarOp::kOr, DType::kBool, {is_inf(x.re), is_inf(x.im)});
  return Emit(ScalarOp::kSelect, f64, {any, inf, Emit(ScalarOp::kSqrt, f64, {squares})});
}

// A real result of complex operands.
Result<uint32_t> KernelBuilder::EvalRealOf(const Op& op, const IndexMap& map) {
  const std::string_view name = op.def->name;
  ASSIGN_OR_RETURN(const Complex x, Both(op.operands[0], map));
  const DType storage = func_.type(op.result()).dtype;
  if (name == "stablehlo.real") return x.re;
  if (name == "stablehlo.imag") return x.im;
  if (name == "stablehlo.convert") {
    return Rounded(Cast(x.re, kernels::RegisterType(storage)), storage, false);
  }
  if (name == "stablehlo.abs") {
    return Cast(AbsComplex({Cast(x.re, DType::kF64), Cast(x.im, DType::kF64)}), storage);
  }
  ASSIGN_OR_RETURN(const Complex y, Both(op.operands[1], map));
  const ScalarOp comparison = ComparisonOf(op);
  const ScalarOp join = comparison == ScalarOp::kEqual ? ScalarOp::kAnd : ScalarOp::kOr;
  return Emit(
      join, DType::kBool,
      {Emit(comparison, DType::kBool, {x.re, y.re}), Emit(comparison, DType::kBool, {x.im, y.im})});
}

Result<KernelBuilder::Complex> KernelBuilder::EvalComplexOp(const Op& op, const IndexMap& map) {
  const std::string_view name = op.def->name;
  const DType part = PartOf(func_.type(op.result()).dtype);
  const DType operand = func_.type(op.operands[0]).dtype;
  if (name == "stablehlo.complex") {
    Complex out;
    ASSIGN_OR_RETURN(out.re, EvalOperand(op, 0, map));
    ASSIGN_OR_RETURN(out.im, EvalOperand(op, 1, map));
    return out;
  }
  if (name == "stablehlo.convert" && !tensor::IsComplex(operand)) {
    ASSIGN_OR_RETURN(const uint32_t re, EvalOperand(op, 0, map));
    return Complex{Cast(re, part), Number(part, 0)};
  }
  if (name == "stablehlo.select") {
    ASSIGN_OR_RETURN(const uint32_t p, EvalOperand(op, 0, map));
    ASSIGN_OR_RETURN(const Complex x, Both(op.operands[1], map));
    ASSIGN_OR_RETURN(const Complex y, Both(op.operands[2], map));
    return Complex{Emit(ScalarOp::kSelect, part, {p, x.re, y.re}),
                   Emit(ScalarOp::kSelect, part, {p, x.im, y.im})};
  }
  ASSIGN_OR_RETURN(const Complex x, Both(op.operands[0], map));
  const auto wide = [&](Complex z) {
    return Complex{Cast(z.re, DType::kF64), Cast(z.im, DType::kF64)};
  };
  const auto narrow = [&](Complex z) { return Complex{Cast(z.re, part), Cast(z.im, part)}; };
  if (name == "stablehlo.convert") return narrow(x);
  if (name == "stablehlo.exponential") return narrow(ExpComplex(wide(x)));
  if (name == "stablehlo.negate") {
    return Complex{Emit(ScalarOp::kNegate, part, {x.re}), Emit(ScalarOp::kNegate, part, {x.im})};
  }
  if (name == "chlo.conj") return Complex{x.re, Emit(ScalarOp::kNegate, part, {x.im})};
  ASSIGN_OR_RETURN(const Complex y, Both(op.operands[1], map));
  if (name == "stablehlo.multiply") return MultiplyComplex(x, y);
  if (name == "stablehlo.divide") return narrow(DivideComplex(wide(x), wide(y)));
  const ElementwiseRow* row = FindElementwise(name);
  if (row == nullptr) return Internal(StrCat(name, " has no formula for complex numbers"));
  return Complex{Emit(row->scalar, part, {x.re, y.re}), Emit(row->scalar, part, {x.im, y.im})};
}

Result<uint32_t> KernelBuilder::EvalComplex(const Op& op, const IndexMap& map) {
  if (!tensor::IsComplex(func_.type(op.result()).dtype)) return EvalRealOf(op, map);
  if (part_ < 0) return Internal(StrCat("both parts of ", op.def->name, " in one register"));
  ASSIGN_OR_RETURN(const Complex value, EvalComplexOp(op, map));
  const IndexMap at = func_.type(op.result()).rank() == 0 ? IndexMap() : map;
  known_[Key{op.result(), at, 0}] = value.re;
  known_[Key{op.result(), at, 1}] = value.im;
  return part_ == 0 ? value.re : value.im;
}

}  // namespace megalith::codegen
