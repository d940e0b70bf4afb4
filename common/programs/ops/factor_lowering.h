// Lowering rules of factorizations: as programs of simpler primitives, or as calls of libraries.
#pragma once

#include "common/programs/lowering/context.h"

namespace megalith::ops {

Status LowerLu(lowering::LowerContext& c);
Status LowerPivots(lowering::LowerContext& c);
Status LowerQr(lowering::LowerContext& c);
Status LowerGeqrf(lowering::LowerContext& c);
Status LowerHouseholderProduct(lowering::LowerContext& c);
Status LowerCholeskyUpdate(lowering::LowerContext& c);
Status LowerSymmetricProduct(lowering::LowerContext& c);

// JAX lowers these on platforms of its own only; here they call targets of ours
// (docs/formats/custom-calls.md).
Status LowerGeqp3(lowering::LowerContext& c);
Status LowerTridiagonal(lowering::LowerContext& c);
Status LowerHessenberg(lowering::LowerContext& c);
Status LowerEigh(lowering::LowerContext& c);
Status LowerSvd(lowering::LowerContext& c);
Status LowerEig(lowering::LowerContext& c);
Status LowerSchur(lowering::LowerContext& c);

}  // namespace megalith::ops
