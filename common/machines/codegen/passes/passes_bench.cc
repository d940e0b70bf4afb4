// How long the passes take: codegen_passes_bench [--check] FILE.mlir... prints time per operation
// of each pass, over all files, the least of some runs. With --check it also compares what the
// programs compute before and after, on random inputs. Run a release build.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>

#include "common/foundation/base/file_system.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/excess_precision.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::codegen {
namespace {

using stablehlo::Module;
using tensor::Tensor;

std::vector<Tensor> RandomInputs(const Module& module) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(0.1, 2);
  std::vector<Tensor> inputs;
  for (const auto& type : (*module.Entry())->input_types()) {
    Tensor t = *Tensor::Create(type.dtype, type.shape);
    for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, uniform(random));
    inputs.push_back(std::move(t));
  }
  return inputs;
}

// Largest difference relative to the largest magnitude of each output; -1 if they do not agree in
// NaN, integers and the like.
double Distance(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return -1;
  if (a.bytes() == b.bytes()) return 0;
  if (!tensor::IsInexact(a.dtype())) return -1;
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto x = a.ComplexAt(i);
    const auto y = b.ComplexAt(i);
    if (std::isnan(std::abs(x)) || std::isnan(std::abs(y))) {
      if (std::isnan(std::abs(x)) != std::isnan(std::abs(y))) return -1;
      continue;
    }
    if (x == y) continue;
    largest = std::max({largest, std::abs(x), std::abs(y)});
    difference = std::max(difference, std::abs(x - y));
  }
  return largest == 0 ? 0 : difference / largest;
}

void Check(const char* file, const Module& before, const Module& after) {
  const Status valid = stablehlo::Verify(after);
  if (!valid.ok()) {
    std::printf("%s: INVALID %s\n", file, valid.ToString().c_str());
    return;
  }
  const std::vector<Tensor> inputs = RandomInputs(before);
  // Loops may not end on random inputs.
  const Cancellation deadline(RealClock().Monotonic() + std::chrono::seconds(2));
  const stablehlo::EvalOptions options{.cancellation = &deadline, .max_steps = 200'000};
  const auto want = stablehlo::Evaluate(before, inputs, options);
  const auto got = stablehlo::Evaluate(after, inputs, options);
  if (!want.ok() || !got.ok()) {
    if (want.ok() != got.ok()) std::printf("%s: %s\n", file, got.status().ToString().c_str());
    return;
  }
  double worst = 0;
  for (size_t i = 0; i < want->size(); ++i) {
    const double d = Distance((*got)[i], (*want)[i]);
    if (d < 0) std::printf("%s: output %zu DIFFERS\n", file, i);
    worst = std::max(worst, d);
  }
  if (worst > 0) std::printf("%s: differs by %g\n", file, worst);
}

struct Total {
  double seconds = 0;
  uint64_t ops = 0, removed = 0, rewrites = 0;
};

int Run(int argc, char** argv) {
  const bool check = argc > 1 && std::strcmp(argv[1], "--check") == 0;
  std::map<std::string_view, uint64_t> counts;
  std::vector<std::pair<std::string_view, Total>> totals;
  double all = 0;
  uint64_t ops = 0, after = 0;
  for (int i = check ? 2 : 1; i < argc; ++i) {
    const auto text = RealFileSystem().Read(argv[i]);
    const auto parsed = text.ok() ? stablehlo::ParseModule(*text) : Result<Module>(text.status());
    auto canonical = parsed.ok() ? stablehlo::Canonicalize(*parsed) : parsed;
    if (!canonical.ok()) {
      std::printf("%s: %s\n", argv[i], canonical.status().ToString().c_str());
      continue;
    }
    const Module module = stablehlo::WithoutBf16Rounding(*canonical);
    double best = 1e9;
    std::vector<PassRecord> best_records;
    Module result;
    for (int run = 0; run < 5; ++run) {
      result = module;
      PassOptions options;
      if (run == 0) options.rule_counts = &counts;
      const auto start = std::chrono::steady_clock::now();
      const auto records = RunPasses(&result, options);
      const double s =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (s < best && records.ok()) best_records = *records;
      best = std::min(best, s);
    }
    all += best;
    ops += module.CountOps();
    after += result.CountOps();
    totals.resize(std::max(totals.size(), best_records.size()));
    for (size_t k = 0; k < best_records.size(); ++k) {
      totals[k].first = best_records[k].name;
      totals[k].second.seconds += best_records[k].seconds;
      totals[k].second.ops += best_records[k].ops_before;
      totals[k].second.removed += best_records[k].ops_before - best_records[k].ops_after;
      totals[k].second.rewrites += best_records[k].rewrites;
    }
    if (check) Check(argv[i], module, result);
    if (argc == 2 || (check && argc == 3))
      std::printf("%s\n", stablehlo::PrintModule(result).c_str());
  }
  for (const auto& [name, t] : totals) {
    std::printf("%-18.*s %8llu ops %7.3f us/op %6llu rewrites %6lld ops fewer\n",
                static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(t.ops),
                t.seconds * 1e6 / static_cast<double>(t.ops),
                static_cast<unsigned long long>(t.rewrites), static_cast<long long>(t.removed));
  }
  for (const auto& [name, n] : counts) {
    std::printf("  %-28.*s %6llu\n", static_cast<int>(name.size()), name.data(),
                static_cast<unsigned long long>(n));
  }
  std::printf("in all %.3f ms, %llu ops before, %llu after, %.3f us per op\n", all * 1e3,
              static_cast<unsigned long long>(ops), static_cast<unsigned long long>(after),
              all * 1e6 / static_cast<double>(ops));
  return 0;
}

}  // namespace
}  // namespace megalith::codegen

int main(int argc, char** argv) { return megalith::codegen::Run(argc, argv); }
