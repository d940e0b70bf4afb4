#include "common/learning/sync/testing/fake_fleet.h"

#include <gtest/gtest.h>

namespace megalith::sync::testing {

using embedding::EntryKind;
using embedding::TableConfig;
using embedding::TableSet;

std::unique_ptr<TableSet> MakeTables(EntryKind kind, embedding::SetObserver* observer) {
  TableSet::Options options;
  options.observer = observer;
  auto set = *TableSet::Make(std::move(options));
  for (const auto& [name, dim] : {std::pair<const char*, int64_t>{"a", 3}, {"b", 1}}) {
    TableConfig config;
    config.segments = {{.dim = dim}};
    config.kind = kind;
    config.skip_zero_embedding = kind == EntryKind::kServing;
    config.expire.default_days = 1;
    EXPECT_TRUE(set->Create(name, config).ok());
  }
  return set;
}

std::map<Fid, std::vector<float>> RowsOf(const TableSet& set, const std::string& name) {
  const auto table = *set.Get(name);
  std::vector<Fid> fids;
  uint64_t cursor = 0;
  while (table->ScanFids(&cursor, &fids)) {
  }
  const auto dim = static_cast<size_t>(table->dim());
  std::vector<float> values(fids.size() * dim);
  EXPECT_TRUE(table->Lookup(fids, values).ok());
  std::map<Fid, std::vector<float>> rows;
  for (size_t i = 0; i < fids.size(); ++i) {
    rows[fids[i]] = {values.begin() + static_cast<ptrdiff_t>(i * dim),
                     values.begin() + static_cast<ptrdiff_t>((i + 1) * dim)};
  }
  return rows;
}

void FakeReplica::Restart(const std::function<void(TableSet&)>& fill) {
  const std::lock_guard lock(mu_);
  tables_ = MakeTables(EntryKind::kServing);
  if (fill) fill(*tables_);
  self_ = {.instance = ++runs_, .version = 1};
  rows_ = 0;
}

void FakeReplica::SetVersion(int64_t version) {
  const std::lock_guard lock(mu_);
  self_.version = version;
}

Result<PushAck> FakeReplica::Take(const Push& push) {
  ++pushes_;
  if (on_push) on_push(push);
  const std::lock_guard lock(mu_);
  Mode mode = mode_;
  if (mode == Mode::kFlaky) mode = static_cast<Mode>(rng_.Below(4));
  if (mode == Mode::kDown) return Unavailable("nobody listens");
  if (mode == Mode::kStalled) return DeadlineExceeded("no answer");
  for (const TableRows& rows : push.tables) {
    auto table = tables_->Get(rows.table);
    if (!table.ok()) return InvalidArgument("no such table");
    const auto report = (*table)->Assign(rows.fids, rows.values, 0);
    if (!report.ok()) return report.status();
    rows_ += static_cast<int64_t>(rows.fids.size());
  }
  if (mode == Mode::kLosesAcks) return DeadlineExceeded("the answer is lost");
  PushAck ack = self_;
  if (hide_instance_) ack.instance.reset();
  return ack;
}

namespace {

class Link final : public SyncTarget {
 public:
  explicit Link(FakeReplica& replica) : replica_(replica) {}
  Result<PushAck> Push(const sync::Push& push) override { return replica_.Take(push); }

 private:
  FakeReplica& replica_;
};

}  // namespace

FakeFleet::FakeFleet(size_t max_keys)
    : touched({.max_keys = max_keys}, clock), trainer(MakeTables(EntryKind::kTraining, &touched)) {
  options_.push.model = "m:ps_0";
}

FakeReplica& FakeFleet::Add(const std::string& address) {
  auto& replica = replicas_[address];
  replica = std::make_unique<FakeReplica>(replicas_.size());
  return *replica;
}

void FakeFleet::Hide(const std::string& address, bool hidden) { hidden_[address] = hidden; }

void FakeFleet::Start() {
  auto made = Syncer::Make(
      options_, {.set = *trainer,
                 .touched = touched,
                 .resolve = [this]() -> Result<std::vector<TargetAddress>> {
                   if (discovery_fails_) return Unavailable("discovery is down");
                   std::vector<TargetAddress> targets;
                   for (const auto& [address, replica] : replicas_) {
                     if (!hidden_[address]) targets.push_back({.address = address});
                   }
                   return targets;
                 },
                 .connect = [this](const TargetAddress& target) -> std::unique_ptr<SyncTarget> {
                   return std::make_unique<Link>(*replicas_.at(target.address));
                 },
                 .metrics = metrics,
                 .clock = clock});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  syncer = *std::move(made);
}

void FakeFleet::Run(std::chrono::nanoseconds time) {
  const std::chrono::nanoseconds end = clock.Monotonic() + time;
  while (clock.Monotonic() < end) {
    const std::chrono::nanoseconds next = syncer->RunOnce();
    clock.Advance(std::min(std::max(next, std::chrono::nanoseconds(1)), end - clock.Monotonic()));
  }
}

void FakeFleet::RunUntilQuiet(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    clock.Advance(std::max(syncer->RunOnce(), std::chrono::nanoseconds(1)));
    bool quiet = true;
    for (const Syncer::TargetStatus& target : syncer->Targets()) {
      quiet = quiet && (!target.listed || (target.state.lag_seconds == 0 &&
                                           !target.state.resending && !target.state.failing));
    }
    if (quiet && i > 2) return;
  }
  FAIL() << "targets still lack rows";
}

void FakeFleet::ExpectEqual(const FakeReplica& replica) const {
  for (const char* table : {"a", "b"}) {
    std::map<Fid, std::vector<float>> want = RowsOf(*trainer, table);
    // The wire has no difference between a row of zeros and none.
    std::erase_if(want, [](const auto& row) {
      return std::all_of(row.second.begin(), row.second.end(), [](float v) { return v == 0; });
    });
    const bool equal = RowsOf(replica.tables(), table) == want;
    EXPECT_TRUE(equal) << "table " << table << ": " << want.size() << " rows here, "
                       << RowsOf(replica.tables(), table).size() << " in the replica";
  }
}

}  // namespace megalith::sync::testing
