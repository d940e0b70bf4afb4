// The ways two elements become one: bodies of reductions, windows and scatters. Arithmetic is that
// of ScalarOp (scalar_ops.h).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::kernels {

// Appears in packages (persistent: never change, append only).
enum class CombineKind : uint8_t {
  kReplace = 0,   // the second one
  kAdd = 1,       // kBool: or
  kMultiply = 2,  // kBool: and
  kMinimum = 3,
  kMaximum = 4,
  kAnd = 5,
  kOr = 6,
  kXor = 7,
};
inline constexpr int64_t kNumCombineKinds = 8;

namespace combine {

template <typename T>
using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

struct Replace {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T, T b) {
    return b;
  }
};
struct Add {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    } else {
      return a + b;
    }
  }
};
struct Multiply {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    } else {
      return a * b;
    }
  }
};
// The first NaN wins; of two zeros the positive one is the greater. Equal numbers other than zeros
// have equal bits.
struct Maximum {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return a > b ? a : b;
    } else {
      using U = BitsOf<T>;
      const T same = std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(a) & std::bit_cast<U>(b)));
      T r = a > b ? a : b;
      r = a == b ? same : r;
      r = b != b ? b : r;
      return a != a ? a : r;
    }
  }
};
struct Minimum {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return a < b ? a : b;
    } else {
      using U = BitsOf<T>;
      const T same = std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(a) | std::bit_cast<U>(b)));
      T r = a < b ? a : b;
      r = a == b ? same : r;
      r = b != b ? b : r;
      return a != a ? a : r;
    }
  }
};
struct And {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <typename T>
  [[gnu::always_inline]] static T Apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

// How elements of a type are stored and what they are computed in.
template <typename T>
struct Plain {
  using Stored = T;
  using Computed = T;
};
template <typename Small>
struct Narrow {
  using Stored = Small;
  using Computed = float;
};

// Calls visit.operator()<Element, Op>() for the element type and the kind; false if there is none.
template <typename Element, typename Visit>
bool VisitArithmetic(CombineKind kind, const Visit& visit) {
  constexpr bool kBits = std::is_integral_v<typename Element::Computed>;
  switch (kind) {
    case CombineKind::kReplace:
      return visit.template operator()<Element, Replace>(), true;
    case CombineKind::kAdd:
      return visit.template operator()<Element, Add>(), true;
    case CombineKind::kMultiply:
      return visit.template operator()<Element, Multiply>(), true;
    case CombineKind::kMinimum:
      return visit.template operator()<Element, Minimum>(), true;
    case CombineKind::kMaximum:
      return visit.template operator()<Element, Maximum>(), true;
    default:
      break;
  }
  if constexpr (kBits) {
    switch (kind) {
      case CombineKind::kAnd:
        return visit.template operator()<Element, And>(), true;
      case CombineKind::kOr:
        return visit.template operator()<Element, Or>(), true;
      case CombineKind::kXor:
        return visit.template operator()<Element, Xor>(), true;
      default:
        break;
    }
  }
  return false;
}

template <typename Visit>
bool VisitBool(CombineKind kind, const Visit& visit) {
  using Element = Plain<uint8_t>;
  switch (kind) {
    case CombineKind::kReplace:
      return visit.template operator()<Element, Replace>(), true;
    case CombineKind::kAdd:
    case CombineKind::kMaximum:
    case CombineKind::kOr:
      return visit.template operator()<Element, Or>(), true;
    case CombineKind::kMultiply:
    case CombineKind::kMinimum:
    case CombineKind::kAnd:
      return visit.template operator()<Element, And>(), true;
    case CombineKind::kXor:
      return visit.template operator()<Element, Xor>(), true;
  }
  return false;
}

// False if there is no such combination of elements of this type.
template <typename F>
bool Visit(tensor::DType dtype, CombineKind kind, const F& visit) {
  using tensor::DType;
  switch (dtype) {
    case DType::kBool:
      return VisitBool(kind, visit);
    case DType::kI8:
      return VisitArithmetic<Plain<int8_t>>(kind, visit);
    case DType::kI16:
      return VisitArithmetic<Plain<int16_t>>(kind, visit);
    case DType::kI32:
      return VisitArithmetic<Plain<int32_t>>(kind, visit);
    case DType::kI64:
      return VisitArithmetic<Plain<int64_t>>(kind, visit);
    case DType::kU8:
      return VisitArithmetic<Plain<uint8_t>>(kind, visit);
    case DType::kU16:
      return VisitArithmetic<Plain<uint16_t>>(kind, visit);
    case DType::kU32:
      return VisitArithmetic<Plain<uint32_t>>(kind, visit);
    case DType::kU64:
      return VisitArithmetic<Plain<uint64_t>>(kind, visit);
    case DType::kF32:
      return VisitArithmetic<Plain<float>>(kind, visit);
    case DType::kF64:
      return VisitArithmetic<Plain<double>>(kind, visit);
    case DType::kBF16:
      return VisitArithmetic<Narrow<tensor::BF16>>(kind, visit);
    case DType::kF16:
      return VisitArithmetic<Narrow<tensor::F16>>(kind, visit);
    default:
      return false;
  }
}

}  // namespace combine
}  // namespace megalith::kernels
