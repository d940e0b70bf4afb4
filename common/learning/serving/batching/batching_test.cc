#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/batching/batch_merge.h"
#include "common/learning/serving/batching/batch_scheduler.h"

namespace megalith::serving {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using tensor::DType;
using tensor::Tensor;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Value Rows(const std::vector<float>& values, int64_t columns = 1) {
  Tensor t = *Tensor::Create(DType::kF32, {static_cast<int64_t>(values.size()) / columns, columns});
  for (size_t i = 0; i < values.size(); ++i) t.SetDouble(static_cast<int64_t>(i), values[i]);
  return Value::Of(std::move(t));
}

std::vector<float> Floats(const Value& value) {
  const auto span = value.tensor.As<float>();
  return {span.begin(), span.end()};
}

// Doubles its argument, and notes the rows of every run. A test may hold runs up, fail them, or
// make them give too few rows.
class DoublingProgram final : public Program {
 public:
  const std::vector<ProgramType>& inputs() const override { return types_; }
  const std::vector<ProgramType>& outputs() const override { return types_; }
  Result<std::vector<Value>> Run(std::vector<Value> arguments,
                                 const Cancellation& cancellation) const override {
    std::unique_lock<std::mutex> lock(mu_);
    runs_.push_back(arguments[0].shape()[0]);
    last_ = Floats(arguments[0]);
    changed_.notify_all();
    while (held_ && cancellation.Check().ok())
      changed_.wait_for(lock, std::chrono::milliseconds(1));
    RETURN_IF_ERROR(cancellation.Check());
    RETURN_IF_ERROR(error_);
    if (short_) return std::vector{Rows({1})};
    Tensor out = *Tensor::Create(DType::kF32, arguments[0].shape());
    for (int64_t i = 0; i < out.size(); ++i) out.SetDouble(i, 2 * arguments[0].tensor.DoubleAt(i));
    return std::vector{Value::Of(std::move(out))};
  }

  void Hold(bool on) {
    const std::lock_guard<std::mutex> lock(mu_);
    held_ = on;
    changed_.notify_all();
  }
  void AwaitRuns(size_t n) {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [&] { return runs_.size() >= n; });
  }
  std::vector<int64_t> runs() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return runs_;
  }
  std::vector<float> last() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return last_;
  }
  void Fail(Status status) {
    const std::lock_guard<std::mutex> lock(mu_);
    error_ = std::move(status);
  }
  void GiveTooFewRows() {
    const std::lock_guard<std::mutex> lock(mu_);
    short_ = true;
  }

 private:
  const std::vector<ProgramType> types_ = {{DataType::kFloat, {-1, -1}}};
  mutable std::mutex mu_;
  mutable std::condition_variable changed_;
  mutable std::vector<int64_t> runs_;
  mutable std::vector<float> last_;
  bool held_ = false;
  bool short_ = false;
  Status error_;
};

using Answer = Result<std::vector<Value>>;

class BatchingTest : public ::testing::Test {
 protected:
  void Start(BatchingOptions options, size_t threads = 1) {
    ASSERT_TRUE(CheckBatchingOptions(options).ok());
    scheduler_ = std::make_shared<BatchScheduler>(threads, "batch");
    batched_ = MakeBatched(program_, scheduler_, options);
  }
  Answer Run(Value value, const Cancellation& cancellation = Cancellation()) {
    return batched_->Run({std::move(value)}, cancellation);
  }
  std::future<Answer> Later(Value value) {
    return std::async(std::launch::async, [this, value] { return Run(value); });
  }
  // Occupies the only thread until Hold(false).
  std::future<Answer> Occupy() {
    program_->Hold(true);
    auto out = Later(Rows({0}));
    program_->AwaitRuns(1);
    return out;
  }

  std::shared_ptr<DoublingProgram> program_ = std::make_shared<DoublingProgram>();
  std::shared_ptr<BatchScheduler> scheduler_;
  std::shared_ptr<const Program> batched_;
};

TEST_F(BatchingTest, CallsAreRunTogetherAndGetTheirOwnRows) {
  Start({.max_batch_size = 6, .batch_timeout = hours(1)});
  auto one = Later(Rows({1})), two = Later(Rows({2, 3})), three = Later(Rows({4, 5, 6}));
  EXPECT_THAT(Floats((*one.get())[0]), ElementsAre(2));
  EXPECT_THAT(Floats((*two.get())[0]), ElementsAre(4, 6));
  EXPECT_THAT(Floats((*three.get())[0]), ElementsAre(8, 10, 12));
  EXPECT_THAT(program_->runs(), ElementsAre(6));
}

TEST_F(BatchingTest, ABatchThatIsNotFullRunsWhenItsTimeIsUp) {
  Start({.max_batch_size = 100, .batch_timeout = microseconds(100)});
  EXPECT_THAT(Floats((*Run(Rows({1, 2})))[0]), ElementsAre(2, 4));
  EXPECT_THAT(program_->runs(), ElementsAre(2));
}

TEST_F(BatchingTest, BatchesAreFilledUpToAnAllowedSizeWithTheFirstRowOfTheLastCall) {
  Start({.max_batch_size = 8, .allowed_batch_sizes = {4, 8}});
  EXPECT_THAT(Floats((*Run(Rows({5, 6, 7})))[0]), ElementsAre(10, 12, 14));
  EXPECT_THAT(program_->last(), ElementsAre(5, 6, 7, 5));
}

TEST_F(BatchingTest, ACallThatDoesNotFitStartsANewBatch) {
  Start({.max_batch_size = 4});
  auto running = Occupy();
  auto one = Later(Rows({1, 1, 1})), two = Later(Rows({2, 2, 2}));
  program_->Hold(false);
  for (auto* each : {&running, &one, &two}) EXPECT_TRUE(each->get().ok());
  EXPECT_THAT(program_->runs(), ElementsAre(1, 3, 3));
}

TEST_F(BatchingTest, CallsBeyondABatchAreRefused) {
  Start({.max_batch_size = 2});
  const Status status = Run(Rows({1, 2, 3})).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message(), "Task size 3 is larger than maximum input batch size 2");
}

TEST_F(BatchingTest, LargeCallsAreDivided) {
  Start({.max_batch_size = 10, .split_large_batches = true, .max_execution_batch_size = 4});
  const Answer answer = Run(Rows({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_THAT(Floats((*answer)[0]), ElementsAre(2, 4, 6, 8, 10, 12, 14, 16, 18, 20));
  EXPECT_THAT(program_->runs(), ElementsAre(4, 4, 2));
  EXPECT_EQ(Run(Rows(std::vector<float>(11))).status().code(), Code::kInvalidArgument);
}

TEST_F(BatchingTest, AFullQueueRefusesCalls) {
  Start({.max_batch_size = 1, .max_enqueued_batches = 2});
  auto running = Occupy();
  auto one = Later(Rows({1})), two = Later(Rows({2}));
  // The queue holds two; whichever comes third is refused. Cancelled calls leave their place.
  Status refused;
  while (refused.ok() || refused.code() == Code::kDeadlineExceeded) {
    const Cancellation soon(RealClock().Monotonic() + std::chrono::milliseconds(1));
    refused = Run(Rows({3}), soon).status();
  }
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_THAT(refused.message(),
              HasSubstr("The batch scheduling queue to which this task was submitted is full"));
  program_->Hold(false);
  EXPECT_TRUE(running.get().ok());
  for (auto* each : {&one, &two}) {
    const Answer answer = each->get();
    EXPECT_THAT(answer.status().code(), AnyOf(Code::kOk, Code::kUnavailable));
  }
}

TEST_F(BatchingTest, AnErrorReachesEveryCallOfTheBatch) {
  Start({.max_batch_size = 2, .batch_timeout = hours(1)});
  program_->Fail(DataLoss("the disk is gone"));
  auto one = Later(Rows({1})), two = Later(Rows({2}));
  EXPECT_EQ(one.get().status().message(), "the disk is gone");
  EXPECT_EQ(two.get().status().message(), "the disk is gone");
}

TEST_F(BatchingTest, ResultsWithoutTheRowsOfTheArgumentsAreAnError) {
  Start({.max_batch_size = 8});
  program_->GiveTooFewRows();
  const Status status = Run(Rows({1, 2})).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("0th dimension does not equal"));
}

TEST_F(BatchingTest, ACallLeavesWithItsDeadlineAndTheOthersStay) {
  Start({.max_batch_size = 2, .batch_timeout = hours(1)});
  const Cancellation soon(RealClock().Monotonic() + std::chrono::milliseconds(5));
  EXPECT_EQ(Run(Rows({1}), soon).status().code(), Code::kDeadlineExceeded);
  auto two = Later(Rows({2}));
  EXPECT_THAT(Floats((*two.get())[0]), ElementsAre(4));
  EXPECT_THAT(program_->runs(), ElementsAre(1));  // without the row of the one that left
}

TEST_F(BatchingTest, ABatchThatNobodyWaitsForIsCancelled) {
  Start({.max_batch_size = 1});
  program_->Hold(true);
  Cancellation cancellation;
  auto call = std::async(std::launch::async, [&] { return Run(Rows({1}), cancellation); });
  program_->AwaitRuns(1);
  cancellation.Cancel();
  EXPECT_EQ(call.get().status().code(), Code::kCancelled);
  batched_.reset();
  scheduler_.reset();  // joins: the run has ended though the program is still held
}

TEST_F(BatchingTest, ShapesThatDifferHaveTheirOwnQueues) {
  Start({.max_batch_size = 2, .batch_timeout = hours(1)});
  auto a = Later(Rows({1, 2}, 2)), b = Later(Rows({1}, 1));
  auto c = Later(Rows({3, 4}, 2)), d = Later(Rows({2}, 1));
  for (auto* each : {&a, &b, &c, &d}) EXPECT_TRUE(each->get().ok());
  EXPECT_THAT(program_->runs(), ElementsAre(2, 2));
}

TEST_F(BatchingTest, ShapesThatDifferArePaddedWhereThatIsAsked) {
  Start({.max_batch_size = 2, .batch_timeout = hours(1), .pad_variable_length_inputs = true});
  auto a = Later(Rows({1, 2}, 2));
  auto b = Later(Rows({7, 8, 9}, 3));
  EXPECT_THAT(Floats((*a.get())[0]), ElementsAre(2, 4, 2));  // the first element fills
  EXPECT_THAT(Floats((*b.get())[0]), ElementsAre(14, 16, 18));
}

TEST_F(BatchingTest, CallsWithoutRowsRunAtOnce) {
  Start({.max_batch_size = 100, .batch_timeout = hours(1)});
  EXPECT_TRUE(Run(Rows({})).ok());
}

TEST_F(BatchingTest, ManyCallersGetTheirOwnRows) {
  Start({.max_batch_size = 16, .max_enqueued_batches = 1000, .allowed_batch_sizes = {4, 16}}, 2);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 8; ++c) {
    callers.emplace_back([&, c] {
      for (int i = 0; i < 200; ++i) {
        const auto v = static_cast<float>(c * 1000 + i);
        std::vector<float> in(static_cast<size_t>(1 + i % 5), v);
        const Answer answer = Run(Rows(in));
        if (!answer.ok() || Floats((*answer)[0]) != std::vector<float>(in.size(), 2 * v)) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(BatchingOptionsTest, SizesThatDoNotFitTogetherAreRefused) {
  EXPECT_EQ(CheckBatchingOptions({.max_batch_size = 8, .allowed_batch_sizes = {2, 4}}).message(),
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; "
            "expected 8");
  for (const BatchingOptions& bad :
       std::vector<BatchingOptions>{{.max_batch_size = 0},
                                    {.batch_timeout = microseconds(-1)},
                                    {.max_enqueued_batches = 0},
                                    {.max_batch_size = 4, .allowed_batch_sizes = {4, 2}},
                                    {.max_batch_size = 4, .max_execution_batch_size = 5}}) {
    EXPECT_EQ(CheckBatchingOptions(bad).code(), Code::kInvalidArgument);
  }
}

TEST(MergeArgumentsTest, StringsAreMergedAndPaddedToo) {
  const std::vector<Value> a = {Value::OfStrings({1, 1}, {"a"})},
                           b = {Value::OfStrings({1, 2}, {"b", "c"})};
  const auto merged = MergeArguments({{&a, 0, 1}, {&b, 0, 1}}, 3, /*pad=*/true);
  ASSERT_TRUE(merged.ok());
  EXPECT_THAT((*merged)[0].strings, ElementsAre("a", "a", "b", "c", "b", "c"));
  const auto refused = MergeArguments({{&a, 0, 1}, {&b, 0, 1}}, 2, /*pad=*/false);
  EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace megalith::serving
