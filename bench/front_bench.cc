// How long a StableHLO program takes from text to something that can run, stage by stage, on one
// core: parse, verify, canonicalize, encode, decode, cost, plan of the reference evaluator.
//
//   front_bench [FILE.mlir]...     without files: a chain of ten operations
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/cost.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {
namespace {

// The least and the median of repetitions that take about a second.
struct Times {
  double least_us = 0, median_us = 0;
};
Times Measure(const std::function<void()>& work) {
  std::vector<double> us;
  double total = 0;
  while (us.size() < 5 || (total < 0.5e6 && us.size() < 5000)) {
    const auto start = std::chrono::steady_clock::now();
    work();
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
                     .count());
    total += us.back();
  }
  std::sort(us.begin(), us.end());
  return {us.front(), us[us.size() / 2]};
}

int Report(const std::string& name, const std::string& text) {
  ParseOptions unchecked;
  unchecked.verify = false;
  const auto module = ParseModule(text);
  if (!module.ok()) {
    std::printf("%s: %s\n", name.c_str(), module.status().ToString().c_str());
    return 1;
  }
  const auto canonical = Canonicalize(*module);
  if (!canonical.ok()) {
    std::printf("%s: %s\n", name.c_str(), canonical.status().ToString().c_str());
    return 1;
  }
  const std::string bytes = EncodeModule(*canonical);
  std::printf("%s: %zu ops, %zu bytes of text; canonical %zu ops, %zu bytes\n", name.c_str(),
              module->CountOps(), text.size(), canonical->CountOps(), bytes.size());
  const std::pair<const char*, std::function<void()>> stages[] = {
      {"parse", [&] { (void)ParseModule(text, unchecked); }},
      {"verify", [&] { (void)Verify(*module); }},
      {"canonicalize", [&] { (void)Canonicalize(*module); }},
      {"encode", [&] { (void)EncodeModule(*canonical); }},
      {"decode", [&] { (void)DecodeModule(bytes); }},
      {"cost", [&] { (void)EstimateCost(*canonical); }},
      {"plan", [&] { (void)Plan::Create(*canonical); }},
  };
  double front = 0;
  for (size_t i = 0; i < std::size(stages); ++i) {
    const Times t = Measure(stages[i].second);
    std::printf("  %-14s %10.1f us least %10.1f us median\n", stages[i].first, t.least_us,
                t.median_us);
    if (i < 3) front += t.least_us;
  }
  std::printf("  %-14s %10.1f us least\n", "front in all", front);
  return 0;
}

std::string Chain() {
  std::string text = "func.func public @main(%arg0: tensor<8xf32>) -> tensor<8xf32> {\n";
  constexpr const char* kOps[] = {"add", "multiply", "subtract", "maximum", "divide"};
  for (int i = 0; i < 10; ++i) {
    StrAppend(&text, "  %", i, " = stablehlo.", kOps[i % 5], " ",
              i == 0 ? std::string("%arg0") : StrCat("%", i - 1), ", %arg0 : tensor<8xf32>\n");
  }
  return text + "  return %9 : tensor<8xf32>\n}\n";
}

}  // namespace
}  // namespace megalith::stablehlo

int main(int argc, char** argv) {
  using megalith::stablehlo::Report;
  if (argc < 2) return Report("chain of ten", megalith::stablehlo::Chain());
  int failed = 0;
  for (int i = 1; i < argc; ++i) {
    std::ifstream in(argv[i]);
    std::stringstream text;
    text << in.rdbuf();
    failed |= Report(argv[i], text.str());
  }
  return failed;
}
