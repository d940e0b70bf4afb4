#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/discovery/static_file.h"
#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Addresses(const Snapshot& snapshot) {
  std::vector<std::string> out;
  for (const Endpoint& e : *snapshot) out.push_back(e.address);
  return out;
}

TEST(MemoryRegistryTest, RegistrationLastsAsLongAsItsHandle) {
  MemoryRegistry registry;
  auto b = *registry.Register({"trace", "b:1"});
  auto a = *registry.Register({"trace", "a:1"});
  auto other = *registry.Register({"tracer", "c:1"});
  EXPECT_THAT(Addresses(*registry.Lookup("trace")), ElementsAre("a:1", "b:1"));
  b.reset();
  EXPECT_THAT(Addresses(*registry.Lookup("trace")), ElementsAre("a:1"));
}

TEST(MemoryRegistryTest, EqualRegistrationsCount) {
  MemoryRegistry registry;
  auto first = *registry.Register({"trace", "a:1"});
  auto second = *registry.Register({"trace", "a:1"});
  first.reset();
  EXPECT_THAT(Addresses(*registry.Lookup("trace")), ElementsAre("a:1"));
}

TEST(MemoryRegistryTest, WatchersSeeTheStateThenEveryChange) {
  MemoryRegistry registry;
  std::vector<size_t> sizes;
  auto watch = *registry.Watch("trace", [&](const Snapshot& s) { sizes.push_back(s->size()); });
  auto a = *registry.Register({"trace", "a:1"});
  auto unrelated = *registry.Register({"cache", "x:1"});
  a.reset();
  EXPECT_THAT(sizes, ElementsAre(0, 1, 0));
  watch.reset();
  a = *registry.Register({"trace", "a:1"});
  EXPECT_EQ(sizes.size(), 3u);
}

class StaticFileTest : public ::testing::Test {
 protected:
  void WriteFile(std::string_view text) {
    ASSERT_TRUE(RealFileSystem().WriteAtomically(path_, text).ok());
  }
  TempDirectory directory_;
  std::string path_ = JoinPath(directory_.path(), "services");
};

TEST_F(StaticFileTest, ReadsServicesAndReloads) {
  WriteFile("# fleet\ntrace = b:2, a:1 # two\ncache=unix:/x\n\nempty =\n");
  const auto registry =
      *StaticFileRegistry::Open(path_, RealFileSystem(), std::chrono::milliseconds(0));
  EXPECT_THAT(Addresses(*registry->Lookup("trace")), ElementsAre("a:1", "b:2"));
  EXPECT_THAT(Addresses(*registry->Lookup("empty")), IsEmpty());
  EXPECT_THAT(Addresses(*registry->Lookup("nope")), IsEmpty());
  std::vector<std::string> seen;
  const auto watch = *registry->Watch(
      "trace", [&](const Snapshot& s) { seen.push_back(Join(Addresses(s), "+")); });
  WriteFile("trace = c:3\ncache = unix:/x\n");
  ASSERT_TRUE(registry->Reload().ok());
  WriteFile("cache = unix:/x\n");
  ASSERT_TRUE(registry->Reload().ok());
  EXPECT_THAT(seen, ElementsAre("a:1+b:2", "c:3", ""));
}

TEST_F(StaticFileTest, BrokenFileKeepsTheLastGoodContent) {
  WriteFile("trace = a:1\n");
  const auto registry =
      *StaticFileRegistry::Open(path_, RealFileSystem(), std::chrono::milliseconds(0));
  WriteFile("trace\n");
  EXPECT_THAT(registry->Reload().ToString(), HasSubstr("line 1: expects"));
  WriteFile("trace = a:1\ntrace = b:1\n");
  EXPECT_THAT(registry->Reload().ToString(), HasSubstr("line 2: service 'trace' was given before"));
  WriteFile("trace = a:1,,b:1\n");
  EXPECT_THAT(registry->Reload().ToString(), HasSubstr("an address is empty"));
  EXPECT_THAT(Addresses(*registry->Lookup("trace")), ElementsAre("a:1"));
}

TEST_F(StaticFileTest, PollingPicksUpChanges) {
  WriteFile("trace = a:1\n");
  const auto registry =
      *StaticFileRegistry::Open(path_, RealFileSystem(), std::chrono::milliseconds(1));
  std::mutex mu;
  std::condition_variable changed;
  std::string last;
  const auto watch = *registry->Watch("trace", [&](const Snapshot& s) {
    const std::lock_guard<std::mutex> lock(mu);
    last = Join(Addresses(s), "+");
    changed.notify_all();
  });
  WriteFile("trace = b:1\n");
  std::unique_lock<std::mutex> lock(mu);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return last == "b:1"; }));
}

TEST_F(StaticFileTest, MissingFileAndRegistrationAreErrors) {
  EXPECT_EQ(StaticFileRegistry::Open(path_, RealFileSystem(), std::chrono::milliseconds(0))
                .status()
                .code(),
            Code::kNotFound);
  WriteFile("");
  const auto registry =
      *StaticFileRegistry::Open(path_, RealFileSystem(), std::chrono::milliseconds(0));
  EXPECT_EQ(registry->Register({"trace", "a:1"}).status().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace megalith::discovery
