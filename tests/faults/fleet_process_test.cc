// The whole fleet as one real process that is asked to stop while programs run.
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
#include "common/foundation/tensor/tensor_proto.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "megalith/trace/v1/trace.pb.h"
#include "tests/support/child_process.h"

namespace megalith {
namespace {

using testing::ServerProcess;

std::shared_ptr<rpc::Channel> Dial(const ServerProcess& server) {
  // One attempt: a retry would hide that a call was lost.
  return *rpc::Channel::Dial(server.address, {.retry = {.max_attempts = 1}});
}

// f(x) = x * `factor`, in jaxpr text; another factor is another program.
std::string ScaleProgram(int factor) {
  return StrCat("{ lambda ; a:f32[3]. let b:f32[3] = mul a ", factor, ".0:f32[] in (b,) }");
}

execute::v1::Argument OnesArgument() {
  tensor::Tensor ones = *tensor::Tensor::Create(tensor::DType::kF32, {3});
  for (int64_t i = 0; i < 3; ++i) ones.SetDouble(i, 1);
  execute::v1::Argument argument;
  *argument.mutable_tensor() = tensor::TensorToProto(ones);
  return argument;
}

execute::v1::ExecuteRequest ScaleRequest(int factor) {
  execute::v1::ExecuteRequest request;
  request.mutable_chain()->mutable_source()->set_jaxpr_text(ScaleProgram(factor));
  *request.add_arguments() = OnesArgument();
  return request;
}

class FleetProcessTest : public ::testing::Test {
 protected:
  ServerProcess Start(std::vector<std::string> more = {}) {
    more.push_back("--data_dir=" + JoinPath(directory_.path(), "data"));
    more.push_back("--log_level=warn");
    auto server = testing::StartServer(MEGALITH_BINARY, directory_.path(), std::move(more));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    return *std::move(server);
  }
  TempDirectory directory_;
};

// What callers saw.
struct Outcomes {
  std::mutex mu;
  std::map<int, std::string> keys;  // guarded by mu; of every program that ran
  std::vector<std::string> wrong;   // guarded by mu; anything but a right result or UNAVAILABLE
  std::atomic<int> ran{0};

  // False once the process does not take calls any more.
  bool Note(int factor, const Result<execute::v1::ExecuteResponse>& response) {
    const std::lock_guard<std::mutex> lock(mu);
    if (!response.ok()) {
      if (response.status().code() != Code::kUnavailable)
        wrong.push_back(response.status().ToString());
      return false;
    }
    const auto result = tensor::TensorFromProto(response->results(0).tensor());
    if (!result.ok() || result->DoubleAt(2) != factor)
      wrong.push_back(StrCat("wrong result of ", factor));
    keys[factor] = response->key();
    ++ran;
    return true;
  }
};

TEST_F(FleetProcessTest, SigtermUnderLoadLosesNoAcceptedCall) {
  ServerProcess server = Start({"--drain_ms=20000"});
  Outcomes outcomes;
  std::vector<std::jthread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&, t] {
      const stubs::ExecuteClient client(Dial(server));
      // New programs, which pass through all services, between runs of known ones by key.
      for (int i = 0;; ++i) {
        const int factor = 1 + t + 8 * i;
        const auto first = client.Execute(ScaleRequest(factor));
        if (!outcomes.Note(factor, first)) return;
        execute::v1::ExecuteRequest again;
        again.set_key(first->key());
        *again.add_arguments() = OnesArgument();
        for (int k = 0; k < 5; ++k) {
          if (!outcomes.Note(factor, client.Execute(again))) return;
        }
      }
    });
  }
  // A stream that was accepted before the signal goes on until its caller ends it.
  std::atomic<bool> stopping{false};
  std::jthread streamer([&] {
    const stubs::ExecuteClient client(Dial(server));
    auto stream = client.OpenStream();
    bool ended_well = true;
    uint64_t id = 0;
    do {
      execute::v1::ExecuteStreamRequest item;
      item.set_id(id);
      *item.mutable_request() = ScaleRequest(3);
      ended_well = ended_well && stream.Write(item).ok();
      const auto answer = stream.Read();
      ended_well = ended_well && answer.ok() && *answer && (*answer)->id() == id++ &&
                   (*answer)->has_response();
    } while (ended_well && !stopping.load());
    stream.WritesDone();
    const auto end = stream.Read();
    EXPECT_TRUE(ended_well && end.ok() && !*end) << end.status().ToString() << " after " << id;
  });
  while (outcomes.ran.load() < 300) std::this_thread::yield();
  server.process->Signal(SIGTERM);
  callers.clear();  // each leaves at its first refusal
  stopping = true;
  EXPECT_EQ(server.process->Wait(std::chrono::seconds(30)), 0);
  streamer = std::jthread();
  EXPECT_THAT(outcomes.wrong, ::testing::IsEmpty());

  // The executable of every program that ran is in the cache, and the ledger tells how each came
  // about.
  ServerProcess next = Start();
  std::vector<std::string> keys;
  for (const auto& [factor, key] : outcomes.keys) keys.push_back(key);
  const auto missing = stubs::CacheClient(Dial(next)).FindMissing(keys);
  ASSERT_TRUE(missing.ok()) << missing.status().ToString();
  EXPECT_THAT(*missing, ::testing::IsEmpty());
  const stubs::LedgerClient ledger(Dial(next));
  const auto report = ledger.Verify();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->intact) << report->reason;
  for (const std::string& key : keys) {
    const auto entries = ledger.Query({.kind = ledger::Kind::kCompile, .key = key}, 10);
    ASSERT_TRUE(entries.ok());
    EXPECT_FALSE(entries->empty()) << key;
  }
}

TEST_F(FleetProcessTest, EveryServiceServesOnEveryTransport) {
  const std::string socket = JoinPath(directory_.path(), "socket");
  for (const char* transport : {"inprocess", "tcp"}) {
    ServerProcess server =
        Start({StrCat("--transport=", transport), StrCat("--listen=127.0.0.1:0,unix:", socket)});
    for (const std::string& address : {server.address, "unix:" + socket}) {
      const auto channel = *rpc::Channel::Dial(address, {});
      const stubs::HealthClient health(channel);
      const auto info = health.GetInfo();
      ASSERT_TRUE(info.ok()) << address << ": " << info.status().ToString();
      for (const std::string& service : info->services)
        EXPECT_TRUE(*health.IsServing(service)) << service;
      const auto response = stubs::ExecuteClient(channel).Execute(ScaleRequest(7));
      ASSERT_TRUE(response.ok()) << transport << " " << address << ": "
                                 << response.status().ToString();
    }
    server.process->Signal(SIGTERM);
    EXPECT_EQ(server.process->Wait(std::chrono::seconds(20)), 0);
  }
}

}  // namespace
}  // namespace megalith
