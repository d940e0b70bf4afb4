// Cheaper operations for integers and powers of two.
#include <bit>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

// k if the constant is 2^k with k > 0, as a number of the operand's type.
std::optional<int> ExponentOf(const Graph& g, ValueId v) {
  const auto c = IntSplat(g, v);
  if (!c || !IsWholeInt(g.dtype(v)) || *c == 1) return std::nullopt;
  const auto bits = static_cast<uint64_t>(*c);
  return std::has_single_bit(bits) ? std::optional(std::countr_zero(bits)) : std::nullopt;
}

bool MultiplyToShift(Graph& g, Node& n) {
  const auto k = ExponentOf(g, g.operand(n, 1));
  if (!k) return false;
  g.Become(n, OpKind::kShiftLeft, {g.operand(n, 0), g.SplatInt(g.result_type(n), *k)});
  return true;
}

bool DivideToShift(Graph& g, Node& n) {
  const auto k = ExponentOf(g, g.operand(n, 1));
  if (!k || !tensor::IsUnsigned(g.result_type(n).dtype)) return false;
  g.Become(n, OpKind::kShiftRightLogical, {g.operand(n, 0), g.SplatInt(g.result_type(n), *k)});
  return true;
}

bool RemainderToMask(Graph& g, Node& n) {
  const auto k = ExponentOf(g, g.operand(n, 1));
  if (!k || !tensor::IsUnsigned(g.result_type(n).dtype)) return false;
  const auto mask = static_cast<int64_t>((uint64_t{1} << *k) - 1);
  g.Become(n, OpKind::kAnd, {g.operand(n, 0), g.SplatInt(g.result_type(n), mask)});
  return true;
}

constexpr Rule kRules[] = {
    {"multiply_shift", OpKind::kMultiply, MultiplyToShift},
    {"divide_shift", OpKind::kDivide, DivideToShift},
    {"remainder_mask", OpKind::kRemainder, RemainderToMask},
};

}  // namespace

std::span<const Rule> StrengthRules() { return kRules; }

}  // namespace megalith::codegen
