#include "common/machines/kernels/element_convert.h"

#include <type_traits>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::kernels {
namespace {

// S is a storage type: a C++ number, bool as uint8_t, or tensor::BF16 and tensor::F16.
template <typename T, typename S>
T Widen(S s) {
  if constexpr (std::is_arithmetic_v<S>) {
    return static_cast<T>(s);
  } else {
    return static_cast<T>(static_cast<float>(s));
  }
}

template <typename T, typename S>
void Read(const void* from, int64_t stride, int64_t count, T* to) {
  const S* s = static_cast<const S*>(from);
  if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = Widen<T>(s[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) to[i] = Widen<T>(s[i * stride]);
}

template <typename T, typename S>
void Write(const T* from, int64_t count, void* to) {
  S* s = static_cast<S*>(to);
  for (int64_t i = 0; i < count; ++i) s[i] = static_cast<S>(from[i]);
}

// A double goes to 16 bits in one rounding.
template <DType kTo>
void WriteSmall(const double* from, int64_t count, void* to) {
  auto* s = static_cast<uint16_t*>(to);
  for (int64_t i = 0; i < count; ++i) s[i] = tensor::EncodeSmallFloat(kTo, from[i]);
}

template <typename T>
void WriteBool(const T* from, int64_t count, void* to) {
  auto* s = static_cast<uint8_t*>(to);
  for (int64_t i = 0; i < count; ++i) s[i] = from[i] != 0 ? 1 : 0;
}

template <typename T>
ReadRun<T> IntegerReader(DType from) {
  switch (from) {
    case DType::kBool:
    case DType::kU8:
      return Read<T, uint8_t>;
    case DType::kI8:
      return Read<T, int8_t>;
    case DType::kI16:
      return Read<T, int16_t>;
    case DType::kU16:
      return Read<T, uint16_t>;
    case DType::kI32:
      return Read<T, int32_t>;
    case DType::kU32:
      return Read<T, uint32_t>;
    case DType::kI64:
      return Read<T, int64_t>;
    case DType::kU64:
      return Read<T, uint64_t>;
    default:
      return nullptr;
  }
}

template <typename T>
ReadRun<T> FloatReader(DType from) {
  switch (from) {
    case DType::kF16:
      return Read<T, tensor::F16>;
    case DType::kBF16:
      return Read<T, tensor::BF16>;
    case DType::kF32:
      return Read<T, float>;
    case DType::kF64:
      return Read<T, double>;
    default:
      return IntegerReader<T>(from);
  }
}

template <typename T>
WriteRun<T> IntegerWriter(DType to) {
  switch (to) {
    case DType::kBool:
      return WriteBool<T>;
    case DType::kI8:
    case DType::kU8:
      return Write<T, uint8_t>;
    case DType::kI16:
    case DType::kU16:
      return Write<T, uint16_t>;
    case DType::kI32:
    case DType::kU32:
      return Write<T, uint32_t>;
    case DType::kI64:
    case DType::kU64:
      return Write<T, uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace

DType ProductType(DType lhs, DType rhs, DType result) {
  if (tensor::IsInexact(result)) {
    for (const DType d : {lhs, rhs, result}) {
      if (tensor::RealPart(d) == DType::kF64) return DType::kF64;
    }
    return DType::kF32;
  }
  for (const DType d : {lhs, rhs, result}) {
    if (tensor::BitWidth(d) == 64) return DType::kU64;
  }
  return DType::kU32;
}

Status CheckProductTypes(DType lhs, DType rhs, DType result) {
  const bool complex = tensor::IsComplex(result);
  if (tensor::IsComplex(lhs) != complex || tensor::IsComplex(rhs) != complex) {
    return Unimplemented(StrCat("products of ", tensor::Name(lhs), " and ", tensor::Name(rhs),
                                " to ", tensor::Name(result)));
  }
  return VisitProductType(ProductType(lhs, rhs, result), [&]<typename T>(T*) -> Status {
    for (const DType d : {lhs, rhs}) {
      if (ReaderOf<T>(tensor::RealPart(d)) == nullptr) {
        return Unimplemented(StrCat("products of ", tensor::Name(d)));
      }
    }
    if (WriterOf<T>(tensor::RealPart(result)) == nullptr) {
      return Unimplemented(StrCat("products with result ", tensor::Name(result)));
    }
    return OkStatus();
  });
}

template <>
ReadRun<float> ReaderOf<float>(DType from) {
  return from == DType::kF64 ? nullptr : FloatReader<float>(from);
}
template <>
ReadRun<double> ReaderOf<double>(DType from) {
  return FloatReader<double>(from);
}
template <>
ReadRun<uint32_t> ReaderOf<uint32_t>(DType from) {
  return IntegerReader<uint32_t>(from);
}
template <>
ReadRun<uint64_t> ReaderOf<uint64_t>(DType from) {
  return IntegerReader<uint64_t>(from);
}

template <>
WriteRun<float> WriterOf<float>(DType to) {
  switch (to) {
    case DType::kF16:
      return Write<float, tensor::F16>;
    case DType::kBF16:
      return Write<float, tensor::BF16>;
    case DType::kF32:
      return Write<float, float>;
    default:
      return nullptr;
  }
}
template <>
WriteRun<double> WriterOf<double>(DType to) {
  switch (to) {
    case DType::kF16:
      return WriteSmall<DType::kF16>;
    case DType::kBF16:
      return WriteSmall<DType::kBF16>;
    case DType::kF32:
      return Write<double, float>;
    case DType::kF64:
      return Write<double, double>;
    default:
      return nullptr;
  }
}
template <>
WriteRun<uint32_t> WriterOf<uint32_t>(DType to) {
  return IntegerWriter<uint32_t>(to);
}
template <>
WriteRun<uint64_t> WriterOf<uint64_t>(DType to) {
  return IntegerWriter<uint64_t>(to);
}

}  // namespace megalith::kernels
