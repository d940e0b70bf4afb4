#include "clients/cli/conformance/compare.h"

#include <algorithm>
#include <cmath>

#include "common/foundation/base/strings.h"

namespace megalith::conformance {

using tensor::Tensor;

namespace {

// Distance of two numbers as the tolerance sees it; NaN agrees with NaN.
bool Close(double got, double want, double scale, const Tolerance& t) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (std::isinf(want) || std::isinf(got)) return got == want;
  return std::fabs(got - want) <= t.atol * scale + t.rtol * std::fabs(want);
}

}  // namespace

Status CompareTensors(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return InvalidArgument(StrCat("type is ", got.TypeText(), ", expected ", want.TypeText()));
  }
  const bool numeric = tensor::IsInexact(got.dtype());
  if (tolerance.exact || !numeric) {
    for (int64_t i = 0; i < got.size(); ++i) {
      const auto width = static_cast<size_t>(tensor::ByteWidth(got.dtype()));
      const size_t at = static_cast<size_t>(i) * width;
      if (got.bytes().substr(at, width) == want.bytes().substr(at, width)) continue;
      if (numeric && std::isnan(got.DoubleAt(i)) && std::isnan(want.DoubleAt(i))) continue;
      return InvalidArgument(
          StrCat("element ", i, " is ", got.DoubleAt(i), ", expected exactly ", want.DoubleAt(i)));
    }
    return OkStatus();
  }
  double largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    const double m = std::abs(want.ComplexAt(i));
    if (std::isfinite(m)) largest = std::max(largest, m);
  }
  const double scale = std::max(1.0, largest);
  for (int64_t i = 0; i < got.size(); ++i) {
    const std::complex<double> g = got.ComplexAt(i);
    const std::complex<double> w = want.ComplexAt(i);
    bool close =
        Close(g.real(), w.real(), scale, tolerance) && Close(g.imag(), w.imag(), scale, tolerance);
    if (!close && tensor::IsComplex(got.dtype()) && std::isfinite(std::abs(w)) &&
        std::isfinite(std::abs(g))) {
      close = std::abs(g - w) <= tolerance.atol * scale + tolerance.rtol * std::abs(w);
    }
    if (close) continue;
    return InvalidArgument(StrCat("element ", i, " is ", g.real(),
                                  tensor::IsComplex(got.dtype()) ? StrCat("+", g.imag(), "j") : "",
                                  ", expected ", w.real(),
                                  tensor::IsComplex(got.dtype()) ? StrCat("+", w.imag(), "j") : "",
                                  " (rtol ", tolerance.rtol, ", atol ", tolerance.atol, ")"));
  }
  return OkStatus();
}

}  // namespace megalith::conformance
