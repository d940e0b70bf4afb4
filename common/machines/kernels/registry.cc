// The list of library kernels: one line each.
#include <iterator>

#include "common/machines/kernels/index_kernels.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/sort_kernel.h"

namespace megalith::kernels {
namespace {

const LibraryKernel* const kKernels[] = {
    &kGatherKernel,
    &kScatterKernel,
    &kSortKernel,
};

}  // namespace

std::span<const LibraryKernel* const> AllLibraryKernels() { return kKernels; }

}  // namespace megalith::kernels
