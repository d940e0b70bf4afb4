#include "common/learning/embedding/server/checkpoint_schedule.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/status.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::embedding {

CheckpointSchedule::Slot CheckpointSchedule::SlotAt(int64_t unix_seconds, const Options& options) {
  const int64_t interval = options.interval.count();
  const int64_t slot = unix_seconds / interval;
  return {.step = slot * interval, .whole = slot % options.whole_every == 0};
}

CheckpointSchedule::CheckpointSchedule(Options options, Save save, bool start)
    : options_(options), save_(std::move(save)), last_step_(0) {
  CHECK(options_.interval.count() > 0 && options_.whole_every > 0);
  last_step_ = SlotAt(Now(), options_).step;
  if (start) {
    thread_ = std::thread([this] {
      SetThreadName("checkpoints");
      Run();
    });
  }
}

CheckpointSchedule::~CheckpointSchedule() {
  cancelled_.Cancel();
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stop_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CheckpointSchedule::Tick() {
  const Slot slot = SlotAt(Now(), options_);
  if (slot.step <= last_step_) return;
  last_step_ = slot.step;
  save_(slot, cancelled_);
}

void CheckpointSchedule::Run() {
  // The wall clock may jump, so it is asked now and then.
  constexpr std::chrono::seconds kLook{1};
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopped_.wait_for(lock, kLook, [this] { return stop_; })) {
    lock.unlock();
    Tick();
    lock.lock();
  }
}

}  // namespace megalith::embedding
