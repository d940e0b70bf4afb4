#include "common/fleet/agent/resource_reporter.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr int64_t kUnlimited = int64_t{1} << 60;  // version 1 writes such a number for no limit

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> out;
  for (const std::string_view word : Split(line, ' ')) {
    if (!Trim(word).empty()) out.push_back(Trim(word));
  }
  return out;
}

// Kilobytes of a line "MemTotal:  123 kB" as bytes.
int64_t MemInfo(std::string_view text, std::string_view name) {
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.starts_with(name)) continue;
    const auto words = Words(line);
    const auto kilobytes = words.size() > 1 ? ParseInt(words[1]) : std::nullopt;
    if (kilobytes && *kilobytes >= 0 && *kilobytes < kUnlimited / 1024) return *kilobytes * 1024;
  }
  return 0;
}

std::string Parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

MemoryUse HostMemory(FileSystem& files, const std::string& root) {
  const auto text = files.Read(StrCat(root, "/proc/meminfo"), kMaxFileBytes);
  if (!text.ok()) return {};
  return {.total = MemInfo(*text, "MemTotal:"), .available = MemInfo(*text, "MemAvailable:")};
}

std::optional<int64_t> ResourceReporter::Number(const std::string& path) const {
  const auto text = files_.Read(path, kMaxFileBytes);
  return text.ok() ? ParseInt(Trim(*text)) : std::nullopt;
}

std::optional<int64_t> ResourceReporter::Field(const std::string& path,
                                               std::string_view name) const {
  const auto text = files_.Read(path, kMaxFileBytes);
  if (!text.ok()) return std::nullopt;
  for (const std::string_view line : Split(*text, '\n')) {
    const auto words = Words(line);
    if (words.size() == 2 && words[0] == name) return ParseInt(words[1]);
  }
  return std::nullopt;
}

// The group of this process for one controller of version 1, "" for that of version 2. Within a
// name space of its own the path that the kernel tells may not be there: the top is ours then.
std::string ResourceReporter::Directory(std::string_view controller) const {
  std::string top = StrCat(root_, "/sys/fs/cgroup");
  if (!controller.empty()) StrAppend(&top, "/", controller);
  const auto text = files_.Read(StrCat(root_, "/proc/self/cgroup"), kMaxFileBytes);
  if (!text.ok()) return top;
  for (const std::string_view line : Split(*text, '\n')) {
    // "4:memory:/path" or "0::/path"
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const auto names = Split(line.substr(first + 1, second - first - 1), ',');
    if (std::find(names.begin(), names.end(), controller) == names.end()) continue;
    std::string path = StrCat(top, line.substr(second + 1));
    while (path.size() > top.size() && path.back() == '/') path.pop_back();
    if (path.find("/../") == path.npos && files_.Stat(path).ok()) return path;
  }
  return top;
}

ResourceReporter::ResourceReporter(FileSystem& files, int64_t memory_limit, const Clock& clock,
                                   std::string root)
    : files_(files), memory_limit_(memory_limit), clock_(clock), root_(std::move(root)) {
  const std::string top = StrCat(root_, "/sys/fs/cgroup");
  if (files_.Stat(StrCat(top, "/cgroup.controllers")).ok()) {
    version_ = "v2";
    memory_directory_ = cpu_directory_ = cpuacct_directory_ = Directory("");
    memory_top_ = cpu_top_ = top;
  } else if (files_.Stat(StrCat(top, "/memory")).ok() || files_.Stat(StrCat(top, "/cpu")).ok()) {
    version_ = "v1";
    memory_directory_ = Directory("memory");
    cpu_directory_ = Directory("cpu");
    cpuacct_directory_ = Directory("cpuacct");
    memory_top_ = StrCat(top, "/memory");
    cpu_top_ = StrCat(top, "/cpu");
  }
}

ResourceReporter::Limits ResourceReporter::MemoryAt(const std::string& directory) const {
  Limits out;
  if (version_ == "v2") {
    out.limit = Number(StrCat(directory, "/memory.max"));  // "max" is no number
    out.usage = Number(StrCat(directory, "/memory.current"));
    out.reclaimable = Field(StrCat(directory, "/memory.stat"), "inactive_file");
  } else {
    out.limit = Number(StrCat(directory, "/memory.limit_in_bytes"));
    out.usage = Number(StrCat(directory, "/memory.usage_in_bytes"));
    out.reclaimable = Field(StrCat(directory, "/memory.stat"), "total_inactive_file");
  }
  if (out.limit && (*out.limit <= 0 || *out.limit >= kUnlimited)) out.limit.reset();
  return out;
}

MemoryUse ResourceReporter::Memory() const {
  MemoryUse out = HostMemory(files_, root_);
  bool limited = false;
  for (std::string at = memory_directory_; !version_.empty(); at = Parent(at)) {
    const Limits group = MemoryAt(at);
    if (group.limit && (out.total == 0 || *group.limit < out.total || limited)) {
      const int64_t used = std::clamp<int64_t>(
          group.usage.value_or(0) - std::max<int64_t>(group.reclaimable.value_or(0), 0), 0,
          *group.limit);
      out.available =
          out.total == 0 ? *group.limit - used : std::min(out.available, *group.limit - used);
      out.total = out.total == 0 ? *group.limit : std::min(out.total, *group.limit);
      limited = true;
    }
    if (at.size() <= memory_top_.size()) break;
  }
  if (!limited && memory_limit_ > 0 && (out.total == 0 || memory_limit_ < out.total)) {
    // What is used of it is not known: as much as of the host, and no more than all of it.
    const int64_t used = out.total - out.available;
    out = {.total = memory_limit_, .available = std::max<int64_t>(memory_limit_ - used, 0)};
  }
  return out;
}

double ResourceReporter::Cpus() const {
  double cpus = std::max(1U, std::thread::hardware_concurrency());
  for (std::string at = cpu_directory_; !version_.empty(); at = Parent(at)) {
    std::optional<int64_t> quota, period;
    if (version_ == "v2") {
      const auto text = files_.Read(StrCat(at, "/cpu.max"), kMaxFileBytes);
      const auto words = text.ok() ? Words(*text) : std::vector<std::string_view>();
      if (words.size() == 2) {
        quota = ParseInt(words[0]);
        period = ParseInt(words[1]);
      }
    } else {
      quota = Number(StrCat(at, "/cpu.cfs_quota_us"));
      period = Number(StrCat(at, "/cpu.cfs_period_us"));
    }
    if (quota && period && *quota > 0 && *period > 0) {
      cpus = std::min(cpus, static_cast<double>(*quota) / static_cast<double>(*period));
    }
    if (at.size() <= cpu_top_.size()) break;
  }
  return cpus;
}

double ResourceReporter::CpuPercent() {
  std::optional<int64_t> used;  // nanoseconds
  if (version_ == "v2") {
    used = Field(StrCat(cpuacct_directory_, "/cpu.stat"), "usage_usec");
    if (used) used = *used >= 0 && *used < kUnlimited / 1000 ? *used * 1000 : 0;
  } else if (version_ == "v1") {
    used = Number(StrCat(cpuacct_directory_, "/cpuacct.usage"));
  }
  const std::chrono::nanoseconds now = clock_.Monotonic();
  const auto before = std::exchange(last_cpu_, used);
  const std::chrono::nanoseconds elapsed = now - std::exchange(last_time_, now);
  if (!before || !used || elapsed.count() <= 0 || *used < *before) return -1;
  return 100.0 * static_cast<double>(*used - *before) / static_cast<double>(elapsed.count());
}

}  // namespace megalith::agent
