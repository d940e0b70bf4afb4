#include "common/fleet/cache/scrubber.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::cache {

std::string_view ScrubStateName(ScrubStatus::State state) {
  constexpr std::string_view kNames[] = {"idle", "running", "paused"};
  return kNames[static_cast<size_t>(state)];
}

Scrubber::Scrubber(Cache& cache, const ScrubOptions& options, telemetry::MetricRegistry& metrics,
                   std::function<void(const Repair&)> on_repair, const Clock& clock)
    : cache_(cache),
      clock_(clock),
      on_repair_(std::move(on_repair)),
      bytes_counter_(metrics.GetCounter(telemetry::kCacheScrubbedBytes)),
      options_(options),
      last_end_(clock.Monotonic()) {
  for (int i = 0; i < kNumScrubOutcomes; ++i) {
    outcome_counters_.push_back(&metrics.GetCounter(
        telemetry::kCacheScrubbed, {ScrubOutcomeName(static_cast<ScrubOutcome>(i))}));
  }
  for (const Sha256Digest& key : cache_.Keys(/*without_sidecar=*/true)) {
    if (waiting_.size() < kMaxWaitingSidecars) waiting_.push_back(key);
  }
  cache_.SetSidecarWriter([this](const Sha256Digest& key) { return Enqueue(key); });
  thread_ = std::thread([this] { Loop(); });
}

Scrubber::~Scrubber() {
  cache_.SetSidecarWriter(nullptr);
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    Changed();
  }
  thread_.join();
}

bool Scrubber::Enqueue(const Sha256Digest& key) {
  const std::lock_guard<std::mutex> lock(mu_);
  if (stopping_ || waiting_.size() >= kMaxWaitingSidecars) return true;  // the next pass sees it
  waiting_.push_back(key);
  changed_.notify_all();
  return true;
}

uint64_t Scrubber::Start() {
  const std::lock_guard<std::mutex> lock(mu_);
  if (status_.state == ScrubStatus::State::kIdle) BeginPass();
  return status_.pass;
}

void Scrubber::Pause() {
  const std::lock_guard<std::mutex> lock(mu_);
  paused_ = true;
  if (status_.state == ScrubStatus::State::kRunning) status_.state = ScrubStatus::State::kPaused;
  Changed();
}

void Scrubber::Resume() {
  const std::lock_guard<std::mutex> lock(mu_);
  paused_ = false;
  if (status_.state == ScrubStatus::State::kPaused) status_.state = ScrubStatus::State::kRunning;
  rate_since_ = clock_.Monotonic();
  rate_bytes_ = 0;
  Changed();
}

void Scrubber::Stop() {
  const std::lock_guard<std::mutex> lock(mu_);
  if (status_.state == ScrubStatus::State::kIdle) return;
  status_.stopped = status_.entries_done < status_.entries_total;
  EndPass();
}

void Scrubber::SetRate(uint64_t bytes_per_second) {
  const std::lock_guard<std::mutex> lock(mu_);
  options_.bytes_per_second = std::max<uint64_t>(1, bytes_per_second);
  rate_since_ = clock_.Monotonic();
  rate_bytes_ = 0;
  changed_.notify_all();
}

ScrubStatus Scrubber::Progress() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return status_;
}

ScrubStatus Scrubber::WaitForChange(uint64_t seen, std::chrono::milliseconds patience) const {
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait_for(lock, patience, [&] { return status_.version != seen || stopping_; });
  return status_;
}

void Scrubber::WaitForSidecars() const {
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait(lock, [&] { return (waiting_.empty() && !writing_) || stopping_; });
}

void Scrubber::Changed() {
  ++status_.version;
  changed_.notify_all();
}

void Scrubber::BeginPass() {
  const uint64_t version = status_.version;
  const uint64_t pass = status_.pass;
  keys_ = cache_.Keys();
  status_ =
      ScrubStatus{.state = paused_ ? ScrubStatus::State::kPaused : ScrubStatus::State::kRunning,
                  .version = version,
                  .pass = pass + 1,
                  .entries_total = keys_.size(),
                  .started_unix_nanos = clock_.UnixNanos()};
  rate_since_ = clock_.Monotonic();
  rate_bytes_ = 0;
  if (keys_.empty()) {
    EndPass();
  } else {
    Changed();
  }
}

void Scrubber::EndPass() {
  status_.state = ScrubStatus::State::kIdle;
  status_.ended_unix_nanos = clock_.UnixNanos();
  last_end_ = clock_.Monotonic();
  const auto count = [&](ScrubOutcome o) { return status_.outcomes[static_cast<size_t>(o)]; };
  telemetry::Log(
      telemetry::Level::info, "cache_scrub_ended",
      {{"pass", status_.pass},
       {"entries", status_.entries_done},
       {"bytes", status_.bytes_done},
       {"repaired", count(ScrubOutcome::kRepaired)},
       {"quarantined", count(ScrubOutcome::kQuarantined)},
       {"sidecars", count(ScrubOutcome::kSidecarWritten)},
       {"unreadable", count(ScrubOutcome::kUnreadable)},
       {"seconds",
        static_cast<double>(status_.ended_unix_nanos - status_.started_unix_nanos) * 1e-9}});
  Changed();
}

// How long the rate forbids to read on.
std::chrono::nanoseconds Scrubber::UntilAllowed() const {
  constexpr double kMaxSeconds = 1e9;  // keeps the sum within its type
  const double seconds = std::min(
      kMaxSeconds, static_cast<double>(rate_bytes_) /
                       static_cast<double>(std::max<uint64_t>(1, options_.bytes_per_second)));
  const auto due = rate_since_ + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::duration<double>(seconds));
  return std::max(std::chrono::nanoseconds(0), due - clock_.Monotonic());
}

void Scrubber::ScrubNext(std::unique_lock<std::mutex>& lock) {
  const uint64_t pass = status_.pass;
  const Sha256Digest key = keys_[status_.entries_done];
  lock.unlock();
  const Scrubbed scrubbed = cache_.Scrub(key);
  outcome_counters_[static_cast<size_t>(scrubbed.outcome)]->Add();
  bytes_counter_.Add(scrubbed.bytes);
  if (scrubbed.repair != nullptr && on_repair_) on_repair_(*scrubbed.repair);
  lock.lock();
  if (status_.pass != pass || status_.state == ScrubStatus::State::kIdle) return;  // stopped
  ++status_.entries_done;
  ++status_.outcomes[static_cast<size_t>(scrubbed.outcome)];
  status_.bytes_done += scrubbed.bytes;
  rate_bytes_ += scrubbed.bytes;
  if (scrubbed.repair != nullptr) {
    if (status_.repairs.size() == ScrubStatus::kMaxRepairs)
      status_.repairs.erase(status_.repairs.begin());
    status_.repairs.push_back(scrubbed.repair);
  }
  if (status_.entries_done == keys_.size()) {
    EndPass();
  } else {
    Changed();
  }
}

void Scrubber::Loop() {
  SetThreadName("cache-scrub");
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    if (!waiting_.empty()) {
      const Sha256Digest key = waiting_.front();
      waiting_.pop_front();
      writing_ = true;
      lock.unlock();
      const Scrubbed scrubbed = cache_.Scrub(key);
      if (scrubbed.repair != nullptr && on_repair_) on_repair_(*scrubbed.repair);
      lock.lock();
      writing_ = false;
      changed_.notify_all();
      continue;
    }
    if (status_.state == ScrubStatus::State::kRunning) {
      const std::chrono::nanoseconds wait = UntilAllowed();
      if (wait.count() == 0) {
        ScrubNext(lock);
      } else {
        changed_.wait_for(lock, wait);
      }
      continue;
    }
    if (status_.state == ScrubStatus::State::kIdle && options_.interval.count() > 0) {
      const auto left = last_end_ + options_.interval - clock_.Monotonic();
      if (left.count() <= 0) {
        BeginPass();
      } else {
        changed_.wait_for(lock, left);
      }
      continue;
    }
    changed_.wait(lock);
  }
}

}  // namespace megalith::cache
