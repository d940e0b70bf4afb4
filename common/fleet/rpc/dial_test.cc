#include "common/fleet/rpc/dial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/fleet/discovery/zookeeper/zk_registry.h"
#include "common/fleet/rpc/server.h"
#include "common/fleet/rpc/testing/echo_service.h"
#include "common/foundation/base/strings.h"

namespace megalith::rpc {
namespace {

using megalith::testing::Eventually;
using testing::EchoService;
using ::testing::ElementsAre;
using testing::Gate;
using ::testing::HasSubstr;
namespace v1 = testing::v1;

// A server that counts the calls it gets.
struct EchoServer {
  EchoServer() {
    std::vector<std::unique_ptr<Service>> services;
    services.push_back(std::make_unique<EchoService>(&gate));
    server = *Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), metrics);
    address = server->addresses()[0];
  }
  // Ends it as a process that dies does, for those that are connected.
  void Kill() {
    server->Drain(std::chrono::milliseconds(0));
    server.reset();
  }
  int calls() const { return gate.started.load(); }

  Gate gate;
  telemetry::MetricRegistry metrics;
  std::unique_ptr<Server> server;
  std::string address;
};

class DialTest : public megalith::testing::ZooKeeperTest {
 protected:
  DialOptions Options() const {
    DialOptions options;
    options.start_wait = std::chrono::seconds(60);
    options.channel.retry = {.max_attempts = 1};
    return options;
  }
  std::string Zk(const std::string& path) const { return StrCat("zk://", server_.address(), path); }
  void Put(const std::string& replica, const std::string& address, int64_t stat = 30) {
    server_.Put(StrCat("/b/service/m/", replica),
                discovery::WriteRecord(discovery::ReplicaMeta{.address = address, .stat = stat}));
  }
  static Result<v1::EchoResponse> Echo(const std::shared_ptr<Channel>& channel) {
    v1::EchoRequest request;
    request.set_text("x");
    return UnaryMethod<v1::EchoRequest, v1::EchoResponse>(channel, testing::kEchoServiceName,
                                                          "Echo")(request);
  }
  static std::vector<std::string> Addresses(const Channel& channel) {
    std::vector<std::string> out;
    for (const auto& replica : channel.replicas().replicas) out.push_back(replica.address);
    return out;
  }
};

TEST(ParseDialTargetTest, EveryFormIsTakenApart) {
  const auto plain = *ParseDialTarget("unix:/run/x");
  EXPECT_EQ(plain.kind, DialTarget::Kind::kAddress);
  EXPECT_EQ(plain.address, "unix:/run/x");
  const auto own = *ParseDialTarget("megalith:///table");
  EXPECT_EQ(own.kind, DialTarget::Kind::kService);
  EXPECT_EQ(own.servers, "");
  EXPECT_EQ(own.service, "table");
  for (const char* text : {"zk://a:1,b:2/prod/table", "megalith://a:1,b:2/prod/table",
                           "zk://a:1,b:2/prod/megalith/services/table"}) {
    const auto service = *ParseDialTarget(text);
    EXPECT_EQ(service.servers, "a:1,b:2/prod") << text;
    EXPECT_EQ(service.service, "table") << text;
  }
  const auto task = *ParseDialTarget("zk://a:1/root/b/service/m/ps:3");
  EXPECT_EQ(task.kind, DialTarget::Kind::kTask);
  EXPECT_EQ(task.servers, "a:1/root");
  EXPECT_EQ(task.base, "/b/service/m");
  EXPECT_EQ(task.server_type, "ps");
  EXPECT_EQ(task.task, "3");
  const auto located = *ParseDialTarget("zk:///b/service/m/lf:default/ps");
  EXPECT_EQ(located.kind, DialTarget::Kind::kTask);
  EXPECT_EQ(located.servers, "");
  EXPECT_EQ(located.location, "lf:default");
  EXPECT_EQ(located.task, "");
}

TEST(ParseDialTargetTest, TargetsThatNameNothingAreRefusedWithTheForm) {
  for (const char* text : {"zk://", "zk://a:1", "zk://a:1/", "zk://a:1//table", "megalith:///"}) {
    const Status status = ParseDialTarget(text).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr("/SERVICE")) << text;
  }
}

TEST(SplitDialTargetsTest, CommasOfServersDivideNothing) {
  EXPECT_THAT(SplitDialTargets("a:1,b:2"), ElementsAre("a:1", "b:2"));
  EXPECT_THAT(SplitDialTargets("zk://a:1,b:2/x,c:3,zk://d:4/y"),
              ElementsAre("zk://a:1,b:2/x", "c:3", "zk://d:4/y"));
}

TEST_F(DialTest, ReplicasComeAndGoUnderTheChannel) {
  EchoServer one;
  EchoServer two;
  const auto registry =
      *discovery::ZkRegistry::Open({.servers = server_.address()}, std::chrono::seconds(60));
  auto first = *registry->Register({"echo", one.address});
  const auto channel = *Dial(Zk("/echo"), Options());
  ASSERT_TRUE(Echo(channel).ok());
  EXPECT_EQ(one.calls(), 1);
  auto second = *registry->Register({"echo", two.address});
  Eventually([&] { return Addresses(*channel).size() == 2; });
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Echo(channel).ok());
  EXPECT_EQ(one.calls(), 6);
  EXPECT_EQ(two.calls(), 5);
  first.reset();
  Eventually([&] { return Addresses(*channel).size() == 1; });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Echo(channel).ok());
  EXPECT_EQ(two.calls(), 8);
  second.reset();
  Eventually([&] { return Addresses(*channel).empty(); });
  const Status none = Echo(channel).status();
  EXPECT_EQ(none.code(), Code::kUnavailable);
  EXPECT_EQ(none.message(), "no replica of 'echo' is registered");
}

TEST_F(DialTest, DeadReplicaIsPassedOverUntilItsNodeGoes) {
  EchoServer one;
  EchoServer two;
  Put("ps:0/1", one.address);
  Put("ps:0/2", two.address);
  const auto channel = *Dial(Zk("/b/service/m/ps:0"), Options());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Echo(channel).ok());
  one.Kill();
  Eventually([&] {
    for (const auto& replica : channel->replicas().replicas) {
      if (replica.address == one.address && replica.down) return true;
    }
    return false;
  });
  // No call is tried twice here, so each of them went to the one that lives.
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Echo(channel).ok());
  server_.Remove("/b/service/m/ps:0/1");
  Eventually([&] { return Addresses(*channel) == std::vector<std::string>{two.address}; });
}

TEST_F(DialTest, FlappingReplicaIsKept) {
  EchoServer one;
  Put("ps:0/1", one.address);
  Put("ps:0/2", "127.0.0.1:1", 20);
  const auto channel = *Dial(Zk("/b/service/m/ps:0"), Options());
  Put("ps:0/1", one.address, 0);
  EXPECT_TRUE(Echo(channel).ok());
  EXPECT_THAT(Addresses(*channel), ElementsAre(one.address));
}

TEST_F(DialTest, LostZooKeeperLeavesTheLastListMarkedStale) {
  EchoServer one;
  Put("ps:0/1", one.address);
  Put("ps:1/1", "127.0.0.1:1", 20);
  const auto channel = *Dial(Zk("/b/service/m/ps:0"), Options());
  const auto nobody = *Dial(Zk("/b/service/m/ps:1"), Options());
  EXPECT_FALSE(channel->replicas().stale);
  server_.SetReachable(false);
  server_.DropConnections();
  Eventually([&] { return channel->replicas().stale && nobody->replicas().stale; });
  EXPECT_TRUE(Echo(channel).ok());
  EXPECT_THAT(Echo(nobody).status().message(), HasSubstr("discovery cannot be reached"));
  server_.SetReachable(true);
  Eventually([&] { return !channel->replicas().stale; });
}

TEST_F(DialTest, UnreachableZooKeeperIsAnErrorThatNamesIt) {
  server_.SetReachable(false);
  DialOptions options;
  options.start_wait = std::chrono::milliseconds(10);
  for (const char* path : {"/echo", "/b/service/m/ps:0"}) {
    const Status status = Dial(Zk(path), options).status();
    EXPECT_EQ(status.code(), Code::kUnavailable) << path;
    EXPECT_THAT(status.message(), HasSubstr(server_.address())) << path;
  }
}

TEST_F(DialTest, AllTasksAreShardsInOrder) {
  EchoServer one;
  EchoServer two;
  Put("ps:0/1", one.address);
  Put("ps:1/1", two.address);
  const auto dialed = DialShards(Zk("/b/service/m/ps"), Options());
  ASSERT_TRUE(dialed.ok()) << dialed.status().ToString();
  const std::vector<std::shared_ptr<Channel>>& shards = *dialed;
  ASSERT_EQ(shards.size(), 2U);
  ASSERT_TRUE(Echo(shards[1]).ok());
  EXPECT_EQ(two.calls(), 1);
  EXPECT_THAT(Dial(Zk("/b/service/m/ps"), Options()).status().message(), HasSubstr("all tasks"));
  Put("ps:3/1", two.address);
  EXPECT_THAT(DialShards(Zk("/b/service/m/ps"), Options()).status().message(),
              HasSubstr("'ps:2' of /b/service/m is not registered"));
  EXPECT_EQ(DialShards(Zk("/b/service/other/ps"), Options()).status().code(),
            Code::kFailedPrecondition);
}

TEST_F(DialTest, NamesAreAskedOfTheProcessesDiscovery) {
  EchoServer one;
  discovery::MemoryRegistry memory;
  const auto handle = *memory.Register({"echo", one.address});
  DialOptions options = Options();
  options.registry = &memory;
  EXPECT_TRUE(Echo(*Dial("megalith:///echo", options)).ok());

  Put("ps:0/1", one.address);
  options.registry = nullptr;
  options.discovery = Zk("");
  EXPECT_TRUE(Echo(*Dial("zk:///b/service/m/ps:0", options)).ok());

  TempDirectory files;
  options.discovery = JoinPath(files.path(), "replicas");
  ASSERT_TRUE(
      RealFileSystem().WriteAtomically(options.discovery, StrCat("echo = ", one.address)).ok());
  EXPECT_TRUE(Echo(*Dial("megalith:///echo", options)).ok());

  options.discovery.clear();
  EXPECT_THAT(Dial("megalith:///echo", options).status().message(),
              HasSubstr("MEGALITH_DISCOVERY"));
}

}  // namespace
}  // namespace megalith::rpc
