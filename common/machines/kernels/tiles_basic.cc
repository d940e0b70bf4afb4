// Tile routines of the operations that are an instruction or a few. Compiled once per instruction
// set.
#include "common/machines/kernels/tile_ops.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

// --- tables: the routine for a type ---

template <class T>
struct Type {
  using type = T;
};
// Calls f with the element type, or with the unsigned integer of its width.
template <class F>
TileFn ForType(DType d, F f) {
  switch (d) {
    case DType::kI8:
      return f(Type<int8_t>());
    case DType::kI16:
      return f(Type<int16_t>());
    case DType::kI32:
      return f(Type<int32_t>());
    case DType::kI64:
      return f(Type<int64_t>());
    case DType::kBool:
    case DType::kU8:
      return f(Type<uint8_t>());
    case DType::kU16:
      return f(Type<uint16_t>());
    case DType::kU32:
      return f(Type<uint32_t>());
    case DType::kU64:
      return f(Type<uint64_t>());
    case DType::kF32:
      return f(Type<float>());
    case DType::kF64:
      return f(Type<double>());
    default:
      return nullptr;
  }
}
template <class F>
TileFn ForWord(DType d, F f) {
  switch (d) {
    case DType::kBool:
    case DType::kI8:
    case DType::kU8:
      return f(Type<uint8_t>());
    case DType::kI16:
    case DType::kU16:
      return f(Type<uint16_t>());
    case DType::kI32:
    case DType::kU32:
    case DType::kF32:
      return f(Type<uint32_t>());
    case DType::kI64:
    case DType::kU64:
    case DType::kF64:
      return f(Type<uint64_t>());
    default:
      return nullptr;
  }
}
bool IsReal(DType d) { return d == DType::kF32 || d == DType::kF64; }
bool IsSignedInt(DType d) { return d >= DType::kI2 && d <= DType::kI64; }

template <class Op>
TileFn Words2(DType d) {
  return ForWord(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, T, T, T>;
  });
}
template <class Op>
TileFn Words1(DType d) {
  return ForWord(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, T, T>;
  });
}
template <class Op>
TileFn Floats1(DType d) {
  if (d == DType::kF32) return Tile<Op, float, float>;
  return d == DType::kF64 ? Tile<Op, double, double> : nullptr;
}
template <class Op>
TileFn Floats2(DType d) {
  if (d == DType::kF32) return Tile<Op, float, float, float>;
  return d == DType::kF64 ? Tile<Op, double, double, double> : nullptr;
}
// Floats as they are, integers as words.
template <class Op>
TileFn Numbers2(DType d) {
  return IsReal(d) ? Floats2<Op>(d) : Words2<Op>(d);
}
template <class Op>
TileFn Numbers1(DType d) {
  return IsReal(d) ? Floats1<Op>(d) : Words1<Op>(d);
}
template <class Op>
TileFn Integers2(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    if constexpr (std::is_integral_v<T>) {
      return Tile<Op, T, T, T>;
    } else {
      return nullptr;
    }
  });
}
template <class Op>
TileFn Compare(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, uint8_t, T, T>;
  });
}
template <class F>
TileFn Each2(DType d) {
  return Integers2<EachOp<F>>(d);
}
template <class Op>
TileFn Signed1(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      return Tile<Op, T, T>;
    } else {
      return nullptr;
    }
  });
}
// 1 but for zero.
struct NotZeroOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return a != 0 ? V{} + 1 : V{};
  }
};

TileFn FindOnBool(ScalarOp op) {
  switch (op) {
    case ScalarOp::kAdd:
    case ScalarOp::kMaximum:
      return Tile<OrOp, uint8_t, uint8_t, uint8_t>;
    case ScalarOp::kMultiply:
    case ScalarOp::kMinimum:
      return Tile<AndOp, uint8_t, uint8_t, uint8_t>;
    case ScalarOp::kNot:
      return Tile<NotBoolOp, uint8_t, uint8_t>;
    default:
      return nullptr;
  }
}

TileFn FindUnary(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kNegate:
      return Numbers1<NegateOp>(d);
    case ScalarOp::kAbs:
      if (IsReal(d)) return Floats1<AbsOp>(d);
      return IsSignedInt(d) ? Signed1<AbsOp>(d) : Words1<CopyOp>(d);
    case ScalarOp::kSign:
      return IsSignedInt(d) ? Signed1<SignOp>(d) : Words1<NotZeroOp>(d);
    case ScalarOp::kFloor:
      return Floats1<FloorOp>(d);
    case ScalarOp::kCeil:
      return Floats1<CeilOp>(d);
    case ScalarOp::kRoundEven:
      return Floats1<RoundEvenOp>(d);
    case ScalarOp::kSqrt:
      return Floats1<SqrtOp>(d);
    case ScalarOp::kNot:
      return Words1<NotOp>(d);
    case ScalarOp::kPopcount:
      return Words1<EachOp<PopcountLane>>(d);
    case ScalarOp::kCountLeadingZeros:
      return Words1<EachOp<LeadingZerosLane>>(d);
    case ScalarOp::kBitcast:
      return Words1<CopyOp>(d);
    case ScalarOp::kIsFinite:
      if (d == DType::kF32) return Tile<IsFiniteOp, uint8_t, float>;
      return Tile<IsFiniteOp, uint8_t, double>;
    default:
      return nullptr;
  }
}

TileFn FindArithmetic(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kAdd:
      return Numbers2<AddOp>(d);
    case ScalarOp::kSubtract:
      return Numbers2<SubtractOp>(d);
    case ScalarOp::kMultiply:
      return Numbers2<MultiplyOp>(d);
    case ScalarOp::kDivide:
      return IsReal(d) ? Floats2<DivideOp>(d) : Each2<DivideLane>(d);
    case ScalarOp::kRemainder:
      return IsReal(d) ? Floats2<EachOp<FmodLane>>(d) : Each2<RemainderLane>(d);
    case ScalarOp::kPower:
      return IsReal(d) ? nullptr : Each2<PowerLane>(d);
    case ScalarOp::kMaximum:
      return Integers2<MaximumOp>(d);
    case ScalarOp::kMinimum:
      return Integers2<MinimumOp>(d);
    case ScalarOp::kAnd:
      return Words2<AndOp>(d);
    case ScalarOp::kOr:
      return Words2<OrOp>(d);
    case ScalarOp::kXor:
      return Words2<XorOp>(d);
    case ScalarOp::kShiftLeft:
      return Words2<ShiftLeftOp>(d);
    case ScalarOp::kShiftRightLogical:
      return Words2<ShiftRightLogicalOp>(d);
    case ScalarOp::kShiftRightArithmetic:
      return Words2<ShiftRightArithmeticOp>(d);
    case ScalarOp::kRotateLeft:
      return Words2<RotateLeftOp>(d);
    default:
      return nullptr;
  }
}

TileFn FindCompare(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kEqual:
      return Compare<EqualOp>(d);
    case ScalarOp::kNotEqual:
      return Compare<NotEqualOp>(d);
    case ScalarOp::kLess:
      return Compare<LessOp>(d);
    case ScalarOp::kLessEqual:
      return Compare<LessEqualOp>(d);
    case ScalarOp::kGreater:
      return Compare<GreaterOp>(d);
    case ScalarOp::kGreaterEqual:
      return Compare<GreaterEqualOp>(d);
    default:
      return nullptr;
  }
}

}  // namespace

TileFn FindBasic(ScalarOp op, DType operand, DType) {
  if (operand == DType::kBool) {
    if (const TileFn fn = FindOnBool(op)) return fn;
  }
  if (op == ScalarOp::kSelect) {
    return ForWord(operand, [](auto t) -> TileFn {
      using T = typename decltype(t)::type;
      return Tile<SelectOp, T, uint8_t, T, T>;
    });
  }
  if (const TileFn fn = FindUnary(op, operand)) return fn;
  if (const TileFn fn = FindArithmetic(op, operand)) return fn;
  return FindCompare(op, operand);
}

}  // namespace megalith::kernels::MEGALITH_TILES
