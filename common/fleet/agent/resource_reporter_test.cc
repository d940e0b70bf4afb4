#include "common/fleet/agent/resource_reporter.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

class FakeClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override { return now; }
  int64_t UnixNanos() const override { return now.count(); }
  std::chrono::nanoseconds now{std::chrono::seconds(100)};
};

class ResourceReporterTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, std::string_view text) {
    const std::string full = StrCat(directory_.path(), path);
    ASSERT_TRUE(RealFileSystem().MakeDirectory(full.substr(0, full.rfind('/'))).ok());
    ASSERT_TRUE(RealFileSystem().WriteAtomically(full, text).ok());
  }
  ResourceReporter Make(int64_t memory_limit = 0) {
    return ResourceReporter(RealFileSystem(), memory_limit, clock_, directory_.path());
  }
  void PutHost() {
    Put("/proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  600 kB\n");
  }
  TempDirectory directory_;
  FakeClock clock_;
};

TEST_F(ResourceReporterTest, Version2TakesTheTightestLimitAbove) {
  PutHost();
  Put("/proc/self/cgroup", "0::/pod/box\n");
  Put("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  Put("/sys/fs/cgroup/pod/memory.max", "512000\n");
  Put("/sys/fs/cgroup/pod/memory.current", "300000\n");
  Put("/sys/fs/cgroup/pod/memory.stat", "anon 5\ninactive_file 100000\n");
  Put("/sys/fs/cgroup/pod/box/memory.max", "max\n");
  Put("/sys/fs/cgroup/pod/box/memory.current", "1\n");
  Put("/sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  Put("/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
  Put("/sys/fs/cgroup/pod/box/cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
  ResourceReporter reporter = Make();
  EXPECT_EQ(reporter.version(), "v2");
  EXPECT_EQ(reporter.Memory().total, 512000);
  EXPECT_EQ(reporter.Memory().available, 312000);
  EXPECT_EQ(reporter.Cpus(), 0.5);
  EXPECT_EQ(reporter.CpuPercent(), -1);
  Put("/sys/fs/cgroup/pod/box/cpu.stat", "usage_usec 4000000\n");
  clock_.now += std::chrono::seconds(2);
  EXPECT_EQ(reporter.CpuPercent(), 150);
}

TEST_F(ResourceReporterTest, Version1ReadsEachControllerWhereItIs) {
  PutHost();
  Put("/proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/\n");
  Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "400000\n");
  Put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "150000\n");
  Put("/sys/fs/cgroup/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 50000\n");
  Put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "25000\n");
  Put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  Put("/sys/fs/cgroup/cpuacct/box/cpuacct.usage", "1000000000\n");
  ResourceReporter reporter = Make();
  EXPECT_EQ(reporter.version(), "v1");
  EXPECT_EQ(reporter.Memory().total, 400000);
  EXPECT_EQ(reporter.Memory().available, 300000);
  EXPECT_EQ(reporter.Cpus(), 0.25);
  (void)reporter.CpuPercent();
  Put("/sys/fs/cgroup/cpuacct/box/cpuacct.usage", "1250000000\n");
  clock_.now += std::chrono::seconds(1);
  EXPECT_EQ(reporter.CpuPercent(), 25);
}

// In a container with a name space of its own the kernel's path is not there.
TEST_F(ResourceReporterTest, GroupThatIsNotMountedIsTheTop) {
  PutHost();
  Put("/proc/self/cgroup", "0::/somewhere/else\n");
  Put("/sys/fs/cgroup/cgroup.controllers", "memory\n");
  Put("/sys/fs/cgroup/memory.max", "200000\n");
  Put("/sys/fs/cgroup/memory.current", "50000\n");
  EXPECT_EQ(Make().Memory().total, 200000);
  EXPECT_EQ(Make().Memory().available, 150000);
}

TEST_F(ResourceReporterTest, WithoutLimitsTheHostCounts) {
  PutHost();
  EXPECT_EQ(Make().version(), "");
  EXPECT_EQ(Make().Memory().total, 1024000);
  EXPECT_EQ(Make().Memory().available, 614400);
  EXPECT_EQ(Make(600000).Memory().total, 600000);
  EXPECT_EQ(Make(600000).Memory().available, 190400);
  EXPECT_EQ(Make().Cpus(), std::max(1U, std::thread::hardware_concurrency()));
  EXPECT_EQ(Make().CpuPercent(), -1);
}

TEST_F(ResourceReporterTest, DamagedFilesCountAsNoLimit) {
  Put("/proc/meminfo", "MemTotal: x kB\nMemAvailable: 99999999999999999999 kB\nMemTotal:\n");
  Put("/proc/self/cgroup", "0\n:::\n0::/../../etc\n\n");
  Put("/sys/fs/cgroup/cgroup.controllers", "");
  Put("/sys/fs/cgroup/memory.max", "-5");
  Put("/sys/fs/cgroup/cpu.max", "1 0");
  Put("/sys/fs/cgroup/cpu.stat", "usage_usec\n");
  ResourceReporter reporter = Make();
  EXPECT_EQ(reporter.Memory().total, 0);
  EXPECT_GE(reporter.Cpus(), 1);
  EXPECT_EQ(reporter.CpuPercent(), -1);
}

}  // namespace
}  // namespace megalith::agent
