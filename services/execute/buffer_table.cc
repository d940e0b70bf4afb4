#include "services/execute/buffer_table.h"

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {

BufferTable::BufferTable(uint64_t max_bytes, uint64_t seed, telemetry::MetricRegistry& metrics)
    : max_bytes_(max_bytes),
      prefix_(StrCat(HexEncode({reinterpret_cast<const uint8_t*>(&seed), sizeof(seed)}), "-")),
      bytes_gauge_(metrics.GetGauge(telemetry::kBufferBytes)),
      count_gauge_(metrics.GetGauge(telemetry::kBuffers)) {}

Status BufferTable::Fits(uint64_t bytes) const {
  if (bytes <= max_bytes_ - bytes_) return OkStatus();
  return ResourceExhausted(StrCat("buffer of ", bytes, " bytes does not fit, ", bytes_,
                                  " are in use and max_buffer_bytes is ", max_bytes_,
                                  "; free buffers"));
}

Result<std::string> BufferTable::Put(tensor::Tensor tensor) {
  const std::lock_guard<std::mutex> lock(mu_);
  RETURN_IF_ERROR(Fits(tensor.byte_size()));
  bytes_ += tensor.byte_size();
  std::string handle = StrCat(prefix_, next_++);
  buffers_.emplace(handle, std::move(tensor));
  bytes_gauge_.Set(static_cast<double>(bytes_));
  count_gauge_.Set(static_cast<double>(buffers_.size()));
  return handle;
}

Result<tensor::Tensor> BufferTable::Get(const std::string& handle) const {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = buffers_.find(handle);
  if (at == buffers_.end())
    return NotFound(StrCat("no buffer '", Printable(handle), "' at this service"));
  return at->second;
}

Status BufferTable::Reserve(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(mu_);
  RETURN_IF_ERROR(Fits(bytes));
  bytes_ += bytes;
  bytes_gauge_.Set(static_cast<double>(bytes_));
  return OkStatus();
}

void BufferTable::Release(uint64_t bytes) {
  if (bytes == 0) return;
  const std::lock_guard<std::mutex> lock(mu_);
  bytes_ -= bytes;
  bytes_gauge_.Set(static_cast<double>(bytes_));
}

bool BufferTable::Free(const std::string& handle) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = buffers_.find(handle);
  if (at == buffers_.end()) return false;
  bytes_ -= at->second.byte_size();
  buffers_.erase(at);
  bytes_gauge_.Set(static_cast<double>(bytes_));
  count_gauge_.Set(static_cast<double>(buffers_.size()));
  return true;
}

}  // namespace megalith::services
