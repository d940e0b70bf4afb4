#include "common/machines/codegen/peephole.h"

#include <optional>

namespace megalith::codegen {
namespace {

using runtime::LoopInstr;
using runtime::LoopStage;
using runtime::ScalarOp;

std::optional<uint64_t> ConstantOf(const LoopStage& stage, uint32_t value) {
  const LoopInstr& instr = stage.instrs[value];
  if (instr.op != ScalarOp::kConstant) return std::nullopt;
  return instr.imm;
}

// (x << k) | (x >> (width - k)); the bits do not overlap, so that + and ^ do the same as |.
void AsRotation(const LoopStage& stage, LoopInstr* instr) {
  if (instr->type == tensor::DType::kBool || !tensor::IsInteger(instr->type)) return;
  for (int left = 0; left < 2; ++left) {
    const LoopInstr& a = stage.instrs[instr->in[left]];
    const LoopInstr& b = stage.instrs[instr->in[1 - left]];
    if (a.op != ScalarOp::kShiftLeft || b.op != ScalarOp::kShiftRightLogical ||
        a.in[0] != b.in[0]) {
      continue;
    }
    const auto k = ConstantOf(stage, a.in[1]), rest = ConstantOf(stage, b.in[1]);
    const auto width = static_cast<uint64_t>(tensor::BitWidth(instr->type));
    if (!k || !rest || *k == 0 || *k >= width || *rest != width - *k) continue;
    *instr = {ScalarOp::kRotateLeft, instr->type, {a.in[0], a.in[1], 0}, 0};
    return;
  }
}

// Conversions between integers keep the low bits of a position, whatever type it passes through.
void AsPosition(const LoopStage& stage, LoopInstr* instr) {
  const LoopInstr& from = stage.instrs[instr->in[0]];
  const bool integers = tensor::IsInteger(instr->type) && tensor::IsInteger(from.type);
  if (from.op != ScalarOp::kIndex || !integers ||
      tensor::BitWidth(instr->type) > tensor::BitWidth(from.type)) {
    return;
  }
  *instr = {ScalarOp::kIndex, instr->type, {0, 0, 0}, from.imm};
}

// High bits of a position: generators of random numbers count in 64 bits.
void AsZero(const LoopStage& stage, std::span<const int64_t> extents, LoopInstr* instr) {
  const LoopInstr& from = stage.instrs[instr->in[0]];
  const auto k = ConstantOf(stage, instr->in[1]);
  if (from.op != ScalarOp::kIndex || !k) return;
  const auto last = static_cast<uint64_t>(extents[from.imm] - 1);
  const auto width = static_cast<uint64_t>(tensor::BitWidth(from.type));
  if (extents[from.imm] > 0 && (*k >= width || (width == 64 && last >> *k == 0))) {
    *instr = {ScalarOp::kConstant, instr->type, {0, 0, 0}, 0};
  }
}

}  // namespace

void Cheapen(const LoopStage& stage, std::span<const int64_t> extents, LoopInstr* instr) {
  switch (instr->op) {
    case ScalarOp::kAdd:
    case ScalarOp::kOr:
    case ScalarOp::kXor:
      return AsRotation(stage, instr);
    case ScalarOp::kConvert: {
      const LoopInstr& from = stage.instrs[instr->in[0]];
      if (from.op == ScalarOp::kConstant && from.imm == 0 && from.type != instr->type) {
        *instr = {ScalarOp::kConstant, instr->type, {0, 0, 0}, 0};
        return;
      }
      return AsPosition(stage, instr);
    }
    case ScalarOp::kShiftRightLogical:
      return AsZero(stage, extents, instr);
    default:
      return;
  }
}

}  // namespace megalith::codegen
