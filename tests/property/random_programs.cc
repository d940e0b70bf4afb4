// Runs random programs on backends and compares with the reference evaluator; shrinks and prints
// the first that fails. Every program runs in a process of its own, so that crashes are found too.
//
//   random_programs --count 10000 --seed 1
//   random_programs --count 1 --seed 4711 --backend cpu --set tier=0
#include <cstdio>
#include <string>
#include <string_view>

#include "common/foundation/base/strings.h"
#include "common/machines/backends/backends.h"
#include "tests/property/agreement.h"
#include "tests/property/isolated.h"
#include "tests/property/random_trace.h"
#include "tests/property/shrink.h"

namespace megalith::property {
namespace {

struct Options {
  uint64_t count = 1000;
  uint64_t seed = 1;
  uint64_t max_failures = 1;
  ProgramOptions program;
  std::string backend;
  std::map<std::string, std::string> settings;
  bool print = false;
};

constexpr std::string_view kUsage =
    "usage: random_programs [--count N] [--seed S] [--max-ops N] [--max-elements N]\n"
    "                       [--backend NAME [--set SETTING=VALUE ...]] [--failures N] [--print]\n"
    "Without --backend: every backend, with tiers 0 and 1 where it has tiers.\n";

bool ReadNumber(std::string_view text, uint64_t* out) {
  const auto n = ParseUint(text);
  if (n) *out = *n;
  return n.has_value();
}

bool ReadOptions(int argc, char** argv, Options* o) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--print") {
      o->print = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    const std::string_view value = argv[++i];
    uint64_t n = 0;
    if (name == "--backend") {
      o->backend = value;
    } else if (name == "--set") {
      const size_t equals = value.find('=');
      if (equals == std::string_view::npos) return false;
      o->settings[std::string(value.substr(0, equals))] = value.substr(equals + 1);
    } else if (!ReadNumber(value, &n)) {
      return false;
    } else if (name == "--count") {
      o->count = n;
    } else if (name == "--seed") {
      o->seed = n;
    } else if (name == "--max-ops") {
      o->program.max_ops = static_cast<int>(n);
    } else if (name == "--max-elements") {
      o->program.max_elements = static_cast<int64_t>(n);
    } else if (name == "--failures") {
      o->max_failures = n;
    } else {
      return false;
    }
  }
  return true;
}

void Report(const RandomProgram& program, const Disagreement& d,
            const std::vector<Engine>& engines) {
  std::printf("seed %llu: %s: %s\n", static_cast<unsigned long long>(program.seed),
              d.engine.c_str(), d.message.c_str());
  const auto fails = [&](const RandomProgram& candidate) {
    const auto other = CheckIsolated(candidate, engines);
    return other && other->stage == d.stage && other->engine == d.engine;
  };
  const RandomProgram small = Shrink(program, fails, 2000);
  const auto last = CheckIsolated(small, engines);
  std::printf("shrunk: %s\n%s\n", last ? last->message.c_str() : "no longer fails",
              ProgramText(small).c_str());
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  Options o;
  if (!ReadOptions(argc, argv, &o)) {
    std::fputs(std::string(kUsage).c_str(), stderr);
    return 2;
  }
  std::vector<Engine> engines = AllEngines();
  if (!o.backend.empty()) {
    const auto backend = machines::AllBackends()->Find(o.backend);
    if (!backend.ok()) {
      std::fprintf(stderr, "%s\n", backend.status().ToString().c_str());
      return 2;
    }
    engines = {{*backend, o.settings}};
  }
  uint64_t failures = 0;
  for (uint64_t seed = o.seed; seed < o.seed + o.count; ++seed) {
    const auto program = MakeAnyProgram(seed, o.program);
    if (!program.ok()) {
      std::printf("%s\n", program.status().ToString().c_str());
      if (++failures >= o.max_failures) break;
      continue;
    }
    if (o.print) std::printf("%s\n", ProgramText(*program).c_str());
    const auto d = CheckIsolated(*program, engines);
    if (!d) continue;
    Report(*program, *d, engines);
    if (++failures >= o.max_failures) break;
  }
  std::string names;
  for (const Engine& e : engines) StrAppend(&names, names.empty() ? "" : ", ", e.Text());
  std::printf("%llu programs from seed %llu on %s: %llu failed\n",
              static_cast<unsigned long long>(o.count), static_cast<unsigned long long>(o.seed),
              names.c_str(), static_cast<unsigned long long>(failures));
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace megalith::property

int main(int argc, char** argv) { return megalith::property::Main(argc, argv); }
