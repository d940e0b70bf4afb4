// Scalars that are written into a program: the literals of jaxpr text.
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "common/programs/ir/aval.h"

namespace megalith::ir {

// Numbers as Python prints them: "1.5", "-inf", "nan"; "2j", "(1+2j)", "(-0-infj)". nullopt for
// anything else.
std::optional<double> ParsePythonFloat(std::string_view text);
std::optional<std::complex<double>> ParsePythonComplex(std::string_view text);

// A rank-0 constant of any dtype but keys. Small and copyable.
class Literal {
 public:
  Literal() = default;
  // `value` is rounded (floats) or reduced (integers, two's complement) to the dtype.
  static Literal Float(DType dtype, double value, bool weak = false);
  static Literal Int(DType dtype, int64_t value, bool weak = false);
  static Literal Complex(DType dtype, std::complex<double> value, bool weak = false);
  static Literal Float0();
  // Requires a tensor of rank 0 that holds no key.
  static Literal FromTensor(const tensor::Tensor& t, bool weak = false);

  DType dtype() const { return dtype_; }
  bool weak() const { return weak_; }
  Aval aval() const { return {dtype_, weak_, {}}; }
  double AsDouble() const;
  int64_t AsInt() const;
  std::complex<double> AsComplex() const;
  tensor::Tensor ToTensor() const;
  // The Python float that a weak literal of a narrower dtype stands for: what it prints. nullopt
  // where the element itself says it all.
  std::optional<double> PythonValue() const;
  // The element's bytes, little-endian; at most 16.
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(data_), size_t(tensor::ByteWidth(dtype_))};
  }

  // "2.0:f32[]" as spec/jaxpr.md section 2 "Scalar literals" prescribes.
  std::string Text() const;

  // Same dtype and bits; weakness does not count.
  friend bool operator==(const Literal& a, const Literal& b) {
    return a.dtype_ == b.dtype_ && a.bytes() == b.bytes();
  }

 private:
  // A weak float is a Python float: it prints with the digits it has there, which its dtype may not
  // hold. They follow the element's bytes.
  static constexpr size_t kExactAt = 8;
  bool HasExact() const;

  DType dtype_ = DType::kInvalid;
  bool weak_ = false;
  alignas(8) uint8_t data_[16] = {};
};

}  // namespace megalith::ir
