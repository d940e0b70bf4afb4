// Elements that do not fill their byte. Those narrower than a byte each lie in one of their own,
// signed integers with their sign repeated, all others below zeros; booleans are 0 or 1.
#pragma once

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::tensor {

// Integers and floats of less than a byte; not booleans.
bool IsNarrow(DType dtype);

// Makes what the low bits of every byte say the whole of the element: NumPy and other dtypes keep
// something else above them. Copies the storage unless it is unique. Requires IsNarrow.
Status ExtendNarrow(Tensor* t);

// Makes elements that somebody else wrote as they are kept here: ExtendNarrow, and booleans of any
// byte but 0 become 1. Copies the storage only if an element has to change, or is narrow.
Status NormalizeElements(Tensor* t);

// Writes the bits of `from` as elements of another width, low bits first. Requires that one width
// divides the other, equally many bits in both, IsNarrow of one of them, and storage of its own
// that is all zeros in `to`.
void RecutBits(const Tensor& from, Tensor* to);

}  // namespace megalith::tensor
