#include "common/learning/serving/batching/batch_scheduler.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/learning/serving/batching/batch_merge.h"

namespace megalith::serving {
namespace {

// How often a waiting call looks whether it is still wanted.
constexpr std::chrono::milliseconds kLook{10};
constexpr size_t kMaxThreadName = 11;

}  // namespace

// One call of Run. Shared by the caller, who may leave early, and the batches it is in.
struct BatchScheduler::Task {
  std::vector<Value> arguments;
  int64_t rows = 0;
  std::mutex mu;
  std::condition_variable changed;
  size_t pending = 0;                      // pieces that have not run; guarded by mu
  std::vector<std::vector<Value>> pieces;  // results of each; guarded by mu
  Status status;                           // the first error; guarded by mu
  std::atomic<bool> left{false};           // the caller has gone
};

// Rows [begin, end) of a task, its piece number `index`.
struct BatchScheduler::Piece {
  std::shared_ptr<Task> task;
  size_t index = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

struct BatchScheduler::Batch {
  std::vector<Piece> pieces;
  int64_t rows = 0;
  std::chrono::nanoseconds opened{0};
  bool closed = false;  // takes no more rows
};

struct BatchScheduler::Queue {
  std::shared_ptr<const Program> program;
  BatchingOptions options;
  std::deque<Batch> batches;  // guarded by the scheduler's mu_; all but the last are closed
};

BatchScheduler::BatchScheduler(size_t threads, const std::string& name, BatchObserver* observer,
                               const Clock& clock)
    : observer_(observer), clock_(clock) {
  for (size_t i = 0; i < std::max<size_t>(1, threads); ++i) {
    threads_.emplace_back([this, i, thread_name = name.substr(0, kMaxThreadName)] {
      SetThreadName(StrCat(thread_name, "-", i));
      Loop();
    });
  }
}

BatchScheduler::~BatchScheduler() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::shared_ptr<BatchScheduler::Queue> BatchScheduler::NewQueue(
    std::shared_ptr<const Program> program, BatchingOptions options) {
  return std::make_shared<Queue>(Queue{std::move(program), std::move(options), {}});
}

Result<std::vector<Value>> BatchScheduler::Run(const std::shared_ptr<Queue>& queue,
                                               std::vector<Value> arguments,
                                               const Cancellation& cancellation) {
  const auto task = std::make_shared<Task>();
  task->rows = arguments.front().shape()[0];
  task->arguments = std::move(arguments);
  const int64_t most = queue->options.max_batch_size;
  if (task->rows > most) {
    return InvalidArgument(
        StrCat("Task size ", task->rows, " is larger than maximum input batch size ", most));
  }
  RETURN_IF_ERROR(cancellation.Check());
  if (observer_ != nullptr) observer_->OnRequest(task->rows);
  RETURN_IF_ERROR(Enqueue(queue, task));
  std::unique_lock<std::mutex> lock(task->mu);
  while (task->pending > 0) {
    const Status wanted = cancellation.Check();
    if (!wanted.ok()) {
      task->left = true;
      return wanted;
    }
    auto wait = std::chrono::nanoseconds(kLook);
    if (const auto left = cancellation.Left()) wait = std::min(wait, *left);
    task->changed.wait_for(lock, wait);
  }
  RETURN_IF_ERROR(task->status);
  if (task->pieces.size() == 1) return std::move(task->pieces.front());
  return JoinResults(task->pieces);
}

Status BatchScheduler::Enqueue(const std::shared_ptr<Queue>& queue,
                               const std::shared_ptr<Task>& task) {
  const int64_t limit = queue->options.limit();
  const std::lock_guard<std::mutex> lock(mu_);
  std::deque<Batch>& batches = queue->batches;
  const bool open = !batches.empty() && !batches.back().closed;
  int64_t room = open ? limit - batches.back().rows : 0;
  if (!queue->options.split_large_batches && task->rows > room) room = 0;
  const int64_t beyond = std::max<int64_t>(0, task->rows - room);
  const int64_t more = (beyond + limit - 1) / limit;
  if (static_cast<int64_t>(batches.size()) + more > queue->options.max_enqueued_batches) {
    return Unavailable(
        StrCat("The batch scheduling queue to which this task was submitted is full; it holds at "
               "most ",
               queue->options.max_enqueued_batches, " batches"));
  }
  if (batches.empty()) active_.push_back(queue);
  if (open && room == 0) batches.back().closed = true;
  for (int64_t begin = 0; begin < task->rows;) {
    if (batches.empty() || batches.back().closed) {
      batches.emplace_back();
      batches.back().opened = clock_.Monotonic();
    }
    Batch& batch = batches.back();
    const int64_t end = std::min(task->rows, begin + limit - batch.rows);
    batch.pieces.push_back({task, task->pending++, begin, end});
    batch.rows += end - begin;
    batch.closed = batch.rows == limit;
    begin = end;
  }
  task->pieces.resize(task->pending);
  wake_.notify_all();
  return OkStatus();
}

bool BatchScheduler::TakeBatch(std::shared_ptr<Queue>* queue, Batch* batch,
                               std::optional<std::chrono::nanoseconds>* wait_until) {
  const auto now = clock_.Monotonic();
  for (auto at = active_.begin(); at != active_.end(); ++at) {
    Batch& first = (*at)->batches.front();
    const auto due = first.opened + (*at)->options.batch_timeout;
    if (!first.closed && due > now && !stopping_) {
      if (!*wait_until || due < **wait_until) *wait_until = due;
      continue;
    }
    *queue = *at;
    *batch = std::move(first);
    (*queue)->batches.pop_front();
    // The others come first next time.
    if ((*queue)->batches.empty()) {
      active_.erase(at);
    } else {
      active_.splice(active_.end(), active_, at);
    }
    return true;
  }
  return false;
}

void BatchScheduler::Loop() {
  while (true) {
    std::shared_ptr<Queue> queue;
    Batch batch;
    {
      std::unique_lock<std::mutex> lock(mu_);
      while (true) {
        std::optional<std::chrono::nanoseconds> wait_until;
        if (TakeBatch(&queue, &batch, &wait_until)) break;
        if (stopping_) return;
        if (wait_until) {
          wake_.wait_for(lock, *wait_until - clock_.Monotonic());
        } else {
          wake_.wait(lock);
        }
      }
    }
    Process(*queue, std::move(batch));
  }
}

void BatchScheduler::Process(const Queue& queue, Batch batch) {
  // Nobody waits for those that have left.
  std::erase_if(batch.pieces, [&batch](const Piece& piece) {
    if (!piece.task->left) return false;
    batch.rows -= piece.end - piece.begin;
    return true;
  });
  if (batch.pieces.empty()) return;
  const std::vector<int64_t>& sizes = queue.options.allowed_batch_sizes;
  const auto allowed = std::ranges::lower_bound(sizes, batch.rows);
  const int64_t executed = allowed == sizes.end() ? batch.rows : *allowed;
  if (observer_ != nullptr)
    observer_->OnBatch(batch.rows, executed, clock_.Monotonic() - batch.opened);
  Result<std::vector<Value>> results = Internal("the batch was not run");
  try {
    results = Execute(queue, batch, executed);
    Deliver(batch, results);
  } catch (const std::exception& e) {
    Deliver(batch, Internal(StrCat("a batch failed inside the server: ", e.what())));
  }
}

Result<std::vector<Value>> BatchScheduler::Execute(const Queue& queue, const Batch& batch,
                                                   int64_t rows) {
  std::vector<BatchPart> parts;
  for (const Piece& piece : batch.pieces)
    parts.push_back({&piece.task->arguments, piece.begin, piece.end});
  ASSIGN_OR_RETURN(std::vector<Value> arguments,
                   MergeArguments(parts, rows, queue.options.pad_variable_length_inputs));
  // A batch ends early when everybody who waited for it has gone.
  const Cancellation unwanted(
      std::nullopt, clock_,
      [](const void* of) {
        const auto& pieces = static_cast<const Batch*>(of)->pieces;
        return std::ranges::all_of(pieces, [](const Piece& p) { return p.task->left.load(); });
      },
      &batch);
  ASSIGN_OR_RETURN(std::vector<Value> results, queue.program->Run(std::move(arguments), unwanted));
  for (const Value& result : results) {
    if (result.shape().empty()) return FailedPrecondition("Batched output tensor has 0 dimensions");
    if (result.shape()[0] != rows) {
      return FailedPrecondition(
          "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes "
          "of the input tensors");
    }
  }
  return results;
}

void BatchScheduler::Deliver(const Batch& batch, const Result<std::vector<Value>>& results) {
  // All that may fail comes first: nobody is told twice.
  std::vector<Result<std::vector<Value>>> shares;
  int64_t at = 0;
  for (const Piece& piece : batch.pieces) {
    const int64_t rows = piece.end - piece.begin;
    shares.push_back(results.ok() ? RowsOfResults(*results, at, at + rows) : results.status());
    at += rows;
  }
  for (size_t i = 0; i < batch.pieces.size(); ++i) {
    Task& task = *batch.pieces[i].task;
    const std::lock_guard<std::mutex> lock(task.mu);
    if (shares[i].ok()) {
      task.pieces[batch.pieces[i].index] = *std::move(shares[i]);
    } else if (task.status.ok()) {
      task.status = shares[i].status();
    }
    if (--task.pending == 0) task.changed.notify_all();
  }
}

}  // namespace megalith::serving
