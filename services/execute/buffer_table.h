// Tensors that clients keep with the service between calls.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::services {

// Handles are "<process>-<number>": one of an earlier process is never mistaken for one of this.
// Thread-safe; tensors are shared, not copied.
class BufferTable {
 public:
  // `metrics` must outlive the table.
  BufferTable(uint64_t max_bytes, uint64_t seed, telemetry::MetricRegistry& metrics);

  // Errors: kResourceExhausted  the budget, by name.
  Result<std::string> Put(tensor::Tensor tensor);
  // Errors: kNotFound.
  Result<tensor::Tensor> Get(const std::string& handle) const;
  // True if it existed.
  bool Free(const std::string& handle);

  // Counts bytes that somebody else holds against the budget. Errors: kResourceExhausted.
  Status Reserve(uint64_t bytes);
  void Release(uint64_t bytes);

 private:
  const uint64_t max_bytes_;
  const std::string prefix_;
  telemetry::Gauge& bytes_gauge_;
  telemetry::Gauge& count_gauge_;
  Status Fits(uint64_t bytes) const;  // requires mu_
  mutable std::mutex mu_;
  uint64_t next_ = 0;                              // guarded by mu_
  uint64_t bytes_ = 0;                             // guarded by mu_
  std::map<std::string, tensor::Tensor> buffers_;  // guarded by mu_
};

}  // namespace megalith::services
