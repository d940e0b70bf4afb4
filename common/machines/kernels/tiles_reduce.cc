// Tile routines that combine all elements into one. Compiled once per instruction set.
#include "common/machines/kernels/tile_ops.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

struct FloatMaximumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    Machine<Element<V>, L> machine;
    return vector_math::Maximum(machine, {a}, {b}).v;
  }
};
struct FloatMinimumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    Machine<Element<V>, L> machine;
    return vector_math::Minimum(machine, {a}, {b}).v;
  }
};

// Op on two numbers: on the first lane of the smallest register.
template <class Op, class T>
T Combine(T a, T b) {
  constexpr int L = 16 / static_cast<int>(sizeof(T));
  return Op::template Apply<L>(Vec<T, L>{a}, Vec<T, L>{b}, 0)[0];
}

// Four accumulators of a register each, then their lanes: out[0] = in[0][0] op in[0][1] op ...
template <class Op, class T>
void Reduce(const void* const* in, uint32_t, void* out, int64_t n, uint64_t) {
  constexpr int L = kRegisterBytes / static_cast<int>(sizeof(T));
  using V = Vec<T, L>;
  const char* from = static_cast<const char*>(in[0]);
  constexpr int64_t kBytes = sizeof(V);
  int64_t i = 0;
  T result;
  __builtin_memcpy(&result, from, sizeof(T));
  if (n >= 4 * L) {
    V acc[4];
    for (int k = 0; k < 4; ++k) acc[k] = Load<V>(from + k * kBytes);
    for (i = 4 * L; i + 4 * L <= n; i += 4 * L) {
      for (int k = 0; k < 4; ++k) {
        const V next = Load<V>(from + i * static_cast<int64_t>(sizeof(T)) + k * kBytes);
        acc[k] = Op::template Apply<L>(acc[k], next, 0);
      }
    }
    acc[0] = Op::template Apply<L>(acc[0], acc[1], 0);
    acc[2] = Op::template Apply<L>(acc[2], acc[3], 0);
    acc[0] = Op::template Apply<L>(acc[0], acc[2], 0);
    for (; i + L <= n; i += L) {
      const V next = Load<V>(from + i * static_cast<int64_t>(sizeof(T)));
      acc[0] = Op::template Apply<L>(acc[0], next, 0);
    }
    T lanes[L];
    Store(acc[0], lanes);
    for (int width = L / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) lanes[k] = Combine<Op>(lanes[k], lanes[k + width]);
    }
    result = lanes[0];
  } else {
    i = 1;
  }
  for (; i < n; ++i) {
    T next;
    __builtin_memcpy(&next, from + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    result = Combine<Op>(result, next);
  }
  __builtin_memcpy(out, &result, sizeof(T));
}

template <class Op>
TileFn ReduceOf(DType d) {
  switch (d) {
    case DType::kF32:
      return Reduce<Op, float>;
    case DType::kF64:
      return Reduce<Op, double>;
    default:
      return nullptr;
  }
}

}  // namespace

TileFn FindReduce(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kAdd:
      return ReduceOf<AddOp>(d);
    case ScalarOp::kMultiply:
      return ReduceOf<MultiplyOp>(d);
    case ScalarOp::kMaximum:
      return ReduceOf<FloatMaximumOp>(d);
    case ScalarOp::kMinimum:
      return ReduceOf<FloatMinimumOp>(d);
    default:
      return nullptr;
  }
}

}  // namespace megalith::kernels::MEGALITH_TILES
