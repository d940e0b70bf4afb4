// The list of library kernels: one line each.
#include "common/machines/kernels/convolution.h"
#include "common/machines/kernels/dot.h"
#include "common/machines/kernels/fft.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/triangular.h"

namespace megalith::kernels {
namespace {

const LibraryKernel* const kKernels[] = {
    &kDotKernel, &kConvolutionKernel, &kCholeskyKernel, &kFftKernel, &kTriangularSolveKernel,
};

}  // namespace

std::span<const LibraryKernel* const> AllLibraryKernels() { return kKernels; }

}  // namespace megalith::kernels
