#include "common/foundation/base/large_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace megalith {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kPage = 4096;
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

#if defined(__linux__)
void* MapZeroed(size_t bytes, Pages pages) {
  if (bytes > PTRDIFF_MAX - 2 * kLargePage) return nullptr;
  bytes = RoundUp(std::max<size_t>(bytes, 1), kPage);
  // The system's own choice of address would spoil the first and the last large page.
  void* mapped = mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = RoundUp(start, kLargePage);
  if (aligned > start) munmap(mapped, aligned - start);
  const uintptr_t tail = start + kLargePage - aligned;
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
  auto* memory = reinterpret_cast<void*>(aligned);
  // Not the last one if it would be partly empty. Advice only, as above.
  if (pages == Pages::kLarge) madvise(memory, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
  return memory;
}

void UnmapZeroed(void* memory, size_t bytes) {
  if (memory != nullptr) munmap(memory, RoundUp(std::max<size_t>(bytes, 1), kPage));
}
#else
void* MapZeroed(size_t bytes, Pages) {
  if (bytes > PTRDIFF_MAX - kLargePage) return nullptr;
  bytes = RoundUp(std::max<size_t>(bytes, 1), kLargePage);
  void* memory = std::aligned_alloc(kLargePage, bytes);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

void UnmapZeroed(void* memory, size_t) { std::free(memory); }
#endif

}  // namespace megalith
