// Embedding tables against what one would write with a good hash map: batched lookup, Adagrad
// update and a 90/10 mix, uniform and Zipf(0.99) fids, one and two threads.
//
//   table_bench [--rows N] [--dims 16,32,64] [--batches 256,1024,8192] [--seconds S]
//
// Peers in the same run: `sharded`, absl::flat_hash_map behind 64 sharded locks; `flat`, the same
// map unlocked (one thread only); `cuckoo`, libcuckoo; `dense`, a prefetched gather or scatter-add
// from an array, the limit. All keep their rows in one slab. Ratios are our speed over the peer's.
#include <absl/container/flat_hash_map.h>
#include <libcuckoo/cuckoohash_map.hh>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/zipf.h"
#include "common/foundation/base/large_memory.h"
#include "common/foundation/base/rng.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {
namespace {

constexpr float kRate = 0.01F;
constexpr size_t kQueries = size_t{1} << 21;  // fids drawn ahead, walked round and round

Fid FidOf(uint64_t i) { return static_cast<Fid>((i * 0x9e3779b97f4a7c15ULL) >> 1); }

void AdagradRow(const float* g, float* w, float* norm, size_t dim) {
  for (size_t k = 0; k < dim; ++k) {
    norm[k] += g[k] * g[k];
    w[k] -= kRate / std::sqrt(norm[k]) * g[k];
  }
}

class Subject {
 public:
  virtual ~Subject() = default;
  virtual void Lookup(std::span<const Fid> fids, float* out) = 0;
  virtual void Update(std::span<const Fid> fids, const float* gradients) = 0;
};

class Ours : public Subject {
 public:
  Ours(size_t rows, size_t dim) {
    TableConfig config;
    config.segments = {{.dim = static_cast<int64_t>(dim)}};
    config.segments[0].optimizer = {.name = "adagrad", .fields = {}, .base = {}};
    table_ = *Table::Make(config, {});
    std::vector<Fid> fids;
    std::vector<float> values(1024 * dim, 0.5F);
    for (uint64_t i = 0; i < rows; i += fids.size()) {
      fids.clear();
      for (uint64_t k = i; k < std::min<uint64_t>(rows, i + 1024); ++k) fids.push_back(FidOf(k));
      (void)*table_->Assign(fids, std::span(values).first(fids.size() * dim), 1);
    }
  }
  void Lookup(std::span<const Fid> fids, float* out) override {
    (void)*table_->Lookup(fids, {out, fids.size() * static_cast<size_t>(table_->dim())});
  }
  void Update(std::span<const Fid> fids, const float* gradients) override {
    (void)*table_->Optimize(
        {.fids = fids,
         .values = {gradients, fids.size() * static_cast<size_t>(table_->dim())},
         .learning_rates = {&kRate, 1},
         .snapshots = {}});
  }
  TableStats stats() const { return table_->Stats(); }

 private:
  std::unique_ptr<Table> table_;
};

// Weights and accumulators of all rows, one after the other.
struct Slab {
  Slab(size_t rows, size_t dim)
      : memory(static_cast<float*>(AllocateArray(rows * 2 * dim * sizeof(float)))), dim(dim) {
    if (memory == nullptr) {
      std::fputs("not enough memory for a peer's rows\n", stderr);
      std::exit(1);
    }
    std::fill_n(memory, rows * 2 * dim, 0.5F);
  }
  ~Slab() { std::free(memory); }
  Slab(const Slab&) = delete;
  float* row(uint64_t i) const { return memory + i * 2 * dim; }
  float* memory;
  size_t dim;
};

class Flat : public Subject {
 public:
  Flat(size_t rows, size_t dim) : slab_(rows, dim) {
    for (uint64_t i = 0; i < rows; ++i) map_[FidOf(i)] = slab_.row(i);
  }
  void Lookup(std::span<const Fid> fids, float* out) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      const auto found = map_.find(fids[i]);
      if (found != map_.end()) {
        std::memcpy(out + i * slab_.dim, found->second, slab_.dim * sizeof(float));
      }
    }
  }
  void Update(std::span<const Fid> fids, const float* gradients) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      float* row = map_.find(fids[i])->second;
      AdagradRow(gradients + i * slab_.dim, row, row + slab_.dim, slab_.dim);
    }
  }

 private:
  Slab slab_;
  absl::flat_hash_map<Fid, float*> map_;
};

class Sharded : public Subject {
 public:
  Sharded(size_t rows, size_t dim) : slab_(rows, dim) {
    for (uint64_t i = 0; i < rows; ++i) Of(FidOf(i)).map[FidOf(i)] = slab_.row(i);
  }
  void Lookup(std::span<const Fid> fids, float* out) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      Shard& shard = Of(fids[i]);
      const std::lock_guard lock(shard.mu);
      const auto found = shard.map.find(fids[i]);
      if (found != shard.map.end()) {
        std::memcpy(out + i * slab_.dim, found->second, slab_.dim * sizeof(float));
      }
    }
  }
  void Update(std::span<const Fid> fids, const float* gradients) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      Shard& shard = Of(fids[i]);
      const std::lock_guard lock(shard.mu);
      float* row = shard.map.find(fids[i])->second;
      AdagradRow(gradients + i * slab_.dim, row, row + slab_.dim, slab_.dim);
    }
  }

 private:
  struct alignas(64) Shard {
    std::mutex mu;
    absl::flat_hash_map<Fid, float*> map;
  };
  Shard& Of(Fid fid) { return shards_[(static_cast<uint64_t>(fid) * 0xd6e8feb86659fd93ULL) >> 58]; }

  Slab slab_;
  std::array<Shard, 64> shards_;
};

class Cuckoo : public Subject {
 public:
  Cuckoo(size_t rows, size_t dim) : slab_(rows, dim) {
    for (uint64_t i = 0; i < rows; ++i) map_.insert(FidOf(i), slab_.row(i));
  }
  void Lookup(std::span<const Fid> fids, float* out) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      map_.find_fn(fids[i], [&](const float* row) {
        std::memcpy(out + i * slab_.dim, row, slab_.dim * sizeof(float));
      });
    }
  }
  void Update(std::span<const Fid> fids, const float* gradients) override {
    for (size_t i = 0; i < fids.size(); ++i) {
      map_.update_fn(fids[i], [&](float* row) {
        AdagradRow(gradients + i * slab_.dim, row, row + slab_.dim, slab_.dim);
      });
    }
  }

 private:
  struct Mixed {
    size_t operator()(Fid fid) const {
      const uint64_t h = static_cast<uint64_t>(fid) * 0x9e3779b97f4a7c15ULL;
      return h ^ (h >> 32);
    }
  };
  Slab slab_;
  libcuckoo::cuckoohash_map<Fid, float*, Mixed> map_;
};

// The fid's row is where its number says: no map at all.
class Dense : public Subject {
 public:
  Dense(size_t rows, size_t dim, const std::vector<Fid>& fids, const std::vector<uint64_t>& numbers)
      : slab_(rows, dim),
        weights_only_(static_cast<float*>(AllocateArray(rows * dim * 4))),
        fids_(fids.data()),
        numbers_(numbers.data()) {
    std::fill_n(weights_only_, rows * dim, 0.5F);
  }
  ~Dense() override { std::free(weights_only_); }
  void Lookup(std::span<const Fid> fids, float* out) override {
    const uint64_t* numbers = numbers_ + (fids.data() - fids_);
    const size_t dim = slab_.dim;
    for (size_t i = 0; i < fids.size(); ++i) {
      const float* ahead = weights_only_ + numbers[std::min(i + 16, fids.size() - 1)] * dim;
      for (size_t k = 0; k < dim; k += 16) __builtin_prefetch(ahead + k);
      std::memcpy(out + i * dim, weights_only_ + numbers[i] * dim, dim * sizeof(float));
    }
  }
  void Update(std::span<const Fid> fids, const float* gradients) override {
    const uint64_t* numbers = numbers_ + (fids.data() - fids_);
    const size_t dim = slab_.dim;
    for (size_t i = 0; i < fids.size(); ++i) {
      const float* ahead = weights_only_ + numbers[std::min(i + 16, fids.size() - 1)] * dim;
      for (size_t k = 0; k < dim; k += 16) __builtin_prefetch(ahead + k);
      float* row = weights_only_ + numbers[i] * dim;
      for (size_t k = 0; k < dim; ++k) row[k] += gradients[i * dim + k];
    }
  }

 private:
  Slab slab_;
  float* weights_only_;
  const Fid* fids_;
  const uint64_t* numbers_;
};

struct Load {
  std::string name;
  std::vector<Fid> fids;
  std::vector<uint64_t> numbers;
};

enum class Work { kLookup, kUpdate, kMixed };

// Million rows a second by all threads together.
double Rate(Subject& subject, const Load& load, size_t dim, size_t batch, Work work, int threads,
            double seconds) {
  std::atomic<uint64_t> rows{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      std::vector<float> out(batch * dim);
      const std::vector<float> gradients(batch * dim, 0.001F);
      const size_t batches = load.fids.size() / batch;
      uint64_t done = 0;
      for (size_t b = static_cast<size_t>(t) * batches / static_cast<size_t>(threads); !stop; ++b) {
        const std::span<const Fid> fids(load.fids.data() + b % batches * batch, batch);
        if (work == Work::kUpdate || (work == Work::kMixed && b % 10 == 0)) {
          subject.Update(fids, gradients.data());
        } else {
          subject.Lookup(fids, out.data());
        }
        done += batch;
      }
      rows += done;
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& worker : workers) worker.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return static_cast<double>(rows) / took.count() * 1e-6;
}

std::vector<size_t> Numbers(const std::string& list) {
  std::vector<size_t> out;
  for (size_t at = 0; at < list.size(); at = std::min(list.find(',', at), list.size() - 1) + 1) {
    out.push_back(std::strtoull(list.c_str() + at, nullptr, 10));
  }
  return out;
}

struct Options {
  size_t rows = 10'000'000;
  std::vector<size_t> dims{16, 32, 64};
  std::vector<size_t> batches{256, 1024, 8192};
  double seconds = 0.5;
};

struct Result {
  double rate[2][3][2];  // load, work, threads - 1
};

using Results = std::vector<Result>;  // by batch

Results Measure(Subject& subject, std::span<const Load> loads, size_t dim, const Options& options,
                bool two_threads) {
  Results out;
  for (const size_t batch : options.batches) {
    Result& result = out.emplace_back();
    for (size_t l = 0; l < loads.size(); ++l) {
      for (const Work work : {Work::kLookup, Work::kUpdate, Work::kMixed}) {
        for (int threads = 1; threads <= (two_threads ? 2 : 1); ++threads) {
          std::array<double, 3> rates;
          for (double& rate : rates) {
            rate = Rate(subject, loads[l], dim, batch, work, threads, options.seconds);
          }
          std::sort(rates.begin(), rates.end());
          result.rate[l][static_cast<int>(work)][threads - 1] = rates[1];
        }
      }
    }
  }
  return out;
}

void Print(const Options& options, const std::vector<Load>& loads, size_t dim, const Results& ours,
           const std::vector<std::pair<std::string, Results>>& peers) {
  const char* works[] = {"lookup", "update", "mixed"};
  for (size_t b = 0; b < options.batches.size(); ++b) {
    for (size_t l = 0; l < loads.size(); ++l) {
      for (int w = 0; w < 3; ++w) {
        const double* mine = ours[b].rate[l][w];
        std::printf("| %zu | %zu | %s | %s | %.1f | %.1f | %.2f |", dim, options.batches[b],
                    loads[l].name.c_str(), works[w], mine[0], mine[1], mine[1] / mine[0]);
        for (const auto& [name, results] : peers) {
          std::printf(" %.2f |", mine[0] / results[b].rate[l][w][0]);
          if (name == "sharded") std::printf(" %.2f |", mine[1] / results[b].rate[l][w][1]);
        }
        std::printf("\n");
      }
    }
  }
  std::fflush(stdout);
}

void Run(const Options& options) {
  std::vector<Load> loads(2);
  loads[0].name = "uniform";
  loads[1].name = "zipf";
  Rng rng(1);
  const Zipf zipf(options.rows, 0.99);
  for (size_t i = 0; i < kQueries; ++i) {
    loads[0].numbers.push_back(rng.Below(options.rows));
    // Popular ranks are spread over the rows as they would be by time of creation.
    loads[1].numbers.push_back(zipf.Next(rng) * 0x9e3779b97f4a7c15ULL % options.rows);
  }
  for (Load& load : loads) {
    for (const uint64_t number : load.numbers) load.fids.push_back(FidOf(number));
  }
  std::puts(
      "| dim | batch | fids | work | M rows/s | 2 threads | scaling | /sharded | /sharded, 2 "
      "threads | /flat | /cuckoo | /dense |");
  std::puts("|---|---|---|---|---|---|---|---|---|---|---|---|");
  for (const size_t dim : options.dims) {
    Results ours;
    TableStats stats;
    {
      Ours subject(options.rows, dim);
      ours = Measure(subject, loads, dim, options, true);
      stats = subject.stats();
    }
    std::vector<std::pair<std::string, Results>> peers;
    {
      Sharded subject(options.rows, dim);
      peers.emplace_back("sharded", Measure(subject, loads, dim, options, true));
    }
    {
      Flat subject(options.rows, dim);
      peers.emplace_back("flat", Measure(subject, loads, dim, options, false));
    }
    {
      Cuckoo subject(options.rows, dim);
      peers.emplace_back("cuckoo", Measure(subject, loads, dim, options, false));
    }
    Results dense;
    for (const Load& load : loads) {
      Dense subject(options.rows, dim, load.fids, load.numbers);
      const Results one = Measure(subject, std::span(&load, 1), dim, options, false);
      dense.resize(one.size());
      for (size_t b = 0; b < one.size(); ++b) {
        std::memcpy(dense[b].rate[&load - loads.data()], one[b].rate[0], sizeof(one[b].rate[0]));
      }
    }
    peers.emplace_back("dense", dense);
    Print(options, loads, dim, ours, peers);
    std::printf("bytes beyond payload, dim %zu: %.1f of each of %llu rows\n", dim,
                static_cast<double>(stats.bytes) / static_cast<double>(stats.rows) -
                    static_cast<double>(stats.payload_bytes),
                static_cast<unsigned long long>(stats.rows));
  }
}

std::unique_ptr<Table> MakeAdagrad(size_t dim) {
  TableConfig config;
  config.segments = {{.dim = static_cast<int64_t>(dim)}};
  config.segments[0].optimizer = {.name = "adagrad", .fields = {}, .base = {}};
  return *Table::Make(config, {});
}

void Fill(Table& table, size_t rows, std::atomic<uint64_t>& filled) {
  const auto dim = static_cast<size_t>(table.dim());
  std::vector<Fid> fids;
  const std::vector<float> values(1024 * dim, 0.5F);
  for (uint64_t i = 0; i < rows; i += 1024) {
    fids.clear();
    for (uint64_t k = i; k < std::min<uint64_t>(rows, i + 1024); ++k) fids.push_back(FidOf(k));
    (void)*table.Assign(fids, std::span(values).first(fids.size() * dim), 1);
    filled = i + fids.size();
  }
}

// Median, 99.99th percentile and slowest of lookups of one fid each, in milliseconds.
std::array<double, 3> Latencies(const Table& table, const std::atomic<uint64_t>& known,
                                const std::function<bool()>& go_on) {
  std::vector<double> took;
  std::vector<float> out(static_cast<size_t>(table.dim()));
  Rng rng(7);
  while (go_on()) {
    const Fid fid = FidOf(rng.Below(std::max<uint64_t>(known, 1)));
    const auto start = std::chrono::steady_clock::now();
    (void)*table.Lookup({&fid, 1}, out);
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
    took.push_back(ms.count());
  }
  std::sort(took.begin(), took.end());
  return {took[took.size() / 2], took[took.size() - 1 - took.size() / 10000], took.back()};
}

// Lookups in a table while it grows from nothing, beside lookups in it while another grows: what
// the machine's pauses and the memory traffic cost is in both, waiting for the table only in the
// first.
void Growth(const Options& options) {
  const size_t dim = options.dims.front();
  const std::unique_ptr<Table> table = MakeAdagrad(dim);
  std::atomic<uint64_t> filled{0};
  const auto start = std::chrono::steady_clock::now();
  std::jthread writer([&] { Fill(*table, options.rows, filled); });
  const auto own = Latencies(*table, filled, [&] { return filled < options.rows; });
  writer.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const std::unique_ptr<Table> other = MakeAdagrad(dim);
  std::atomic<uint64_t> other_filled{0};
  std::jthread other_writer([&] { Fill(*other, options.rows, other_filled); });
  const auto beside = Latencies(*table, filled, [&] { return other_filled < options.rows; });
  std::printf(
      "growth to %zu rows of dim %zu: %.1f M rows/s; a lookup meanwhile takes %.4f ms "
      "(median), %.3f (99.99 %%), %.2f (slowest); while another table grows %.4f, %.3f, "
      "%.2f\n",
      options.rows, dim, static_cast<double>(options.rows) / seconds.count() * 1e-6, own[0], own[1],
      own[2], beside[0], beside[1], beside[2]);
}

}  // namespace
}  // namespace megalith::embedding

int main(int argc, char** argv) {
  using megalith::embedding::Numbers;
  megalith::embedding::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--rows") options.rows = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--dims") options.dims = Numbers(argv[i + 1]);
    if (flag == "--batches") options.batches = Numbers(argv[i + 1]);
    if (flag == "--seconds") options.seconds = std::strtod(argv[i + 1], nullptr);
  }
  megalith::embedding::Growth(options);
  megalith::embedding::Run(options);
}
