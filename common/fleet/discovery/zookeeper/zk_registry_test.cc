#include "common/fleet/discovery/zookeeper/zk_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;

class ZkRegistryTest : public testing::ZooKeeperTest {
 protected:
  std::unique_ptr<ZkRegistry> Open() {
    return *ZkRegistry::Open({.servers = server_.address()}, std::chrono::seconds(60));
  }
  static std::vector<std::string> Addresses(ZkRegistry& registry, const std::string& service) {
    std::vector<std::string> out;
    const Snapshot found = *registry.Lookup(service);
    for (const Endpoint& e : *found) out.push_back(e.address);
    return out;
  }
};

TEST_F(ZkRegistryTest, RegistrationsAreSeenByOthersAsLongAsTheirHandles) {
  const auto one = Open();
  const auto two = Open();
  auto a = *one->Register({"trace", "host:1"});
  const auto b = *one->Register({"trace", "unix:/run/x%y"});
  const auto c = *two->Register({"cache", "host:2"});
  Eventually([&] { return Addresses(*two, "trace").size() == 2; });
  EXPECT_THAT(Addresses(*two, "trace"), ElementsAre("host:1", "unix:/run/x%y"));
  EXPECT_EQ(server_.Data("/megalith/services/trace/unix:%2frun%2fx%25y"), "unix:/run/x%y");
  const auto again = *one->Register({"trace", "host:1"});
  a.reset();
  EXPECT_TRUE(server_.Data("/megalith/services/trace/host:1"));
}

TEST_F(ZkRegistryTest, WatchersHearOfEveryChange) {
  const auto one = Open();
  const auto two = Open();
  std::mutex mu;
  std::vector<std::string> seen;
  const auto watch = *two->Watch("trace", [&](const Snapshot& s) {
    std::vector<std::string> addresses;
    for (const Endpoint& e : *s) addresses.push_back(e.address);
    const std::lock_guard<std::mutex> lock(mu);
    seen.push_back(Join(addresses, "+"));
  });
  const auto last = [&] {
    const std::lock_guard<std::mutex> lock(mu);
    return seen.back();
  };
  auto a = *one->Register({"trace", "a:1"});
  Eventually([&] { return last() == "a:1"; });
  a.reset();
  Eventually([&] { return last().empty(); });
  EXPECT_THAT(seen, ElementsAre("", "a:1", ""));
}

TEST_F(ZkRegistryTest, LostSessionIsRepairedWithoutHelp) {
  const auto one = Open();
  const auto two = Open();
  const auto a = *one->Register({"trace", "a:1"});
  Eventually([&] { return Addresses(*two, "trace").size() == 1; });
  const int64_t before = *server_.Owner("/megalith/services/trace/a:1");
  server_.ExpireSessions();
  Eventually([&] {
    const auto owner = server_.Owner("/megalith/services/trace/a:1");
    return owner && *owner != before;
  });
  Eventually([&] { return Addresses(*two, "trace").size() == 1; });
}

TEST_F(ZkRegistryTest, StartsWithoutZooKeeperAndCatchesUp) {
  server_.SetReachable(false);
  const auto registry =
      *ZkRegistry::Open({.servers = server_.address()}, std::chrono::milliseconds(1));
  EXPECT_EQ(registry->Lookup("trace").status().code(), Code::kUnavailable);
  const auto a = *registry->Register({"trace", "a:1"});
  server_.SetReachable(true);
  Eventually(
      [&] { return registry->Lookup("trace").ok() && Addresses(*registry, "trace").size() == 1; });
}

TEST_F(ZkRegistryTest, BadRegistrationsAndTargetsAreErrors) {
  const auto registry = Open();
  EXPECT_EQ(registry->Register({"", "a:1"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(registry->Register({"..", "a:1"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ZkServersOf("zk://a:1,b:2/c"), "a:1,b:2/c");
  EXPECT_FALSE(ZkServersOf("zookeeper://a:1"));
}

}  // namespace
}  // namespace megalith::discovery
