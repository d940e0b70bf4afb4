#include "common/learning/sync/target_link.h"

#include <algorithm>
#include <utility>

#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::sync {
namespace {

using std::chrono::nanoseconds;
using telemetry::Level;
using telemetry::Log;

// Of one plan: what is in memory besides a part are its fids.
constexpr int64_t kMaxPlanBytes = 32 << 20;

double Seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

// A delta on its way.
struct TargetLink::Work {
  Work(std::shared_ptr<const Delta> delta, const embedding::TableSet& set)
      : source(std::move(delta), set) {}
  KeySource source;
  std::unique_ptr<PushPlan> plan;
  int64_t part = 0;
  bool paced = false;
};

TargetLink::TargetLink(const Context& context, TargetAddress address,
                       std::unique_ptr<SyncTarget> target, uint64_t seed)
    : context_(context),
      address_(std::move(address)),
      target_(std::move(target)),
      id_(context.touched.AddTarget()),
      rng_(seed),
      next_at_(context.clock.Monotonic()) {}

TargetLink::~TargetLink() { context_.touched.RemoveTarget(id_); }

nanoseconds TargetLink::DueAt() const {
  return work_ != nullptr || round_due_ ? next_at_ : nanoseconds::max();
}

TargetLink::State TargetLink::GetState() const {
  return {.failing = failing_.load(std::memory_order_relaxed),
          .resending = resending_.load(std::memory_order_relaxed),
          .lag_seconds = Seconds(context_.touched.Lag(id_))};
}

void TargetLink::Forget() {
  if (context_.touched.LacksAll(id_) && work_ == nullptr) return;
  work_.reset();
  context_.touched.MarkAll(id_);
  resending_ = true;
}

std::optional<Push> TargetLink::EmptyPush() const {
  auto push = PushPlan(context_.options.push, context_.set.Tables(), {}).Build(0);
  if (!push.ok() || push->tables.empty()) return std::nullopt;
  return *std::move(push);
}

void TargetLink::Step() {
  if (!greeted_ && !Greet()) return;
  if (work_ == nullptr && !BeginWork()) return;
  const std::optional<Push> push = NextPart();
  if (!push) {
    context_.touched.Acknowledge(id_, work_->source.delta());
    work_.reset();
    // Still everything, if changes came faster than they could be remembered.
    resending_ = context_.touched.LacksAll(id_);
    return;
  }
  const int64_t bytes = PushRequestBytes(context_.options.push, *push);
  const bool paced = work_->paced;
  const Result<PushAck> ack = Send(*push);
  if (!ack.ok()) return Failed(ack.status());
  const bool same = Recognize(*ack);
  Succeeded(paced ? bytes : 0);
  if (!same) return;
  if (++work_->part == work_->plan->parts()) work_->plan.reset();
}

// An empty push: which version the target has decides what it lacks, and whether it takes rows of
// these tables at all.
bool TargetLink::Greet() {
  const std::optional<Push> push = EmptyPush();
  if (!push) {  // no tables yet, so nothing is lacking
    round_due_ = false;
    return false;
  }
  const Result<PushAck> ack = Send(*push);
  if (!ack.ok()) {
    Failed(ack.status());
    return false;
  }
  greeted_ = true;
  suspect_ = false;
  instance_ = ack->instance;
  version_ = ack->version;
  StartOver("new", ack->version);
  Succeeded(0);
  return true;
}

bool TargetLink::BeginWork() {
  round_due_ = false;
  std::shared_ptr<const Delta> delta = context_.touched.Collect(id_);
  if (delta->empty()) {
    context_.touched.Acknowledge(id_, *delta);
    if (context_.clock.Monotonic() - last_contact_ < context_.options.probe_after) return false;
    const std::optional<Push> push = EmptyPush();
    if (!push) return false;
    const Result<PushAck> ack = Send(*push);
    if (!ack.ok()) {
      Failed(ack.status());
      return false;
    }
    (void)Recognize(*ack);
    Succeeded(0);
    return false;
  }
  work_ = std::make_unique<Work>(std::move(delta), context_.set);
  work_->paced = work_->source.delta().all || !work_->source.delta().full_tables.empty();
  return true;
}

std::optional<Push> TargetLink::NextPart() {
  while (true) {
    if (work_->plan == nullptr) {
      std::vector<TableKeys> keys;
      if (!work_->source.Next(kMaxPlanBytes, &keys)) return std::nullopt;
      work_->plan = std::make_unique<PushPlan>(context_.options.push, context_.set.Tables(),
                                               std::move(keys), context_.options.max_part_bytes);
      work_->part = 0;
    }
    Result<Push> push = work_->plan->Build(work_->part);
    if (push.ok() && push->fids() > 0) return *std::move(push);
    // A part without fids says nothing: its tables are gone, or it is one of more parts than fids.
    if (++work_->part >= work_->plan->parts()) work_->plan.reset();
  }
}

Result<PushAck> TargetLink::Send(const Push& push) {
  const nanoseconds start = context_.clock.Monotonic();
  Result<PushAck> ack = target_->Push(push);
  const std::string_view status = ack.ok() ? "OK" : "KO";
  const std::string idc =
      address_.idc.empty() ? std::string("NA") : address_.idc + ":" + address_.cluster;
  telemetry::MetricRegistry& metrics = context_.metrics;
  metrics.GetHistogram(telemetry::kSyncPushSeconds, {address_.address, status, idc})
      .Observe(Seconds(context_.clock.Monotonic() - start));
  const auto fids = static_cast<uint64_t>(push.fids());
  metrics.GetCounter(telemetry::kSyncFids, {address_.address, status, idc}).Add(fids);
  metrics.GetCounter(telemetry::kSyncBytes, {address_.address, status, idc})
      .Add(static_cast<uint64_t>(PushRequestBytes(context_.options.push, push)));
  return ack;
}

bool TargetLink::Recognize(const PushAck& ack) {
  const bool other_run = ack.instance && instance_ && *ack.instance != *instance_;
  const bool other_version = ack.version && version_ && *ack.version != *version_;
  const bool perhaps = suspect_ && !ack.instance && context_.options.resend_after_unavailable;
  suspect_ = false;
  instance_ = ack.instance;
  version_ = ack.version;
  if (!other_run && !other_version && !perhaps) return true;
  StartOver(other_run ? "restarted" : other_version ? "version" : "unreachable", ack.version);
  return false;
}

void TargetLink::StartOver(std::string_view reason, std::optional<int64_t> version) {
  work_.reset();
  round_due_ = true;
  const bool delta = context_.checkpoints.Rebase(id_, version);
  if (!delta) context_.touched.MarkAll(id_);
  resending_ = !delta;
  context_.metrics
      .GetCounter(telemetry::kSyncBootstraps, {reason, delta ? "checkpoint" : "all_rows"})
      .Add();
  Log(Level::info, "sync_target_bootstrap",
      {{"target", address_.address}, {"reason", reason}, {"from_checkpoint", delta}});
}

void TargetLink::Succeeded(int64_t bytes) {
  failures_ = 0;
  failing_ = false;
  last_contact_ = context_.clock.Monotonic();
  const double pause =
      static_cast<double>(bytes) /
      static_cast<double>(std::max<int64_t>(1, context_.options.resend_bytes_per_second));
  next_at_ = last_contact_ + nanoseconds(static_cast<int64_t>(pause * 1e9));
}

void TargetLink::Failed(const Status& status) {
  ++failures_;
  failing_ = true;
  round_due_ = true;
  if (status.code() == Code::kUnavailable) suspect_ = true;
  const int doublings = std::min(failures_ - 1, 30);
  const double wait = std::min(
      Seconds(context_.options.max_backoff),
      Seconds(context_.options.initial_backoff) * static_cast<double>(int64_t{1} << doublings));
  next_at_ = context_.clock.Monotonic() +
             nanoseconds(static_cast<int64_t>(wait * (0.5 + 0.5 * rng_.Uniform()) * 1e9));
  // The first of a row of failures, and then ever more rarely.
  if ((failures_ & (failures_ - 1)) == 0) {
    Log(Level::warn, "sync_push_failed",
        {{"target", address_.address},
         {"code", CodeName(status.code())},
         {"error", status.message()},
         {"failures", failures_}});
  }
}

}  // namespace megalith::sync
