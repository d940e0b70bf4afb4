#include "common/fleet/discovery/zookeeper/tree_mirror.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Lines(const TreeSnapshot& tree) {
  std::vector<std::string> out;
  for (const auto& [path, node] : tree->nodes) out.push_back(StrCat(path, "=", node->data));
  return out;
}

class TreeMirrorTest : public testing::ZooKeeperTest {
 protected:
  // A mirror of /base that is loaded.
  TreeMirror& Mirror(TreeMirrorOptions options = {}) {
    if (client_ == nullptr) client_ = Connect();
    if (options.base.empty()) options.base = "/base";
    mirror_ = std::make_unique<TreeMirror>(*client_, options, nullptr);
    EXPECT_TRUE(mirror_->WaitLoaded(std::chrono::seconds(60)).ok());
    return *mirror_;
  }
  void ExpectBecomes(const std::vector<std::string>& lines) {
    Eventually([&] { return Lines(mirror_->snapshot()) == lines; });
    EXPECT_EQ(Lines(mirror_->snapshot()), lines);
  }
  std::unique_ptr<ZkClient> client_;
  std::unique_ptr<TreeMirror> mirror_;
};

TEST_F(TreeMirrorTest, HoldsTheTreeAndFollowsEveryChange) {
  server_.Put("/base/ps:0/1", "a");
  server_.Put("/elsewhere/x", "no");
  server_.Put("/basement", "no");
  Mirror();
  EXPECT_THAT(Lines(mirror_->snapshot()), ElementsAre("ps:0=", "ps:0/1=a"));
  server_.Put("/base/ps:0/1", "b");
  ExpectBecomes({"ps:0=", "ps:0/1=b"});
  server_.Put("/base/ps:1/7", "c");
  ExpectBecomes({"ps:0=", "ps:0/1=b", "ps:1=", "ps:1/7=c"});
  server_.Put("/base/ps:1/8", "d");
  server_.Put("/base/ps:1/8", "e");
  ExpectBecomes({"ps:0=", "ps:0/1=b", "ps:1=", "ps:1/7=c", "ps:1/8=e"});
  server_.Remove("/base/ps:1");
  ExpectBecomes({"ps:0=", "ps:0/1=b"});
}

TEST_F(TreeMirrorTest, BasePathMayComeLaterAndAgain) {
  Mirror();
  EXPECT_THAT(Lines(mirror_->snapshot()), IsEmpty());
  server_.Put("/base/ps:0/1", "a");
  ExpectBecomes({"ps:0=", "ps:0/1=a"});
  server_.Remove("/base");
  ExpectBecomes({});
  server_.Put("/base/ps:0/2", "b");
  ExpectBecomes({"ps:0=", "ps:0/2=b"});
}

TEST_F(TreeMirrorTest, LostConnectionKeepsTheLastSnapshotAndItsAge) {
  server_.Put("/base/a", "1");
  Mirror();
  EXPECT_FALSE(mirror_->staleness().has_value());
  server_.SetReachable(false);
  server_.DropConnections();
  Eventually([&] { return mirror_->staleness().has_value(); });
  EXPECT_THAT(Lines(mirror_->snapshot()), ElementsAre("a=1"));
  server_.Put("/base/b", "2");
  server_.SetReachable(true);
  ExpectBecomes({"a=1", "b=2"});
  EXPECT_FALSE(mirror_->staleness().has_value());
}

TEST_F(TreeMirrorTest, ExpiredSessionIsFollowedByTheTreeAsItIs) {
  server_.Put("/base/ps:0/1", "a");
  Mirror();
  server_.ExpireSessions();
  server_.Remove("/base");
  server_.Put("/base/ps:0/2", "b");
  ExpectBecomes({"ps:0=", "ps:0/2=b"});
  server_.Put("/base/ps:0/3", "c");
  ExpectBecomes({"ps:0=", "ps:0/2=b", "ps:0/3=c"});
}

TEST_F(TreeMirrorTest, ReadsCostNoRequest) {
  server_.Put("/base/a", "1");
  Mirror();
  const uint64_t before = server_.requests(3) + server_.requests(4) + server_.requests(8);
  for (int i = 0; i < 1000; ++i) EXPECT_THAT(mirror_->snapshot()->nodes, SizeIs(1));
  EXPECT_EQ(server_.requests(3) + server_.requests(4) + server_.requests(8), before);
}

TEST_F(TreeMirrorTest, DepthAndNumberOfNodesAreBounded) {
  server_.Put("/base/a/b/c", "deep");
  Mirror({.max_depth = 2});
  EXPECT_THAT(Lines(mirror_->snapshot()), ElementsAre("a=", "a/b="));
  mirror_.reset();
  for (int i = 0; i < 10; ++i) server_.Put(StrCat("/base/n", i), "");
  Mirror({.max_nodes = 5});
  EXPECT_THAT(mirror_->snapshot()->nodes, SizeIs(5));
  EXPECT_GT(mirror_->skipped(), 0u);
}

TEST_F(TreeMirrorTest, SnapshotsAreImmutable) {
  server_.Put("/base/a", "1");
  Mirror();
  const TreeSnapshot before = mirror_->snapshot();
  server_.Put("/base/a", "2");
  ExpectBecomes({"a=2"});
  EXPECT_THAT(Lines(before), ElementsAre("a=1"));
}

TEST_F(TreeMirrorTest, TwoMirrorsOfOneClientDoNotDisturbEachOther) {
  Mirror();
  TreeMirror other(*client_, {.base = "/other"}, nullptr);
  ASSERT_TRUE(other.WaitLoaded(std::chrono::seconds(60)).ok());
  server_.Put("/other/x", "1");
  server_.Put("/base/y", "2");
  ExpectBecomes({"y=2"});
  Eventually([&] { return other.snapshot()->nodes.size() == 1; });
}

TEST_F(TreeMirrorTest, ChangesArriveInOrder) {
  client_ = Connect();
  std::mutex mu;
  std::vector<int> seen;
  server_.Put("/base/n", "0");
  TreeMirror mirror(*client_, {.base = "/base"}, [&](const TreeSnapshot& tree) {
    const std::lock_guard<std::mutex> lock(mu);
    seen.push_back(static_cast<int>(*ParseInt(tree->nodes.at("n")->data)));
  });
  ASSERT_TRUE(mirror.WaitLoaded(std::chrono::seconds(60)).ok());
  for (int i = 1; i <= 200; ++i) server_.Put("/base/n", StrCat(i));
  Eventually([&] {
    const std::lock_guard<std::mutex> lock(mu);
    return !seen.empty() && seen.back() == 200;
  });
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

}  // namespace
}  // namespace megalith::discovery
