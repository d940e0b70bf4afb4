// Two hundred clients of a compile service that is a process of its own, and that is killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <thread>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/health_client.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "megalith/compile/v1/compile.pb.h"
#include "tests/support/child_process.h"

namespace megalith {
namespace {

using ::testing::IsEmpty;
using testing::ServerProcess;
using ::testing::SizeIs;

constexpr int kClients = 200, kPrograms = 20;

// Distinct programs with machine code, so that a compilation takes a while.
compile::v1::CompileRequest RequestOf(int program, int client) {
  std::string body;
  std::string last = "%x";
  for (int i = 0; i < 8; ++i) {
    StrAppend(&body, "    %a", i, " = stablehlo.sine ", last, " : tensor<512xf32>\n    %b", i,
              " = stablehlo.add %a", i, ", %c : tensor<512xf32>\n");
    last = StrCat("%b", i);
  }
  compile::v1::CompileRequest request;
  request.set_stablehlo_text(
      StrCat("module {\n  func.func public @main(%x: tensor<512xf32>) -> tensor<512xf32> {\n"
             "    %c = stablehlo.constant dense<",
             program, ".5> : tensor<512xf32>\n", body, "    return ", last,
             " : tensor<512xf32>\n  }\n}\n"));
  (*request.mutable_options()->mutable_extra())["tier"] = "1";
  request.mutable_options()->set_client(StrCat("client ", client));
  return request;
}

class CompileStormTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cache_ = Start(MEGALITH_CACHE_BINARY, "cache", {});
    compile_ = StartCompile("127.0.0.1:0");
  }
  ServerProcess Start(const char* binary, const std::string& name, std::vector<std::string> more) {
    const std::string directory = JoinPath(directory_.path(), name);
    EXPECT_TRUE(RealFileSystem().MakeDirectory(directory).ok());
    more.push_back("--data_dir=" + JoinPath(directory, "data"));
    more.push_back("--log_level=error");
    auto server = testing::StartServer(binary, directory, std::move(more));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    return *std::move(server);
  }
  ServerProcess StartCompile(const std::string& listen) {
    return Start(MEGALITH_COMPILE_BINARY, "compile",
                 {"--listen=" + listen, "--cache_address=" + cache_.address});
  }
  // Every client compiles its program; those that find nobody there try again, if they may.
  void Storm(bool may_retry, const std::function<void(int done)>& on_done) {
    std::vector<std::jthread> clients;
    for (int c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        const auto channel = *rpc::Channel::Dial(compile_.address, {.retry = {.max_attempts = 1}});
        // The storm is of calls: a connection that fails among two hundred says nothing here.
        while (!stubs::HealthClient(channel).GetInfo().ok() && !may_retry)
          std::this_thread::yield();
        const stubs::CompileClient client(channel);
        while (true) {
          const auto result = client.Compile(RequestOf(c % kPrograms, c), nullptr,
                                             {.timeout = std::chrono::minutes(4)});
          if (!result.ok() && may_retry && result.status().code() == Code::kUnavailable) {
            ++refused_;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            continue;
          }
          const std::lock_guard<std::mutex> lock(mu_);
          if (result.ok()) {
            keys_[c % kPrograms] = result->key();
          } else {
            wrong_.push_back(result.status().ToString());
          }
          on_done(++done_);
          return;
        }
      });
    }
  }
  // How often the compile service decided so, over all its lives.
  std::map<std::string, int> Decisions() {
    const stubs::LedgerClient ledger(*rpc::Channel::Dial(compile_.address, {}));
    EXPECT_TRUE(ledger.Verify()->intact);
    std::map<std::string, int> out;
    const auto entries = ledger.Query({.kind = ledger::Kind::kCompile}, 10'000);
    EXPECT_TRUE(entries.ok()) << entries.status().ToString();
    if (!entries.ok()) return out;
    for (const ledger::Entry& e : *entries) ++out[e.decision];
    return out;
  }

  TempDirectory directory_;
  ServerProcess cache_, compile_, next_;
  std::atomic<int> refused_{0};
  std::mutex mu_;
  int done_ = 0;                     // guarded by mu_
  std::map<int, std::string> keys_;  // guarded by mu_; by program
  std::vector<std::string> wrong_;   // guarded by mu_
};

TEST_F(CompileStormTest, EachProgramIsCompiledOnce) {
  Storm(/*may_retry=*/false, [](int) {});
  EXPECT_THAT(wrong_, IsEmpty());
  EXPECT_THAT(keys_, SizeIs(kPrograms));
  const auto decisions = Decisions();
  EXPECT_EQ(decisions.at("miss"), kPrograms);
  int all = 0;
  for (const auto& [decision, n] : decisions) all += n;
  EXPECT_EQ(all, kClients);
}

TEST_F(CompileStormTest, KilledServiceCostsRetriesAndNothingElse) {
  std::jthread killer;
  Storm(/*may_retry=*/true, [&](int done) {
    if (done != 1) return;
    // In the middle: some program is done, the others are being compiled or wait.
    compile_.process->Signal(SIGKILL);
    killer = std::jthread([this] {
      EXPECT_EQ(compile_.process->Wait(std::chrono::seconds(30)), 128 + SIGKILL);
      // Where the clients look for it.
      next_ = StartCompile(compile_.address);
      EXPECT_EQ(next_.address, compile_.address);
    });
  });
  killer.join();
  EXPECT_THAT(wrong_, IsEmpty());
  EXPECT_THAT(keys_, SizeIs(kPrograms));
  EXPECT_GT(refused_.load(), 0);
  // The cache has every package, and all of them are whole.
  const stubs::CacheClient cache(*rpc::Channel::Dial(cache_.address, {}));
  const stubs::CompileClient client(*rpc::Channel::Dial(compile_.address, {}));
  for (const auto& [program, key] : keys_) {
    EXPECT_TRUE(cache.Get(key).ok()) << key;
    EXPECT_TRUE(client.GetExecutable(key).ok()) << key;
    EXPECT_EQ(client.Compile(RequestOf(program, 0), nullptr)->cache(),
              compile::v1::CACHE_OUTCOME_HIT);
  }
}

}  // namespace
}  // namespace megalith
