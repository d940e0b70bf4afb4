#include "common/programs/ir/literal.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "common/foundation/base/strings.h"

namespace megalith::ir {

using tensor::Tensor;

std::string Aval::Text() const { return tensor::TypeText(dtype, shape); }

namespace {
// A tensor that views the literal's bytes for the duration of one conversion.
Tensor ViewOf(DType dtype, const void* bytes) {
  return Tensor::View(dtype, Shape{}, bytes, nullptr);
}
}  // namespace

std::optional<double> ParsePythonFloat(std::string_view text) {
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text.empty() || !((text[0] >= '0' && text[0] <= '9') || text[0] == '-')) return std::nullopt;
  return ParseDouble(text);
}

std::optional<std::complex<double>> ParsePythonComplex(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text.front() != '(') {
    if (text.back() != 'j') return std::nullopt;
    const auto imag = ParsePythonFloat(text.substr(0, text.size() - 1));
    if (!imag) return std::nullopt;
    return std::complex<double>(0.0, *imag);
  }
  if (text.size() < 5 || !text.ends_with("j)")) return std::nullopt;
  text = text.substr(1, text.size() - 3);
  // The sign that separates the parts: the last one not after an exponent's e.
  for (size_t i = text.size(); i-- > 1;) {
    if ((text[i] != '+' && text[i] != '-') || text[i - 1] == 'e') continue;
    const auto real = ParsePythonFloat(text.substr(0, i));
    const auto imag = ParsePythonFloat(text.substr(text[i] == '+' ? i + 1 : i));
    if (!real || !imag) return std::nullopt;
    return std::complex<double>(*real, *imag);
  }
  return std::nullopt;
}

Literal Literal::Float(DType dtype, double value, bool weak) {
  Literal out;
  out.dtype_ = dtype;
  out.weak_ = weak;
  ViewOf(dtype, out.data_).SetDouble(0, value);
  if (out.HasExact()) std::memcpy(out.data_ + kExactAt, &value, sizeof value);
  return out;
}

Literal Literal::Int(DType dtype, int64_t value, bool weak) {
  Literal out;
  out.dtype_ = dtype;
  out.weak_ = weak;
  ViewOf(dtype, out.data_).SetInt(0, value);
  return out;
}

Literal Literal::Complex(DType dtype, std::complex<double> value, bool weak) {
  Literal out;
  out.dtype_ = dtype;
  out.weak_ = weak;
  ViewOf(dtype, out.data_).SetComplex(0, value);
  return out;
}

Literal Literal::Float0() {
  Literal out;
  out.dtype_ = DType::kFloat0;
  return out;
}

Literal Literal::FromTensor(const Tensor& t, bool weak) {
  CHECK(t.rank() == 0 && !tensor::IsKey(t.dtype()));
  Literal out;
  out.dtype_ = t.dtype();
  out.weak_ = weak;
  std::memcpy(out.data_, t.data(), t.byte_size());
  if (out.HasExact()) {
    const double value = out.AsDouble();
    std::memcpy(out.data_ + kExactAt, &value, sizeof value);
  }
  return out;
}

bool Literal::HasExact() const {
  return weak_ && tensor::IsFloat(dtype_) && tensor::ByteWidth(dtype_) < 8;
}

std::optional<double> Literal::PythonValue() const {
  if (!HasExact()) return std::nullopt;
  double exact = 0;
  std::memcpy(&exact, data_ + kExactAt, sizeof exact);
  return exact;
}

double Literal::AsDouble() const { return ViewOf(dtype_, data_).DoubleAt(0); }
int64_t Literal::AsInt() const { return ViewOf(dtype_, data_).IntAt(0); }
std::complex<double> Literal::AsComplex() const { return ViewOf(dtype_, data_).ComplexAt(0); }

Tensor Literal::ToTensor() const { return *Tensor::FromBytes(dtype_, Shape{}, bytes()); }

namespace {

// Python prints the parts of a complex number without ".0".
std::string ComplexPart(double v) {
  std::string text = PythonFloat(v);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string ComplexText(std::complex<double> c) {
  const std::string imag = ComplexPart(c.imag());
  if (c.real() == 0 && !std::signbit(c.real())) return StrCat(imag, "j");
  const bool signed_already = imag.front() == '-';
  return StrCat("(", ComplexPart(c.real()), signed_already ? "" : "+", imag, "j)");
}

}  // namespace

std::string Literal::Text() const {
  std::string value;
  if (dtype_ == DType::kFloat0) {
    value = "(b'',)";
  } else if (dtype_ == DType::kBool) {
    value = AsInt() ? "True" : "False";
  } else if (dtype_ == DType::kU64) {
    value = StrCat(static_cast<uint64_t>(AsInt()));
  } else if (tensor::IsInteger(dtype_)) {
    value = StrCat(AsInt());
  } else if (tensor::IsComplex(dtype_)) {
    value = ComplexText(AsComplex());
  } else {
    value = PythonFloat(PythonValue().value_or(AsDouble()));
  }
  return StrCat(value, ":", tensor::Name(dtype_), "[]");
}

}  // namespace megalith::ir
