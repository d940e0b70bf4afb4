#include "clients/cli/array_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using tensor::DType;
using tensor::Tensor;

std::string PadLeft(std::string text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

// The shortest digits that give the number back, at most `precision` of them after the point.
std::string Shortest(double value, bool is_double, std::chars_format format, int precision) {
  char buffer[400];
  const auto chars = [&](auto number) {
    auto end = std::to_chars(buffer, buffer + sizeof(buffer), number, format).ptr;
    std::string_view text(buffer, static_cast<size_t>(end - buffer));
    const std::string_view mantissa = text.substr(0, text.find('e'));
    const size_t point = mantissa.find('.');
    if (point != std::string_view::npos &&
        mantissa.size() - point - 1 > static_cast<size_t>(precision)) {
      end = std::to_chars(buffer, buffer + sizeof(buffer), number, format, precision).ptr;
    }
    return std::string(buffer, static_cast<size_t>(end - buffer));
  };
  return is_double ? chars(value) : chars(static_cast<float>(value));
}

std::string Exact(double value, bool is_double, int digits) {
  char buffer[400];
  const auto end = is_double
                       ? std::to_chars(buffer, buffer + sizeof(buffer), value,
                                       std::chars_format::scientific, digits)
                       : std::to_chars(buffer, buffer + sizeof(buffer), static_cast<float>(value),
                                       std::chars_format::scientific, digits);
  return {buffer, static_cast<size_t>(end.ptr - buffer)};
}

// A number on its own, as Python's repr.
std::string ScalarText(double value, bool is_double) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  constexpr int kAllDigits = 400;
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const std::string text = Shortest(value, is_double, format, kAllDigits);
  return scientific || text.find('.') != std::string::npos ? text : text + ".0";
}

// One number cut at its point and exponent.
struct Digits {
  std::string whole;
  std::string fraction;
  std::string exponent;
};

Digits Cut(const std::string& text) {
  Digits d;
  const size_t e = text.find('e');
  if (e != std::string::npos) d.exponent = text.substr(e + 1);
  const std::string mantissa = text.substr(0, e);
  const size_t point = mantissa.find('.');
  d.whole = mantissa.substr(0, point);
  if (point != std::string::npos) d.fraction = mantissa.substr(point + 1);
  while (d.fraction.ends_with('0')) d.fraction.pop_back();
  return d;
}

// How all floats of one array are printed.
class FloatFormat {
 public:
  FloatFormat(const std::vector<double>& values, bool is_double, const ArrayTextOptions& options)
      : is_double_(is_double), precision_(options.precision) {
    double largest = 0;
    double smallest = INFINITY;
    for (const double v : values) {
      if (!std::isfinite(v) || v == 0) continue;
      largest = std::max(largest, std::fabs(v));
      smallest = std::min(smallest, std::fabs(v));
    }
    scientific_ = largest >= 1e8 || smallest < 1e-4 || (largest > 0 && largest / smallest > 1000);
    for (const double v : values) {
      if (!std::isfinite(v)) continue;
      const Digits d = DigitsOf(v);
      whole_ = std::max(whole_, d.whole.size());
      fraction_ = std::max(fraction_, d.fraction.size());
      exponent_ = std::max(exponent_, d.exponent.size());
    }
    for (const double v : values) width_ = std::max(width_, Raw(v).size());
  }

  std::string Text(double v) const { return PadLeft(Raw(v), width_); }

 private:
  Digits DigitsOf(double v) const {
    const auto format = scientific_ ? std::chars_format::scientific : std::chars_format::fixed;
    return Cut(Shortest(v, is_double_, format, precision_));
  }
  std::string Raw(double v) const {
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
    Digits d = DigitsOf(v);
    if (scientific_) {
      // All with the same number of digits, those of the exact value.
      d = Cut(Exact(v, is_double_, static_cast<int>(fraction_)));
      d.fraction.resize(fraction_, '0');
      return StrCat(PadLeft(d.whole, whole_), ".", d.fraction, "e", d.exponent);
    }
    return StrCat(PadLeft(d.whole, whole_), ".", d.fraction,
                  std::string(fraction_ - d.fraction.size(), ' '));
  }

  const bool is_double_;
  const int precision_;
  bool scientific_ = false;
  size_t whole_ = 1;
  size_t fraction_ = 0;
  size_t exponent_ = 0;
  size_t width_ = 0;
};

// Walks the elements that are shown and lays them out.
class Layout {
 public:
  Layout(const Tensor& t, const ArrayTextOptions& options)
      : tensor_(t), options_(options), shorten_(t.size() > options.threshold) {}

  std::string Render() {
    std::vector<int64_t> shown;
    if (tensor_.size() > 0) Visit(0, 0, [&shown](int64_t i) { shown.push_back(i); });
    MakeElementText(shown);
    if (tensor_.rank() == 0) return Scalar();
    if (tensor_.size() == 0) return "[]";
    return Nested(0, 0, 1, 1);
  }

 private:
  bool Shortened(size_t dim) const {
    return shorten_ && tensor_.shape()[dim] > 2 * options_.edge_items;
  }

  // Calls `step` for each index of the dimension that is shown, and `gap` where some are left out.
  template <typename Step, typename Gap>
  void EachShown(size_t dim, const Step& step, const Gap& gap) const {
    const int64_t n = tensor_.shape()[dim];
    for (int64_t i = 0; i < n; ++i) {
      if (Shortened(dim) && i == options_.edge_items) {
        gap();
        i = n - options_.edge_items;
      }
      step(i);
    }
  }

  void Visit(size_t dim, int64_t offset, const std::function<void(int64_t)>& visit) const {
    if (dim == tensor_.rank()) return visit(offset);
    EachShown(
        dim, [&](int64_t i) { Visit(dim + 1, offset * tensor_.shape()[dim] + i, visit); }, [] {});
  }

  void MakeElementText(const std::vector<int64_t>& shown) {
    const DType dtype = tensor_.dtype();
    if (tensor::IsFloat(dtype)) {
      std::vector<double> values;
      for (const int64_t i : shown) values.push_back(tensor_.DoubleAt(i));
      const FloatFormat format(values, dtype == DType::kF64, options_);
      element_ = [this, format](int64_t i) { return format.Text(tensor_.DoubleAt(i)); };
      return;
    }
    if (tensor::IsComplex(dtype)) {
      std::vector<double> real;
      std::vector<double> imaginary;
      for (const int64_t i : shown) {
        real.push_back(tensor_.ComplexAt(i).real());
        imaginary.push_back(std::fabs(tensor_.ComplexAt(i).imag()));
      }
      const FloatFormat re(real, dtype == DType::kC128, options_);
      const FloatFormat im(imaginary, dtype == DType::kC128, options_);
      element_ = [this, re, im](int64_t i) {
        const std::complex<double> v = tensor_.ComplexAt(i);
        std::string part = im.Text(std::fabs(v.imag()));
        const size_t pad = part.size() - std::string_view(part).find_last_not_of(' ') - 1;
        part.resize(part.size() - pad);
        return StrCat(re.Text(v.real()), std::signbit(v.imag()) ? "-" : "+", part, "j",
                      std::string(pad, ' '));
      };
      return;
    }
    // NumPy gives booleans of an array the room of "False".
    size_t width = tensor::IsBool(dtype) && tensor_.rank() > 0 ? 5 : 0;
    for (const int64_t i : shown) width = std::max(width, PlainText(i).size());
    element_ = [this, width](int64_t i) { return PadLeft(PlainText(i), width); };
  }

  std::string Scalar() const {
    const bool is_double = tensor::RealPart(tensor_.dtype()) == DType::kF64;
    if (tensor::IsFloat(tensor_.dtype())) return ScalarText(tensor_.DoubleAt(0), is_double);
    if (!tensor::IsComplex(tensor_.dtype())) return PlainText(0);
    const std::complex<double> v = tensor_.ComplexAt(0);
    const auto part = [is_double](double x) {
      std::string text = ScalarText(x, is_double);
      if (text.ends_with(".0")) text.resize(text.size() - 2);
      return text;
    };
    return StrCat("(", part(v.real()), std::signbit(v.imag()) ? "-" : "+",
                  part(std::fabs(v.imag())), "j)");
  }

  std::string PlainText(int64_t i) const {
    const DType dtype = tensor_.dtype();
    if (tensor::IsBool(dtype)) return tensor_.IntAt(i) != 0 ? "True" : "False";
    if (tensor::IsFloat0(dtype)) return "float0";
    if (dtype == DType::kU64) return StrCat(static_cast<uint64_t>(tensor_.IntAt(i)));
    return StrCat(tensor_.IntAt(i));
  }

  // `closing`: brackets that will follow the last element, which must fit as well.
  std::string Nested(size_t dim, int64_t offset, size_t indent, size_t closing) const {
    if (dim + 1 == tensor_.rank()) return Row(offset, indent, closing);
    std::string out = "[";
    const std::string separator(tensor_.rank() - dim - 1, '\n');
    bool first = true;
    const auto line = [&](const std::string& text) {
      if (!first) StrAppend(&out, separator, std::string(indent, ' '));
      first = false;
      out += text;
    };
    EachShown(
        dim,
        [&](int64_t i) {
          line(Nested(dim + 1, offset * tensor_.shape()[dim] + i, indent + 1, closing + 1));
        },
        [&] { line("..."); });
    return out + "]";
  }

  std::string Row(int64_t offset, size_t indent, size_t closing) const {
    const size_t dim = tensor_.rank() - 1;
    std::string out = "[";
    size_t column = indent;
    bool first = true;
    const auto put = [&](const std::string& text) {
      if (!first && column + 1 + text.size() + closing > options_.width) {
        while (out.ends_with(' ')) out.pop_back();
        StrAppend(&out, "\n", std::string(indent, ' '));
        column = indent;
      } else if (!first) {
        out += ' ';
        ++column;
      }
      first = false;
      column += text.size();
      out += text;
    };
    EachShown(
        dim, [&](int64_t i) { put(element_(offset * tensor_.shape()[dim] + i)); },
        [&] { put("..."); });
    return out + "]";
  }

  const Tensor& tensor_;
  const ArrayTextOptions options_;
  const bool shorten_;
  std::function<std::string(int64_t)> element_;
};

}  // namespace

std::string ArrayText(const Tensor& t, const ArrayTextOptions& options) {
  if (!tensor::IsKey(t.dtype())) return Layout(t, options).Render();
  tensor::Shape words = t.shape();
  words.push_back(tensor::ByteWidth(t.dtype()) / 4);
  const Result<Tensor> view = Tensor::FromBytes(DType::kU32, words, t.bytes());
  return view.ok() ? Layout(*view, options).Render() : view.status().ToString();
}

}  // namespace megalith::cli
