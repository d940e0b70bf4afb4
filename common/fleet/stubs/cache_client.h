// Typed client of the cache service.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/cache/cache.h"
#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

struct CacheStatus {
  cache::Stats stats;
  cache::CacheOptions options;  // budgets only
  std::vector<cache::EntryInfo> found;
};

struct CacheExplanation {
  cache::EntryInfo left;
  cache::EntryInfo right;
  std::vector<cache::Difference> differences;
};

// Values of any size: large ones travel in chunks. Thread-safe. Errors: those of the service
// (protos/megalith/cache/v1), and those of rpc::UnaryMethod.
class CacheClient {
 public:
  explicit CacheClient(std::shared_ptr<rpc::Channel> channel);
  ~CacheClient();

  Result<cache::Entry> Get(const std::string& key, const rpc::CallOptions& options = {}) const;
  // True if the key was there already.
  Result<bool> Put(const cache::Key& key, const std::string& value,
                   const rpc::CallOptions& options = {}) const;
  Result<std::vector<std::string>> FindMissing(const std::vector<std::string>& keys,
                                               const rpc::CallOptions& options = {}) const;
  Result<CacheStatus> Stat(const std::vector<std::string>& keys,
                           const rpc::CallOptions& options = {}) const;
  Result<cache::Evicted> Evict(const std::vector<std::string>& keys,
                               std::optional<uint64_t> down_to_bytes,
                               const rpc::CallOptions& options = {}) const;
  Result<CacheExplanation> Explain(const std::string& left, const std::string& right,
                                   const rpc::CallOptions& options = {}) const;

  // Values above this many bytes are sent in chunks of this size.
  static constexpr size_t kChunkBytes = 1 << 20;

 private:
  struct Methods;
  Result<cache::Entry> GetInChunks(const std::string& key, const rpc::CallOptions& options) const;
  Result<bool> PutInChunks(const cache::Key& key, const std::string& value,
                           const rpc::CallOptions& options) const;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs
