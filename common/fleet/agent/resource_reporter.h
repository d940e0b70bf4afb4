// How much memory and processor time this container has: from control groups of version 1 and 2,
// and from the host where there is no limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

struct MemoryUse {
  int64_t total = 0;      // bytes; 0 if it cannot be told
  int64_t available = 0;  // bytes that can still be taken
};

// Of the whole machine: MemTotal and MemAvailable of `root`/proc/meminfo. Zeros if it cannot be
// read.
MemoryUse HostMemory(FileSystem& files, const std::string& root = "");

// Reads anew with every call. `root` is put in front of all paths (tests). Thread-safe except for
// CpuPercent. A file that cannot be read or understood counts as no limit.
class ResourceReporter {
 public:
  // `memory_limit` counts where no control group limits memory; 0: none.
  explicit ResourceReporter(FileSystem& files, int64_t memory_limit = 0,
                            const Clock& clock = RealClock(), std::string root = "");

  // Of this container: the tightest limit among its control group and those above it, and never
  // more than the host has. Page cache that can be dropped counts as available.
  MemoryUse Memory() const;
  // Processors that it may use: the quota, else those of the host (at least 1).
  double Cpus() const;
  // Time used since the last call, in percent of one processor (200: two of them busy), -1 for the
  // first call and where it cannot be told.
  double CpuPercent();

  // "v1", "v2" or "" where no control group was found.
  std::string version() const { return version_; }

 private:
  struct Limits {
    std::optional<int64_t> limit, usage, reclaimable;
  };
  Limits MemoryAt(const std::string& directory) const;
  std::optional<int64_t> Number(const std::string& path) const;
  std::optional<int64_t> Field(const std::string& path, std::string_view name) const;
  std::string Directory(std::string_view controller) const;

  FileSystem& files_;
  const int64_t memory_limit_;
  const Clock& clock_;
  const std::string root_;
  std::string version_;
  std::string memory_directory_, memory_top_;  // of the group, and above which none is looked at
  std::string cpu_directory_, cpu_top_, cpuacct_directory_;
  std::optional<int64_t> last_cpu_;  // nanoseconds
  std::chrono::nanoseconds last_time_{0};
};

}  // namespace megalith::agent
