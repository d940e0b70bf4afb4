// The loops of elementwise operations, by op; named in the op's row. Each gives the loop for the
// dtypes it is asked for. Floats narrower than 32 bits compute in float and round once per op; 2-
// and 4-bit integers compute in 8 bits.
#pragma once

#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

using SpanRule = Result<SpanKernel>(const Op& op, std::span<const DType> operands, DType result);

SpanRule SpanAbs, SpanAdd, SpanAnd, SpanAtan2, SpanCbrt, SpanCeil, SpanClamp, SpanCompare,
    SpanComplex, SpanConvert, SpanCosine, SpanCountLeadingZeros, SpanDivide, SpanExponential,
    SpanExponentialMinusOne, SpanFloor, SpanImag, SpanIsFinite, SpanLog, SpanLogPlusOne,
    SpanLogistic, SpanMaximum, SpanMinimum, SpanMultiply, SpanNegate, SpanNot, SpanOr, SpanPopcnt,
    SpanPower, SpanReal, SpanReducePrecision, SpanRemainder, SpanRoundNearestAfz,
    SpanRoundNearestEven, SpanRsqrt, SpanSelect, SpanShiftLeft, SpanShiftRightArithmetic,
    SpanShiftRightLogical, SpanSign, SpanSine, SpanSqrt, SpanSubtract, SpanTan, SpanTanh, SpanXor;
SpanRule SpanAcos, SpanAcosh, SpanAsin, SpanAsinh, SpanAtan, SpanAtanh, SpanBesselI1e, SpanConj,
    SpanCosh, SpanDigamma, SpanErf, SpanErfInv, SpanErfc, SpanIsInf, SpanIsNegInf, SpanIsPosInf,
    SpanLgamma, SpanNextAfter, SpanPolygamma, SpanSinh, SpanSquare, SpanZeta;

}  // namespace megalith::stablehlo
