// What parameter sync costs. First, writes to a table with and without the touched set that listens
// to them, and the touched set alone. Second, rows from a training server to a serving server over
// gRPC on loopback, beside the same lookups and assignments without the wire between. In processor
// time, medians of rounds in turn.
//
//   bench/sync_bench [rows, default 1000000] [rounds, default 5]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "common/fleet/rpc/server.h"
#include "common/fleet/stubs/sync_target.h"
#include "common/foundation/base/rng.h"
#include "common/learning/sync/syncer.h"
#include "services/parameter_server/serving/serving_role.h"

namespace megalith::bench {
namespace {

using embedding::Fid;
using embedding::TableSet;

constexpr size_t kBatch = 1024;
constexpr int64_t kDim = 16;

std::unique_ptr<TableSet> MakeTables(embedding::EntryKind kind, embedding::SetObserver* observer) {
  TableSet::Options options;
  options.observer = observer;
  auto set = *TableSet::Make(std::move(options));
  embedding::TableConfig config;
  config.segments = {{.dim = kDim}};
  config.segments[0].optimizer = {.name = "adagrad", .fields = {}, .base = {}};
  config.kind = kind;
  config.skip_zero_embedding = kind == embedding::EntryKind::kServing;
  CHECK(set->Create("t", config).ok());
  return set;
}

std::vector<Fid> Shuffled(size_t rows, Rng& rng) {
  std::vector<Fid> fids(rows);
  for (size_t i = 0; i < rows; ++i) fids[i] = static_cast<Fid>(i);
  for (size_t i = rows; i > 1; --i) std::swap(fids[i - 1], fids[rng.Below(i)]);
  return fids;
}

double CpuSeconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Calls `batch` for all fids, a batch at a time. Returns what `clock` counted: processor time,
// since neighbours on the machine would decide about time on the wall.
double Sweep(clockid_t clock, std::span<const Fid> fids,
             const std::function<void(std::span<const Fid>)>& batch) {
  const double begin = CpuSeconds(clock);
  for (size_t i = 0; i + kBatch <= fids.size(); i += kBatch) batch(fids.subspan(i, kBatch));
  return CpuSeconds(clock) - begin;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Writes(size_t rows, int rounds) {
  Rng rng(1);
  const std::vector<Fid> fids = Shuffled(rows, rng);
  const std::vector<float> gradients(kBatch * kDim, 0.01F);
  sync::TouchedSet touched({.max_keys = 2 * rows});
  sync::TouchedSet alone({.max_keys = 2 * rows});
  const auto target = touched.AddTargetUpToDate();
  const auto lone_target = alone.AddTargetUpToDate();
  const auto silent = MakeTables(embedding::EntryKind::kTraining, nullptr);
  const auto heard = MakeTables(embedding::EntryKind::kTraining, &touched);
  const auto optimize = [&](TableSet& set) {
    return [&, table = *set.Get("t")](std::span<const Fid> batch) {
      CHECK(table
                ->Optimize(
                    {.fids = batch, .values = gradients, .learning_rates = {}, .snapshots = {}})
                .ok());
    };
  };
  std::vector<double> plain, with, only;
  for (int i = 0; i <= rounds; ++i) {
    const double a = Sweep(CLOCK_THREAD_CPUTIME_ID, fids, optimize(*silent));
    const double b = Sweep(CLOCK_THREAD_CPUTIME_ID, fids, optimize(*heard));
    const double c = Sweep(CLOCK_THREAD_CPUTIME_ID, fids,
                           [&](std::span<const Fid> batch) { alone.Written("t", batch); });
    touched.Acknowledge(target, *touched.Collect(target));
    touched.Trim();
    alone.Acknowledge(lone_target, *alone.Collect(lone_target));
    alone.Trim();
    if (i == 0) continue;  // rows are made
    plain.push_back(a);
    with.push_back(b);
    only.push_back(c);
  }
  const double batches = static_cast<double>(fids.size() / kBatch);
  std::printf(
      "Adagrad, dim %d, batches of %zu of %zu rows, one thread: processor microseconds a batch\n",
      static_cast<int>(kDim), kBatch, rows);
  std::printf("  nobody listens        %8.1f\n", Median(plain) / batches * 1e6);
  std::printf("  touched set listens   %8.1f   ratio %.3f\n", Median(with) / batches * 1e6,
              Median(with) / Median(plain));
  std::printf("  touched set alone     %8.1f\n", Median(only) / batches * 1e6);
}

void Pushes(size_t rows, int rounds) {
  Rng rng(2);
  const std::vector<Fid> fids = Shuffled(rows, rng);
  telemetry::MetricRegistry metrics;
  sync::TouchedSet touched({.max_keys = 2 * rows});
  const auto trainer = MakeTables(embedding::EntryKind::kTraining, &touched);
  const auto serving = MakeTables(embedding::EntryKind::kServing, nullptr);
  const auto table = *trainer->Get("t");
  const auto replica = *serving->Get("t");
  const std::vector<float> values(kBatch * kDim, 0.5F);
  const auto touch = [&] {
    (void)Sweep(CLOCK_THREAD_CPUTIME_ID, fids,
                [&](std::span<const Fid> batch) { CHECK(table->Assign(batch, values, 1).ok()); });
  };

  auto role = std::make_shared<services::ServingRole>(
      services::ServingRoleOptions{.models = {"m:ps_0"}, .resource = "r", .instance = 1}, *serving,
      metrics);
  const auto server = *rpc::Server::Start({.listen = {"127.0.0.1:0"}},
                                          services::MakeServingRole(role, {}), metrics);
  sync::SyncOptions options;
  options.push = {.model = "m:ps_0", .form = sync::WireForm::kNative, .resource = "r"};
  options.interval = std::chrono::milliseconds(1);
  options.push.timeout = std::chrono::seconds(30);
  options.resend_bytes_per_second = int64_t{1} << 40;
  const auto syncer = *sync::Syncer::Make(
      options,
      {.set = *trainer,
       .touched = touched,
       .resolve =
           [&] { return std::vector<sync::TargetAddress>{{.address = server->addresses()[0]}}; },
       .connect = stubs::DialSyncTargets({}),
       .metrics = metrics,
       .clock = RealClock()});
  const auto settle = [&] {
    const double begin = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
    do {
      syncer->RunOnce();
    } while (touched.GetStats().keys != 0);
    return CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
  };
  touch();
  (void)settle();
  std::vector<double> pushed, direct;
  std::vector<float> row_values(kBatch * kDim);
  for (int i = 0; i < rounds; ++i) {
    touch();
    pushed.push_back(settle());
    direct.push_back(Sweep(CLOCK_PROCESS_CPUTIME_ID, fids, [&](std::span<const Fid> batch) {
      CHECK(table->Lookup(batch, row_values).ok());
      CHECK(replica->Assign(batch, row_values, 0).ok());
    }));
  }
  const auto count = static_cast<double>(rows);
  std::printf("Rows of dim %d to one serving server: processor microseconds a row, both sides\n",
              static_cast<int>(kDim));
  std::printf("  lookup and assign, no wire   %6.3f\n", Median(direct) / count * 1e6);
  std::printf("  sync over gRPC on loopback   %6.3f   ratio %.2f\n", Median(pushed) / count * 1e6,
              Median(pushed) / Median(direct));
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  const size_t rows = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  if (rows < megalith::bench::kBatch || rounds < 1) {
    std::fprintf(stderr, "usage: sync_bench [rows >= 1024] [rounds >= 1]\n");
    return 2;
  }
  megalith::bench::Writes(rows, rounds);
  megalith::bench::Pushes(rows, rounds);
  return 0;
}
