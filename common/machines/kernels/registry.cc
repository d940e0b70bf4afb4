// The list of library kernels: one line each.
#include <iterator>

#include "common/machines/kernels/argminmax.h"
#include "common/machines/kernels/copy_kernels.h"
#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/rng_bits.h"
#include "common/machines/kernels/sort_kernel.h"
#include "common/machines/kernels/window_kernels.h"

namespace megalith::kernels {
namespace {

const LibraryKernel* const kKernels[] = {
    &kArgMinMaxKernel, &kCumulativeKernel,       &kDynamicSliceKernel, &kDynamicUpdateSliceKernel,
    &kFillKernel,      &kGatherKernel,           &kReduceWindowKernel, &kRngBitsKernel,
    &kScatterKernel,   &kSelectAndScatterKernel, &kSortKernel,         &kStridedCopyKernel,
    &kTopKKernel,
};

}  // namespace

std::span<const LibraryKernel* const> AllLibraryKernels() { return kKernels; }

}  // namespace megalith::kernels
