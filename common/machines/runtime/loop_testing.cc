#include "common/machines/runtime/loop_testing.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::runtime {
namespace {

using kernels::ScalarOpInfo;
using kernels::ScalarShape;

template <typename T>
struct Type {
  using type = T;
};
template <typename F>
uint64_t WithType(DType d, F f) {
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
    default:
      return f(Type<double>());
  }
}

template <typename T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <typename T>
uint64_t ToBits(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (value != value) value = std::numeric_limits<T>::quiet_NaN();
  }
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <typename T>
constexpr int kWidth = static_cast<int>(sizeof(T)) * 8;
template <typename T>
using Unsigned = std::make_unsigned_t<T>;

// x^y modulo 2^64.
uint64_t WrappingPower(uint64_t x, uint64_t y) {
  uint64_t power = 1;
  for (; y != 0; y >>= 1, x *= x) {
    if ((y & 1) != 0) power *= x;
  }
  return power;
}

template <typename T>
T IntBinary(ScalarOp op, T a, T b) {
  const auto wide_a = static_cast<uint64_t>(a), wide_b = static_cast<uint64_t>(b);
  const bool over = static_cast<Unsigned<T>>(b) >= kWidth<T>;
  switch (op) {
    case ScalarOp::kAdd:
      return static_cast<T>(wide_a + wide_b);
    case ScalarOp::kSubtract:
      return static_cast<T>(wide_a - wide_b);
    case ScalarOp::kMultiply:
      return static_cast<T>(wide_a * wide_b);
    case ScalarOp::kDivide:
      if (b == 0) return static_cast<T>(-1);
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(0 - wide_a);
      return static_cast<T>(a / b);
    case ScalarOp::kRemainder:
      if (b == 0) return a;
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
      return static_cast<T>(a % b);
    case ScalarOp::kMaximum:
      return std::max(a, b);
    case ScalarOp::kMinimum:
      return std::min(a, b);
    case ScalarOp::kPower:
      if (b < T{0}) {
        if (a == T{1}) return 1;
        return a == static_cast<T>(-1) ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T{0};
      }
      return static_cast<T>(WrappingPower(wide_a, wide_b));
    case ScalarOp::kAnd:
      return a & b;
    case ScalarOp::kOr:
      return a | b;
    case ScalarOp::kXor:
      return a ^ b;
    case ScalarOp::kShiftLeft:
      return over ? T{0} : static_cast<T>(wide_a << wide_b);
    case ScalarOp::kShiftRightLogical:
      return over ? T{0} : static_cast<T>(static_cast<Unsigned<T>>(a) >> b);
    case ScalarOp::kRotateLeft:
      return static_cast<T>(
          std::rotl(static_cast<Unsigned<T>>(a), static_cast<int>(wide_b % kWidth<T>)));
    default:  // kShiftRightArithmetic
      return static_cast<T>(static_cast<std::make_signed_t<T>>(a) >>
                            (over ? kWidth<T> - 1 : static_cast<int>(b)));
  }
}

template <typename T>
T FloatBinary(ScalarOp op, T a, T b) {
  const bool either = a != a || b != b;
  const T nan = std::numeric_limits<T>::quiet_NaN();
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
    case ScalarOp::kMaximum:
      return either ? nan : a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
    case ScalarOp::kMinimum:
      return either ? nan : a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
    case ScalarOp::kPower:
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case ScalarOp::kAtan2:
      return static_cast<T>(std::atan2(static_cast<double>(a), static_cast<double>(b)));
    default:
      return std::nextafter(a, b);
  }
}

template <typename T>
T IntUnary(ScalarOp op, T a) {
  const auto u = static_cast<Unsigned<T>>(a);
  switch (op) {
    case ScalarOp::kNegate:
      return static_cast<T>(0 - static_cast<uint64_t>(a));
    case ScalarOp::kAbs:
      return a < T{0} ? static_cast<T>(0 - static_cast<uint64_t>(a)) : a;
    case ScalarOp::kSign:
      return static_cast<T>((a > T{0}) - (a < T{0}));
    case ScalarOp::kNot:
      return static_cast<T>(~a);
    case ScalarOp::kPopcount:
      return static_cast<T>(std::popcount(u));
    default:
      return static_cast<T>(std::countl_zero(u));
  }
}

template <typename T>
T ReducePrecision(T a, int exponent_bits, int mantissa_bits) {
  if (a != a || std::isinf(a) || a == 0) return a;
  // The spacing of the narrower mantissa at the magnitude of `a`, whose own denormals it follows.
  constexpr int kDigits = std::numeric_limits<T>::digits - 1;
  constexpr int kLeast = std::numeric_limits<T>::min_exponent - 1;
  const int e = std::max(std::ilogb(a), kLeast);
  T rounded = a;
  if (mantissa_bits < kDigits) {
    const T unit = std::ldexp(T{1}, e - mantissa_bits);
    if (unit != 0) rounded = std::nearbyint(a / unit) * unit;
  }
  if (std::isinf(rounded) || rounded == 0) return std::copysign(rounded, a);
  const int bias = exponent_bits >= 12 ? 1 << 20 : (1 << (exponent_bits - 1)) - 1;
  if (bias < std::numeric_limits<T>::max_exponent - 1) {
    if (std::ilogb(rounded) > bias) return std::copysign(std::numeric_limits<T>::infinity(), a);
    if (std::ilogb(rounded) <= -bias) return std::copysign(T{0}, a);
  }
  return rounded;
}

double Function(ScalarOp op, double a) {
  switch (op) {
    case ScalarOp::kFloor:
      return std::floor(a);
    case ScalarOp::kCeil:
      return std::ceil(a);
    case ScalarOp::kRoundAway:
      return std::round(a);
    case ScalarOp::kRoundEven:
      return std::nearbyint(a);
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
    case ScalarOp::kCbrt:
      return std::cbrt(a);
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
      return a;
  }
}

template <typename T>
T FloatUnary(ScalarOp op, T a, uint64_t imm) {
  switch (op) {
    case ScalarOp::kNegate:
      return -a;
    case ScalarOp::kAbs:
      return std::fabs(a);
    case ScalarOp::kSign:
      return a == 0 || a != a ? a : std::copysign(T{1}, a);
    case ScalarOp::kSqrt:
      return std::sqrt(a);
    case ScalarOp::kRsqrt:
      return T{1} / std::sqrt(a);
    case ScalarOp::kLogistic:
      return T{1} / (T{1} + std::exp(-a));
    case ScalarOp::kReducePrecision:
      return ReducePrecision(a, static_cast<int>(imm >> 8), static_cast<int>(imm & 255));
    case ScalarOp::kRoundTo: {
      const auto to = static_cast<DType>(imm);
      return static_cast<T>(
          tensor::DecodeSmallFloat(to, tensor::EncodeSmallFloat(to, static_cast<double>(a))));
    }
    default:
      return static_cast<T>(Function(op, static_cast<double>(a)));
  }
}

template <typename To, typename From>
To Convert(From v) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (v != v) return 0;
    constexpr auto kLow = static_cast<From>(std::numeric_limits<To>::min());
    if (v <= kLow) return std::numeric_limits<To>::min();
    if (v >= std::ldexp(From(1), std::numeric_limits<To>::digits)) {
      return std::numeric_limits<To>::max();
    }
  }
  return static_cast<To>(v);
}

bool Compare(ScalarOp op, auto a, auto b) {
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
}

uint64_t BoolValue(ScalarOp op, uint64_t a, uint64_t b) {
  switch (op) {
    case ScalarOp::kAdd:
    case ScalarOp::kMaximum:
    case ScalarOp::kOr:
      return a | b;
    case ScalarOp::kXor:
      return a ^ b;
    case ScalarOp::kNot:
      return a ^ 1;
    default:
      return a & b;
  }
}

}  // namespace

uint64_t ScalarValue(ScalarOp op, DType operand, DType result, const uint64_t (&in)[3],
                     uint64_t imm) {
  const ScalarOpInfo& info = *kernels::FindScalarOp(op);
  if (op == ScalarOp::kBitcast) return in[0];
  if (op == ScalarOp::kSelect) return in[0] != 0 ? in[1] : in[2];
  if (op == ScalarOp::kConvert) {
    return WithType(operand, [&](auto from) {
      const auto v = FromBits<typename decltype(from)::type>(in[0]);
      if (result == DType::kBool) return static_cast<uint64_t>(v != 0);
      return WithType(result,
                      [&](auto to) { return ToBits(Convert<typename decltype(to)::type>(v)); });
    });
  }
  if (operand == DType::kBool && info.shape != ScalarShape::kCompare) {
    return BoolValue(op, in[0], in[1]);
  }
  return WithType(operand, [&](auto t) -> uint64_t {
    using T = typename decltype(t)::type;
    const T a = FromBits<T>(in[0]), b = FromBits<T>(in[1]);
    if (info.shape == ScalarShape::kCompare) return Compare(op, a, b) ? 1 : 0;
    if constexpr (std::is_floating_point_v<T>) {
      if (op == ScalarOp::kIsFinite) return std::isfinite(a) ? 1 : 0;
      return ToBits(info.shape == ScalarShape::kBinary ? FloatBinary(op, a, b)
                                                       : FloatUnary(op, a, imm));
    } else {
      return ToBits(info.shape == ScalarShape::kBinary ? IntBinary(op, a, b) : IntUnary(op, a));
    }
  });
}

namespace {

// --- the interpreter ---

class PointRunner {
 public:
  PointRunner(const LoopKernel& kernel, void* const* buffers) : kernel_(kernel) {
    for (const uint64_t bytes : kernel.locals) locals_.emplace_back(bytes, '\0');
    for (uint32_t b = 0; b < kernel.buffers; ++b) {
      memory_.push_back(static_cast<char*>(buffers[b]));
    }
    for (std::string& local : locals_) memory_.push_back(local.data());
  }

  void Point(int64_t point) {
    std::vector<int64_t> outer(kernel_.outer.size());
    for (size_t d = outer.size(); d-- > 0;) {
      outer[d] = point % kernel_.outer[d];
      point /= kernel_.outer[d];
    }
    for (const LoopStage& stage : kernel_.stages) Stage(stage, outer);
  }

 private:
  // Calls f at every position of the dimensions for which `reduced` is as given; the others stay.
  template <typename F>
  void Each(const LoopStage& stage, bool reduced, size_t d, F&& f) {
    if (d == stage.dims.size()) return f();
    const size_t at = kernel_.outer.size() + d;
    if (stage.dims[d].reduced != reduced) return Each(stage, reduced, d + 1, f);
    for (int64_t x = 0; x < stage.dims[d].extent; ++x) {
      at_[at] = x;
      Each(stage, reduced, d + 1, f);
    }
    at_[at] = 0;
  }

  void Stage(const LoopStage& stage, const std::vector<int64_t>& outer) {
    at_ = outer;
    at_.resize(outer.size() + stage.dims.size(), 0);
    Each(stage, false, 0, [&] {
      std::vector<uint64_t> acc;
      for (const LoopReduction& r : stage.reductions) acc.push_back(r.init);
      std::vector<uint64_t> registers;
      Each(stage, true, 0, [&] {
        registers = Instructions(stage);
        for (size_t i = 0; i < acc.size(); ++i) {
          const LoopReduction& r = stage.reductions[i];
          const DType type = stage.instrs[r.value].type;
          constexpr ScalarOp kOps[] = {ScalarOp::kAdd,     ScalarOp::kMultiply, ScalarOp::kMaximum,
                                       ScalarOp::kMinimum, ScalarOp::kAnd,      ScalarOp::kOr,
                                       ScalarOp::kXor};
          acc[i] = ScalarValue(kOps[static_cast<int>(r.kind)], type, type,
                               {acc[i], registers[r.value], 0}, 0);
        }
      });
      for (const LoopStore& s : stage.stores) {
        Store(s.to, stage.reductions.empty() ? registers[s.value] : acc[s.value]);
      }
    });
  }

  std::vector<uint64_t> Instructions(const LoopStage& stage) {
    std::vector<uint64_t> registers;
    for (const LoopInstr& instr : stage.instrs) {
      uint64_t value = instr.imm;
      if (instr.op == ScalarOp::kLoad) {
        value = Load(stage.loads[instr.imm]);
      } else if (instr.op == ScalarOp::kIndex) {
        value = WithType(instr.type, [&](auto t) {
          return ToBits(static_cast<typename decltype(t)::type>(at_[instr.imm]));
        });
      } else if (instr.op != ScalarOp::kConstant) {
        uint64_t in[3] = {};
        const auto shape = kernels::FindScalarOp(instr.op)->shape;
        for (int k = 0; k < kernels::OperandCount(shape); ++k) in[k] = registers[instr.in[k]];
        const DType type = stage.instrs[instr.in[shape == ScalarShape::kSelect ? 1 : 0]].type;
        value = ScalarValue(instr.op, type, instr.type, in, instr.imm);
      }
      registers.push_back(value);
    }
    return registers;
  }

  int64_t Dot(const std::vector<int64_t>& strides) const {
    int64_t sum = 0;
    for (size_t d = 0; d < strides.size(); ++d) sum += strides[d] * at_[d];
    return sum;
  }

  char* Place(const LoopAccess& a) const {
    int64_t at = a.offset + Dot(a.strides);
    for (const LoopIndexTerm& t : a.terms) {
      uint64_t bits = 0;
      const int width = tensor::ByteWidth(t.dtype);
      std::memcpy(&bits, memory_[t.buffer] + (t.offset + Dot(t.strides)) * width,
                  static_cast<size_t>(width));
      int64_t index = 0;
      if (t.dtype == DType::kU64) {
        index = static_cast<int64_t>(std::min(bits, static_cast<uint64_t>(t.max)));
      } else {
        WithType(t.dtype, [&](auto type) {
          index = static_cast<int64_t>(FromBits<typename decltype(type)::type>(bits));
          return uint64_t{0};
        });
      }
      at += std::clamp<int64_t>(index, 0, t.max) * t.stride;
    }
    return memory_[a.buffer] + at * tensor::ByteWidth(a.dtype);
  }

  uint64_t Load(const LoopAccess& a) const {
    for (const LoopGuard& g : a.guards) {
      if (at_[g.dim] < g.begin || at_[g.dim] >= g.end) return a.fill;
    }
    uint64_t bits = 0;
    std::memcpy(&bits, Place(a), static_cast<size_t>(tensor::ByteWidth(a.dtype)));
    if (kernels::RegisterType(a.dtype) == a.dtype) return bits;
    return ToBits(
        static_cast<float>(tensor::DecodeSmallFloat(a.dtype, static_cast<uint16_t>(bits))));
  }

  void Store(const LoopAccess& a, uint64_t bits) const {
    if (kernels::RegisterType(a.dtype) != a.dtype) {
      bits = tensor::EncodeSmallFloat(a.dtype, static_cast<double>(FromBits<float>(bits)));
    }
    std::memcpy(Place(a), &bits, static_cast<size_t>(tensor::ByteWidth(a.dtype)));
  }

  const LoopKernel& kernel_;
  std::vector<std::string> locals_;
  std::vector<char*> memory_;
  std::vector<int64_t> at_;
};

bool IsNan(DType d, uint64_t bits) {
  if (d == DType::kF32) return std::isnan(FromBits<float>(bits));
  if (d == DType::kF64) return std::isnan(FromBits<double>(bits));
  if (d == DType::kBF16 || d == DType::kF16) {
    return std::isnan(tensor::DecodeSmallFloat(d, static_cast<uint16_t>(bits)));
  }
  return false;
}

}  // namespace

void RunByPoint(const LoopKernel& kernel, void* const* buffers, int64_t begin, int64_t end) {
  PointRunner runner(kernel, buffers);
  for (int64_t point = begin; point < end; ++point) runner.Point(point);
}

std::string Difference(const LoopKernel& kernel, const LoopArguments& got,
                       const LoopArguments& want) {
  for (const LoopStage& stage : kernel.stages) {
    for (const LoopStore& store : stage.stores) {
      const uint32_t b = store.to.buffer;
      if (b >= kernel.buffers) continue;
      const auto width = static_cast<size_t>(tensor::ByteWidth(store.to.dtype));
      for (size_t at = 0; at < want.bytes[b].size(); at += width) {
        uint64_t x = 0, y = 0;
        std::memcpy(&x, got.bytes[b].data() + at, width);
        std::memcpy(&y, want.bytes[b].data() + at, width);
        if (x == y || (IsNan(store.to.dtype, x) && IsNan(store.to.dtype, y))) continue;
        return StrCat("buffer ", b, " element ", at / width, " of ", tensor::Name(store.to.dtype),
                      ": bits ", x, ", wanted ", y);
      }
    }
  }
  return "";
}

std::vector<LoopBufferSize> LoopArguments::Sizes() const {
  std::vector<LoopBufferSize> sizes;
  for (const std::string& b : bytes) sizes.push_back({b.size()});
  return sizes;
}

std::vector<void*> LoopArguments::Pointers() {
  std::vector<void*> pointers;
  for (std::string& b : bytes) pointers.push_back(b.data());
  return pointers;
}

}  // namespace megalith::runtime
