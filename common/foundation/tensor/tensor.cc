#include "common/foundation/tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

#include "common/foundation/base/large_memory.h"
#include "common/foundation/base/strings.h"

namespace megalith::tensor {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSmallBytes = 1024;

Result<int64_t> CheckedBytes(DType dtype, const Shape& shape, uint64_t max_bytes) {
  for (const int64_t d : shape) {
    if (d < 0)
      return InvalidArgument(StrCat("negative dimension in ", tensor::TypeText(dtype, shape)));
  }
  const std::optional<int64_t> n = NumElements(shape);
  int64_t bytes = 0;
  if (!n || __builtin_mul_overflow(*n, static_cast<int64_t>(ByteWidth(dtype)), &bytes) ||
      static_cast<uint64_t>(bytes) > max_bytes) {
    return ResourceExhausted(StrCat(
        "an array of type ", tensor::TypeText(dtype, shape), " needs more than the ",
        max_bytes == UINT64_MAX ? static_cast<uint64_t>(INT64_MAX) : max_bytes, " bytes allowed"));
  }
  return bytes;
}

int64_t SignExtend(uint8_t v, int bits) {
  const int shift = 64 - bits;
  return static_cast<int64_t>(static_cast<uint64_t>(v) << shift) >> shift;
}

// Converts as C does where that is defined and saturates where it is not.
int64_t DoubleToInt(double v) {
  if (std::isnan(v)) return 0;
  if (v >= 9223372036854775808.0) return INT64_MAX;
  if (v < -9223372036854775808.0) return INT64_MIN;
  return static_cast<int64_t>(v);
}

}  // namespace

Result<Tensor> Tensor::CreateUninitialized(DType dtype, const Shape& shape, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const int64_t bytes, CheckedBytes(dtype, shape, max_bytes));
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = shape;
  t.size_ = *NumElements(shape);
  const size_t rounded =
      std::max(kAlignment, (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment);
  t.owned_ = true;
  if (rounded <= kSmallBytes) {
    // One ordinary allocation with room to align costs a third of an aligned one and a count of
    // references.
    auto room = std::make_shared_for_overwrite<std::byte[]>(rounded + kAlignment - 1);
    const auto at = reinterpret_cast<uintptr_t>(room.get());
    t.data_ = room.get() + (kAlignment - at % kAlignment) % kAlignment;
    t.storage_ = std::move(room);
    return t;
  }
  void* p = AllocateArray(rounded);
  if (p == nullptr) {
    return ResourceExhausted(StrCat("no memory for an array of type ",
                                    tensor::TypeText(dtype, shape), " (", bytes, " bytes)"));
  }
  t.storage_ =
      std::shared_ptr<const void>(p, [](const void* q) { std::free(const_cast<void*>(q)); });
  t.data_ = p;
  return t;
}

Result<Tensor> Tensor::Create(DType dtype, const Shape& shape, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(Tensor t, CreateUninitialized(dtype, shape, max_bytes));
  std::memset(t.mutable_data(), 0, t.byte_size());
  return t;
}

Result<Tensor> Tensor::FromBytes(DType dtype, const Shape& shape, std::string_view bytes) {
  ASSIGN_OR_RETURN(const int64_t want, CheckedBytes(dtype, shape, UINT64_MAX));
  if (static_cast<uint64_t>(want) != bytes.size()) {
    return InvalidArgument(StrCat("data of ", tensor::TypeText(dtype, shape), " must have ", want,
                                  " bytes, got ", bytes.size()));
  }
  if (dtype == DType::kBool) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (static_cast<unsigned char>(bytes[i]) > 1) {
        return InvalidArgument(StrCat("element ", i, " of a bool array is neither 0 nor 1"));
      }
    }
  }
  ASSIGN_OR_RETURN(Tensor t, CreateUninitialized(dtype, shape));
  if (!bytes.empty()) std::memcpy(t.mutable_data(), bytes.data(), bytes.size());
  const int bits = BitWidth(dtype);
  if (IsInteger(dtype) && bits < 8) {
    // One byte per element; the unused high bits follow from the low ones, so that equal values
    // have equal bytes.
    for (auto& b : t.MutableAs<uint8_t>()) {
      b = IsSigned(dtype) ? static_cast<uint8_t>(SignExtend(b, bits))
                          : static_cast<uint8_t>(b & ((1 << bits) - 1));
    }
  } else if (IsFloat(dtype) && bits < 8) {
    for (auto& b : t.MutableAs<uint8_t>()) b = static_cast<uint8_t>(b & ((1 << bits) - 1));
  }
  return t;
}

Tensor Tensor::View(DType dtype, const Shape& shape, const void* data,
                    std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = shape;
  const std::optional<int64_t> n = NumElements(shape);
  CHECK(n.has_value());
  t.size_ = *n;
  t.data_ = data;
  t.storage_ = std::move(owner);
  return t;
}

Status Tensor::MakeUnique() {
  if (unique()) return OkStatus();
  ASSIGN_OR_RETURN(Tensor copy, CreateUninitialized(dtype_, shape_));
  if (byte_size() > 0) std::memcpy(copy.mutable_data(), data_, byte_size());
  *this = std::move(copy);
  return OkStatus();
}

Tensor Tensor::Reshaped(const Shape& shape) const {
  CHECK(NumElements(shape) == size_);
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::Reinterpreted(DType dtype) const {
  CHECK(ByteWidth(dtype) == ByteWidth(dtype_));
  Tensor t = *this;
  t.dtype_ = dtype;
  return t;
}

double Tensor::DoubleAt(int64_t i) const {
  const auto k = static_cast<size_t>(i);
  switch (dtype_) {
    case DType::kF32:
      return As<float>()[k];
    case DType::kF64:
      return As<double>()[k];
    case DType::kF16:
      return static_cast<float>(As<F16>()[k]);
    case DType::kBF16:
      return static_cast<float>(As<BF16>()[k]);
    case DType::kC64:
      return As<std::complex<float>>()[k].real();
    case DType::kC128:
      return As<std::complex<double>>()[k].real();
    case DType::kU64:
      return static_cast<double>(As<uint64_t>()[k]);
    default:
      break;
  }
  if (IsFloat(dtype_)) return DecodeSmallFloat(dtype_, As<uint8_t>()[k]);
  return static_cast<double>(IntAt(i));
}

std::complex<double> Tensor::ComplexAt(int64_t i) const {
  const auto k = static_cast<size_t>(i);
  if (dtype_ == DType::kC64) return std::complex<double>(As<std::complex<float>>()[k]);
  if (dtype_ == DType::kC128) return As<std::complex<double>>()[k];
  return DoubleAt(i);
}

int64_t Tensor::IntAt(int64_t i) const {
  const auto k = static_cast<size_t>(i);
  switch (dtype_) {
    case DType::kBool:
      return As<uint8_t>()[k];
    case DType::kI2:
      return SignExtend(As<uint8_t>()[k], 2);
    case DType::kI4:
      return SignExtend(As<uint8_t>()[k], 4);
    case DType::kI8:
      return As<int8_t>()[k];
    case DType::kI16:
      return As<int16_t>()[k];
    case DType::kI32:
      return As<int32_t>()[k];
    case DType::kI64:
      return As<int64_t>()[k];
    case DType::kU2:
      return As<uint8_t>()[k] & 3;
    case DType::kU4:
      return As<uint8_t>()[k] & 15;
    case DType::kU8:
      return As<uint8_t>()[k];
    case DType::kU16:
      return As<uint16_t>()[k];
    case DType::kU32:
      return As<uint32_t>()[k];
    case DType::kU64:
      return static_cast<int64_t>(As<uint64_t>()[k]);
    case DType::kFloat0:
      return 0;
    default:
      break;
  }
  if (IsKey(dtype_)) return As<int64_t>()[k * static_cast<size_t>(ByteWidth(dtype_)) / 8];
  return DoubleToInt(DoubleAt(i));
}

void Tensor::SetDouble(int64_t i, double v) {
  const auto k = static_cast<size_t>(i);
  switch (dtype_) {
    case DType::kF32:
      MutableAs<float>()[k] = static_cast<float>(v);
      return;
    case DType::kF64:
      MutableAs<double>()[k] = v;
      return;
    case DType::kC64:
      MutableAs<std::complex<float>>()[k] = static_cast<float>(v);
      return;
    case DType::kC128:
      MutableAs<std::complex<double>>()[k] = v;
      return;
    case DType::kF16:
    case DType::kBF16:
      MutableAs<uint16_t>()[k] = EncodeSmallFloat(dtype_, v);
      return;
    default:
      break;
  }
  if (IsFloat(dtype_)) {
    MutableAs<uint8_t>()[k] = static_cast<uint8_t>(EncodeSmallFloat(dtype_, v));
  } else {
    SetInt(i, dtype_ == DType::kBool ? v != 0 : DoubleToInt(v));
  }
}

void Tensor::SetComplex(int64_t i, std::complex<double> v) {
  const auto k = static_cast<size_t>(i);
  if (dtype_ == DType::kC64) {
    MutableAs<std::complex<float>>()[k] = std::complex<float>(v);
  } else if (dtype_ == DType::kC128) {
    MutableAs<std::complex<double>>()[k] = v;
  } else {
    SetDouble(i, v.real());
  }
}

void Tensor::SetInt(int64_t i, int64_t v) {
  const auto k = static_cast<size_t>(i);
  switch (dtype_) {
    case DType::kBool:
      MutableAs<uint8_t>()[k] = v != 0;
      return;
    case DType::kI2:
      MutableAs<uint8_t>()[k] = static_cast<uint8_t>(SignExtend(static_cast<uint8_t>(v), 2));
      return;
    case DType::kI4:
      MutableAs<uint8_t>()[k] = static_cast<uint8_t>(SignExtend(static_cast<uint8_t>(v), 4));
      return;
    case DType::kU2:
      MutableAs<uint8_t>()[k] = static_cast<uint8_t>(v & 3);
      return;
    case DType::kU4:
      MutableAs<uint8_t>()[k] = static_cast<uint8_t>(v & 15);
      return;
    case DType::kI8:
    case DType::kU8:
      MutableAs<uint8_t>()[k] = static_cast<uint8_t>(v);
      return;
    case DType::kI16:
    case DType::kU16:
      MutableAs<uint16_t>()[k] = static_cast<uint16_t>(v);
      return;
    case DType::kI32:
    case DType::kU32:
      MutableAs<uint32_t>()[k] = static_cast<uint32_t>(v);
      return;
    case DType::kI64:
    case DType::kU64:
      MutableAs<uint64_t>()[k] = static_cast<uint64_t>(v);
      return;
    case DType::kFloat0:
      return;
    default:
      break;
  }
  SetDouble(i, static_cast<double>(v));
}

bool Tensor::BitEquals(const Tensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ && bytes() == other.bytes();
}

std::string Tensor::TypeText() const { return tensor::TypeText(dtype_, shape_); }

std::string TypeText(DType dtype, const Shape& shape) {
  return StrCat(Name(dtype), "[", DimsText(shape), "]");
}

namespace {

std::string ElementText(const Tensor& t, int64_t i) {
  const DType d = t.dtype();
  if (d == DType::kBool) return t.IntAt(i) ? "True" : "False";
  if (d == DType::kU64) return StrCat(static_cast<uint64_t>(t.IntAt(i)));
  if (IsInteger(d)) return StrCat(t.IntAt(i));
  if (IsComplex(d)) {
    const std::complex<double> c = t.ComplexAt(i);
    return StrCat("(", PythonFloat(c.real()), std::signbit(c.imag()) ? "" : "+",
                  PythonFloat(c.imag()), "j)");
  }
  if (d == DType::kF32) {
    // The shortest decimal that names this float, not the double it widens to.
    return StrCat(static_cast<float>(t.DoubleAt(i)));
  }
  if (IsFloat(d)) return PythonFloat(t.DoubleAt(i));
  if (IsKey(d)) {
    const auto words = static_cast<size_t>(ByteWidth(d) / 4);
    const auto* p = static_cast<const uint32_t*>(t.data()) + static_cast<size_t>(i) * words;
    return StrCat("key(", Join(std::span<const uint32_t>(p, words), ","), ")");
  }
  return "float0";
}

void AppendNested(const Tensor& t, size_t dim, int64_t* next, int64_t limit, std::string* out) {
  if (dim == t.rank()) {
    *out += ElementText(t, (*next)++);
    return;
  }
  *out += "[";
  for (int64_t i = 0; i < t.shape()[dim]; ++i) {
    if (i > 0) *out += ", ";
    if (*next >= limit) {
      *out += "...";
      break;
    }
    AppendNested(t, dim + 1, next, limit, out);
  }
  *out += "]";
}

}  // namespace

std::string ValueText(const Tensor& t, int64_t max_elements) {
  std::string out;
  int64_t next = 0;
  if (t.rank() > 0 && t.size() == 0) {
    return StrCat("empty ", t.TypeText());
  }
  AppendNested(t, 0, &next, max_elements, &out);
  return out;
}

}  // namespace megalith::tensor
