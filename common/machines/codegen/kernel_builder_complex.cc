// Complex numbers in fused kernels: a value is two registers, its real and its imaginary part, so
// that nothing that runs kernels knows of them. Formulas are those of the reference evaluator;
// where it computes complex64 in complex128, so does this.
#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/complex_formulas.h"
#include "common/machines/codegen/kernel_builder.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

// Operations on both parts, and those that compute in f64 whatever the type (complex_formulas.h),
// besides the functions of one number.
constexpr std::string_view kPlain[] = {
    "stablehlo.add",     "stablehlo.subtract", "stablehlo.multiply", "stablehlo.maximum",
    "stablehlo.minimum", "stablehlo.negate",   "stablehlo.real",     "stablehlo.imag",
    "stablehlo.complex", "chlo.conj",          "stablehlo.select"};
constexpr std::string_view kWide[] = {"stablehlo.abs", "stablehlo.atan2", "stablehlo.divide",
                                      "stablehlo.power"};

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

DType PartOf(DType type) { return type == DType::kC128 ? DType::kF64 : DType::kF32; }

bool IsLongComplexName(std::string_view op) {
  return Has(kWide, op) || ComplexFormulas::Find(op) != nullptr;
}
bool IsComplexName(std::string_view op) { return Has(kPlain, op) || IsLongComplexName(op); }

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
  return IsComplexName(name);
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
    ComplexFormulas formulas(*this, func_.type(op.operands[0]).dtype == DType::kC128);
    return Cast(formulas.Abs({Cast(x.re, DType::kF64), Cast(x.im, DType::kF64)}), storage);
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
    return ComplexParts{Cast(z.re, DType::kF64), Cast(z.im, DType::kF64)};
  };
  const auto narrow = [&](auto z) { return Complex{Cast(z.re, part), Cast(z.im, part)}; };
  if (name == "stablehlo.convert") return narrow(x);
  ComplexFormulas formulas(*this, part == DType::kF64);
  if (const auto formula = ComplexFormulas::Find(name)) {
    return narrow((formulas.*formula)(wide(x)));
  }
  if (name == "stablehlo.negate") {
    return Complex{Emit(ScalarOp::kNegate, part, {x.re}), Emit(ScalarOp::kNegate, part, {x.im})};
  }
  if (name == "chlo.conj") return Complex{x.re, Emit(ScalarOp::kNegate, part, {x.im})};
  ASSIGN_OR_RETURN(const Complex y, Both(op.operands[1], map));
  if (name == "stablehlo.multiply") return MultiplyComplex(x, y);
  if (name == "stablehlo.divide") return narrow(formulas.Divide(wide(x), wide(y)));
  if (name == "stablehlo.power") return narrow(formulas.Power(wide(x), wide(y)));
  if (name == "stablehlo.atan2") return narrow(formulas.Atan2(wide(x), wide(y)));
  if (name == "stablehlo.maximum" || name == "stablehlo.minimum") {
    // The second one if it is larger (smaller), by the real parts, then by the imaginary ones.
    const ScalarOp better = name == "stablehlo.maximum" ? ScalarOp::kLess : ScalarOp::kGreater;
    const auto test = [&](ScalarOp test_op, uint32_t a, uint32_t b) {
      return Emit(test_op, DType::kBool, {a, b});
    };
    const uint32_t tie =
        test(ScalarOp::kAnd, test(ScalarOp::kEqual, x.re, y.re), test(better, x.im, y.im));
    const uint32_t second = test(ScalarOp::kOr, test(better, x.re, y.re), tie);
    return Complex{Emit(ScalarOp::kSelect, part, {second, y.re, x.re}),
                   Emit(ScalarOp::kSelect, part, {second, y.im, x.im})};
  }
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
