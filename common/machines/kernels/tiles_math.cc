// Tile routines of the functions of vector_math.h. Compiled once per instruction set.
#include "common/machines/kernels/tile_blocks.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

template <ScalarOp op>
struct MathOp {
  template <int L, class V>
  static V Apply(V x, uint64_t imm) {
    Machine<std::remove_cvref_t<decltype(V{}[0])>, L> b;
    return vector_math::Apply(b, op, {x}, {x}, imm).v;
  }
  template <int L, class V>
  static V Apply(V x, V y, uint64_t imm) {
    Machine<std::remove_cvref_t<decltype(V{}[0])>, L> b;
    return vector_math::Apply(b, op, {x}, {y}, imm).v;
  }
};

template <ScalarOp op>
TileFn Of1(DType d) {
  if (d == DType::kF32) return Tile<MathOp<op>, float, float>;
  return d == DType::kF64 ? Tile<MathOp<op>, double, double> : nullptr;
}
template <ScalarOp op>
TileFn Of2(DType d) {
  if (d == DType::kF32) return Tile<MathOp<op>, float, float, float>;
  return d == DType::kF64 ? Tile<MathOp<op>, double, double, double> : nullptr;
}

}  // namespace

TileFn FindMath(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kSign:
      return Of1<ScalarOp::kSign>(d);
    case ScalarOp::kRoundAway:
      return Of1<ScalarOp::kRoundAway>(d);
    case ScalarOp::kReducePrecision:
      return Of1<ScalarOp::kReducePrecision>(d);
    case ScalarOp::kMaximum:
      return Of2<ScalarOp::kMaximum>(d);
    case ScalarOp::kMinimum:
      return Of2<ScalarOp::kMinimum>(d);
    case ScalarOp::kNextAfter:
      return Of2<ScalarOp::kNextAfter>(d);
    case ScalarOp::kExp:
      return Of1<ScalarOp::kExp>(d);
    case ScalarOp::kLog:
      return Of1<ScalarOp::kLog>(d);
    case ScalarOp::kTanh:
      return Of1<ScalarOp::kTanh>(d);
    case ScalarOp::kLogistic:
      return Of1<ScalarOp::kLogistic>(d);
    default:
      return nullptr;
  }
}

}  // namespace megalith::kernels::MEGALITH_TILES
