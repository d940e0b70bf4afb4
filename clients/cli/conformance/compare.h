// When an array counts as the one the oracle gave.
#pragma once

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::conformance {

// |got - want| <= atol * max(1, max finite |want|) + rtol * |want|, NaN equal to NaN, infinities
// equal with sign; or bit for bit, NaN payloads aside.
struct Tolerance {
  bool exact = false;
  double rtol = 0;
  double atol = 0;
};

// OK if the arrays agree, otherwise a sentence saying where they differ.
Status CompareTensors(const tensor::Tensor& got, const tensor::Tensor& want,
                      const Tolerance& tolerance);

}  // namespace megalith::conformance
