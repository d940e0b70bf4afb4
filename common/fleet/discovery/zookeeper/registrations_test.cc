#include "common/fleet/discovery/zookeeper/registrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"

namespace megalith::discovery {
namespace {

using testing::Eventually;

constexpr int32_t kCreateRequest = 1;
constexpr int32_t kSetRequest = 5;

class ZkRegistrationsTest : public testing::ZooKeeperTest {
 protected:
  void SetUp() override {
    client_ = Connect();
    registrations_ = std::make_unique<ZkRegistrations>(*client_);
  }
  std::unique_ptr<ZkClient> client_;
  std::unique_ptr<ZkRegistrations> registrations_;
};

TEST_F(ZkRegistrationsTest, NodesAreEphemeralAndGoWithTheObject) {
  ASSERT_TRUE(registrations_->Put("/b/ps:0/1", "v").ok());
  EXPECT_EQ(server_.Owner("/b/ps:0/1"), client_->session_id());
  ASSERT_TRUE(registrations_->Put("/b/ps:0/1", "w").ok());
  EXPECT_EQ(server_.Data("/b/ps:0/1"), "w");
  registrations_.reset();
  EXPECT_FALSE(server_.Data("/b/ps:0/1"));
  EXPECT_EQ(server_.Data("/b/ps:0"), "");
}

TEST_F(ZkRegistrationsTest, EqualBytesAreNotWrittenAgain) {
  ASSERT_TRUE(registrations_->Put("/n", "v").ok());
  const uint64_t writes = server_.requests(kSetRequest) + server_.requests(kCreateRequest);
  ASSERT_TRUE(registrations_->Put("/n", "v").ok());
  EXPECT_EQ(server_.requests(kSetRequest) + server_.requests(kCreateRequest), writes);
}

TEST_F(ZkRegistrationsTest, ExpiredSessionBringsTheKnownValueBackOnce) {
  ASSERT_TRUE(registrations_->Put("/n", "first").ok());
  ASSERT_TRUE(registrations_->Put("/n", "known").ok());
  const int64_t before = client_->session_id();
  const uint64_t creates = server_.requests(kCreateRequest);
  const uint64_t sets = server_.requests(kSetRequest);
  server_.ExpireSessions();
  Eventually([&] { return server_.Data("/n") == "known" && server_.Owner("/n") != before; });
  EXPECT_EQ(server_.Owner("/n"), client_->session_id());
  // Nothing is written beside that one creation, whatever else happens in the session.
  server_.DropConnections();
  ASSERT_TRUE(client_->WaitConnected(std::chrono::seconds(60)).ok());
  Eventually([&] { return registrations_->Verify().ok(); });
  EXPECT_EQ(server_.requests(kCreateRequest), creates + 1);
  EXPECT_EQ(server_.requests(kSetRequest), sets);
}

TEST_F(ZkRegistrationsTest, WhatIsPutWithoutAConnectionIsWrittenLater) {
  server_.SetReachable(false);
  server_.DropConnections();
  Eventually([&] { return client_->state() != SessionState::kConnected; });
  EXPECT_EQ(registrations_->Put("/late", "v").code(), Code::kUnavailable);
  server_.SetReachable(true);
  Eventually([&] { return server_.Data("/late") == "v"; });
}

TEST_F(ZkRegistrationsTest, WhatIsRemovedWithoutAConnectionIsRemovedLater) {
  ASSERT_TRUE(registrations_->Put("/n", "v").ok());
  server_.SetReachable(false);
  server_.DropConnections();
  Eventually([&] { return client_->state() != SessionState::kConnected; });
  EXPECT_EQ(registrations_->Remove("/n").code(), Code::kUnavailable);
  EXPECT_EQ(server_.Data("/n"), "v");
  server_.SetReachable(true);
  Eventually([&] { return !server_.Data("/n"); });
}

TEST_F(ZkRegistrationsTest, NodeOfAnotherSessionIsTakenOverWhenItGoes) {
  server_.Put("/n", "old", 0x77);
  ASSERT_TRUE(registrations_->Put("/n", "mine").ok());
  EXPECT_EQ(server_.Data("/n"), "mine");
  EXPECT_EQ(server_.Owner("/n"), 0x77);
  EXPECT_EQ(registrations_->shared(), 1u);
  server_.Put("/n", "theirs", 0x77);  // the watch survives a change
  server_.Remove("/n");
  Eventually([&] { return server_.Owner("/n") == client_->session_id(); });
  EXPECT_EQ(server_.Data("/n"), "mine");
  EXPECT_EQ(registrations_->shared(), 0u);
}

TEST_F(ZkRegistrationsTest, VerifyBringsBackWhatSomebodyDeleted) {
  ASSERT_TRUE(registrations_->Put("/n", "v").ok());
  server_.Remove("/n");
  ASSERT_TRUE(registrations_->Verify().ok());
  EXPECT_EQ(server_.Data("/n"), "v");
  server_.Remove("/n");
  ASSERT_TRUE(registrations_->Put("/n", "w").ok());
  EXPECT_EQ(server_.Data("/n"), "w");
}

TEST_F(ZkRegistrationsTest, SequentialNodesKeepTheirNameInNewSessions) {
  const std::string path = *registrations_->PutSequential("/b/entry:0/0", "v");
  EXPECT_EQ(path, "/b/entry:0/00000000000");
  server_.ExpireSessions();
  Eventually([&] { return server_.Data(path) == "v"; });
  EXPECT_EQ(server_.Children("/b/entry:0").size(), 1u);
}

}  // namespace
}  // namespace megalith::discovery
