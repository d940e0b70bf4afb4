// Kernels that are not fused loops: matrix products, convolutions, sorts, factorizations and the
// like. Each is one row (LibraryKernel) in the file that implements it, listed in registry.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/shape.h"
#include "common/machines/kernels/work_pool.h"

namespace megalith::kernels {

using tensor::Dims;
using tensor::DType;
using tensor::Shape;

// One operand or result: dense, row-major, aligned to 64 bytes.
struct ArraySpec {
  DType dtype = DType::kInvalid;
  Shape shape;
};

// Work done on rows of the first result as soon as they are complete, while they are in the cache:
// the elementwise tail of a matrix product. Called for disjoint ranges of rows, from several
// threads; a row is the last dimension, rows are numbered over all others.
struct RowEpilogue {
  void (*run)(void* arg, int64_t begin, int64_t end) = nullptr;
  void* arg = nullptr;
};

struct KernelCall {
  const void* const* in;
  void* const* out;
  void* scratch;  // PreparedKernel::scratch_bytes, aligned to 64
  WorkPool& pool;
  const Cancellation* cancellation = nullptr;
  const RowEpilogue* epilogue = nullptr;  // only if PreparedKernel::takes_epilogue

  // kCancelled or kDeadlineExceeded once the caller gave up; long kernels ask every 10 ms or so.
  Status Poll() const { return cancellation == nullptr ? OkStatus() : cancellation->Check(); }
};

// A kernel made ready for fixed shapes and parameters. Immutable; `run` may be called from any
// number of threads at once with different calls.
struct PreparedKernel {
  std::shared_ptr<const void> state;
  Status (*run)(const void* state, const KernelCall& call) = nullptr;
  uint64_t scratch_bytes = 0;
  // Operands whose storage may be that of out[0]: bit i stands for in[i]. The kernel then updates
  // in place. No result may share storage with any other operand.
  uint32_t in_place = 0;
  bool takes_epilogue = false;
};

struct LibraryKernel {
  std::string_view name;  // persistent: part of packages
  // `params` is what PackParams made. Everything is checked: the bytes may come from a damaged
  // package. Errors: kInvalidArgument (says what does not fit), kUnimplemented (dtype).
  Result<PreparedKernel> (*prepare)(std::string_view params, std::span<const ArraySpec> in,
                                    std::span<const ArraySpec> out);
};

// nullptr for a name without a row.
const LibraryKernel* FindLibraryKernel(std::string_view name);
std::span<const LibraryKernel* const> AllLibraryKernels();

// Parameters as a flat list of numbers; lists inside are preceded by their length. Each kernel's
// header documents its own.
std::string PackParams(std::span<const int64_t> values);
// kInvalidArgument if `params` is not a multiple of eight bytes.
Result<std::vector<int64_t>> UnpackParams(std::string_view params);

}  // namespace megalith::kernels
