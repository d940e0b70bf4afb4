// Custom calls that have a meaning of their own: factorizations that StableHLO has no operation
// for. Targets, operands and results are described in docs/formats/custom-calls.md.
#pragma once

#include <span>
#include <string_view>

#include "common/programs/stablehlo/kernels/prepare.h"

namespace megalith::stablehlo {

// One target. Preparing checks the types of operands and results, which a custom call leaves open.
struct LibraryCall {
  std::string_view target;
  PrepareRule* prepare;
};

// nullptr for a target without a row.
const LibraryCall* FindLibraryCall(std::string_view target);

PrepareRule PrepareQr, PrepareReflectorProduct, PreparePivotedQr, PrepareTridiagonal,
    PrepareHessenberg, PrepareEigh, PrepareSvd, PrepareEig, PrepareSchur;
// Those of lapack_calls.h that differ from these.
PrepareRule PreparePotrf, PrepareGetrf, PrepareTrsm, PrepareGesvd, PrepareSyevd, PrepareGeev,
    PrepareGees, PrepareGehrd, PrepareSytrd, PrepareGtsv;

}  // namespace megalith::stablehlo
