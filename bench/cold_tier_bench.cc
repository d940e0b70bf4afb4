// A table whose budget of memory holds a part of its rows, the rest on disk through RocksDB,
// against the same table all in memory: batched lookups, Adagrad updates and a 90/10 mix of
// Zipf(0.99) fids.
//
//   cold_tier_bench [--rows N] [--dim D] [--parts 10] [--batch N] [--seconds S] [--warm S]
//                   [--threads 1,2] [--dir DIRECTORY]
//
// The budget is the memory of the table in memory divided by `parts`; the store's cache has its
// default size besides. The system keeps files in memory as far as it has any to spare, so that
// figures on a machine with much of it are those of RocksDB, not of the disk.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/zipf.h"
#include "common/foundation/base/file_system.h"
#include "common/learning/embedding/cold/rocks_store.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {
namespace {

constexpr size_t kQueries = size_t{1} << 22;  // fids drawn ahead, walked round and round
constexpr float kRate = 0.01F;

struct Options {
  uint64_t rows = 10'000'000;
  size_t dim = 16;
  uint64_t parts = 10;
  size_t batch = 1024;
  double seconds = 5;
  double warm = 20;
  std::vector<int> threads{1, 2};
  std::string directory;
};

Fid FidOf(uint64_t i) { return static_cast<Fid>((i * 0x9e3779b97f4a7c15ULL) >> 1); }

enum class Work { kLookup, kUpdate, kMixed };
constexpr const char* kWorks[] = {"lookup", "update", "mixed"};

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

std::unique_ptr<Table> MakeTable(const Options& options, uint64_t budget) {
  TableConfig config;
  config.segments = {{.dim = static_cast<int64_t>(options.dim)}};
  config.segments[0].optimizer = {.name = "adagrad", .fields = {}, .base = {}};
  Table::Options parts;
  if (budget != 0) {
    config.cold_tier = {.directory = "bench", .memory_budget_bytes = budget};
    parts.open_cold_store = [open = RocksStores(options.directory, RealFileSystem())](
                                const ColdTierConfig& cold, size_t bytes) {
      return open("bench", cold, bytes);
    };
  }
  auto table = Table::Make(std::move(config), std::move(parts));
  Check(table.status());
  return *std::move(table);
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

void Fill(Table& table, const Options& options, const char* name) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<float> values(1024 * options.dim, 0.5F);
  std::vector<Fid> fids;
  for (uint64_t i = 0; i < options.rows; i += 1024) {
    fids.clear();
    for (uint64_t k = i; k < std::min(options.rows, i + 1024); ++k) fids.push_back(FidOf(k));
    Check(table.Assign(fids, std::span(values).first(fids.size() * options.dim), 1).status());
  }
  std::printf("%s: filled with %llu rows in %.1f s\n", name,
              static_cast<unsigned long long>(table.size()), Seconds(start));
}

// Million rows a second by all threads together.
double Rate(Table& table, const std::vector<Fid>& queries, const Options& options, Work work,
            int threads, double seconds) {
  std::atomic<uint64_t> rows{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      std::vector<float> out(options.batch * options.dim);
      const std::vector<float> gradients(options.batch * options.dim, 0.001F);
      const size_t batches = queries.size() / options.batch;
      uint64_t done = 0;
      for (size_t b = static_cast<size_t>(t) * batches / static_cast<size_t>(threads); !stop; ++b) {
        const std::span<const Fid> fids(queries.data() + b % batches * options.batch,
                                        options.batch);
        if (work == Work::kUpdate || (work == Work::kMixed && b % 10 == 0)) {
          Check(table
                    .Optimize({.fids = fids,
                               .values = gradients,
                               .learning_rates = {&kRate, 1},
                               .snapshots = {}})
                    .status());
        } else {
          Check(table.Lookup(fids, out).status());
        }
        done += options.batch;
      }
      rows += done;
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& worker : workers) worker.join();
  return static_cast<double>(rows) / Seconds(start) * 1e-6;
}

struct Measured {
  double rate = 0;
  double from_memory = 1;  // of fids looked up
  double promoted = 0;     // rows for each row worked
  double demoted = 0;
  double written = 0;
};

Measured Measure(Table& table, const std::vector<Fid>& queries, const Options& options, Work work,
                 int threads, double warm) {
  Rate(table, queries, options, work, threads, warm);
  const TableStats before = table.Stats();
  std::array<double, 3> rates;
  for (double& rate : rates) {
    rate = Rate(table, queries, options, work, threads, options.seconds);
  }
  const TableStats after = table.Stats();
  std::sort(rates.begin(), rates.end());
  Measured measured{.rate = rates[1]};
  if (!after.cold) return measured;
  const auto looked = static_cast<double>(after.lookups - before.lookups);
  const double worked = looked + static_cast<double>(after.writes.applied - before.writes.applied);
  if (looked > 0) {
    measured.from_memory =
        1 - static_cast<double>(after.cold->cold_lookups - before.cold->cold_lookups) / looked;
  }
  measured.promoted =
      static_cast<double>(after.cold->promotions - before.cold->promotions) / worked;
  measured.demoted = static_cast<double>(after.cold->demotions - before.cold->demotions) / worked;
  measured.written = static_cast<double>(after.cold->written - before.cold->written) / worked;
  return measured;
}

void Run(const Options& options) {
  Rng rng(1);
  const Zipf zipf(options.rows, 0.99);
  std::vector<Fid> queries(kQueries);
  for (Fid& fid : queries) {
    // Popular ranks are spread over the rows as they would be by time of creation.
    fid = FidOf(zipf.Next(rng) * 0x9e3779b97f4a7c15ULL % options.rows);
  }
  std::vector<double> plain;
  uint64_t bytes = 0;
  {
    const auto table = MakeTable(options, 0);
    Fill(*table, options, "all in memory");
    bytes = table->Stats().bytes;
    for (const Work work : {Work::kLookup, Work::kUpdate, Work::kMixed}) {
      for (const int threads : options.threads) {
        plain.push_back(Measure(*table, queries, options, work, threads, 1).rate);
      }
    }
  }
  const auto table = MakeTable(options, bytes / options.parts);
  Fill(*table, options, "two tiers");
  std::puts(
      "| work | threads | in memory, M rows/s | two tiers, M rows/s | share | lookups answered "
      "from memory | rows brought back | rows moved out | rows written |");
  std::puts("|---|---|---|---|---|---|---|---|---|");
  size_t at = 0;
  for (const Work work : {Work::kLookup, Work::kUpdate, Work::kMixed}) {
    for (const int threads : options.threads) {
      const Measured tiered = Measure(*table, queries, options, work, threads, options.warm);
      std::printf(
          "| %s | %d | %.2f | %.2f | %.2f | %s | %.1f %% | %.1f %% | %.1f %% |\n",
          kWorks[static_cast<int>(work)], threads, plain[at], tiered.rate, tiered.rate / plain[at],
          work == Work::kUpdate
              ? "-"
              : (std::to_string(static_cast<int>(tiered.from_memory * 1000) / 10) + " %").c_str(),
          tiered.promoted * 100, tiered.demoted * 100, tiered.written * 100);
      std::fflush(stdout);
      ++at;
    }
  }
  const TableStats stats = table->Stats();
  std::printf(
      "memory: %.0f MB of rows and index in place of %.0f, %.0f MB of cache; disk: %.0f MB; "
      "%llu rows in memory, %llu on disk\n",
      static_cast<double>(stats.bytes) * 1e-6, static_cast<double>(bytes) * 1e-6,
      static_cast<double>(stats.cold->cache_bytes) * 1e-6,
      static_cast<double>(stats.cold->disk_bytes) * 1e-6,
      static_cast<unsigned long long>(stats.cold->hot_rows),
      static_cast<unsigned long long>(stats.cold->cold_rows));
}

std::vector<int> Numbers(const std::string& list) {
  std::vector<int> out;
  for (size_t at = 0; at < list.size(); at = std::min(list.find(',', at), list.size() - 1) + 1) {
    out.push_back(std::atoi(list.c_str() + at));
  }
  return out;
}

}  // namespace
}  // namespace megalith::embedding

int main(int argc, char** argv) {
  megalith::embedding::Options options;
  const megalith::TempDirectory scratch;
  options.directory = scratch.path();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--rows") options.rows = std::strtoull(value, nullptr, 10);
    if (flag == "--dim") options.dim = std::strtoull(value, nullptr, 10);
    if (flag == "--parts") options.parts = std::max(1ULL, std::strtoull(value, nullptr, 10));
    if (flag == "--batch") options.batch = std::strtoull(value, nullptr, 10);
    if (flag == "--seconds") options.seconds = std::strtod(value, nullptr);
    if (flag == "--warm") options.warm = std::strtod(value, nullptr);
    if (flag == "--threads") options.threads = megalith::embedding::Numbers(value);
    if (flag == "--dir") options.directory = value;
  }
  megalith::embedding::Run(options);
}
