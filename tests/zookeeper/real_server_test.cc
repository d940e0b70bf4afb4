// The ZooKeeper layer and the replica table against real servers, which run.sh starts: one
// standalone and an ensemble of three. Their addresses and process ids come by environment.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "common/fleet/agent/replica_table.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/registrations.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"
#include "common/foundation/base/strings.h"
#include "tests/support/child_process.h"

namespace megalith::discovery {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr std::chrono::seconds kPatience{60};
constexpr char kHeldPath[] = "/held/ps:0/7";

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void Eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), limit) << "the condition did not come true";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::unique_ptr<ZkClient> Connect(ZkOptions options) {
  if (options.servers.empty()) options.servers = Environment("ZK_STANDALONE");
  auto client = *ZkClient::Open(options);
  EXPECT_TRUE(client->WaitConnected(kPatience).ok());
  return client;
}

// The answer of a server of this machine to a four-letter word; empty if it gives none.
std::string Ask(std::string_view address, std::string_view word) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port =
      htons(static_cast<uint16_t>(ParseInt(address.substr(address.rfind(':') + 1)).value_or(0)));
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 &&
      ::send(fd, word.data(), word.size(), MSG_NOSIGNAL) > 0) {
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      out.append(buffer, static_cast<size_t>(got));
    }
  }
  ::close(fd);
  return out;
}

std::vector<int> EnsemblePids() {
  std::vector<int> out;
  const std::string pids = Environment("ZK_ENSEMBLE_PIDS");
  for (const auto pid : Split(pids, ',')) out.push_back(static_cast<int>(*ParseInt(pid)));
  return out;
}

TEST(RealServerTest, NodesSequencesCredentialsAndChroot) {
  const auto client =
      Connect({.servers = Environment("ZK_STANDALONE") + "/chroot/of/test", .auth = "user:secret"});
  EXPECT_EQ(*client->Create("/a/b", "one", CreateMode::kPersistent), "/a/b");
  EXPECT_EQ(client->Create("/a/b", "", CreateMode::kPersistent).status().code(),
            Code::kAlreadyExists);
  ASSERT_TRUE(client->Set("/a/b", "two", 0).ok());
  EXPECT_EQ(client->Set("/a/b", "x", 0).code(), Code::kAborted);
  EXPECT_EQ(client->Get("/a/b")->data, "two");
  EXPECT_EQ(client->Delete("/a").code(), Code::kFailedPrecondition);
  EXPECT_EQ(*client->Create("/s/0", "", CreateMode::kEphemeralSequential), "/s/00000000000");
  EXPECT_THAT(*client->Children("/"), ElementsAre("a", "s"));
  const auto other = Connect({});
  EXPECT_EQ(other->Get("/chroot/of/test/a/b")->data, "two");
}

TEST(RealServerTest, MirrorSeesBasePathsComeAndGo) {
  const auto client = Connect({});
  const auto writer = Connect({});
  TreeMirror mirror(*client, {.base = "/later"}, nullptr);
  ASSERT_TRUE(mirror.WaitLoaded(kPatience).ok());
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(writer->Create("/later/ps:0/1", "x", CreateMode::kPersistent).ok());
    Eventually([&] { return mirror.snapshot()->nodes.size() == 2; });
    for (const char* path : {"/later/ps:0/1", "/later/ps:0", "/later"}) {
      ASSERT_TRUE(writer->Delete(path).ok());
    }
    Eventually([&] { return mirror.snapshot()->nodes.empty(); });
  }
}

// Prints how long a change takes to be in a table of 1,000 replicas of 200 tasks.
TEST(RealServerTest, ChangesOfAThousandReplicasAreSeen) {
  const auto client = Connect({});
  const auto writer = Connect({});
  ZkRegistrations registrations(*writer);
  const auto data = [](int i, int64_t stat) {
    return WriteRecord(ReplicaMeta{.address = StrCat("10.0.0.1:", 1000 + i), .stat = stat});
  };
  const auto path = [](int i) { return StrCat("/b/service/m/ps:", i % 200, "/", i / 200); };
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(registrations.Put(path(i), data(i, 30)).ok());
  agent::ReplicaTable table({});
  TreeMirror mirror(*client, {.base = "/b/service/m", .max_depth = 2},
                    [&](const TreeSnapshot& tree) { table.Update(*tree); });
  Eventually([&] { return table.size() == 1000; });
  std::vector<double> milliseconds;
  for (int i = 0; i < 200; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(registrations.Put(path(i), data(i, 40)).ok());
    while (table.Replicas("ps", i).size() != 4) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      ASSERT_LT(std::chrono::steady_clock::now(), start + kPatience);
    }
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf("change visible after: median %.2f ms, p99 %.2f ms\n", milliseconds[100],
              milliseconds[197]);
}

// The process that FrozenProcessComesBackWithItsState freezes. Ends by a signal only.
int Hold() {
  const auto client = Connect({.session_timeout = std::chrono::milliseconds(2000)});
  ZkRegistrations registrations(*client);
  if (!registrations.Put(kHeldPath, "known").ok()) return 1;
  while (true) ::pause();
}

TEST(RealServerTest, FrozenProcessComesBackWithItsState) {
  const auto client = Connect({});
  const auto holder = *testing::ChildProcess::Start("/proc/self/exe", {"hold"});
  const auto owner = [&]() -> int64_t {
    const auto node = client->Exists(kHeldPath);
    return node.ok() && node->has_value() ? (*node)->owner_session : 0;
  };
  Eventually([&] { return owner() != 0; });
  const int64_t before = owner();
  holder->Signal(SIGSTOP);
  Eventually([&] { return owner() == 0; });
  holder->Signal(SIGCONT);
  Eventually([&] { return owner() != 0; });
  EXPECT_NE(owner(), before);
  EXPECT_EQ(client->Get(kHeldPath)->data, "known");
}

TEST(RealEnsembleTest, FrozenEnsembleLeavesTheSnapshotInUse) {
  const auto client = Connect(
      {.servers = Environment("ZK_ENSEMBLE"), .session_timeout = std::chrono::milliseconds(6000)});
  ZkRegistrations registrations(*client);
  ASSERT_TRUE(registrations.Put("/frozen/a", "1").ok());
  TreeMirror mirror(*client, {.base = "/frozen"}, nullptr);
  Eventually([&] { return mirror.snapshot()->nodes.size() == 1; });
  for (const int pid : EnsemblePids()) ::kill(pid, SIGSTOP);
  Eventually([&] { return mirror.staleness().has_value(); });
  EXPECT_THAT(mirror.snapshot()->nodes, SizeIs(1));
  for (const int pid : EnsemblePids()) ::kill(pid, SIGCONT);
  Eventually([&] {
    return mirror.loaded() && !mirror.staleness() && mirror.snapshot()->nodes.size() == 1;
  });
}

// Last: the leader stays dead.
TEST(RealEnsembleTest, KilledLeaderCostsNeitherSessionNorNodes) {
  const std::string servers = Environment("ZK_ENSEMBLE");
  const auto client =
      Connect({.servers = servers, .session_timeout = std::chrono::milliseconds(20'000)});
  ZkRegistrations registrations(*client);
  ASSERT_TRUE(registrations.Put("/kept/a", "1").ok());
  TreeMirror mirror(*client, {.base = "/kept"}, nullptr);
  ASSERT_TRUE(mirror.WaitLoaded(kPatience).ok());
  const int64_t session = client->session_id();
  const std::vector<int> pids = EnsemblePids();
  const std::vector<std::string_view> addresses = Split(servers, ',');
  size_t leader = addresses.size();
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (Ask(addresses[i], "srvr").find("Mode: leader") != std::string::npos) leader = i;
  }
  ASSERT_LT(leader, addresses.size());
  ASSERT_EQ(::kill(pids[leader], SIGKILL), 0);
  Eventually([&] { return registrations.Put("/kept/a", "2").ok() && !mirror.staleness(); });
  EXPECT_EQ(client->session_id(), session);
  EXPECT_EQ(client->Get("/kept/a")->owner_session, session);
  Eventually([&] {
    const TreeSnapshot tree = mirror.snapshot();
    return tree->nodes.contains("a") && tree->nodes.at("a")->data == "2";
  });
}

}  // namespace
}  // namespace megalith::discovery

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "hold") return megalith::discovery::Hold();
  return RUN_ALL_TESTS();
}
