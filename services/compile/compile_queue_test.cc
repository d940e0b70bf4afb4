#include "services/compile/compile_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Time that moves when the test says so.
class TestClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::nanoseconds(now_.load());
  }
  int64_t UnixNanos() const override { return now_.load(); }
  void Advance(std::chrono::nanoseconds d) { now_ += d.count(); }

 private:
  std::atomic<int64_t> now_{1};
};

// A compiler that is inside a kernel until it is let go, whatever its callers do.
struct Latch {
  std::atomic<bool> inside{false}, open{false};
  void Pass() {
    inside = true;
    while (!open.load()) std::this_thread::yield();
  }
  void AwaitInside() const {
    while (!inside.load()) std::this_thread::yield();
  }
};

CompiledPackagePtr PackageOf(std::string bytes) {
  return std::make_shared<const CompiledPackage>(
      CompiledPackage{.bytes = std::make_shared<const std::string>(std::move(bytes)),
                      .outcome = compile::v1::CACHE_OUTCOME_MISS,
                      .store_error = {}});
}

CompileTask TaskOf(std::string key, std::string client = "a",
                   Urgency urgency = Urgency::kInteractive) {
  CompileTask task;
  task.client = std::move(client);
  task.urgency = urgency;
  task.run = [key](const StageProgress&, const Cancellation&) -> Result<CompiledPackagePtr> {
    return PackageOf(key);
  };
  task.key = std::move(key);
  return task;
}

class CompileQueueTest : public ::testing::Test {
 protected:
  void Make(CompileQueueLimits limits) {
    queue_ = std::make_unique<CompileQueue>(limits, metrics_, clock_);
  }
  // Occupies a worker until `latch` opens.
  CompileTask Blocking(std::string key, Latch* latch, std::string client = "a") {
    CompileTask task = TaskOf(key, std::move(client));
    task.run = [key, latch](const StageProgress&,
                            const Cancellation&) -> Result<CompiledPackagePtr> {
      latch->Pass();
      return PackageOf(key);
    };
    return task;
  }
  // Notes the order in which compilations begin.
  CompileTask Noting(std::string key, std::string client, Urgency urgency) {
    CompileTask task = TaskOf(key, std::move(client), urgency);
    task.run = [this, key](const StageProgress&,
                           const Cancellation&) -> Result<CompiledPackagePtr> {
      const std::lock_guard<std::mutex> lock(mu_);
      order_.push_back(key);
      return PackageOf(key);
    };
    return task;
  }
  // Calls Do on a thread of its own.
  void Ask(CompileTask task, const Cancellation* caller = nullptr) {
    threads_.emplace_back([this, task = std::move(task), caller]() mutable {
      const std::string key = task.key;
      const auto outcome = queue_->Do(std::move(task), caller == nullptr ? forever_ : *caller, {});
      const std::lock_guard<std::mutex> lock(mu_);
      ended_.emplace_back(key, outcome.ok() ? (outcome->shared ? "shared" : "compiled")
                                            : std::string(CodeName(outcome.status().code())));
    });
  }
  void AskAndAwaitQueued(CompileTask task) {
    const double want = queued() + 1;
    Ask(std::move(task));
    while (queued() != want) std::this_thread::yield();
  }
  double queued() { return metrics_.GetGauge(telemetry::kCompileQueueLength).value(); }
  uint64_t started() { return metrics_.GetCounter(telemetry::kCompileStarted).value(); }
  uint64_t joined() { return metrics_.GetCounter(telemetry::kCompileShared).value(); }
  void Join() { threads_.clear(); }

  telemetry::MetricRegistry metrics_;
  TestClock clock_;
  Cancellation forever_;
  Latch latch_;
  std::unique_ptr<CompileQueue> queue_;
  std::mutex mu_;
  std::vector<std::string> order_;                          // guarded by mu_
  std::vector<std::pair<std::string, std::string>> ended_;  // guarded by mu_
  std::vector<std::jthread> threads_;
};

TEST_F(CompileQueueTest, CallersOfOneKeyShareOneCompilation) {
  Make({});
  for (int i = 0; i < 10; ++i) Ask(Blocking("k", &latch_, StrCat("client ", i)));
  while (joined() < 9) std::this_thread::yield();
  latch_.open = true;
  Join();
  EXPECT_EQ(started(), 1u);
  EXPECT_EQ(std::ranges::count(ended_, std::pair<std::string, std::string>("k", "compiled")), 1);
  EXPECT_EQ(std::ranges::count(ended_, std::pair<std::string, std::string>("k", "shared")), 9);
}

TEST_F(CompileQueueTest, WhatIsFoundMeanwhileIsNotCompiled) {
  Make({});
  CompileTask task = TaskOf("k");
  task.find = [](const Cancellation&) { return PackageOf("found"); };
  const auto outcome = queue_->Do(std::move(task), forever_, {});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome->package->bytes, "found");
  EXPECT_EQ(started(), 0u);
}

TEST_F(CompileQueueTest, CallerLeavesWhileTheCompilerIsInsideAKernel) {
  Make({.workers = 1});
  Cancellation caller;
  Ask(Blocking("k", &latch_), &caller);
  latch_.AwaitInside();
  caller.Cancel();
  Join();  // returns although the compiler has not moved
  EXPECT_FALSE(latch_.open.load());
  EXPECT_THAT(ended_, ElementsAre(std::pair<std::string, std::string>("k", "CANCELLED")));
  latch_.open = true;
}

TEST_F(CompileQueueTest, DeadlineFreesTheCallerTheSame) {
  Make({.workers = 1});
  const Cancellation caller(clock_.Monotonic() + std::chrono::seconds(1), clock_);
  Ask(Blocking("k", &latch_), &caller);
  latch_.AwaitInside();
  clock_.Advance(std::chrono::seconds(2));
  Join();
  EXPECT_THAT(ended_, ElementsAre(std::pair<std::string, std::string>("k", "DEADLINE_EXCEEDED")));
  latch_.open = true;
}

TEST_F(CompileQueueTest, CompilationGoesOnForWhoStillWaits) {
  Make({.workers = 1});
  Cancellation first;
  Ask(Blocking("k", &latch_), &first);
  latch_.AwaitInside();
  Ask(TaskOf("k", "b"));
  while (joined() < 1) std::this_thread::yield();
  first.Cancel();
  threads_.erase(threads_.begin());
  EXPECT_THAT(ended_, ElementsAre(std::pair<std::string, std::string>("k", "CANCELLED")));
  latch_.open = true;
  Join();
  EXPECT_EQ(ended_.back().second, "compiled");
  EXPECT_EQ(started(), 1u);
}

TEST_F(CompileQueueTest, AbandonedWorkIsToldToStopAndALaterCallerStartsAfresh) {
  Make({.workers = 2});
  std::atomic<bool> told{false};
  CompileTask task = TaskOf("k");
  task.run = [&](const StageProgress&, const Cancellation& c) -> Result<CompiledPackagePtr> {
    latch_.Pass();
    told = !c.Check().ok();
    return Status(Code::kCancelled, "stopped");
  };
  Cancellation caller;
  Ask(std::move(task), &caller);
  latch_.AwaitInside();
  caller.Cancel();
  Join();
  const auto again = queue_->Do(TaskOf("k"), forever_, {});
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(started(), 2u);
  latch_.open = true;
  queue_.reset();
  EXPECT_TRUE(told.load());
}

TEST_F(CompileQueueTest, FailureReachesAllAndIsNotKept) {
  Make({});
  CompileTask failing = TaskOf("k");
  failing.run = [&](const StageProgress&, const Cancellation&) -> Result<CompiledPackagePtr> {
    latch_.Pass();
    return Unimplemented("no code for this");
  };
  for (int i = 0; i < 3; ++i) Ask(failing);
  while (joined() < 2) std::this_thread::yield();
  latch_.open = true;
  Join();
  for (const auto& [key, how] : ended_) EXPECT_EQ(how, "UNIMPLEMENTED");
  EXPECT_TRUE(queue_->Do(TaskOf("k"), forever_, {}).ok());
  EXPECT_EQ(started(), 2u);
}

TEST_F(CompileQueueTest, ThrowingCompilerFailsItsCallersOnly) {
  Make({.workers = 1});
  CompileTask task = TaskOf("k");
  task.run = [](const StageProgress&, const Cancellation&) -> Result<CompiledPackagePtr> {
    throw std::runtime_error("surprise");
  };
  EXPECT_THAT(queue_->Do(std::move(task), forever_, {}).status().message(), HasSubstr("surprise"));
  EXPECT_TRUE(queue_->Do(TaskOf("k"), forever_, {}).ok());
}

TEST_F(CompileQueueTest, UrgentWorkComesFirst) {
  Make({.workers = 1});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  AskAndAwaitQueued(Noting("background", "a", Urgency::kBackground));
  AskAndAwaitQueued(Noting("batch", "a", Urgency::kBatch));
  AskAndAwaitQueued(Noting("interactive", "a", Urgency::kInteractive));
  latch_.open = true;
  Join();
  EXPECT_THAT(order_, ElementsAre("interactive", "batch", "background"));
}

TEST_F(CompileQueueTest, UrgentCallerTakesABackgroundCompilationAlong) {
  Make({.workers = 1});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  AskAndAwaitQueued(Noting("code", "a", Urgency::kBackground));
  AskAndAwaitQueued(Noting("batch", "a", Urgency::kBatch));
  Ask(Noting("code", "b", Urgency::kInteractive));
  while (joined() < 1) std::this_thread::yield();
  latch_.open = true;
  Join();
  EXPECT_THAT(order_, ElementsAre("code", "batch"));
}

TEST_F(CompileQueueTest, FloodingClientDoesNotStarveOthers) {
  Make({.workers = 1});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  for (int i = 0; i < 5; ++i)
    AskAndAwaitQueued(Noting(StrCat("flood ", i), "flood", Urgency::kInteractive));
  AskAndAwaitQueued(Noting("b", "b", Urgency::kInteractive));
  AskAndAwaitQueued(Noting("c", "c", Urgency::kInteractive));
  latch_.open = true;
  Join();
  EXPECT_THAT(order_, ElementsAre("flood 0", "b", "c", "flood 1", "flood 2", "flood 3", "flood 4"));
}

TEST_F(CompileQueueTest, QueueAndShareOfAClientAreBounded) {
  Make({.workers = 1, .programs = 3, .programs_of_client = 2});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  AskAndAwaitQueued(TaskOf("a1"));
  AskAndAwaitQueued(TaskOf("a2"));
  const Status share = queue_->Do(TaskOf("a3"), forever_, {}).status();
  EXPECT_EQ(share.code(), Code::kResourceExhausted);
  EXPECT_THAT(share.message(), HasSubstr("queue_programs_of_client) is 2; wait"));
  AskAndAwaitQueued(TaskOf("b1", "b"));
  const Status full = queue_->Do(TaskOf("c1", "c"), forever_, {}).status();
  EXPECT_EQ(full.code(), Code::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("queue is full: 3 programs wait (queue_programs); retry"));
  latch_.open = true;
}

TEST_F(CompileQueueTest, FullQueueTakesUrgentWorkInPlaceOfBackgroundWork) {
  Make({.workers = 1, .programs = 1});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  AskAndAwaitQueued(TaskOf("background", "a", Urgency::kBackground));
  Ask(TaskOf("urgent", "b"));
  while (true) {
    const std::lock_guard<std::mutex> lock(mu_);
    if (!ended_.empty()) break;
  }
  EXPECT_THAT(ended_,
              ElementsAre(std::pair<std::string, std::string>("background", "RESOURCE_EXHAUSTED")));
  latch_.open = true;
  Join();
  EXPECT_EQ(started(), 2u);
}

TEST_F(CompileQueueTest, QueuedProgramNobodyWaitsForIsNeverCompiled) {
  Make({.workers = 1});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  Cancellation caller;
  Ask(TaskOf("k"), &caller);
  while (queued() != 1) std::this_thread::yield();
  caller.Cancel();
  while (queued() != 0) std::this_thread::yield();
  latch_.open = true;
  Join();
  EXPECT_EQ(started(), 1u);
}

TEST_F(CompileQueueTest, TimeBudgetEndsTheCompilationForAllAndSaysWhatToDo) {
  Make({.workers = 1, .time_budget = std::chrono::seconds(10)});
  Ask(Blocking("k", &latch_));
  latch_.AwaitInside();
  std::jthread second([&] {
    const Status s = queue_->Do(TaskOf("k"), forever_, {}).status();
    EXPECT_EQ(s.code(), Code::kResourceExhausted);
    EXPECT_THAT(s.message(), HasSubstr("time_budget_ms (10000); ask for option tier=0"));
  });
  while (joined() < 1) std::this_thread::yield();
  clock_.Advance(std::chrono::seconds(11));
  second.join();
  Join();
  EXPECT_THAT(ended_, ElementsAre(std::pair<std::string, std::string>("k", "RESOURCE_EXHAUSTED")));
  latch_.open = true;
}

TEST_F(CompileQueueTest, PatienceInTheQueueIsBounded) {
  Make({.workers = 1, .wait_budget = std::chrono::seconds(10)});
  Ask(Blocking("first", &latch_));
  latch_.AwaitInside();
  AskAndAwaitQueued(TaskOf("k"));
  clock_.Advance(std::chrono::seconds(11));
  threads_.pop_back();
  EXPECT_THAT(ended_, ElementsAre(std::pair<std::string, std::string>("k", "RESOURCE_EXHAUSTED")));
  latch_.open = true;
}

TEST_F(CompileQueueTest, ProgramAboveTheMemoryBudgetIsRefusedAtOnce) {
  Make({.memory_budget_bytes = 100});
  CompileTask task = TaskOf("k");
  task.memory_bytes = 101;
  const Status s = queue_->Do(std::move(task), forever_, {}).status();
  EXPECT_EQ(s.code(), Code::kResourceExhausted);
  EXPECT_THAT(s.message(), HasSubstr("above memory_budget_bytes (100)"));
  EXPECT_EQ(started(), 0u);
}

TEST_F(CompileQueueTest, ProgramsThatDoNotFitTogetherRunOneAfterTheOther) {
  Make({.workers = 2, .service_memory_bytes = 100});
  CompileTask first = Blocking("first", &latch_);
  first.memory_bytes = 60;
  Ask(std::move(first));
  latch_.AwaitInside();
  CompileTask large = Noting("large", "b", Urgency::kInteractive);
  large.memory_bytes = 60;
  AskAndAwaitQueued(std::move(large));
  CompileTask next = Noting("next", "b", Urgency::kInteractive);
  next.memory_bytes = 60;
  AskAndAwaitQueued(std::move(next));
  EXPECT_EQ(started(), 1u);
  latch_.open = true;
  Join();
  EXPECT_THAT(order_, ElementsAre("large", "next"));
}

TEST_F(CompileQueueTest, BackgroundWorkLeavesAWorkerFree) {
  Make({.workers = 2});
  CompileTask background = Blocking("background", &latch_);
  background.urgency = Urgency::kBackground;
  Ask(std::move(background));
  latch_.AwaitInside();
  AskAndAwaitQueued(TaskOf("more", "a", Urgency::kBackground));
  EXPECT_TRUE(queue_->Do(TaskOf("urgent"), forever_, {}).ok());
  EXPECT_EQ(queued(), 1);
  latch_.open = true;
}

TEST_F(CompileQueueTest, LaterCallersSeeTheProgressSoFar) {
  Make({.workers = 1});
  CompileTask task = TaskOf("k");
  task.run = [&](const StageProgress& progress, const Cancellation&) -> Result<CompiledPackagePtr> {
    progress("compile", 0.5);
    latch_.Pass();
    progress("store", 0.9);
    return PackageOf("k");
  };
  Ask(std::move(task));
  latch_.AwaitInside();
  std::vector<std::string> stages;
  const auto outcome = queue_->Do(TaskOf("k"), forever_, [&](std::string_view stage, double) {
    stages.emplace_back(stage);
    latch_.open = true;
  });
  EXPECT_TRUE(outcome.ok());
  EXPECT_THAT(stages, ElementsAre("compile", "store"));
}

}  // namespace
}  // namespace megalith::services
