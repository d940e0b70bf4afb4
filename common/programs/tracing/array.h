// Arrays of a program that is being written: the values a traced C++ function computes with.
//
// Operators promote and broadcast as jax.numpy's do; a C++ number beside an array is a Python
// number, whose weak type gives way. Nothing is computed: every operation appends an equation to
// the program (docs/tracing.md).
#pragma once

#include <complex>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <type_traits>
#include <vector>

#include "common/foundation/tensor/tensor.h"
#include "common/programs/ir/aval.h"
#include "common/programs/ir/value.h"

namespace megalith::tracing {

using ir::Aval;
using ir::Dims;
using ir::DType;
using ir::Shape;

class Trace;
class Outputs;
class Operand;

// A number of the host language. Its array type is weak (bool's is not) and has 32 bits, or 64 if
// the trace has x64 on.
struct Number {
  enum class Kind : uint8_t { kBool, kInt, kFloat, kComplex } kind = Kind::kFloat;
  int64_t integer = 0;         // of kBool and kInt
  std::complex<double> value;  // of all kinds
};

template <typename T>
concept HostNumber = std::is_arithmetic_v<T>;

// A handle to a value of the trace that made it, a plain number, or nothing. Cheap to copy; belongs
// to the thread that traces. Using one after its trace has ended, or outside the function it was
// made in, is an error of the later trace (JAX: UnexpectedTracerError), never undefined behaviour.
//
// After an error every operation gives an array without a type: shape() is empty, dim() is 0. The
// error comes out of MakeJaxpr.
class Array {
 public:
  Array() = default;
  template <HostNumber T>
  Array(T v) : number_(NumberOf(v)) {}  // NOLINT: implicit by design
  Array(std::complex<double> v)         // NOLINT: implicit by design
      : number_(Number{Number::Kind::kComplex, 0, v}) {}

  // The type; of an array without value f32[] of no dtype.
  Aval aval() const;
  Shape shape() const { return aval().shape; }
  DType dtype() const { return aval().dtype; }
  size_t rank() const { return aval().shape.size(); }
  // Size of a dimension; negative ones count from the end. 0 if there is no such dimension.
  int64_t dim(int64_t axis) const;
  // True unless default-constructed or made after an error.
  bool has_value() const { return number_.has_value() || bool(value_); }
  const std::optional<Number>& number() const { return number_; }

  // x[i] of the leading dimension; a negative constant counts from the end.
  Array operator[](Operand index) const;

  template <HostNumber T>
  static Number NumberOf(T v) {
    if constexpr (std::is_same_v<T, bool>) {
      return {Number::Kind::kBool, v ? 1 : 0, v ? 1.0 : 0.0};
    } else if constexpr (std::is_integral_v<T>) {
      return {Number::Kind::kInt, static_cast<int64_t>(v), static_cast<double>(v)};
    } else {
      return {Number::Kind::kFloat, 0, static_cast<double>(v)};
    }
  }

 private:
  friend class Trace;
  std::optional<Number> number_;
  ir::Value value_;
  std::shared_ptr<Trace> trace_;
  uint64_t frame_ = 0;
};

using Arrays = std::vector<Array>;
using Place = std::source_location;

// What operators and functions take: an array or a number, and where in the user's source it was
// passed, so that an error can name the place.
class Operand {
 public:
  Operand(Array a, Place where = Place::current())  // NOLINT: implicit by design
      : array(std::move(a)), where(where) {}
  template <HostNumber T>
  Operand(T v, Place where = Place::current())
      : array(v), where(where) {}                                  // NOLINT: implicit by design
  Operand(std::complex<double> v, Place where = Place::current())  // NOLINT: implicit by design
      : array(v), where(where) {}
  Operand(const Outputs& outputs, Place where = Place::current());  // NOLINT: implicit by design

  Array array;
  Place where;
};

// ---- operators, as jax.numpy has them ----
Array operator+(Operand x, Operand y);
Array operator-(Operand x, Operand y);
Array operator*(Operand x, Operand y);
Array operator/(Operand x, Operand y);  // true division: integers become floats
Array operator%(Operand x, Operand y);  // Python's: the sign of y
Array operator-(Operand x);
Array operator~(Operand x);
Array operator&(Operand x, Operand y);
Array operator|(Operand x, Operand y);
Array operator^(Operand x, Operand y);
Array operator<<(Operand x, Operand y);
Array operator>>(Operand x, Operand y);
Array operator==(Operand x, Operand y);
Array operator!=(Operand x, Operand y);
Array operator<(Operand x, Operand y);
Array operator<=(Operand x, Operand y);
Array operator>(Operand x, Operand y);
Array operator>=(Operand x, Operand y);
Array& operator+=(Array& x, Operand y);
Array& operator-=(Array& x, Operand y);
Array& operator*=(Array& x, Operand y);
Array& operator/=(Array& x, Operand y);

// An array with a value: a constant of the program. Of rank 0 it is written into the equations.
Array Constant(const tensor::Tensor& value, Place where = Place::current());

// ---- types of arguments ----
inline Aval TypeOf(DType dtype, const Shape& shape, bool weak = false) {
  return {dtype, weak, shape};
}
// F32(3, 4) is f32[3,4].
template <std::integral... D>
Aval F32(D... dims) {
  return {DType::kF32, false, Shape{static_cast<int64_t>(dims)...}};
}
template <std::integral... D>
Aval F64(D... dims) {
  return {DType::kF64, false, Shape{static_cast<int64_t>(dims)...}};
}
template <std::integral... D>
Aval I32(D... dims) {
  return {DType::kI32, false, Shape{static_cast<int64_t>(dims)...}};
}
template <std::integral... D>
Aval Bool(D... dims) {
  return {DType::kBool, false, Shape{static_cast<int64_t>(dims)...}};
}
// The type of a Python number: the same, but weak.
inline Aval Weak(Aval a) {
  a.weak_type = true;
  return a;
}

}  // namespace megalith::tracing
