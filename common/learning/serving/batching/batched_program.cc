// A program whose calls wait for each other.
#include <algorithm>
#include <map>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/batching/batch_scheduler.h"

namespace megalith::serving {
namespace {

// Shapes of rows with a queue of their own; requests of further ones share the last queue's fate of
// failing together. Programs here have one shape each, padded ones a few.
constexpr size_t kMaxQueues = 1000;

class BatchedProgram final : public Program {
 public:
  BatchedProgram(std::shared_ptr<const Program> inner, std::shared_ptr<BatchScheduler> scheduler,
                 BatchingOptions options)
      : inner_(std::move(inner)), scheduler_(std::move(scheduler)), options_(std::move(options)) {}
  const std::vector<ProgramType>& inputs() const override { return inner_->inputs(); }
  const std::vector<ProgramType>& outputs() const override { return inner_->outputs(); }

  Result<std::vector<Value>> Run(std::vector<Value> arguments,
                                 const Cancellation& cancellation) const override {
    RETURN_IF_ERROR(Check(arguments));
    if (arguments.front().shape()[0] == 0) return inner_->Run(std::move(arguments), cancellation);
    const auto queue = QueueOf(arguments);
    return scheduler_->Run(queue, std::move(arguments), cancellation);
  }

 private:
  static Status Check(const std::vector<Value>& arguments) {
    if (arguments.empty())
      return InvalidArgument("Batching Run() must have at least one input tensor");
    for (const Value& value : arguments) {
      if (value.shape().empty())
        return InvalidArgument("Batching Run() input tensors must have at least one dimension");
      if (value.shape()[0] != arguments.front().shape()[0]) {
        return InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size");
      }
    }
    return OkStatus();
  }

  std::shared_ptr<BatchScheduler::Queue> QueueOf(const std::vector<Value>& arguments) const {
    std::string key;
    for (const Value& value : arguments) {
      StrAppend(&key, value.shape().size(), ";");
      if (options_.pad_variable_length_inputs) continue;
      for (size_t d = 1; d < value.shape().size(); ++d) StrAppend(&key, value.shape()[d], ",");
    }
    const std::lock_guard<std::mutex> lock(mu_);
    if (queues_.size() >= kMaxQueues && queues_.count(key) == 0) key.clear();
    std::shared_ptr<BatchScheduler::Queue>& queue = queues_[key];
    if (queue == nullptr) queue = scheduler_->NewQueue(inner_, options_);
    return queue;
  }

  const std::shared_ptr<const Program> inner_;
  const std::shared_ptr<BatchScheduler> scheduler_;
  const BatchingOptions options_;
  mutable std::mutex mu_;
  // By the shapes of arguments without their rows; guarded by mu_.
  mutable std::map<std::string, std::shared_ptr<BatchScheduler::Queue>> queues_;
};

bool HasRows(const ProgramType& type) { return !type.dims.empty() && type.dims[0] == -1; }

Status Expect(bool condition, std::string_view what) {
  return condition ? OkStatus() : InvalidArgument(std::string(what));
}

}  // namespace

bool CanBeBatched(const Program& program) {
  return !program.inputs().empty() && std::ranges::all_of(program.inputs(), HasRows) &&
         std::ranges::all_of(program.outputs(), HasRows);
}

std::shared_ptr<const Program> MakeBatched(std::shared_ptr<const Program> inner,
                                           std::shared_ptr<BatchScheduler> scheduler,
                                           BatchingOptions options) {
  return std::make_shared<BatchedProgram>(std::move(inner), std::move(scheduler),
                                          std::move(options));
}

Status CheckBatchingOptions(const BatchingOptions& options) {
  RETURN_IF_ERROR(Expect(options.max_batch_size >= 1, "max_batch_size must be at least 1"));
  RETURN_IF_ERROR(
      Expect(options.max_enqueued_batches >= 1, "max_enqueued_batches must be at least 1"));
  RETURN_IF_ERROR(
      Expect(options.batch_timeout.count() >= 0, "batch_timeout_micros must not be negative"));
  RETURN_IF_ERROR(Expect(options.max_execution_batch_size >= 0 &&
                             options.max_execution_batch_size <= options.max_batch_size,
                         "max_execution_batch_size must be between 1 and max_batch_size"));
  const std::vector<int64_t>& sizes = options.allowed_batch_sizes;
  if (sizes.empty()) return OkStatus();
  RETURN_IF_ERROR(Expect(sizes.front() >= 1 && std::ranges::adjacent_find(
                                                   sizes, std::greater_equal<>()) == sizes.end(),
                         "allowed_batch_sizes entries must be in increasing order"));
  if (sizes.back() == options.limit()) return OkStatus();
  return InvalidArgument(
      StrCat("Last entry in allowed_batch_sizes must match ",
             options.split_large_batches ? "max_execution_batch_size" : "max_batch_size",
             "; last entry was ", sizes.back(), "; expected ", options.limit()));
}

}  // namespace megalith::serving
