// Tier 0: runs fused kernels on ready-made vector routines, a tile of elements at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "common/machines/runtime/loop.h"

namespace megalith::runtime {

// What runs points [begin, end) of a kernel's outer dimensions (numbered row-major). `buffers` are
// the arguments in order; `scratch` is memory of the calling thread, of the size the kernel asked
// for, aligned to 64. Machine code has this signature (tier 1). Different ranges may run at once.
using LoopFn = void (*)(void* const* buffers, int64_t begin, int64_t end, void* scratch);

// A kernel made ready to be interpreted. Immutable and thread-safe.
class TileProgram {
 public:
  // Requires a kernel that CheckLoopKernel accepts. Cost: linear in the number of instructions, a
  // few microseconds.
  explicit TileProgram(const LoopKernel& kernel);
  ~TileProgram();
  TileProgram(TileProgram&&) noexcept;

  uint64_t scratch_bytes() const;
  void Run(void* const* buffers, int64_t begin, int64_t end, void* scratch) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace megalith::runtime
