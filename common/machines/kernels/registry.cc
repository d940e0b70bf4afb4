// The list of library kernels: one line each.
#include "common/machines/kernels/argminmax.h"
#include "common/machines/kernels/convolution.h"
#include "common/machines/kernels/copy_kernels.h"
#include "common/machines/kernels/dot.h"
#include "common/machines/kernels/fft.h"
#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/lapack.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/lu.h"
#include "common/machines/kernels/rng_bits.h"
#include "common/machines/kernels/sort_kernel.h"
#include "common/machines/kernels/triangular.h"
#include "common/machines/kernels/window_kernels.h"

namespace megalith::kernels {
namespace {

const LibraryKernel* const kKernels[] = {
    &kArgMinMaxKernel,           //
    &kCholeskyKernel,            //
    &kConvolutionKernel,         //
    &kCumulativeKernel,          //
    &kDotKernel,                 //
    &kDynamicSliceKernel,        //
    &kDynamicUpdateSliceKernel,  //
    &kFftKernel,                 //
    &kFillKernel,                //
    &kGatherKernel,              //
    &kGeesKernel,                //
    &kGeevKernel,                //
    &kGehrdKernel,               //
    &kGeqp3Kernel,               //
    &kGeqrfKernel,               //
    &kGesddKernel,               //
    &kGesvdKernel,               //
    &kLuKernel,                  //
    &kOrgqrKernel,               //
    &kReduceWindowKernel,        //
    &kRngBitsKernel,             //
    &kScatterKernel,             //
    &kSelectAndScatterKernel,    //
    &kSortKernel,                //
    &kStridedCopyKernel,         //
    &kSyevdKernel,               //
    &kSytrdKernel,               //
    &kTopKKernel,                //
    &kTriangularSolveKernel,     //
};

}  // namespace

std::span<const LibraryKernel* const> AllLibraryKernels() { return kKernels; }

}  // namespace megalith::kernels
