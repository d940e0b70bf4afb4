#include "common/machines/runtime/testing/scalar_loops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::runtime::testing {
namespace {

template <typename T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <typename T>
uint64_t ToBits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

// Calls f with a value of the C++ type of registers of `type`; bool is uint8_t.
template <typename F>
auto WithType(DType type, F f) {
  switch (type) {
    case DType::kBool:
    case DType::kU8:
      return f(uint8_t{});
    case DType::kI8:
      return f(int8_t{});
    case DType::kI16:
      return f(int16_t{});
    case DType::kI32:
      return f(int32_t{});
    case DType::kI64:
      return f(int64_t{});
    case DType::kU16:
      return f(uint16_t{});
    case DType::kU32:
      return f(uint32_t{});
    case DType::kU64:
      return f(uint64_t{});
    case DType::kF32:
      return f(float{});
    default:
      CHECK(type == DType::kF64);
      return f(double{});
  }
}

template <typename T>
T Extreme(T a, T b, bool maximum) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return a;
    if (b != b) return b;
    if (a == b) return std::signbit(a) == maximum ? b : a;
  }
  return maximum == (a > b) ? a : b;
}

template <typename T>
T IntegerDivide(T a, T b, bool remainder) {
  if (b == 0) return remainder ? a : static_cast<T>(-1);
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return remainder ? 0 : static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
  }
  return static_cast<T>(remainder ? a % b : a / b);
}

template <typename T>
T IntegerPower(T a, T b) {
  using U = std::make_unsigned_t<T>;
  if constexpr (std::is_signed_v<T>) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  }
  uint64_t out = 1, base = static_cast<U>(a);
  for (auto e = static_cast<U>(b); e != 0; e = static_cast<U>(e >> 1)) {
    if ((e & 1) != 0) out *= base;
    base *= base;
  }
  return static_cast<T>(out);
}

template <typename T>
T IntegerBinary(ScalarOp op, T a, T b) {
  using U = std::make_unsigned_t<T>;
  const uint64_t x = static_cast<U>(a), y = static_cast<U>(b);
  const bool in_range = y < sizeof(T) * 8;
  switch (op) {
    case ScalarOp::kAdd:
      return static_cast<T>(x + y);
    case ScalarOp::kSubtract:
      return static_cast<T>(x - y);
    case ScalarOp::kMultiply:
      return static_cast<T>(x * y);
    case ScalarOp::kDivide:
      return IntegerDivide(a, b, false);
    case ScalarOp::kRemainder:
      return IntegerDivide(a, b, true);
    case ScalarOp::kPower:
      return IntegerPower(a, b);
    case ScalarOp::kAnd:
      return static_cast<T>(x & y);
    case ScalarOp::kOr:
      return static_cast<T>(x | y);
    case ScalarOp::kXor:
      return static_cast<T>(x ^ y);
    case ScalarOp::kShiftLeft:
      return in_range ? static_cast<T>(x << y) : T{0};
    case ScalarOp::kShiftRightLogical:
      return in_range ? static_cast<T>(x >> y) : T{0};
    case ScalarOp::kShiftRightArithmetic:
      return static_cast<T>(static_cast<std::make_signed_t<T>>(a) >>
                            (in_range ? y : sizeof(T) * 8 - 1));
    default:
      CHECK(false);
      return a;
  }
}

template <typename T>
T FloatBinary(ScalarOp op, T a, T b) {
  switch (op) {
    case ScalarOp::kAdd:
      return a + b;
    case ScalarOp::kSubtract:
      return a - b;
    case ScalarOp::kMultiply:
      return a * b;
    case ScalarOp::kDivide:
      return a / b;
    case ScalarOp::kRemainder:
      return std::fmod(a, b);
    case ScalarOp::kPower:
      return std::pow(a, b);
    case ScalarOp::kAtan2:
      return std::atan2(a, b);
    default:
      CHECK(op == ScalarOp::kNextAfter);
      return std::nextafter(a, b);
  }
}

uint64_t Binary(const LoopInstr& instr, const uint64_t* in) {
  if (instr.type == DType::kBool) {
    const bool a = in[0] != 0, b = in[1] != 0;
    switch (instr.op) {
      case ScalarOp::kAdd:
      case ScalarOp::kMaximum:
      case ScalarOp::kOr:
        return a || b;
      case ScalarOp::kXor:
        return a != b;
      default:
        return a && b;
    }
  }
  return WithType(instr.type, [&](auto zero) -> uint64_t {
    using T = decltype(zero);
    const T a = FromBits<T>(in[0]), b = FromBits<T>(in[1]);
    if (instr.op == ScalarOp::kMaximum || instr.op == ScalarOp::kMinimum) {
      return ToBits(Extreme(a, b, instr.op == ScalarOp::kMaximum));
    }
    if constexpr (std::is_floating_point_v<T>) {
      return ToBits(FloatBinary(instr.op, a, b));
    } else {
      return ToBits(IntegerBinary(instr.op, a, b));
    }
  });
}

bool Compare(ScalarOp op, DType type, const uint64_t* in) {
  return WithType(type, [&](auto zero) -> bool {
    using T = decltype(zero);
    const T a = FromBits<T>(in[0]), b = FromBits<T>(in[1]);
    switch (op) {
      case ScalarOp::kEqual:
        return a == b;
      case ScalarOp::kNotEqual:
        return a != b;
      case ScalarOp::kLess:
        return a < b;
      case ScalarOp::kLessEqual:
        return a <= b;
      case ScalarOp::kGreater:
        return a > b;
      default:
        return a >= b;
    }
  });
}

template <typename T>
T FloatUnary(ScalarOp op, T a) {
  switch (op) {
    case ScalarOp::kFloor:
      return std::floor(a);
    case ScalarOp::kCeil:
      return std::ceil(a);
    case ScalarOp::kRoundAway:
      return std::round(a);
    case ScalarOp::kRoundEven:
      return std::nearbyint(a);
    case ScalarOp::kSqrt:
      return std::sqrt(a);
    case ScalarOp::kRsqrt:
      return T(1) / std::sqrt(a);
    case ScalarOp::kCbrt:
      return std::cbrt(a);
    case ScalarOp::kExp:
      return std::exp(a);
    case ScalarOp::kExpm1:
      return std::expm1(a);
    case ScalarOp::kLog:
      return std::log(a);
    case ScalarOp::kLog1p:
      return std::log1p(a);
    case ScalarOp::kSine:
      return std::sin(a);
    case ScalarOp::kCosine:
      return std::cos(a);
    case ScalarOp::kTan:
      return std::tan(a);
    case ScalarOp::kTanh:
      return std::tanh(a);
    case ScalarOp::kLogistic:
      return T(1) / (T(1) + std::exp(-a));
    case ScalarOp::kErf:
      return std::erf(a);
    case ScalarOp::kErfc:
      return std::erfc(a);
    case ScalarOp::kAsin:
      return std::asin(a);
    case ScalarOp::kAcos:
      return std::acos(a);
    case ScalarOp::kAtan:
      return std::atan(a);
    case ScalarOp::kSinh:
      return std::sinh(a);
    case ScalarOp::kCosh:
      return std::cosh(a);
    case ScalarOp::kAsinh:
      return std::asinh(a);
    case ScalarOp::kAcosh:
      return std::acosh(a);
    case ScalarOp::kAtanh:
      return std::atanh(a);
    default:
      CHECK(op == ScalarOp::kNegate || op == ScalarOp::kAbs || op == ScalarOp::kSign);
      if (op == ScalarOp::kNegate) return -a;
      if (op == ScalarOp::kAbs) return std::fabs(a);
      return a == 0 || a != a ? a : std::copysign(T(1), a);
  }
}

template <typename T, typename U, int kMantissa, int kExponent>
T ReducePrecision(T a, int exponent, int mantissa) {
  constexpr U kSign = U{1} << (sizeof(U) * 8 - 1);
  constexpr U kInfinity = ((U{1} << kExponent) - 1) << kMantissa;
  const U bits = std::bit_cast<U>(a);
  U magnitude = bits & ~kSign;
  if (magnitude > kInfinity) return a;
  if (mantissa < kMantissa) {
    const int drop = kMantissa - mantissa;
    magnitude += (U{1} << (drop - 1)) - 1 + ((magnitude >> drop) & 1);
    magnitude &= ~((U{1} << drop) - 1);
  }
  if (exponent < kExponent && magnitude < kInfinity) {
    constexpr int64_t kBias = (int64_t{1} << (kExponent - 1)) - 1;
    const int64_t bias = (int64_t{1} << (exponent - 1)) - 1;
    const auto power = static_cast<int64_t>(magnitude >> kMantissa);
    if (power > kBias + bias) magnitude = kInfinity;
    if (power <= kBias - bias) magnitude = 0;
  }
  return std::bit_cast<T>(static_cast<U>((bits & kSign) | magnitude));
}

uint64_t LoadAs(DType storage, const char* at) {
  if (storage == DType::kBF16 || storage == DType::kF16) {
    uint16_t bits;
    std::memcpy(&bits, at, sizeof(bits));
    return ToBits(static_cast<float>(tensor::DecodeSmallFloat(storage, bits)));
  }
  uint64_t bits = 0;
  std::memcpy(&bits, at, static_cast<size_t>(tensor::ByteWidth(storage)));
  return storage == DType::kBool ? bits != 0 : bits;
}

void StoreAs(DType storage, uint64_t bits, char* at) {
  if (storage == DType::kBF16 || storage == DType::kF16) {
    bits = tensor::EncodeSmallFloat(storage, FromBits<float>(bits));
  }
  std::memcpy(at, &bits, static_cast<size_t>(tensor::ByteWidth(storage)));
}

uint64_t Unary(const LoopInstr& instr, uint64_t in) {
  if (instr.op == ScalarOp::kRoundTo) {
    char narrow[2];
    StoreAs(static_cast<DType>(instr.imm), in, narrow);
    return LoadAs(static_cast<DType>(instr.imm), narrow);
  }
  if (instr.type == DType::kBool) return in ^ 1;
  return WithType(instr.type, [&](auto zero) -> uint64_t {
    using T = decltype(zero);
    const T a = FromBits<T>(in);
    if constexpr (std::is_floating_point_v<T>) {
      if (instr.op != ScalarOp::kReducePrecision) return ToBits(FloatUnary(instr.op, a));
      const int exponent = static_cast<int>(instr.imm >> 8), mantissa = instr.imm & 255;
      if constexpr (sizeof(T) == 4) {
        return ToBits(ReducePrecision<float, uint32_t, 23, 8>(a, exponent, mantissa));
      } else {
        return ToBits(ReducePrecision<double, uint64_t, 52, 11>(a, exponent, mantissa));
      }
    } else {
      const auto u = static_cast<std::make_unsigned_t<T>>(a);
      switch (instr.op) {
        case ScalarOp::kNegate:
          return ToBits(static_cast<T>(0 - u));
        case ScalarOp::kAbs:
          return ToBits(a < 0 ? static_cast<T>(0 - u) : a);
        case ScalarOp::kSign:
          return ToBits(static_cast<T>((a > 0) - (a < 0)));
        case ScalarOp::kNot:
          return ToBits(static_cast<T>(~u));
        case ScalarOp::kPopcount:
          return ToBits(static_cast<T>(std::popcount(u)));
        default:
          CHECK(instr.op == ScalarOp::kCountLeadingZeros);
          return ToBits(static_cast<T>(std::countl_zero(u)));
      }
    }
  });
}

uint64_t Convert(DType from, DType to, uint64_t in) {
  return WithType(from, [&](auto from_zero) -> uint64_t {
    using From = decltype(from_zero);
    const From a = FromBits<From>(in);
    if (to == DType::kBool) return a != From(0);
    return WithType(to, [&](auto to_zero) -> uint64_t {
      using To = decltype(to_zero);
      if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
        if (a != a) return 0;
        const From high = std::ldexp(From(1), std::numeric_limits<To>::digits);
        if (a <= static_cast<From>(std::numeric_limits<To>::min())) {
          return ToBits(std::numeric_limits<To>::min());
        }
        if (a >= high) return ToBits(std::numeric_limits<To>::max());
        return ToBits(static_cast<To>(a));
      } else {
        return ToBits(static_cast<To>(a));
      }
    });
  });
}

bool IsFinite(DType type, uint64_t bits) {
  return type == DType::kF32 ? std::isfinite(FromBits<float>(bits))
                             : std::isfinite(FromBits<double>(bits));
}

// Runs a kernel at one outer point after the other.
class Runner {
 public:
  Runner(const LoopKernel& kernel, void* const* buffers) : kernel_(kernel), buffers_(buffers) {
    for (const uint64_t bytes : kernel.locals) locals_.emplace_back(bytes, '\0');
  }

  void Run(int64_t point) {
    position_.assign(kernel_.outer.size(), 0);
    for (size_t d = kernel_.outer.size(); d-- > 0;) {
      position_[d] = point % kernel_.outer[d];
      point /= kernel_.outer[d];
    }
    for (const LoopStage& stage : kernel_.stages) RunStage(stage);
  }

 private:
  void RunStage(const LoopStage& stage) {
    position_.resize(kernel_.outer.size());
    const size_t outer = position_.size();
    position_.resize(outer + stage.dims.size(), 0);
    if (!stage.reductions.empty()) return Reduce(stage, 0);
    ForAll(stage, 0, [&] {
      Evaluate(stage);
      for (const LoopStore& store : stage.stores) {
        StoreAs(store.to.dtype, registers_[store.value], Address(store.to));
      }
    });
  }

  // The dimensions that are not reduced, from `d` on; then the others inside.
  void Reduce(const LoopStage& stage, size_t d) {
    if (d < stage.dims.size()) {
      const int64_t extent = stage.dims[d].reduced ? 1 : stage.dims[d].extent;
      for (int64_t i = 0; i < extent; ++i) {
        position_[kernel_.outer.size() + d] = i;
        Reduce(stage, d + 1);
      }
      return;
    }
    std::vector<uint64_t> sums;
    for (const LoopReduction& reduction : stage.reductions) sums.push_back(reduction.init);
    const std::vector<int64_t> at = position_;
    ForReduced(stage, 0, [&] {
      Evaluate(stage);
      for (size_t r = 0; r < sums.size(); ++r) {
        static constexpr ScalarOp kOps[] = {
            ScalarOp::kAdd, ScalarOp::kMultiply, ScalarOp::kMaximum, ScalarOp::kMinimum,
            ScalarOp::kAnd, ScalarOp::kOr,       ScalarOp::kXor};
        const LoopReduction& reduction = stage.reductions[r];
        const DType type = stage.instrs[reduction.value].type;
        const uint64_t in[] = {sums[r], registers_[reduction.value]};
        sums[r] = Binary({.op = kOps[static_cast<int>(reduction.kind)], .type = type}, in);
      }
    });
    position_ = at;
    for (const LoopStore& store : stage.stores) {
      StoreAs(store.to.dtype, sums[store.value], Address(store.to));
    }
  }

  template <typename F>
  void ForAll(const LoopStage& stage, size_t d, const F& f) {
    if (d == stage.dims.size()) return f();
    for (int64_t i = 0; i < stage.dims[d].extent; ++i) {
      position_[kernel_.outer.size() + d] = i;
      ForAll(stage, d + 1, f);
    }
  }
  template <typename F>
  void ForReduced(const LoopStage& stage, size_t d, const F& f) {
    if (d == stage.dims.size()) return f();
    if (!stage.dims[d].reduced) return ForReduced(stage, d + 1, f);
    for (int64_t i = 0; i < stage.dims[d].extent; ++i) {
      position_[kernel_.outer.size() + d] = i;
      ForReduced(stage, d + 1, f);
    }
  }

  char* Base(LoopBuffer buffer) {
    if (buffer < kernel_.buffers) return static_cast<char*>(buffers_[buffer]);
    return locals_[buffer - kernel_.buffers].data();
  }

  int64_t Element(int64_t offset, const std::vector<int64_t>& strides) const {
    for (size_t d = 0; d < strides.size(); ++d) offset += strides[d] * position_[d];
    return offset;
  }

  char* Address(const LoopAccess& access) {
    int64_t element = Element(access.offset, access.strides);
    for (const LoopIndexTerm& term : access.terms) {
      const int width = tensor::ByteWidth(term.dtype);
      const uint64_t bits =
          LoadAs(term.dtype, Base(term.buffer) + Element(term.offset, term.strides) * width);
      int64_t index =
          std::min(static_cast<int64_t>(Convert(term.dtype, DType::kI64, bits)), term.max);
      if (term.dtype == DType::kU64)
        index = static_cast<int64_t>(std::min(bits, uint64_t(term.max)));
      index = std::max<int64_t>(index, 0);
      element += index * term.stride;
    }
    return Base(access.buffer) + element * tensor::ByteWidth(access.dtype);
  }

  uint64_t Load(const LoopAccess& access) {
    for (const LoopGuard& guard : access.guards) {
      const int64_t at = position_[guard.dim];
      if (at < guard.begin || at >= guard.end) return access.fill;
    }
    return LoadAs(access.dtype, Address(access));
  }

  void Evaluate(const LoopStage& stage) {
    registers_.clear();
    for (const LoopInstr& instr : stage.instrs) {
      switch (instr.op) {
        case ScalarOp::kLoad:
          registers_.push_back(Load(stage.loads[instr.imm]));
          break;
        case ScalarOp::kConstant:
          registers_.push_back(instr.imm);
          break;
        case ScalarOp::kIndex:
          registers_.push_back(Convert(DType::kI64, instr.type, ToBits(position_[instr.imm])));
          break;
        default: {
          const int operands = kernels::OperandCount(kernels::FindScalarOp(instr.op)->shape);
          uint64_t in[3] = {};
          for (int k = 0; k < operands; ++k) in[k] = registers_[instr.in[k]];
          registers_.push_back(ApplyScalar(instr, stage.instrs[instr.in[operands - 1]].type, in));
        }
      }
    }
  }

  const LoopKernel& kernel_;
  void* const* const buffers_;
  std::vector<std::string> locals_;
  std::vector<int64_t> position_;
  std::vector<uint64_t> registers_;
};

}  // namespace

uint64_t ApplyScalar(const LoopInstr& instr, DType operand, const uint64_t* in) {
  const kernels::ScalarOpInfo* info = kernels::FindScalarOp(instr.op);
  switch (info->shape) {
    case kernels::ScalarShape::kUnary:
      return Unary(instr, in[0]);
    case kernels::ScalarShape::kPredicate:
      return IsFinite(operand, in[0]);
    case kernels::ScalarShape::kCast:
      return instr.op == ScalarOp::kBitcast ? in[0] : Convert(operand, instr.type, in[0]);
    case kernels::ScalarShape::kBinary:
      return Binary(instr, in);
    case kernels::ScalarShape::kCompare:
      return Compare(instr.op, operand, in);
    case kernels::ScalarShape::kSelect:
      return in[0] != 0 ? in[1] : in[2];
    case kernels::ScalarShape::kSource:
      break;
  }
  CHECK(false);
  return 0;
}

void RunScalar(const LoopKernel& kernel, void* const* buffers, int64_t begin, int64_t end) {
  Runner runner(kernel, buffers);
  for (int64_t point = begin; point < end; ++point) runner.Run(point);
}

}  // namespace megalith::runtime::testing
