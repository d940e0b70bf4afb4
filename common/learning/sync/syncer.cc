#include "common/learning/sync/syncer.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::sync {
namespace {

using std::chrono::nanoseconds;
using telemetry::Level;
using telemetry::Log;

// How long a loop sleeps at most: targets that are busy wake it when they are done.
constexpr nanoseconds kLongestSleep = std::chrono::seconds(1);

Status CheckOptions(const SyncOptions& options) {
  if (options.push.model.empty()) return InvalidArgument("sync: the model has no name");
  if (options.push.form == WireForm::kNative && options.push.resource.empty()) {
    return InvalidArgument("sync: the native form needs the name of the multi-table's resource");
  }
  if (options.push.timeout.count() <= 0) return InvalidArgument("sync: timeout must be positive");
  if (options.interval.count() <= 0) return InvalidArgument("sync: interval must be positive");
  if (!(options.jitter >= 0 && options.jitter < 1)) {
    return InvalidArgument(StrCat("sync: jitter must be in [0, 1), got ", options.jitter));
  }
  if (options.max_part_bytes <= 0 || options.resend_bytes_per_second <= 0) {
    return InvalidArgument("sync: sizes and rates must be positive");
  }
  if (options.initial_backoff.count() <= 0 || options.max_backoff < options.initial_backoff) {
    return InvalidArgument("sync: the first backoff must be positive, the longest not below it");
  }
  if (options.forget_erased_after < options.forget_after) {
    return InvalidArgument("sync: forget_erased_after must not be below forget_after");
  }
  if (options.max_parallel == 0) return InvalidArgument("sync: max_parallel must be positive");
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Syncer>> Syncer::Make(SyncOptions options, Parts parts) {
  RETURN_IF_ERROR(CheckOptions(options));
  return std::unique_ptr<Syncer>(new Syncer(std::move(options), std::move(parts)));
}

Syncer::Syncer(SyncOptions options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      checkpoints_(parts_.touched),
      known_tables_(parts_.set.Tables()),
      rng_(parts_.seed),
      // A target has at most one step in the queue.
      pool_(std::make_unique<ThreadPool>("sync", options_.max_parallel, size_t{1} << 20)) {}

Syncer::~Syncer() {
  Stop();
  pool_->Shutdown();
}

void Syncer::Start() {
  loop_ = std::thread([this] {
    SetThreadName("sync-loop");
    Loop();
  });
}

void Syncer::Stop() {
  {
    const std::lock_guard lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (loop_.joinable()) loop_.join();
  std::unique_lock lock(mu_);
  changed_.wait(lock, [this] {
    return std::none_of(members_.begin(), members_.end(),
                        [](const auto& member) { return member.second.busy; });
  });
}

void Syncer::Loop() {
  while (true) {
    const nanoseconds wait = Tick();
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, std::min(wait, kLongestSleep),
                      [this] { return stopping_ || finished_; });
    finished_ = false;
    if (stopping_) return;
  }
}

nanoseconds Syncer::RunOnce() {
  (void)Tick();
  std::unique_lock lock(mu_);
  changed_.wait(lock, [this] {
    return std::none_of(members_.begin(), members_.end(),
                        [](const auto& member) { return member.second.busy; });
  });
  nanoseconds next = next_round_;
  for (const auto& [address, member] : members_) {
    if (member.listed) next = std::min(next, member.link->DueAt());
  }
  return std::max(nanoseconds(0), next - parts_.clock.Monotonic());
}

nanoseconds Syncer::Tick() {
  const nanoseconds now = parts_.clock.Monotonic();
  if (now >= next_round_) BeginRound(now);
  parts_.touched.Trim();
  UpdateMetrics();
  const std::lock_guard lock(mu_);
  nanoseconds next = next_round_;
  for (auto& [address, member] : members_) {
    if (!member.listed || member.busy) continue;
    if (!member.link->Due(now)) {
      next = std::min(next, member.link->DueAt());
      continue;
    }
    member.busy = true;
    const Status queued =
        pool_->Submit([this, address, link = member.link.get()] { RunStep(address, link); });
    if (!queued.ok()) member.busy = false;  // the machine gave no thread; the next tick tries again
  }
  return std::max(nanoseconds(0), next - now);
}

void Syncer::RunStep(const std::string& address, TargetLink* link) {
  link->Step();
  // Under the lock: Stop must not return, and the syncer go, before the notification is over.
  const std::lock_guard lock(mu_);
  members_.find(address)->second.busy = false;
  finished_ = true;
  changed_.notify_all();
}

void Syncer::BeginRound(nanoseconds now) {
  TouchRowsThatWere();
  // Discovery may take its time; nobody waits for it but this round.
  const Result<std::vector<TargetAddress>> targets = parts_.resolve();
  const std::lock_guard lock(mu_);
  if (targets.ok()) {
    UpdateTargets(*targets, now);
  } else {
    Log(Level::warn, "sync_resolve_failed", {{"error", targets.status().ToString()}});
  }
  for (auto& [address, member] : members_) member.link->BeginRound();
  const double spread = 1 + options_.jitter * (2 * rng_.Uniform() - 1);
  const nanoseconds interval = options_.interval;
  next_round_ =
      now + nanoseconds(static_cast<int64_t>(static_cast<double>(interval.count()) * spread));
}

void Syncer::UpdateTargets(const std::vector<TargetAddress>& targets, nanoseconds now) {
  std::map<std::string, const TargetAddress*> listed;
  for (const TargetAddress& target : targets) listed.emplace(target.address, &target);
  for (const auto& [address, target] : listed) {
    const auto found = members_.find(address);
    if (found == members_.end()) {
      const TargetLink::Context context{.options = options_,
                                        .set = parts_.set,
                                        .touched = parts_.touched,
                                        .checkpoints = checkpoints_,
                                        .metrics = parts_.metrics,
                                        .clock = parts_.clock};
      Member member;
      member.link =
          std::make_unique<TargetLink>(context, *target, parts_.connect(*target), rng_.Next());
      members_.emplace(address, std::move(member));
      continue;
    }
    Member& member = found->second;
    if (member.busy) continue;  // the next round will do
    member.link->SetAddress(*target);
    if (!member.listed) member.link->MayHaveRestarted();
    member.listed = true;
  }
  for (auto it = members_.begin(); it != members_.end();) {
    Member& member = it->second;
    if (listed.count(it->first) != 0 || member.busy) {
      ++it;
      continue;
    }
    if (member.listed) {
      member.listed = false;
      member.gone_since = now;
    }
    if (now - member.gone_since >= options_.forget_after) member.link->Forget();
    if (now - member.gone_since < options_.forget_erased_after) {
      ++it;
      continue;
    }
    parts_.metrics.GetGauge(telemetry::kSyncLag, {it->first}).Set(0);
    it = members_.erase(it);
  }
}

// A table that a restore put in place of another lacks some of its rows. Targets are told that they
// are gone.
void Syncer::TouchRowsThatWere() {
  const std::set<std::string> replaced = parts_.touched.TakeReplaced();
  std::map<std::string, std::shared_ptr<embedding::Table>> tables = parts_.set.Tables();
  for (const std::string& name : replaced) {
    const auto before = known_tables_.find(name);
    const auto after = tables.find(name);
    if (before == known_tables_.end() || after == tables.end()) continue;
    if (before->second == after->second) continue;
    uint64_t cursor = 0;
    std::vector<Fid> fids;
    std::vector<Fid> gone;
    for (bool more = true; more;) {
      fids.clear();
      gone.clear();
      more = before->second->ScanFids(&cursor, &fids);
      // A row that cannot be read is not gone.
      (void)after->second->VisitRows(fids, [&](size_t i, const std::byte* row, uint32_t) {
        if (row == nullptr) gone.push_back(fids[i]);
      });
      if (!gone.empty()) parts_.touched.Erased(name, gone);
    }
  }
  known_tables_ = std::move(tables);
}

void Syncer::UpdateMetrics() {
  const TouchedSet::Stats stats = parts_.touched.GetStats();
  telemetry::MetricRegistry& metrics = parts_.metrics;
  metrics.GetGauge(telemetry::kSyncKeys).Set(static_cast<double>(stats.keys));
  metrics.GetCounter(telemetry::kSyncOverflows, {"target"})
      .Add(stats.expelled_targets - reported_.expelled_targets);
  metrics.GetCounter(telemetry::kSyncOverflows, {"table"})
      .Add(stats.dirtied_tables - reported_.dirtied_tables);
  metrics.GetCounter(telemetry::kSyncDropped).Add(stats.dropped - reported_.dropped);
  if (stats.dropped > reported_.dropped) {
    Log(Level::error, "sync_erased_rows_dropped", {{"rows", stats.dropped - reported_.dropped}});
  }
  reported_ = stats;
  double listed = 0;
  double failing = 0;
  double resending = 0;
  for (const TargetStatus& target : Targets()) {
    metrics.GetGauge(telemetry::kSyncLag, {target.address.address})
        .Set(target.listed ? target.state.lag_seconds : 0);
    listed += target.listed ? 1 : 0;
    failing += target.listed && target.state.failing ? 1 : 0;
    resending += target.listed && target.state.resending ? 1 : 0;
  }
  metrics.GetGauge(telemetry::kSyncTargets, {"listed"}).Set(listed);
  metrics.GetGauge(telemetry::kSyncTargets, {"failing"}).Set(failing);
  metrics.GetGauge(telemetry::kSyncTargets, {"resending"}).Set(resending);
}

std::vector<Syncer::TargetStatus> Syncer::Targets() const {
  const std::lock_guard lock(mu_);
  std::vector<TargetStatus> out;
  for (const auto& [address, member] : members_) {
    // A busy link may be changing what it knows, but not where it is.
    TargetStatus status{.address = {}, .listed = member.listed, .state = member.link->GetState()};
    status.address = member.link->address();
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace megalith::sync
