// Tile routines of the functions of vector_math.h. Compiled once per instruction set.
#include "common/machines/kernels/tile_blocks.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

template <ScalarOp op>
struct MathOp {
  // Those that go through float64 take as many floats as doubles fill a register.
  static constexpr int kLaneBytes = vector_math::IsThroughF64(op) ? 8 : 4;
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
    case ScalarOp::kRsqrt:
      return Of1<ScalarOp::kRsqrt>(d);
    case ScalarOp::kCbrt:
      return Of1<ScalarOp::kCbrt>(d);
    case ScalarOp::kExp:
      return Of1<ScalarOp::kExp>(d);
    case ScalarOp::kExpm1:
      return Of1<ScalarOp::kExpm1>(d);
    case ScalarOp::kLog:
      return Of1<ScalarOp::kLog>(d);
    case ScalarOp::kLog1p:
      return Of1<ScalarOp::kLog1p>(d);
    case ScalarOp::kSine:
      return Of1<ScalarOp::kSine>(d);
    case ScalarOp::kCosine:
      return Of1<ScalarOp::kCosine>(d);
    case ScalarOp::kTan:
      return Of1<ScalarOp::kTan>(d);
    case ScalarOp::kTanh:
      return Of1<ScalarOp::kTanh>(d);
    case ScalarOp::kLogistic:
      return Of1<ScalarOp::kLogistic>(d);
    case ScalarOp::kErf:
      return Of1<ScalarOp::kErf>(d);
    case ScalarOp::kErfc:
      return Of1<ScalarOp::kErfc>(d);
    case ScalarOp::kErfInv:
      return Of1<ScalarOp::kErfInv>(d);
    case ScalarOp::kLgamma:
      return Of1<ScalarOp::kLgamma>(d);
    case ScalarOp::kDigamma:
      return Of1<ScalarOp::kDigamma>(d);
    case ScalarOp::kAsin:
      return Of1<ScalarOp::kAsin>(d);
    case ScalarOp::kAcos:
      return Of1<ScalarOp::kAcos>(d);
    case ScalarOp::kAtan:
      return Of1<ScalarOp::kAtan>(d);
    case ScalarOp::kSinh:
      return Of1<ScalarOp::kSinh>(d);
    case ScalarOp::kCosh:
      return Of1<ScalarOp::kCosh>(d);
    case ScalarOp::kAsinh:
      return Of1<ScalarOp::kAsinh>(d);
    case ScalarOp::kAcosh:
      return Of1<ScalarOp::kAcosh>(d);
    case ScalarOp::kAtanh:
      return Of1<ScalarOp::kAtanh>(d);
    case ScalarOp::kReducePrecision:
      return Of1<ScalarOp::kReducePrecision>(d);
    case ScalarOp::kMaximum:
      return Of2<ScalarOp::kMaximum>(d);
    case ScalarOp::kMinimum:
      return Of2<ScalarOp::kMinimum>(d);
    case ScalarOp::kPower:
      return Of2<ScalarOp::kPower>(d);
    case ScalarOp::kAtan2:
      return Of2<ScalarOp::kAtan2>(d);
    case ScalarOp::kNextAfter:
      return Of2<ScalarOp::kNextAfter>(d);
    default:
      return nullptr;
  }
}

}  // namespace megalith::kernels::MEGALITH_TILES
