// Many clients at once: what the compile service promises under load, with a compiler that does
// what the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "common/fleet/stubs/ledger_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/allinone/fleet.h"
#include "tests/support/fake_engines.h"

namespace megalith::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StormTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void TearDown() override {
    world_.release_stuck = true;
    world_.release_slow = true;
  }
  void Start(EmbeddedFleet::Options options) {
    fleet_.reset();
    options.process.listen.clear();
    options.process.access_log_per_second = 1;
    auto fleet = EmbeddedFleet::Start(std::move(options), testing::FakeEngines(&world_));
    ASSERT_TRUE(fleet.ok()) << fleet.status().ToString();
    fleet_ = *std::move(fleet);
    compile_ = std::make_unique<stubs::CompileClient>(fleet_->channel());
    execute_ = std::make_unique<stubs::ExecuteClient>(fleet_->channel());
  }

  static compile::v1::CompileRequest RequestOf(const std::string& text,
                                               const std::string& client = "") {
    compile::v1::CompileRequest request;
    request.set_stablehlo_text(text);
    request.mutable_options()->set_client(client);
    return request;
  }
  double Running() { return fleet_->metrics().GetGauge(telemetry::kCompileRunning).value(); }
  uint64_t Started() { return fleet_->metrics().GetCounter(telemetry::kCompileStarted).value(); }
  uint64_t Requests(std::string_view outcome) {
    return fleet_->metrics().GetCounter(telemetry::kCompileRequests, {outcome}).value();
  }
  // Decisions of the compile service by key and how often.
  std::map<std::string, std::map<std::string, int>> Decisions() {
    const stubs::LedgerClient ledger(fleet_->channel());
    EXPECT_TRUE(ledger.Verify()->intact);  // brings all to the disk
    const auto entries = ledger.Query({.kind = ledger::Kind::kCompile}, 10'000);
    std::map<std::string, std::map<std::string, int>> out;
    if (!entries.ok()) return out;
    for (const ledger::Entry& e : *entries) ++out[e.key][e.decision];
    return out;
  }

  testing::FakeWorld world_;
  std::unique_ptr<EmbeddedFleet> fleet_;
  std::unique_ptr<stubs::CompileClient> compile_;
  std::unique_ptr<stubs::ExecuteClient> execute_;
};

TEST_F(StormTest, TwoHundredClientsOverTwentyProgramsCompileEachOnce) {
  constexpr int kClients = 200, kPrograms = 20;
  std::mutex mu;
  std::set<std::string> keys;
  std::vector<std::string> failures;
  {
    std::vector<std::jthread> clients;
    for (int c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        // Half of them by the compile service, half by a chain through all services.
        const std::string text = StrCat("mul ", 1 + c % kPrograms, " 3");
        Status status;
        std::string key;
        if (c / kPrograms % 2 == 0) {
          const auto result = compile_->Compile(RequestOf(text, StrCat("client ", c)), nullptr);
          status = result.status();
          if (result.ok()) key = result->key();
        } else {
          execute::v1::ExecuteRequest request;
          request.mutable_chain()->mutable_source()->set_jaxpr_text(text);
          *request.add_arguments()->mutable_tensor() =
              tensor::TensorToProto(*tensor::Tensor::Create(tensor::DType::kF32, tensor::Shape{3}));
          const auto result = execute_->Execute(request);
          status = result.status();
          if (result.ok()) key = result->key();
        }
        const std::lock_guard<std::mutex> lock(mu);
        if (!status.ok()) failures.push_back(status.ToString());
        keys.insert(key);
      });
    }
  }
  EXPECT_THAT(failures, IsEmpty());
  EXPECT_THAT(keys, SizeIs(kPrograms));
  EXPECT_EQ(world_.compilations.load(), kPrograms);
  EXPECT_EQ(world_.loads.load(), kPrograms);
  EXPECT_EQ(Requests("compiled"), static_cast<uint64_t>(kPrograms));
  EXPECT_EQ(Started(), static_cast<uint64_t>(kPrograms));
  for (const auto& [key, decisions] : Decisions()) EXPECT_EQ(decisions.at("miss"), 1) << key;
}

TEST_F(StormTest, CancelledCallIsFreeWhileTheCompilerIsStuck) {
  Cancellation cancellation;
  Status status;
  std::jthread caller([&] {
    status =
        compile_->Compile(RequestOf("stuck 1"), nullptr, {.cancellation = &cancellation}).status();
  });
  while (world_.stuck.load() == 0) std::this_thread::yield();
  cancellation.Cancel();
  caller.join();
  EXPECT_EQ(status.code(), Code::kCancelled);
  // Not only the client's end: the service is done with the call too.
  while (Requests("cancelled") == 0) std::this_thread::yield();
  EXPECT_EQ(world_.stuck.load(), 1);
  EXPECT_EQ(Running(), 1);
  // Others go on.
  EXPECT_TRUE(compile_->Compile(RequestOf("mul 2 3"), nullptr).ok());
  const auto decisions = Decisions();
  int cancelled = 0;
  for (const auto& [key, d] : decisions) cancelled += d.contains("cancelled") ? 1 : 0;
  EXPECT_EQ(cancelled, 1);
}

TEST_F(StormTest, DeadlineFreesTheCallWhileTheCompilerIsStuck) {
  Status status;
  // A busy machine may let a deadline pass before the call arrives.
  while (world_.stuck.load() == 0) {
    status =
        compile_
            ->Compile(RequestOf("stuck 1"), nullptr, {.timeout = std::chrono::milliseconds(200)})
            .status();
  }
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded);
  while (Requests("cancelled") == 0) std::this_thread::yield();
  EXPECT_FALSE(world_.release_stuck.load());
}

TEST_F(StormTest, WaiterTakesOverFromTheFirstCaller) {
  Cancellation first;
  std::jthread leaver([&] {
    EXPECT_EQ(
        compile_->Compile(RequestOf("stuck 1"), nullptr, {.cancellation = &first}).status().code(),
        Code::kCancelled);
  });
  while (world_.stuck.load() == 0) std::this_thread::yield();
  std::jthread waiter([&] {
    const auto result = compile_->Compile(RequestOf("stuck 1"), nullptr);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
  });
  while (fleet_->metrics().GetCounter(telemetry::kCompileShared).value() == 0)
    std::this_thread::yield();
  first.Cancel();
  leaver.join();
  world_.release_stuck = true;
  waiter.join();
  EXPECT_EQ(Started(), 1u);
  EXPECT_EQ(world_.compilations.load(), 1);
}

TEST_F(StormTest, ChainCallerLeavesWhileOthersWaitForItsCompilation) {
  const auto request = [] {
    execute::v1::ExecuteRequest r;
    r.mutable_chain()->mutable_source()->set_jaxpr_text("stuck 1");
    *r.add_arguments()->mutable_tensor() =
        tensor::TensorToProto(*tensor::Tensor::Create(tensor::DType::kF32, tensor::Shape{1}));
    return r;
  }();
  telemetry::Counter& ended = fleet_->metrics().GetCounter(
      telemetry::kRpcHandled, {"megalith.execute.v1.ExecuteService", "Execute", "CANCELLED"});
  Cancellation first;
  std::jthread leaver([&] {
    EXPECT_EQ(execute_->Execute(request, {.cancellation = &first}).status().code(),
              Code::kCancelled);
  });
  while (world_.stuck.load() == 0) std::this_thread::yield();
  std::jthread waiter([&] {
    const auto response = execute_->Execute(request);
    EXPECT_TRUE(response.ok()) << response.status().ToString();
  });
  telemetry::Gauge& in_flight = fleet_->metrics().GetGauge(telemetry::kRpcInFlight);
  while (in_flight.value() < 3) std::this_thread::yield();  // two of them, and a compilation
  first.Cancel();
  leaver.join();
  while (ended.value() == 0) std::this_thread::yield();
  EXPECT_GE(world_.stuck.load(), 1);
  world_.release_stuck = true;
  waiter.join();
}

TEST_F(StormTest, CallersThatWaitForACompilerDoNotHoldUpRuns) {
  const std::string key = compile_->Compile(RequestOf("mul 2 1"), nullptr)->key();
  const tensor::Tensor one = *tensor::Tensor::Create(tensor::DType::kF32, tensor::Shape{1});
  Cancellation cancellation;
  std::vector<std::jthread> waiting;
  for (int i = 0; i < 12; ++i) {
    waiting.emplace_back([&, i] {
      execute::v1::ExecuteRequest request;
      request.mutable_chain()->mutable_source()->set_jaxpr_text(StrCat("stuck ", i));
      *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(one);
      EXPECT_EQ(execute_->Execute(request, {.cancellation = &cancellation}).status().code(),
                Code::kCancelled);
    });
  }
  // Two are being compiled, ten wait.
  while (fleet_->metrics().GetGauge(telemetry::kCompileQueueLength).value() < 10)
    std::this_thread::yield();
  execute::v1::ExecuteRequest request;
  request.set_key(key);
  *request.add_arguments()->mutable_tensor() = tensor::TensorToProto(one);
  const auto response = execute_->Execute(request);
  EXPECT_TRUE(response.ok()) << response.status().ToString();
  EXPECT_EQ(world_.stuck.load(), 2);
  cancellation.Cancel();
}

TEST_F(StormTest, FailureReachesAllWhoWaitAndIsNotCached) {
  std::vector<Status> statuses(10);
  {
    std::vector<std::jthread> clients;
    for (Status& s : statuses) {
      clients.emplace_back([&] { s = compile_->Compile(RequestOf("bad 1"), nullptr).status(); });
    }
    while (fleet_->metrics().GetCounter(telemetry::kCompileShared).value() < 9)
      std::this_thread::yield();
    world_.release_slow = true;
  }
  for (const Status& s : statuses) {
    EXPECT_EQ(s.code(), Code::kUnimplemented);
    EXPECT_EQ(s.message(), statuses[0].message());
  }
  EXPECT_EQ(Started(), 1u);
  EXPECT_FALSE(compile_->Compile(RequestOf("bad 1"), nullptr).ok());
  EXPECT_EQ(Started(), 2u);
  EXPECT_EQ(Requests("failed"), 11u);
}

TEST_F(StormTest, FloodingClientLeavesRoomForOthers) {
  EmbeddedFleet::Options options;
  options.fleet.compile.workers = 1;
  options.fleet.compile.callers = 16;
  options.fleet.compile.callers_of_client = 4;
  Start(std::move(options));
  std::atomic<int> refused{0};
  Cancellation cancellation;
  std::vector<std::jthread> flood;
  for (int i = 0; i < 8; ++i) {
    flood.emplace_back([&, i] {
      const Status s = compile_
                           ->Compile(RequestOf(StrCat("slow ", i), "flood"), nullptr,
                                     {.cancellation = &cancellation})
                           .status();
      if (s.code() != Code::kResourceExhausted) return;
      EXPECT_THAT(s.message(), HasSubstr("callers_of_client) is 4; wait for some"));
      ++refused;
    });
  }
  while (refused.load() < 4) std::this_thread::yield();
  std::jthread other([&] {
    const auto result = compile_->Compile(RequestOf("mul 2 3", "other"), nullptr);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
  });
  world_.release_slow = true;
  other.join();
  cancellation.Cancel();
  EXPECT_EQ(Requests("over_limit"), 4u);
}

TEST_F(StormTest, MemoryBudgetRefusesWithAnAdviceAndARecord) {
  EmbeddedFleet::Options options;
  options.fleet.compile.memory_budget_bytes = 1000;
  Start(std::move(options));
  const Status status = compile_->Compile(RequestOf("big 1001"), nullptr).status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("pass large constants as arguments, split the program"));
  EXPECT_TRUE(compile_->Compile(RequestOf("big 1000"), nullptr).ok());
  EXPECT_EQ(Requests("over_limit"), 1u);
  int records = 0;
  for (const auto& [key, d] : Decisions()) records += d.contains("over_limit") ? 1 : 0;
  EXPECT_EQ(records, 1);
}

TEST_F(StormTest, TimeBudgetRefusesWhileTheCompilerIsStuck) {
  EmbeddedFleet::Options options;
  options.fleet.compile.time_budget = std::chrono::milliseconds(50);
  Start(std::move(options));
  const Status status = compile_->Compile(RequestOf("stuck 1"), nullptr).status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("time_budget_ms (50); ask for option tier=0"));
  EXPECT_EQ(world_.stuck.load(), 1);
  EXPECT_EQ(Requests("over_limit"), 1u);
}

TEST_F(StormTest, RecordTellsWhoWaitedHowLongForWhat) {
  auto request = RequestOf("mul 2 3", "trainer");
  request.mutable_options()->set_priority(compile::v1::PRIORITY_BATCH);
  const auto result = *compile_->Compile(request, nullptr);
  const stubs::LedgerClient ledger(fleet_->channel());
  EXPECT_TRUE(ledger.Verify()->intact);
  const auto entries = *ledger.Query({.kind = ledger::Kind::kCompile, .key = result.key()}, 10);
  ASSERT_THAT(entries, SizeIs(1));
  std::map<std::string, std::string> evidence(entries[0].evidence.begin(),
                                              entries[0].evidence.end());
  EXPECT_EQ(evidence["client"], "trainer");
  EXPECT_EQ(evidence["priority"], "batch");
  EXPECT_EQ(evidence["tier"], "fake");
  EXPECT_TRUE(evidence.contains("wait_seconds"));
  EXPECT_TRUE(evidence.contains("compile_seconds"));
  EXPECT_EQ(evidence["memory_bytes"], "1");
}

}  // namespace
}  // namespace megalith::services
