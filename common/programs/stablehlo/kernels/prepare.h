// The kernels of all other operations, by op; named in the op's row.
#pragma once

#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

using PrepareRule = Result<Kernel>(Planner& planner, const Op& op);

// The kernel of any op with a span rule.
PrepareRule PrepareElementwise;

PrepareRule PrepareConstant, PrepareIota, PrepareBroadcast, PrepareReshape, PrepareBitcast,
    PrepareTranspose, PrepareReverse, PrepareSlice, PrepareDynamicSlice, PrepareDynamicUpdateSlice,
    PrepareConcatenate, PreparePad, PrepareGetDimensionSize, PrepareGather, PrepareScatter;
PrepareRule PrepareReduce, PrepareReduceWindow, PrepareSelectAndScatter, PrepareSort, PrepareTopK;
PrepareRule PrepareDotGeneral, PrepareConvolution, PrepareFft, PrepareCholesky,
    PrepareTriangularSolve;
PrepareRule PrepareCall, PrepareComposite, PrepareWhile, PrepareCase, PrepareIf, PrepareIdentity,
    PrepareToken, PrepareDeviceId, PrepareRng, PrepareRngBitGenerator, PrepareCustomCall,
    PrepareCollectivePermute;

}  // namespace megalith::stablehlo
