// How fast tables are saved and restored, and what writers lose meanwhile. Ratios to a plain fwrite
// and fread of as many bytes in the same run.
// Usage: checkpoint_bench [rows] [dim] [directory]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"

namespace megalith::embedding {
namespace {

constexpr size_t kBatch = 4096;
constexpr size_t kPiece = 1 << 20;

std::unique_ptr<TableSet> MakeSet(int64_t dim) {
  auto set = TableSet::Make({});
  CHECK(set.ok());
  TableConfig config;
  config.segments.resize(1);
  config.segments[0].dim = dim;
  config.segments[0].optimizer.name = "adagrad";
  CHECK((*set)->Create("t", config).ok());
  return *std::move(set);
}

// One Adagrad step for a batch of fids from `first` on.
void Step(Table& table, Fid first, const std::vector<float>& gradients) {
  std::vector<Fid> fids(kBatch);
  for (size_t i = 0; i < kBatch; ++i) fids[i] = first + static_cast<Fid>(i);
  Gradients batch;
  batch.fids = fids;
  batch.values = gradients;
  batch.update_time = 1;
  CHECK(table.Optimize(batch).ok());
}

// Updates rows until told to stop; counts batches.
class Writer {
 public:
  Writer(Table& table, uint64_t rows, int64_t dim)
      : thread_([this, &table, rows, dim] {
          const std::vector<float> gradients(kBatch * static_cast<size_t>(dim), 0.01f);
          Rng rng(1);
          while (!stop_.load(std::memory_order_relaxed)) {
            Step(table, static_cast<Fid>(rng.Below(rows - kBatch)), gradients);
            batches_.fetch_add(1, std::memory_order_relaxed);
          }
        }) {}
  ~Writer() {
    stop_ = true;
    thread_.join();
  }
  uint64_t batches() const { return batches_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> batches_{0};
  std::thread thread_;
};

double PlainWrite(const std::string& path, uint64_t bytes) {
  const std::vector<char> piece(kPiece, 'x');
  const Stopwatch watch;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  CHECK(file != nullptr);
  for (uint64_t left = bytes; left > 0;) {
    const size_t n = std::min<uint64_t>(left, kPiece);
    CHECK(std::fwrite(piece.data(), 1, n, file) == n);
    left -= n;
  }
  CHECK(std::fclose(file) == 0);
  return watch.Seconds();
}

double PlainRead(const std::string& path) {
  std::vector<char> piece(kPiece);
  const Stopwatch watch;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  CHECK(file != nullptr);
  while (std::fread(piece.data(), 1, kPiece, file) == kPiece) {
  }
  CHECK(std::fclose(file) == 0);
  return watch.Seconds();
}

void Print(const char* what, uint64_t rows, uint64_t bytes, double seconds, double plain) {
  std::printf("%-24s %8.2f Mrows/s %8.1f MB/s   %5.2f of plain i/o\n", what,
              static_cast<double>(rows) / seconds * 1e-6,
              static_cast<double>(bytes) / seconds * 1e-6, plain / seconds);
}

void Run(uint64_t rows, int64_t dim, const std::string& directory) {
  const auto set = MakeSet(dim);
  Table& table = **set->Get("t");
  const std::vector<float> gradients(kBatch * static_cast<size_t>(dim), 0.5f);
  for (uint64_t at = 0; at < rows; at += kBatch) Step(table, static_cast<Fid>(at), gradients);
  std::printf("%llu rows, dim %lld, adagrad\n", static_cast<unsigned long long>(table.size()),
              static_cast<long long>(dim));
  int64_t step = 0;
  for (const TableLayout layout : {TableLayout::kSingle, TableLayout::kNative}) {
    const bool single = layout == TableLayout::kSingle;
    SaveOptions save;
    save.directory = directory;
    save.layout = layout;
    save.retention.keep = 1;
    save.step = ++step;
    const Stopwatch saving;
    const auto saved = SaveTables(*set, save);
    CHECK(saved.ok());
    const double save_seconds = saving.Seconds();
    const std::string plain = JoinPath(directory, "plain");
    const double write_seconds = PlainWrite(plain, saved->bytes);
    Print(single ? "save, single" : "save, native", saved->rows, saved->bytes, save_seconds,
          write_seconds);
    const auto copy = MakeSet(dim);
    RestoreOptions restore;
    restore.directory = directory;
    const double read_seconds = PlainRead(plain);
    const Stopwatch restoring;
    const auto restored = RestoreTables(*copy, restore);
    CHECK(restored.ok() && restored->rows == saved->rows);
    Print(single ? "restore, single" : "restore, native", restored->rows, saved->bytes,
          restoring.Seconds(), read_seconds);
  }
  // A writer alone for as long as a save takes, then beside a save.
  SaveOptions save;
  save.directory = directory;
  save.retention.keep = 1;
  Writer writer(table, rows, dim);
  for (int round = 0; round < 3; ++round) {
    save.step = ++step;
    const uint64_t before = writer.batches();
    const Stopwatch saving;
    CHECK(SaveTables(*set, save).ok());
    const double seconds = saving.Seconds();
    const double beside = static_cast<double>(writer.batches() - before) / seconds;
    const uint64_t from = writer.batches();
    const Stopwatch watch;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    const double alone = static_cast<double>(writer.batches() - from) / watch.Seconds();
    std::printf("one writer: %.2f Mrows/s alone, %.2f while saving (%.1f %% slower), save %.2f s\n",
                alone * kBatch * 1e-6, beside * kBatch * 1e-6, 100 * (1 - beside / alone), seconds);
  }
}

}  // namespace
}  // namespace megalith::embedding

int main(int argc, char** argv) {
  const auto number = [&](int at, long long fallback) {
    return argc > at ? std::max(1LL, std::atoll(argv[at])) : fallback;
  };
  const megalith::TempDirectory temporary;
  const auto rows = static_cast<uint64_t>(number(1, 2'000'000));
  megalith::embedding::Run(std::max<uint64_t>(rows, 8192), number(2, 16),
                           argc > 3 ? argv[3] : temporary.path());
  return 0;
}
