// Functions of complex numbers, with care for overflow and special values. complex64 computes in
// double.
#pragma once

#include <cmath>
#include <complex>

namespace megalith::stablehlo {

// The textbook product: an infinity times zero gives NaN, as XLA's code does (C99's operator* would
// repair it).
template <typename C>
C ComplexMultiply(C a, C b) {
  return C(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
}

std::complex<double> ComplexDivide(std::complex<double> a, std::complex<double> b);
std::complex<float> ComplexDivide(std::complex<float> a, std::complex<float> b);

// sqrt(re^2 + im^2) without overflow on the way.
double ComplexAbs(std::complex<double> a);
float ComplexAbs(std::complex<float> a);

// x / |x|; zero stays zero, NaN in either part gives NaN.
std::complex<double> ComplexSign(std::complex<double> a);
std::complex<float> ComplexSign(std::complex<float> a);

// 0^0 = 1, 0^y = 0 if y has a positive real part.
std::complex<double> ComplexPower(std::complex<double> a, std::complex<double> b);
std::complex<float> ComplexPower(std::complex<float> a, std::complex<float> b);

std::complex<double> ComplexLog1p(std::complex<double> a);
std::complex<double> ComplexExpm1(std::complex<double> a);
std::complex<double> ComplexExp(std::complex<double> a);
std::complex<double> ComplexRsqrt(std::complex<double> a);
std::complex<double> ComplexLogistic(std::complex<double> a);
std::complex<double> ComplexCbrt(std::complex<double> a);
std::complex<double> ComplexAtan2(std::complex<double> y, std::complex<double> x);
std::complex<double> ComplexTanh(std::complex<double> a);
std::complex<double> ComplexTan(std::complex<double> a);

}  // namespace megalith::stablehlo
