// The list of library kernels: one line each.
#include "common/machines/kernels/convolution.h"
#include "common/machines/kernels/copy_kernels.h"
#include "common/machines/kernels/dot.h"
#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/rng_bits.h"
#include "common/machines/kernels/sort_kernel.h"
#include "common/machines/kernels/triangular.h"

namespace megalith::kernels {
namespace {

const LibraryKernel* const kKernels[] = {
    &kCholeskyKernel,            //
    &kConvolutionKernel,         //
    &kDotKernel,                 //
    &kDynamicSliceKernel,        //
    &kDynamicUpdateSliceKernel,  //
    &kFillKernel,                //
    &kGatherKernel,              //
    &kRngBitsKernel,             //
    &kScatterKernel,             //
    &kSortKernel,                //
    &kStridedCopyKernel,         //
    &kTriangularSolveKernel,     //
};

}  // namespace

std::span<const LibraryKernel* const> AllLibraryKernels() { return kKernels; }

}  // namespace megalith::kernels
