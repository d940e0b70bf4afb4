#include "common/fleet/discovery/zookeeper/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;

class ZkClientTest : public testing::ZooKeeperTest {};

// Keeps what it hears.
class Recorder final : public ZkListener {
 public:
  void OnSession(const SessionEvent& event) override {
    const std::lock_guard<std::mutex> lock(mu_);
    states_.emplace_back(SessionStateName(event.state));
    sessions_.push_back(event.session_id);
  }
  void OnNode(const NodeEvent& event) override {
    const std::lock_guard<std::mutex> lock(mu_);
    nodes_.push_back(StrCat(static_cast<int>(event.kind), " ", event.path));
  }
  std::vector<std::string> states() const { return Copy(states_); }
  std::vector<std::string> nodes() const { return Copy(nodes_); }
  std::vector<int64_t> sessions() const { return Copy(sessions_); }

 private:
  template <typename T>
  T Copy(const T& what) const {
    const std::lock_guard<std::mutex> lock(mu_);
    return what;
  }
  mutable std::mutex mu_;
  std::vector<std::string> states_, nodes_;
  std::vector<int64_t> sessions_;
};

TEST_F(ZkClientTest, NodesAreCreatedReadChangedAndDeleted) {
  const auto client = Connect();
  EXPECT_EQ(*client->Create("/a/b/c", "one", CreateMode::kPersistent), "/a/b/c");
  EXPECT_EQ(server_.Data("/a/b"), "");
  EXPECT_EQ(client->Create("/a/b/c", "x", CreateMode::kPersistent).status().code(),
            Code::kAlreadyExists);
  EXPECT_EQ(client->Get("/a/b/c")->data, "one");
  ASSERT_TRUE(client->Set("/a/b/c", "two").ok());
  EXPECT_EQ(client->Get("/a/b/c")->version, 1);
  EXPECT_EQ(client->Set("/a/b/c", "x", 0).code(), Code::kAborted);
  EXPECT_EQ(client->Delete("/a/b").code(), Code::kFailedPrecondition);
  EXPECT_THAT(*client->Children("/a"), ElementsAre("b"));
  ASSERT_TRUE(client->Delete("/a/b/c").ok());
  EXPECT_EQ(client->Get("/a/b/c").status().code(), Code::kNotFound);
  EXPECT_FALSE(client->Exists("/a/b/c")->has_value());
  EXPECT_TRUE(client->Exists("/a/b")->has_value());
}

TEST_F(ZkClientTest, BytesOfAnyKindAndSizeComeBack) {
  const auto client = Connect();
  const std::string bytes = std::string("\0\xff", 2) + std::string(300'000, 'x');
  ASSERT_TRUE(client->Create("/big", bytes, CreateMode::kPersistent).ok());
  EXPECT_EQ(client->Get("/big")->data, bytes);
  ASSERT_TRUE(client->Set("/big", "").ok());
  EXPECT_EQ(client->Get("/big")->data, "");
}

TEST_F(ZkClientTest, SequentialNodesGetTenDigits) {
  const auto client = Connect();
  EXPECT_EQ(*client->Create("/s/entry:0/0", "", CreateMode::kEphemeralSequential),
            "/s/entry:0/00000000000");
  EXPECT_EQ(*client->Create("/s/entry:0/0", "", CreateMode::kPersistentSequential),
            "/s/entry:0/00000000001");
  EXPECT_EQ(client->Get("/s/entry:0/00000000000")->owner_session, client->session_id());
}

TEST_F(ZkClientTest, ManyNodesAreReadTogether) {
  const auto client = Connect();
  std::vector<std::string> paths;
  for (int i = 0; i < 1000; ++i) {
    paths.push_back(StrCat("/many/", i));
    if (i != 500) server_.Put(paths.back(), StrCat(i));
  }
  const auto nodes = client->GetMany(paths);
  ASSERT_EQ(nodes.size(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    if (i == 500) {
      EXPECT_EQ(nodes[500].status().code(), Code::kNotFound);
    } else {
      EXPECT_EQ(nodes[static_cast<size_t>(i)]->data, StrCat(i));
    }
  }
}

TEST_F(ZkClientTest, EverythingIsBelowTheChroot) {
  const auto client = Connect({.servers = server_.address() + "/fleet/one"});
  ASSERT_TRUE(client->Create("/a", "x", CreateMode::kPersistent).ok());
  EXPECT_EQ(server_.Data("/fleet/one/a"), "x");
  EXPECT_THAT(*client->Children("/"), ElementsAre("a"));
  Recorder recorder;
  const auto listening = client->Listen(&recorder);
  ASSERT_TRUE(client->Get("/a", /*watch=*/true).ok());
  server_.Put("/fleet/one/a", "y");
  Eventually([&] { return recorder.nodes().size() == 1; });
  EXPECT_THAT(recorder.nodes(), ElementsAre("2 /a"));
}

TEST_F(ZkClientTest, DigestCredentialsAreSentWithEverySession) {
  server_.RequireAuth("user:secret");
  const auto client = Connect({.servers = server_.address(), .auth = "user:secret"});
  Eventually([&] { return !server_.credentials().empty(); });
  server_.ExpireSessions();
  Eventually([&] { return server_.credentials().size() >= 2; });
  EXPECT_THAT(server_.credentials(), Each("user:secret"));
}

TEST_F(ZkClientTest, WrongCredentialsAreAnError) {
  server_.RequireAuth("user:secret");
  const auto client = *ZkClient::Open({.servers = server_.address(), .auth = "user:wrong"});
  Recorder recorder;
  const auto listening = client->Listen(&recorder);
  Eventually([&] { return client->state() == SessionState::kAuthFailed; });
  EXPECT_THAT(recorder.states(), Contains("auth_failed"));
  EXPECT_THAT(client->WaitConnected(std::chrono::seconds(1)).ToString(),
              HasSubstr("refuses the credentials"));
}

TEST_F(ZkClientTest, LostConnectionKeepsTheSessionAndItsNodes) {
  const auto client = Connect();
  Recorder recorder;
  const auto listening = client->Listen(&recorder);
  ASSERT_TRUE(client->Create("/e", "", CreateMode::kEphemeral).ok());
  const int64_t session = client->session_id();
  Eventually([&] { return recorder.states().size() == 1; });
  server_.DropConnections();
  Eventually([&] { return recorder.states().size() == 3; });
  EXPECT_THAT(recorder.states(), ElementsAre("connected", "suspended", "connected"));
  EXPECT_EQ(client->session_id(), session);
  EXPECT_EQ(server_.Owner("/e"), session);
}

TEST_F(ZkClientTest, ExpiredSessionIsReplacedByANewOne) {
  const auto client = Connect();
  Recorder recorder;
  const auto listening = client->Listen(&recorder);
  ASSERT_TRUE(client->Create("/e", "", CreateMode::kEphemeral).ok());
  Eventually([&] { return recorder.states().size() == 1; });
  server_.ExpireSessions();
  Eventually([&] { return recorder.states().size() == 4; });
  EXPECT_THAT(recorder.states(), ElementsAre("connected", "suspended", "expired", "connected"));
  EXPECT_NE(recorder.sessions()[0], recorder.sessions()[3]);
  EXPECT_FALSE(server_.Data("/e"));
  EXPECT_TRUE(client->Create("/e", "", CreateMode::kEphemeral).ok());
}

TEST_F(ZkClientTest, WatchesFireOnceForEachKindOfChange) {
  const auto client = Connect();
  Recorder recorder;
  const auto listening = client->Listen(&recorder);
  ASSERT_TRUE(client->Exists("/n", /*watch=*/true).ok());
  server_.Put("/n", "1");
  Eventually([&] { return recorder.nodes().size() == 1; });
  ASSERT_TRUE(client->Get("/n", /*watch=*/true).ok());
  ASSERT_TRUE(client->Children("/n", /*watch=*/true).ok());
  server_.Put("/n", "2");
  server_.Put("/n", "3");
  server_.Put("/n/child", "");
  Eventually([&] { return recorder.nodes().size() == 3; });
  EXPECT_THAT(recorder.nodes(), ElementsAre("0 /n", "2 /n", "3 /n"));
}

TEST_F(ZkClientTest, CallsFailWhileNobodyAnswersAndWorkAgainAfterwards) {
  server_.SetReachable(false);
  const auto client = *ZkClient::Open({.servers = server_.address()});
  EXPECT_EQ(client->Get("/a").status().code(), Code::kUnavailable);
  EXPECT_EQ(client->WaitConnected(std::chrono::milliseconds(1)).code(), Code::kDeadlineExceeded);
  server_.SetReachable(true);
  ASSERT_TRUE(client->WaitConnected(std::chrono::seconds(60)).ok());
  EXPECT_TRUE(client->Create("/a", "", CreateMode::kPersistent).ok());
}

TEST_F(ZkClientTest, ClosingRemovesEphemeralNodes) {
  auto client = Connect();
  ASSERT_TRUE(client->Create("/e", "", CreateMode::kEphemeral).ok());
  client.reset();
  EXPECT_FALSE(server_.Data("/e"));
  EXPECT_EQ(server_.sessions(), 0u);
}

TEST_F(ZkClientTest, ListenersMayCallTheClient) {
  struct Caller final : ZkListener {
    void OnSession(const SessionEvent& event) override {
      if (event.state == SessionState::kConnected) {
        created = client->Create("/from_listener", "", CreateMode::kPersistent).ok();
      }
    }
    void OnNode(const NodeEvent&) override {}
    ZkClient* client = nullptr;
    std::atomic<bool> created{false};
  };
  const auto client = Connect();
  Caller caller;
  caller.client = client.get();
  const auto listening = client->Listen(&caller);
  Eventually([&] { return caller.created.load(); });
}

TEST(ZkClientOptionsTest, ServersAndPathsAreChecked) {
  for (const char* servers : {"", "host:", ":2181", "a:1,,b", "a:99999", "a:1/x//y", "a:0"}) {
    EXPECT_EQ(ZkClient::Open({.servers = servers}).status().code(), Code::kInvalidArgument)
        << servers;
  }
  EXPECT_TRUE(ZkClient::Open({.servers = "localhost"}).ok());
  EXPECT_TRUE(CheckZkPath("/").ok());
  EXPECT_TRUE(CheckZkPath("/a/ps:0/\xc3\xa9").ok());
  for (const std::string path : {"", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\n", "/\xff"}) {
    EXPECT_EQ(CheckZkPath(path).code(), Code::kInvalidArgument) << path;
  }
  EXPECT_FALSE(CheckZkPath(std::string("/a\0b", 4)).ok());
  EXPECT_FALSE(CheckZkPath("/" + std::string(1024, 'a')).ok());
}

}  // namespace
}  // namespace megalith::discovery
