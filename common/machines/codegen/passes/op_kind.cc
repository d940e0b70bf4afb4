#include "common/machines/codegen/passes/op_kind.h"

#include <array>
#include <string_view>
#include <unordered_map>

#include "common/foundation/base/status.h"

namespace megalith::codegen {
namespace {

struct KindRow {
  OpKind kind;
  std::string_view name;
};

constexpr KindRow kRows[] = {
    {OpKind::kReturn, "stablehlo.return"},
    {OpKind::kAbs, "stablehlo.abs"},
    {OpKind::kAdd, "stablehlo.add"},
    {OpKind::kAnd, "stablehlo.and"},
    {OpKind::kAtan2, "stablehlo.atan2"},
    {OpKind::kCeil, "stablehlo.ceil"},
    {OpKind::kClamp, "stablehlo.clamp"},
    {OpKind::kCompare, "stablehlo.compare"},
    {OpKind::kComplex, "stablehlo.complex"},
    {OpKind::kConj, "chlo.conj"},
    {OpKind::kConvert, "stablehlo.convert"},
    {OpKind::kCosine, "stablehlo.cosine"},
    {OpKind::kDivide, "stablehlo.divide"},
    {OpKind::kExponential, "stablehlo.exponential"},
    {OpKind::kFloor, "stablehlo.floor"},
    {OpKind::kImag, "stablehlo.imag"},
    {OpKind::kIsFinite, "stablehlo.is_finite"},
    {OpKind::kLog, "stablehlo.log"},
    {OpKind::kMaximum, "stablehlo.maximum"},
    {OpKind::kMinimum, "stablehlo.minimum"},
    {OpKind::kMultiply, "stablehlo.multiply"},
    {OpKind::kNegate, "stablehlo.negate"},
    {OpKind::kNot, "stablehlo.not"},
    {OpKind::kOr, "stablehlo.or"},
    {OpKind::kPower, "stablehlo.power"},
    {OpKind::kReal, "stablehlo.real"},
    {OpKind::kReducePrecision, "stablehlo.reduce_precision"},
    {OpKind::kRemainder, "stablehlo.remainder"},
    {OpKind::kRoundNearestAfz, "stablehlo.round_nearest_afz"},
    {OpKind::kRoundNearestEven, "stablehlo.round_nearest_even"},
    {OpKind::kRsqrt, "stablehlo.rsqrt"},
    {OpKind::kSelect, "stablehlo.select"},
    {OpKind::kShiftLeft, "stablehlo.shift_left"},
    {OpKind::kShiftRightArithmetic, "stablehlo.shift_right_arithmetic"},
    {OpKind::kShiftRightLogical, "stablehlo.shift_right_logical"},
    {OpKind::kSign, "stablehlo.sign"},
    {OpKind::kSqrt, "stablehlo.sqrt"},
    {OpKind::kSubtract, "stablehlo.subtract"},
    {OpKind::kXor, "stablehlo.xor"},
    {OpKind::kBitcastConvert, "stablehlo.bitcast_convert"},
    {OpKind::kBroadcastInDim, "stablehlo.broadcast_in_dim"},
    {OpKind::kConcatenate, "stablehlo.concatenate"},
    {OpKind::kConstant, "stablehlo.constant"},
    {OpKind::kDynamicSlice, "stablehlo.dynamic_slice"},
    {OpKind::kDynamicUpdateSlice, "stablehlo.dynamic_update_slice"},
    {OpKind::kGather, "stablehlo.gather"},
    {OpKind::kGetDimensionSize, "stablehlo.get_dimension_size"},
    {OpKind::kIota, "stablehlo.iota"},
    {OpKind::kPad, "stablehlo.pad"},
    {OpKind::kReshape, "stablehlo.reshape"},
    {OpKind::kReverse, "stablehlo.reverse"},
    {OpKind::kScatter, "stablehlo.scatter"},
    {OpKind::kSlice, "stablehlo.slice"},
    {OpKind::kTranspose, "stablehlo.transpose"},
    {OpKind::kConvolution, "stablehlo.convolution"},
    {OpKind::kDotGeneral, "stablehlo.dot_general"},
    {OpKind::kReduce, "stablehlo.reduce"},
    {OpKind::kReduceWindow, "stablehlo.reduce_window"},
    {OpKind::kSelectAndScatter, "stablehlo.select_and_scatter"},
    {OpKind::kSort, "stablehlo.sort"},
    {OpKind::kCase, "stablehlo.case"},
    {OpKind::kCustomCall, "stablehlo.custom_call"},
    {OpKind::kIf, "stablehlo.if"},
    {OpKind::kOptimizationBarrier, "stablehlo.optimization_barrier"},
    {OpKind::kWhile, "stablehlo.while"},
};

struct Table {
  std::array<const stablehlo::OpDef*, kNumOpKinds> defs{};
  std::unordered_map<const stablehlo::OpDef*, OpKind> kinds;
};

const Table& GetTable() {
  static const Table table = [] {
    Table t;
    for (const KindRow& row : kRows) {
      const stablehlo::OpDef* def = stablehlo::FindOp(row.name);
      CHECK(def != nullptr);
      t.defs[static_cast<size_t>(row.kind)] = def;
      t.kinds[def] = row.kind;
    }
    t.kinds[stablehlo::FindOp("func.return")] = OpKind::kReturn;
    return t;
  }();
  return table;
}

}  // namespace

OpKind KindOf(const stablehlo::OpDef& def) {
  const auto& kinds = GetTable().kinds;
  const auto it = kinds.find(&def);
  return it == kinds.end() ? OpKind::kOther : it->second;
}

const stablehlo::OpDef& DefOf(OpKind kind) { return *GetTable().defs[static_cast<size_t>(kind)]; }

}  // namespace megalith::codegen
