// Tile routines of the functions of vector_math.h. Compiled once per instruction set.
#include "common/machines/kernels/tile_blocks.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

template <ScalarOp op>
struct MathOp {
  template <int L, class V>
  static V Apply(V x, uint64_t) {
    Machine<std::remove_cvref_t<decltype(V{}[0])>, L> b;
    return vector_math::Apply(b, op, {x}, {x}).v;
  }
};

template <ScalarOp op>
TileFn Of1(DType d) {
  if (d == DType::kF32) return Tile<MathOp<op>, float, float>;
  return d == DType::kF64 ? Tile<MathOp<op>, double, double> : nullptr;
}

}  // namespace

TileFn FindMath(ScalarOp op, DType d) {
  switch (op) {
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
