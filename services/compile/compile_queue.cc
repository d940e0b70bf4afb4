#include "services/compile/compile_queue.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {
namespace {

// How often a waiting caller asks whether it still should wait.
constexpr std::chrono::milliseconds kPatrol{20};
// Progress that is kept for callers who join.
constexpr size_t kMaxNotes = 256;

double SecondsOf(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }
int64_t MillisecondsOf(std::chrono::nanoseconds d) { return d.count() / 1'000'000; }

}  // namespace

struct CompileQueue::Job {
  enum class State : uint8_t { kQueued, kRunning, kEnded };
  struct Note {
    std::string stage;
    double done = 0;
  };

  explicit Job(CompileTask t) : task(std::move(t)), urgency(task.urgency) {}

  // Constant once the job is listed, but for `run`, which its worker takes.
  CompileTask task;
  // Of `mu_` of the queue, but for `cancellation`, which is the worker's to ask.
  Urgency urgency;
  State state = State::kQueued;
  size_t waiters = 0;
  bool given = false;  // to one of those who waited
  std::chrono::nanoseconds enqueued{0}, started{0}, ended{0};
  std::vector<Note> notes;
  std::optional<Result<CompiledPackagePtr>> result;
  std::condition_variable changed;
  Cancellation cancellation;
};

CompileQueue::CompileQueue(const CompileQueueLimits& limits, telemetry::MetricRegistry& metrics,
                           const Clock& clock)
    : limits_(limits),
      num_workers_(std::max(limits.workers, 1)),
      clock_(clock),
      queued_gauge_(metrics.GetGauge(telemetry::kCompileQueueLength)),
      running_gauge_(metrics.GetGauge(telemetry::kCompileRunning)),
      started_(metrics.GetCounter(telemetry::kCompileStarted)),
      shared_(metrics.GetCounter(telemetry::kCompileShared)) {
  for (size_t u = 0; u < kNumUrgencies; ++u) {
    wait_seconds_[u] = &metrics.GetHistogram(telemetry::kCompileQueueSeconds, {kUrgencyNames[u]});
  }
  for (int i = 0; i < num_workers_; ++i) {
    workers_.emplace_back([this, i] { Work(i); });
  }
}

CompileQueue::~CompileQueue() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    for (const auto& [key, job] : jobs_) job->cancellation.Cancel();
  }
  wake_.notify_all();
  for (std::thread& t : workers_) t.join();
}

Result<CompileQueue::Outcome> CompileQueue::Do(CompileTask task, const Cancellation& caller,
                                               const StageProgress& on_progress) {
  RETURN_IF_ERROR(caller.Check());
  Outcome outcome;
  Lock lock(mu_);
  const std::chrono::nanoseconds since = clock_.Monotonic();
  ASSIGN_OR_RETURN(const JobPtr job, JoinOrEnqueue(std::move(task)));
  const Status left = Await(job, caller, since, on_progress, lock);
  if (!left.ok()) {
    Leave(job);
    return left;
  }
  --job->waiters;
  if (!job->result->ok()) return job->result->status();
  outcome.package = **job->result;
  outcome.shared = std::exchange(job->given, true);
  outcome.wait_seconds = SecondsOf(job->started - job->enqueued);
  outcome.run_seconds = SecondsOf(job->ended - job->started);
  return outcome;
}

// Requires mu_, as do all below.
Result<CompileQueue::JobPtr> CompileQueue::JoinOrEnqueue(CompileTask task) {
  if (stopping_) return Unavailable("the server is shutting down; retry on another replica");
  if (const auto known = jobs_.find(task.key); known != jobs_.end()) {
    const JobPtr& job = known->second;
    ++job->waiters;
    shared_.Add();
    // It comes when the most urgent, or the next in turn, of those who wait would have it.
    if (job->state == Job::State::kQueued &&
        (task.urgency < job->urgency || task.client != job->task.client)) {
      Enlist(job, task.client, std::min(task.urgency, job->urgency));
    }
    return job;
  }
  if (task.memory_bytes > std::min(limits_.memory_budget_bytes, limits_.service_memory_bytes)) {
    return ResourceExhausted(
        StrCat("compiling this program takes about ", task.memory_bytes,
               " bytes of memory, above memory_budget_bytes (", limits_.memory_budget_bytes,
               ") or service_memory_bytes (", limits_.service_memory_bytes,
               "); pass large constants as arguments, split the program, or raise the budget"));
  }
  RETURN_IF_ERROR(MakeRoom(task));
  auto job = std::make_shared<Job>(std::move(task));
  job->enqueued = clock_.Monotonic();
  job->waiters = 1;
  jobs_.emplace(job->task.key, job);
  Enlist(job, job->task.client, job->urgency);
  ++queued_;
  ++queued_of_[job->task.client];
  queued_gauge_.Set(static_cast<double>(queued_));
  wake_.notify_one();
  return job;
}

Status CompileQueue::MakeRoom(const CompileTask& task) {
  const auto own = queued_of_.find(task.client);
  if (own != queued_of_.end() && own->second >= limits_.programs_of_client) {
    return ResourceExhausted(StrCat("this client has ", own->second,
                                    " programs in the compile queue, its share "
                                    "(queue_programs_of_client) is ",
                                    limits_.programs_of_client,
                                    "; wait for some of them, then retry"));
  }
  if (queued_ < limits_.programs) return OkStatus();
  const JobPtr* const victim = queue_.LeastUrgentBelow(task.urgency);
  if (victim == nullptr) {
    return ResourceExhausted(StrCat("the compile queue is full: ", queued_,
                                    " programs wait (queue_programs); retry later or on another "
                                    "replica"));
  }
  Finish(JobPtr(*victim), ResourceExhausted("the compile queue is full, and more urgent work took "
                                            "this program's place (queue_programs); retry later"));
  return OkStatus();
}

void CompileQueue::Enlist(const JobPtr& job, const std::string& client, Urgency urgency) {
  job->urgency = urgency;
  queue_.Push(urgency, client, job);
}

Status CompileQueue::Await(const JobPtr& job, const Cancellation& caller,
                           std::chrono::nanoseconds since, const StageProgress& on_progress,
                           Lock& lock) {
  size_t told = 0;
  while (true) {
    for (; told < job->notes.size(); ++told) {
      if (!on_progress) continue;
      const Job::Note note = job->notes[told];
      lock.unlock();
      on_progress(note.stage, note.done);
      lock.lock();
    }
    if (job->result) return OkStatus();
    RETURN_IF_ERROR(caller.Check());
    RETURN_IF_ERROR(CheckBudgets(job, since));
    if (!job->result) job->changed.wait_for(lock, kPatrol);
  }
}

// The budget of the compilation ends it for all; that of a caller's patience only for the caller.
Status CompileQueue::CheckBudgets(const JobPtr& job, std::chrono::nanoseconds since) {
  const std::chrono::nanoseconds now = clock_.Monotonic();
  if (job->state == Job::State::kQueued && now - since > limits_.wait_budget) {
    return ResourceExhausted(StrCat("the program waited ", MillisecondsOf(now - since),
                                    " ms for a compiler, above queue_budget_ms (",
                                    MillisecondsOf(limits_.wait_budget),
                                    "); retry later or on another replica, or raise workers"));
  }
  if (job->state == Job::State::kRunning && now - job->started > limits_.time_budget) {
    job->cancellation.Cancel();
    Finish(job, ResourceExhausted(StrCat("compiling took more than time_budget_ms (",
                                         MillisecondsOf(limits_.time_budget),
                                         "); ask for option tier=0, which makes no machine code, "
                                         "split the program, or raise the budget")));
  }
  return OkStatus();
}

void CompileQueue::Leave(const JobPtr& job) {
  if (--job->waiters > 0 || job->result) return;
  job->cancellation.Cancel();
  Finish(job, Cancelled("nobody waits for this compilation any more"));
}

// Ends the job for those who wait; a worker that is in it goes on until the compiler notices.
void CompileQueue::Finish(const JobPtr& job, Result<CompiledPackagePtr> result) {
  if (job->state == Job::State::kEnded) return;
  if (job->state == Job::State::kQueued) {
    queue_.Remove(job);
    Forget(job);
    job->started = clock_.Monotonic();
  }
  job->ended = clock_.Monotonic();
  job->state = Job::State::kEnded;
  job->result = std::move(result);
  jobs_.erase(job->task.key);
  job->changed.notify_all();
}

// It is not in the queue any more.
void CompileQueue::Forget(const JobPtr& job) {
  --queued_;
  queued_gauge_.Set(static_cast<double>(queued_));
  const auto own = queued_of_.find(job->task.client);
  if (--own->second == 0) queued_of_.erase(own);
}

// The job whose turn it is, or nullptr: none waits, or the next one has to wait for memory. A
// smaller one that would fit does not pass it, or it might wait for ever.
CompileQueue::JobPtr CompileQueue::Take() {
  // One worker is kept free of what nobody waits for.
  const bool spare =
      running_background_ + 1 < static_cast<size_t>(num_workers_) || num_workers_ == 1;
  const Urgency least = spare ? Urgency::kBackground : Urgency::kBatch;
  const JobPtr* const next = queue_.Peek(least);
  if (next == nullptr) return nullptr;
  if (running_ > 0 && running_bytes_ + (*next)->task.memory_bytes > limits_.service_memory_bytes) {
    return nullptr;
  }
  JobPtr job = queue_.Pop(least);
  queue_.Remove(job);  // other clients may have listed it as well
  Forget(job);
  return job;
}

void CompileQueue::Work(int index) {
  SetThreadName(StrCat("compile-", index));
  Lock lock(mu_);
  while (true) {
    JobPtr job;
    wake_.wait(lock, [&] { return stopping_ || (job = Take()) != nullptr; });
    if (job == nullptr) return;
    job->state = Job::State::kRunning;
    job->started = clock_.Monotonic();
    const size_t background = job->urgency == Urgency::kBackground ? 1 : 0;
    ++running_;
    running_background_ += background;
    running_bytes_ += job->task.memory_bytes;
    running_gauge_.Set(static_cast<double>(running_));
    wait_seconds_[static_cast<size_t>(job->urgency)]->Observe(
        SecondsOf(job->started - job->enqueued));
    lock.unlock();
    const auto note = [this, &job](std::string_view stage, double done) {
      const std::lock_guard<std::mutex> guard(mu_);
      if (job->notes.size() < kMaxNotes) job->notes.push_back({std::string(stage), done});
      job->changed.notify_all();
    };
    Result<CompiledPackagePtr> result = Internal("the compilation gave no result");
    try {
      CompiledPackagePtr found;
      if (job->task.find) found = job->task.find(job->cancellation);
      if (found == nullptr) started_.Add();
      result = found != nullptr ? std::move(found) : job->task.run(note, job->cancellation);
    } catch (const std::exception& e) {
      result = Internal(StrCat("the compilation failed: ", e.what()));
    }
    job->task.find = nullptr;
    job->task.run = nullptr;  // frees the program
    lock.lock();
    --running_;
    running_background_ -= background;
    running_bytes_ -= job->task.memory_bytes;
    running_gauge_.Set(static_cast<double>(running_));
    Finish(job, std::move(result));
    // Memory came free, perhaps for more than one.
    wake_.notify_all();
  }
}

}  // namespace megalith::services
