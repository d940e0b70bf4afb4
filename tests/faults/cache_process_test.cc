// The cache service as a process that is asked to stop, and as one that is killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "tests/support/child_process.h"

namespace megalith {
namespace {

using testing::ServerProcess;

cache::Key MakeKey(const std::string& name) {
  return cache::KeyBuilder("test").Add("name", name).Build();
}

std::shared_ptr<rpc::Channel> Dial(const ServerProcess& server) {
  // One attempt: a retry would hide that a call was lost.
  return *rpc::Channel::Dial(server.address, {.retry = {.max_attempts = 1}});
}

class CacheProcessTest : public ::testing::Test {
 protected:
  ServerProcess Start(std::vector<std::string> more = {}) {
    more.push_back("--data_dir=" + JoinPath(directory_.path(), "data"));
    more.push_back("--log_level=warn");
    auto server = testing::StartServer(MEGALITH_CACHE_BINARY, directory_.path(), std::move(more));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    return *std::move(server);
  }
  TempDirectory directory_;
};

TEST_F(CacheProcessTest, SigtermUnderLoadLosesNoAcceptedCall) {
  ServerProcess server = Start({"--drain_ms=20000"});
  std::mutex mu;
  std::set<std::string> acknowledged;
  std::set<std::string> refused;
  std::atomic<int> calls{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&, t] {
      const stubs::CacheClient client(Dial(server));
      for (int i = 0; !stop.load(); ++i) {
        const std::string name = StrCat(t, "-", i);
        const Status status = client.Put(MakeKey(name), name).status();
        ++calls;
        const std::lock_guard<std::mutex> lock(mu);
        if (status.ok()) {
          acknowledged.insert(name);
        } else {
          EXPECT_EQ(status.code(), Code::kUnavailable) << status.ToString();
          refused.insert(name);
          return;
        }
      }
    });
  }
  while (calls.load() < 200) std::this_thread::yield();
  server.process->Signal(SIGTERM);
  EXPECT_EQ(server.process->Wait(std::chrono::seconds(30)), 0);
  stop = true;
  for (std::thread& t : callers) t.join();

  // What was acknowledged is there; what was refused never ran.
  ServerProcess again = Start();
  const stubs::CacheClient client(Dial(again));
  for (const std::string& name : acknowledged) {
    EXPECT_TRUE(client.Get(MakeKey(name).Hex()).ok()) << name;
  }
  for (const std::string& name : refused) {
    EXPECT_EQ(client.Get(MakeKey(name).Hex()).status().code(), Code::kNotFound) << name;
  }
  EXPECT_GE(acknowledged.size(), 190u);
  const auto report = stubs::LedgerClient(Dial(again)).Verify();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->intact) << report->reason;
}

TEST_F(CacheProcessTest, ReadinessIsWithdrawnBeforeTheEnd) {
  ServerProcess server = Start({"--lame_duck_ms=60000"});
  const stubs::CacheClient client(Dial(server));
  ASSERT_TRUE(client.Put(MakeKey("before"), "x").ok());
  server.process->Signal(SIGTERM);
  // Calls are served while balancers notice; a second signal ends the wait.
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.Put(MakeKey(StrCat(i)), "x").ok());
  server.process->Signal(SIGTERM);
  EXPECT_EQ(server.process->Wait(std::chrono::seconds(20)), 128 + SIGTERM);
}

TEST_F(CacheProcessTest, KilledInTheMiddleOfPutsLeavesNoPartialEntry) {
  const std::string data = JoinPath(directory_.path(), "data");
  Rng rng(20260101);
  const std::string value(3'000'000, 'v');
  std::set<std::string> acknowledged;
  for (int round = 0; round < 6; ++round) {
    ServerProcess server = Start();
    std::mutex mu;
    std::atomic<int> done{0};
    std::vector<std::thread> callers;
    for (int t = 0; t < 2; ++t) {
      callers.emplace_back([&, t, round] {
        const stubs::CacheClient client(Dial(server));
        for (int i = 0;; ++i) {
          const std::string name = StrCat(round, "-", t, "-", i);
          if (!client.Put(MakeKey(name), value + name).ok()) return;
          ++done;
          const std::lock_guard<std::mutex> lock(mu);
          acknowledged.insert(name);
        }
      });
    }
    const int wanted = static_cast<int>(2 + rng.Below(4));
    while (done.load() < wanted) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(rng.Below(20'000)));
    server.process->Signal(SIGKILL);
    EXPECT_EQ(server.process->Wait(std::chrono::seconds(20)), 128 + SIGKILL);
    for (std::thread& t : callers) t.join();
  }
  ServerProcess server = Start();
  const stubs::CacheClient client(Dial(server));
  for (const std::string& name : acknowledged) {
    const auto entry = client.Get(MakeKey(name).Hex());
    ASSERT_TRUE(entry.ok()) << name << ": " << entry.status().ToString();
    EXPECT_EQ(*entry->value, value + name);
  }
  EXPECT_EQ(client.Stat({})->stats.corrupt, 0u);
  // Every file that is there is a whole entry: temporary ones are gone.
  const std::string objects = JoinPath(data, "cache/objects");
  const auto folders = *RealFileSystem().List(objects);
  for (const FileInfo& folder : folders) {
    const auto files = *RealFileSystem().List(JoinPath(objects, folder.name));
    for (const FileInfo& file : files) EXPECT_EQ(file.name.size(), 64u) << file.name;
  }
  const auto report = stubs::LedgerClient(Dial(server)).Verify();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->intact) << report->reason;
}

TEST_F(CacheProcessTest, KilledInTheMiddleOfScrubsLosesNothing) {
  const std::string objects = JoinPath(directory_.path(), "data/cache/objects");
  Rng rng(20260311);
  const std::string value(200'000, 'v');
  constexpr int kEntries = 12;
  const auto path = [&](int i) {
    const std::string hex = MakeKey(StrCat(i)).Hex();
    return StrCat(objects, "/", hex.substr(0, 2), "/", hex);
  };
  {
    ServerProcess server = Start();
    const stubs::CacheClient client(Dial(server));
    for (int i = 0; i < kEntries; ++i)
      ASSERT_TRUE(client.Put(MakeKey(StrCat(i)), value + StrCat(i)).ok());
    EXPECT_TRUE(client.Scrub(0, nullptr).ok());  // all have sidecars now
    server.process->Signal(SIGKILL);
    EXPECT_EQ(server.process->Wait(std::chrono::seconds(20)), 128 + SIGKILL);
  }
  std::vector<std::string> whole;
  for (int i = 0; i < kEntries; ++i) whole.push_back(*RealFileSystem().Read(path(i)));
  for (int round = 0; round < 4; ++round) {
    for (int i = round % 2; i < kEntries; i += 2) {
      std::string damaged = whole[i];
      damaged.replace(rng.Below(190'000), 5000, 5000, '!');
      ASSERT_TRUE(RealFileSystem().WriteAtomically(path(i), damaged).ok());
    }
    ServerProcess server = Start();
    std::thread scrub([&] { (void)stubs::CacheClient(Dial(server)).Scrub(0, nullptr); });
    std::this_thread::sleep_for(std::chrono::microseconds(rng.Below(60'000)));
    server.process->Signal(SIGKILL);
    EXPECT_EQ(server.process->Wait(std::chrono::seconds(20)), 128 + SIGKILL);
    scrub.join();
  }
  ServerProcess server = Start();
  const stubs::CacheClient client(Dial(server));
  const auto report = client.Scrub(0, nullptr);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->good + report->repaired + report->sidecars_written,
            static_cast<uint64_t>(kEntries));
  for (int i = 0; i < kEntries; ++i) EXPECT_EQ(*RealFileSystem().Read(path(i)), whole[i]) << i;
}

TEST_F(CacheProcessTest, WrongConfigurationExitsWith2) {
  const auto process = *testing::ChildProcess::Start(MEGALITH_CACHE_BINARY, {"--no_such_flag=1"});
  EXPECT_EQ(process->Wait(std::chrono::seconds(20)), 2);
  const auto help = *testing::ChildProcess::Start(MEGALITH_CACHE_BINARY, {"--help"});
  EXPECT_EQ(help->Wait(std::chrono::seconds(20)), 0);
  const auto unusable =
      *testing::ChildProcess::Start(MEGALITH_CACHE_BINARY, {"--listen=300.1.1.1:1"});
  EXPECT_EQ(unusable->Wait(std::chrono::seconds(20)), 1);
}

}  // namespace
}  // namespace megalith
