// For tests and benchmarks of library kernels: prepares and runs one on plain vectors.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/machines/kernels/library.h"

namespace megalith::kernels::testing {

// Memory aligned to 64 bytes, as kernels get it.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size)
      : size_(size), data_(std::aligned_alloc(64, (size + 127) / 64 * 64), std::free) {}
  void* data() const { return data_.get(); }
  size_t size() const { return size_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_.get());
  }

 private:
  size_t size_;
  std::unique_ptr<void, void (*)(void*)> data_;
};

// A kernel with memory for its operands and results.
struct KernelRun {
  PreparedKernel kernel;
  std::vector<AlignedBytes> in, out;
  AlignedBytes scratch{0};

  template <typename T>
  T* operand(size_t i) {
    return in[i].as<T>();
  }
  template <typename T>
  T* result(size_t i) {
    return out[i].as<T>();
  }
  Status Run(WorkPool& pool, const Cancellation* cancellation = nullptr,
             const RowEpilogue* epilogue = nullptr) {
    std::vector<const void*> ins;
    std::vector<void*> outs;
    for (const AlignedBytes& b : in) ins.push_back(b.data());
    for (const AlignedBytes& b : out) outs.push_back(b.data());
    const KernelCall call = {ins.data(), outs.data(), scratch.data(), pool, cancellation, epilogue};
    return kernel.run(kernel.state.get(), call);
  }
};

inline size_t BytesOf(const ArraySpec& spec) {
  return static_cast<size_t>(tensor::NumElements(spec.shape).value_or(0)) *
         static_cast<size_t>(tensor::ByteWidth(spec.dtype));
}

inline Result<KernelRun> MakeRun(std::string_view name, std::string_view params,
                                 const std::vector<ArraySpec>& in,
                                 const std::vector<ArraySpec>& out) {
  const LibraryKernel* row = FindLibraryKernel(name);
  if (row == nullptr) return NotFound(std::string(name));
  KernelRun run;
  ASSIGN_OR_RETURN(run.kernel, row->prepare(params, in, out));
  for (const ArraySpec& spec : in) run.in.emplace_back(BytesOf(spec));
  for (const ArraySpec& spec : out) run.out.emplace_back(BytesOf(spec));
  run.scratch = AlignedBytes(run.kernel.scratch_bytes);
  return run;
}

}  // namespace megalith::kernels::testing
