// Special functions of one or two doubles, accurate to some 1e-14 relative away from their zeros.
// Pure, thread-safe.
#pragma once

namespace megalith::stablehlo {

// log |gamma(x)|; +inf at zero and the negative integers and at both infinities.
double LogGamma(double x);

// Logarithmic derivative of gamma; NaN at zero and the negative integers.
// Recurrence up to 10, then the asymptotic series; reflection for negative x.
double Digamma(double x);

// sum over k >= 0 of (q + k)^-s, by Euler-Maclaurin. NaN for s < 1, +inf for s = 1. For q <= 0:
// +inf at the integers if s is an even integer, else NaN there; NaN for other q unless s is an
// integer, and below -10000.
double Zeta(double s, double q);

// n-th derivative of digamma; NaN unless n is a non-negative integer.
double Polygamma(double n, double x);

// x with erf(x) = y; infinities at -1 and 1, NaN outside. Giles' approximation refined by Halley
// steps.
double ErfInv(double y);

// exp(-|x|) I1(x): power series up to 30, asymptotic series beyond.
double BesselI1e(double x);

}  // namespace megalith::stablehlo
