// Nanoseconds per row of what tables do to rows: one step of every optimizer, reads, new rows,
// dumps; rows in cache, one thread. row_bench [filter]. Least of several runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/compressors/compressor.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {
namespace {

constexpr int kRows = 64;
constexpr int64_t kDims[] = {1, 8, 16, 32, 64};

std::string g_filter;

template <typename Work>
double Nanoseconds(const Work& work) {
  double best = 1e30;
  for (int run = 0; run < 15; ++run) {
    const int rounds = 200;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) {
      for (int row = 0; row < kRows; ++row) work(row);
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / rounds / kRows);
  }
  return best;
}

struct Table {
  std::unique_ptr<RowLayout> layout;
  std::vector<std::byte> rows;
  std::vector<float> gradients;

  explicit Table(const SegmentConfig& segment, EntryKind kind = EntryKind::kTraining)
      : layout(*RowLayout::Make({.segments = {segment}, .kind = kind})) {
    rows.resize(kRows * layout->payload_bytes());
    Rng rng(1);
    for (int i = 0; i < kRows; ++i) {
      layout->Init(i, row(i));
      for (int64_t d = 0; d < layout->dim(); ++d) {
        gradients.push_back(static_cast<float>(0.01 * rng.Normal()));
      }
    }
  }
  std::byte* row(int i) { return rows.data() + static_cast<size_t>(i) * layout->payload_bytes(); }
  std::span<const float> gradient(int i) const {
    const auto dim = static_cast<size_t>(layout->dim());
    return std::span(gradients).subspan(static_cast<size_t>(i) * dim, dim);
  }
};

void Line(const std::string& title, int64_t max_dim, const std::function<double(int64_t)>& run) {
  if (title.find(g_filter) == std::string::npos) return;
  std::printf("%-28s", title.c_str());
  for (const int64_t dim : kDims) {
    if (dim <= max_dim) std::printf("%8.1f", run(dim));
  }
  std::printf("\n");
}

double StepTime(const OptimizerDef& def, int64_t dim) {
  RuleConfig rule{.name = std::string(def.name)};
  if (def.compensate) rule.base = {{.name = "adagrad"}};
  Table table({.dim = dim, .initializer = {.name = "random_uniform"}, .optimizer = rule});
  const float rate = 0.01F;
  int64_t step = 0;
  StepInput inputs[kRows];
  for (int i = 0; i < kRows; ++i) {
    inputs[i] = {
        .gradient = table.gradient(i), .learning_rates = {&rate, 1}, .snapshot = table.gradient(i)};
  }
  return Nanoseconds([&](int row) {
    inputs[row].global_step = ++step;
    table.layout->Step(inputs[row], table.row(row));
  });
}

void Run() {
  std::printf("%-28s", "ns per row, dim");
  for (const int64_t dim : kDims) std::printf("%8d", static_cast<int>(dim));
  std::printf("\n");
  for (const OptimizerDef* def : Optimizers()) {
    Line("step " + std::string(def->name), def->max_dim,
         [&](int64_t dim) { return StepTime(*def, dim); });
  }
  for (const CompressorDef* def : Compressors()) {
    for (const EntryKind kind : {EntryKind::kServing, EntryKind::kTraining}) {
      const bool serving = kind == EntryKind::kServing;
      Line((serving ? "serving read " : "training read ") + std::string(def->name), INT64_MAX,
           [&](int64_t dim) {
             Table table({.dim = dim, .compressor = {.name = std::string(def->name)}}, kind);
             std::vector<float> out(static_cast<size_t>(dim));
             return Nanoseconds([&](int row) { table.layout->Read(table.row(row), out.data()); });
           });
    }
    Line("serving assign " + std::string(def->name), INT64_MAX, [&](int64_t dim) {
      Table table({.dim = dim, .compressor = {.name = std::string(def->name)}},
                  EntryKind::kServing);
      return Nanoseconds(
          [&](int row) { table.layout->Assign(table.gradient(row).data(), table.row(row)); });
    });
  }
  const SegmentConfig adagrad{.initializer = {.name = "random_uniform"},
                              .optimizer = {.name = "adagrad"}};
  const auto with_dim = [&](int64_t dim) {
    SegmentConfig out = adagrad;
    out.dim = dim;
    return Table(out);
  };
  Line("new row, random_uniform", INT64_MAX, [&](int64_t dim) {
    Table table = with_dim(dim);
    return Nanoseconds([&](int row) { table.layout->Init(row, table.row(row)); });
  });
  Line("write dump, adagrad", INT64_MAX, [&](int64_t dim) {
    Table table = with_dim(dim);
    std::string out;
    return Nanoseconds([&](int row) {
      const Fid fid = row;
      if (row == 0) out.clear();
      table.layout->AppendEntryDump(&fid, 5, table.row(row), out);
    });
  });
  Line("read dump, adagrad", INT64_MAX, [&](int64_t dim) {
    Table table = with_dim(dim);
    const Fid fid = 3;
    std::string dump;
    table.layout->AppendEntryDump(&fid, 5, table.row(3), dump);
    return Nanoseconds([&](int row) {
      if (!table.layout->ParseEntryDump(dump, table.row(row)).ok()) std::abort();
    });
  });
}

}  // namespace
}  // namespace megalith::embedding

int main(int argc, char** argv) {
  if (argc > 1) megalith::embedding::g_filter = argv[1];
  megalith::embedding::Run();
  return 0;
}
