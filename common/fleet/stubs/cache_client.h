// Typed client of the cache service.
#pragma once

#include <functional>
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

// A pass of the scrub as the service reports it (cache.proto's ScrubStatus).
struct ScrubReport {
  std::string state;  // "idle", "running", "paused"
  uint64_t pass = 0;
  bool stopped = false;
  uint64_t entries_total = 0;
  uint64_t entries_done = 0;
  uint64_t bytes_done = 0;
  uint64_t good = 0;
  uint64_t repaired = 0;
  uint64_t quarantined = 0;
  uint64_t sidecars_written = 0;
  uint64_t unreadable = 0;
  uint64_t gone = 0;
  int64_t started_unix_nanos = 0;
  int64_t ended_unix_nanos = 0;
  // Symbols as ranges, as they travel.
  struct Proof {
    std::string key;
    int64_t unix_nanos = 0;
    bool repaired = false;
    std::string reason;
    std::string source;
    std::string failure;
    std::string sha256_before;
    std::string sha256_after;
    uint64_t bytes_before = 0;
    uint64_t bytes_after = 0;
    uint32_t symbol_bytes = 0;
    uint32_t source_symbols = 0;
    std::string damaged_symbols;
    std::string unverifiable_symbols;
    std::string used_repair_symbols;
    std::string damaged_repair_symbols;
    std::string proof_file;
    std::string quarantine_file;
  };
  std::vector<Proof> proofs;
};
enum class ScrubAction : uint8_t { kNone, kPause, kResume, kStop };

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

  // Scrubs everything, or follows the scrub under way; `on_progress` is called several times a
  // second. Returns the final report. `bytes_per_second` 0: as configured.
  Result<ScrubReport> Scrub(uint64_t bytes_per_second,
                            const std::function<void(const ScrubReport&)>& on_progress,
                            const rpc::CallOptions& options = {}) const;
  Result<ScrubReport> ControlScrub(ScrubAction action, uint64_t bytes_per_second,
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
