#include "common/fleet/discovery/zookeeper/replica_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::IsEmpty;

constexpr std::chrono::seconds kPatience{60};

class ReplicaRegistryTest : public testing::ZooKeeperTest {
 protected:
  std::unique_ptr<ReplicaRegistry> Open(std::chrono::milliseconds hold = std::chrono::hours(1)) {
    return *ReplicaRegistry::Open(
        {.zookeeper = {.servers = server_.address()}, .base = "/b/service/m", .flap_hold = hold},
        kPatience);
  }
  void Put(const std::string& replica, const std::string& address, int64_t stat,
           int64_t owner = 0) {
    server_.Put(StrCat("/b/service/m/", replica),
                WriteRecord(ReplicaMeta{.address = address, .stat = stat}), owner);
  }
  static std::vector<std::string> Addresses(ReplicaRegistry& registry, const std::string& task) {
    std::vector<std::string> out;
    const Snapshot found = *registry.Lookup(task);
    for (const Endpoint& e : *found) out.push_back(e.address);
    return out;
  }
};

TEST_F(ReplicaRegistryTest, AvailableReplicasAreTheOnesToCall) {
  Put("ps:0/1", "a:1", 30);
  Put("ps:0/2", "b:1", 20);
  Put("ps:1/1", "c:1", 30);
  server_.Put("/b/service/m/ps:0/3", "{ no json");
  server_.Put("/b/service/m/ps:0/four", "{}");
  const auto registry = Open();
  EXPECT_THAT(Addresses(*registry, "ps:0"), ElementsAre("a:1"));
  EXPECT_THAT(registry->Tasks("ps", ""), ElementsAre("ps:0", "ps:1"));
  Put("ps:0/2", "b:1", 30);
  Eventually([&] { return Addresses(*registry, "ps:0").size() == 2; });
  server_.Remove("/b/service/m/ps:0/1");
  Eventually([&] { return Addresses(*registry, "ps:0").size() == 1; });
  EXPECT_THAT(Addresses(*registry, "ps:0"), ElementsAre("b:1"));
  EXPECT_EQ(registry->Register({"ps:0", "x:1"}).status().code(), Code::kUnimplemented);
}

TEST_F(ReplicaRegistryTest, LocationsAreNamedOrJoined) {
  Put("lf:default/ps:0/1", "a:1", 30);
  Put("lq:default/ps:0/1", "b:1", 30);
  const auto registry = Open();
  EXPECT_THAT(Addresses(*registry, "lf:default/ps:0"), ElementsAre("a:1"));
  EXPECT_THAT(Addresses(*registry, "ps:0"), ElementsAre("a:1", "b:1"));
  EXPECT_THAT(registry->Tasks("ps", "lq:default"), ElementsAre("lq:default/ps:0"));
}

TEST_F(ReplicaRegistryTest, AddressThatFlapsStaysInUse) {
  Put("ps:0/1", "a:1", 30);
  Put("ps:0/2", "b:1", 30);
  const auto registry = Open();
  Put("ps:0/1", "a:1", 0);
  Put("ps:0/2", "b:1", 40);  // UNLOADING is no flap
  Eventually([&] { return Addresses(*registry, "ps:0").size() == 1; });
  EXPECT_THAT(Addresses(*registry, "ps:0"), ElementsAre("a:1"));
  server_.Remove("/b/service/m/ps:0/1");  // gone is gone
  Eventually([&] { return Addresses(*registry, "ps:0").empty(); });
}

TEST_F(ReplicaRegistryTest, HoldEndsByItself) {
  Put("ps:0/1", "a:1", 30);
  const auto registry = Open(std::chrono::milliseconds(20));
  std::mutex mu;
  size_t told = 99;
  const auto watch = *registry->Watch("ps:0", [&](const Snapshot& s) {
    const std::lock_guard<std::mutex> lock(mu);
    told = s->size();
  });
  Put("ps:0/1", "a:1", 0);
  Eventually([&] {
    const std::lock_guard<std::mutex> lock(mu);
    return told == 0;
  });
  EXPECT_THAT(Addresses(*registry, "ps:0"), IsEmpty());
}

TEST_F(ReplicaRegistryTest, AnswersStayAndAgeWhileZooKeeperIsLost) {
  Put("ps:0/1", "a:1", 30);
  const auto registry = Open();
  EXPECT_FALSE(registry->Staleness());
  server_.SetReachable(false);
  server_.DropConnections();
  Eventually([&] { return registry->Staleness().has_value(); });
  EXPECT_THAT(Addresses(*registry, "ps:0"), ElementsAre("a:1"));
  Put("ps:0/2", "b:1", 30);
  server_.SetReachable(true);
  Eventually([&] { return Addresses(*registry, "ps:0").size() == 2; });
  Eventually([&] { return !registry->Staleness(); });
}

TEST_F(ReplicaRegistryTest, UnreadableZooKeeperIsAnErrorThatNamesIt) {
  server_.SetReachable(false);
  const auto registry =
      ReplicaRegistry::Open({.zookeeper = {.servers = server_.address()}, .base = "/b/service/m"},
                            std::chrono::milliseconds(10));
  EXPECT_EQ(registry.status().code(), Code::kUnavailable);
  EXPECT_THAT(registry.status().message(), ::testing::HasSubstr(server_.address()));
}

}  // namespace
}  // namespace megalith::discovery
