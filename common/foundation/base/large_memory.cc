#include "common/foundation/base/large_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace megalith {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargePage = size_t{2} << 20;

size_t RoundUp(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

void* AllocateArray(size_t bytes) {
  if (bytes > PTRDIFF_MAX - kLargePage) return nullptr;
  bytes = RoundUp(std::max<size_t>(bytes, 1), kAlignment);
#if defined(__linux__)
  if (bytes >= 2 * kLargePage) {
    void* p = std::aligned_alloc(kLargePage, RoundUp(bytes, kLargePage));
    // Advice only: a system that does not take it serves us as before.
    if (p != nullptr) madvise(p, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
    return p;
  }
#endif
  return std::aligned_alloc(kAlignment, bytes);
}

}  // namespace megalith
