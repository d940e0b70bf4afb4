// A dense array: dtype, shape and row-major bytes.
#pragma once

#include <complex>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/shape.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::tensor {

// Storage is shared and counted; copying a Tensor copies no data. Elements are contiguous,
// row-major, little-endian, aligned to 64 bytes; sub-byte types take one byte per element
// (sign-extended for i2 and i4), bool is 0 or 1, float0 has no bytes. Reading from several threads
// is safe; writing requires that nobody else holds the same storage (MakeUnique).
class Tensor {
 public:
  Tensor() = default;  // f32[0]-like placeholder; valid() is false

  // Zero-initialised. Errors: kInvalidArgument (negative size), kResourceExhausted (more than
  // `max_bytes` or than the machine can give).
  static Result<Tensor> Create(DType dtype, const Shape& shape, uint64_t max_bytes = UINT64_MAX);
  // Not initialised; otherwise the same.
  static Result<Tensor> CreateUninitialized(DType dtype, const Shape& shape,
                                            uint64_t max_bytes = UINT64_MAX);
  // Copies `bytes`, whose size must be that of the elements, and checks that every bool is 0 or 1.
  static Result<Tensor> FromBytes(DType dtype, const Shape& shape, std::string_view bytes);
  // Views memory that `owner` keeps alive. `data` must hold the elements and stay unchanged.
  static Tensor View(DType dtype, const Shape& shape, const void* data,
                     std::shared_ptr<const void> owner);

  template <typename T>
  static Tensor Scalar(DType dtype, T value);

  bool valid() const { return dtype_ != DType::kInvalid; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  size_t rank() const { return shape_.size(); }
  int64_t size() const { return size_; }  // elements
  size_t byte_size() const {
    return static_cast<size_t>(size_) * static_cast<size_t>(ByteWidth(dtype_));
  }
  std::string_view bytes() const { return {static_cast<const char*>(data_), byte_size()}; }

  const void* data() const { return data_; }
  // Requires storage of its own (Create, or after MakeUnique).
  void* mutable_data() { return const_cast<void*>(data_); }
  template <typename T>
  std::span<const T> As() const {
    return {static_cast<const T*>(data_), static_cast<size_t>(size_)};
  }
  template <typename T>
  std::span<T> MutableAs() {
    return {static_cast<T*>(mutable_data()), static_cast<size_t>(size_)};
  }

  // True if nobody else shares the storage, so that it may be written.
  bool unique() const { return storage_ != nullptr && owned_ && storage_.use_count() == 1; }
  // Copies the storage unless unique().
  Status MakeUnique();

  // The same bytes under another shape (equal element count) or another dtype of the same width;
  // requires that.
  Tensor Reshaped(const Shape& shape) const;
  Tensor Reinterpreted(DType dtype) const;

  // Element i as a number: integers and booleans exactly up to 2^53, complex by its real part.
  double DoubleAt(int64_t i) const;
  std::complex<double> ComplexAt(int64_t i) const;
  // Integers and booleans exactly; floats truncated; u64 as the same bits.
  int64_t IntAt(int64_t i) const;
  // Writes element i, rounding to the dtype. Requires storage of its own.
  void SetDouble(int64_t i, double v);
  void SetComplex(int64_t i, std::complex<double> v);
  void SetInt(int64_t i, int64_t v);

  // True if dtype, shape and bytes agree (NaN payloads count).
  bool BitEquals(const Tensor& other) const;

  // "f32[2,3]".
  std::string TypeText() const;

 private:
  DType dtype_ = DType::kInvalid;
  Shape shape_;
  int64_t size_ = 0;
  const void* data_ = nullptr;
  bool owned_ = false;
  std::shared_ptr<const void> storage_;
};

// "f32[2,3]".
std::string TypeText(DType dtype, const Shape& shape);

// Values as nested lists for people, cut after `max_elements`: "[[1.0, 2.0], [3.0, 4.0]]".
std::string ValueText(const Tensor& t, int64_t max_elements = 64);

template <typename T>
Tensor Tensor::Scalar(DType dtype, T value) {
  Tensor t = *Create(dtype, Shape{});
  if constexpr (std::is_integral_v<T>) {
    t.SetInt(0, static_cast<int64_t>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    t.SetDouble(0, static_cast<double>(value));
  } else {
    t.SetComplex(0, std::complex<double>(value));
  }
  return t;
}

}  // namespace megalith::tensor
