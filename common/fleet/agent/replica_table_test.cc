#include "common/fleet/agent/replica_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class FakeClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override { return now; }
  int64_t UnixNanos() const override { return now.count(); }
  std::chrono::nanoseconds now{1};
};

class ReplicaTableTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& data, int64_t owner = 1) {
    const size_t slash = path.rfind('/');
    if (slash != path.npos && !tree_.nodes.contains(path.substr(0, slash))) {
      Put(path.substr(0, slash), "", 0);
    }
    discovery::ZkNode node;
    node.data = data;
    node.owner_session = owner;
    tree_.nodes[path] = std::make_shared<const discovery::ZkNode>(std::move(node));
  }
  static std::string Meta(const std::string& address, int64_t stat = 30) {
    return discovery::WriteRecord(discovery::ReplicaMeta{.address = address, .stat = stat});
  }
  FakeClock clock_;
  discovery::Tree tree_;
};

// Spec 13.1: the nodes and how they are seen.
TEST_F(ReplicaTableTest, HandWrittenNodesAreReadAsMeasured) {
  ReplicaTable table({.dc_aware = true, .idc = "lf", .cluster = "default"});
  Put("lf:default/ps:0/1", Meta("full:1"));
  Put("lf:default/ps:1/0000000002", R"({"address":"compact:1","stat":30})");
  Put("lf:default/ps:2/1", R"({"address": "extra:1", "stat": 30, "zone": "x"})");
  Put("lf:default/ps:3/1", Meta("loading:1", 20));
  Put("lf:default/ps:4/1", R"({"address": "text:1", "stat": "AVAILABLE"})");
  Put("lf:default/ps:5/1", "{}");
  Put("lf:default/ps:6/1",
      R"({"address": "0.0.0.0:9001", "address_ipv6": "[fe80::1]:9001", "stat": 30})");
  Put("lf:default/ps:7/1", R"({"address": null, "address_ipv6": "[::]:9001", "stat": 30})");
  Put("lq:default/ps:8/1", Meta("elsewhere:1"));
  Put("lf:default/ps:9/1", "");
  Put("lf:default/ps:9/2", "no json");
  Put("lf:default/ps:9/abc", Meta("name:1"));
  Put("ps:10/1", Meta("no_location:1"));
  table.Update(tree_);
  EXPECT_THAT(
      table.HeartBeat("ps"),
      ElementsAre(Pair("ps:0", ElementsAre("full:1")), Pair("ps:1", ElementsAre("compact:1")),
                  Pair("ps:2", ElementsAre("extra:1")), Pair("ps:3", IsEmpty()),
                  Pair("ps:4", IsEmpty()), Pair("ps:5", IsEmpty()),
                  Pair("ps:6", ElementsAre("[fe80::1]:9001")), Pair("ps:7", IsEmpty()),
                  Pair("ps:9", IsEmpty())));
  EXPECT_EQ(table.damaged(), 2u);
  table.Update(tree_);
  EXPECT_EQ(table.damaged(), 2u);
  EXPECT_THAT(table.HeartBeat("entry"), IsEmpty());
}

TEST_F(ReplicaTableTest, WithoutALocationAllLocationsCount) {
  ReplicaTable table({.dc_aware = true});
  Put("lf:default/ps:0/1", Meta("a:1"));
  Put("lq:default/ps:0/1", Meta("b:1"));
  table.Update(tree_);
  EXPECT_THAT(table.Replicas("ps", 0), ElementsAre("a:1", "b:1"));
  EXPECT_THAT(table.HeartBeat("ps"), ElementsAre(Pair("ps:0", ElementsAre("b:1"))));
}

TEST_F(ReplicaTableTest, AddressesKeepTheOrderInWhichTheyWereLearnt) {
  ReplicaTable table({});
  Put("ps:0/5", Meta("five:1"));
  table.Update(tree_);
  Put("ps:0/3", Meta("three:1"));
  table.Update(tree_);
  Put("ps:0/5", Meta("five:2"));
  table.Update(tree_);
  EXPECT_THAT(table.Replicas("ps", 0), ElementsAre("five:2", "three:1"));
  EXPECT_THAT(table.Replicas("ps", 1), IsEmpty());
  EXPECT_TRUE(table.Available("ps", 0));
}

// D1: what Python agents do every ten seconds after a lost session.
TEST_F(ReplicaTableTest, FlappingStateKeepsTheAddressForThreeSeconds) {
  ReplicaTable table({.clock = &clock_});
  Put("ps:0/1", Meta("a:1"));
  table.Update(tree_);
  Put("ps:0/1", Meta("a:1", 0));
  table.Update(tree_);
  clock_.now += std::chrono::milliseconds(2900);
  Put("ps:0/1", Meta("a:1", 0));
  table.Update(tree_);
  EXPECT_THAT(table.Replicas("ps", 0), ElementsAre("a:1"));
  clock_.now += std::chrono::milliseconds(100);
  EXPECT_THAT(table.Replicas("ps", 0), IsEmpty());
  Put("ps:0/1", Meta("a:1"));
  table.Update(tree_);
  EXPECT_THAT(table.Replicas("ps", 0), ElementsAre("a:1"));
}

TEST_F(ReplicaTableTest, OnlyAFlapIsHeld) {
  ReplicaTable table({.clock = &clock_});
  const auto after = [&](const std::string& data, int64_t owner) {
    Put("ps:0/1", Meta("a:1"));
    table.Update(tree_);
    Put("ps:0/1", data, owner);
    table.Update(tree_);
    return table.Replicas("ps", 0);
  };
  EXPECT_THAT(after(Meta("a:1", 0), 2), IsEmpty());
  EXPECT_THAT(after(Meta("b:1", 0), 1), IsEmpty());
  EXPECT_THAT(after(Meta("a:1", 40), 1), IsEmpty());
  tree_.nodes.erase("ps:0/1");
  table.Update(tree_);
  EXPECT_THAT(table.Replicas("ps", 0), IsEmpty());
  EXPECT_EQ(table.size(), 0u);
}

TEST(ChooseAddressTest, FamilyDecidesAndTheOtherOneHelpsOut) {
  const auto choose = [](std::optional<std::string> v4, std::optional<std::string> v6, bool ipv6) {
    return ChooseAddress({.address = std::move(v4), .address_ipv6 = std::move(v6)}, ipv6);
  };
  EXPECT_EQ(choose("a:1", "[b]:1", false), "a:1");
  EXPECT_EQ(choose("a:1", "[b]:1", true), "[b]:1");
  EXPECT_EQ(choose("a:1", "[::]:1", true), "a:1");
  EXPECT_EQ(choose("0.0.0.0:1", "[::1]:1", false), "[::1]:1");
  EXPECT_EQ(choose(std::nullopt, "[::]:1", false), "");
}

}  // namespace
}  // namespace megalith::agent
