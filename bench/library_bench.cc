// How fast the libraries under the services are, on one core: reading and checking long programs,
// canonical forms, the cache. Peers, where there is one, are measured in turn with ours: for a
// stored entry, a plain file of the same bytes written, synced and renamed; for an entry read from
// disk, a plain file read. Medians.
//
//   bench/library_bench [equations, default 1000000] [runs, default 20]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "common/fleet/cache/cache.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::bench {
namespace {

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double MedianSeconds(int runs, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(Seconds(work));
  return Median(seconds);
}

// A chain of additions and multiplications.
std::string ChainText(int64_t equations) {
  std::string text = "{ lambda ; v0:f32[8] v1:f32[8]. let\n";
  for (int64_t i = 0; i < equations; ++i) {
    StrAppend(&text, "    v", i + 2, ":f32[8] = ", i % 2 == 0 ? "add" : "mul", " v", i + 1, " v", i,
              "\n");
  }
  StrAppend(&text, "  in (v", equations + 1, ",) }");
  return text;
}

void Throughput(const char* name, double seconds, size_t bytes, int64_t equations) {
  std::printf("%-44s %10.1f ms %9.1f MB/s %9.2f M equations/s\n", name, seconds * 1e3,
              static_cast<double>(bytes) / seconds / 1e6,
              static_cast<double>(equations) / seconds / 1e6);
}

void Programs(int64_t equations) {
  pipeline::Source source;
  source.text = ChainText(equations);
  const size_t bytes = source.text.size();
  ir::JaxprPtr jaxpr;
  Throughput("parse a program",
             MedianSeconds(3, [&] { jaxpr = *ir::ParseJaxpr(source.text, ops::AllOps()); }), bytes,
             equations);
  Throughput("parse and check a program",
             MedianSeconds(3, [&] { CHECK(pipeline::Load(source).ok()); }), bytes, equations);
  Throughput("print a program", MedianSeconds(3, [&] { CHECK(!ir::Print(jaxpr).empty()); }), bytes,
             equations);
}

void Modules(int64_t equations, int runs) {
  pipeline::Source source;
  source.text = ChainText(equations);
  const ir::Program program = *pipeline::Load(source);
  Throughput("lower to StableHLO",
             MedianSeconds(runs, [&] { CHECK(pipeline::LowerToStablehlo(program).ok()); }),
             source.text.size(), equations);
  const stablehlo::Module module = *pipeline::LowerToStablehlo(program);
  const std::string text = stablehlo::PrintModule(module);
  Throughput("parse StableHLO text",
             MedianSeconds(runs, [&] { CHECK(stablehlo::ParseModule(text).ok()); }), text.size(),
             equations);
  Throughput("canonical bytes of a module",
             MedianSeconds(runs, [&] { CHECK(stablehlo::CanonicalBytes(module).ok()); }),
             text.size(), equations);
}

cache::Key KeyOf(int64_t i) { return cache::KeyBuilder("bench").Add("number", StrCat(i)).Build(); }

void CacheRow(const char* name, double ours, double peer) {
  std::printf("%-44s %10.1f us %10.1f us %8.2f\n", name, ours * 1e6, peer * 1e6, ours / peer);
}

void CacheOf(size_t bytes, int runs) {
  const TempDirectory directory;
  telemetry::MetricRegistry metrics;
  FileSystem& files = RealFileSystem();
  const auto disk_only = *cache::Cache::Open(
      {.directory = directory.path() + "/cache", .max_memory_bytes = 1}, metrics);
  const std::string value(bytes, 'x');
  std::vector<double> put, put_peer, get, get_peer, memory;
  for (int i = 0; i < runs; ++i) {
    const cache::Key key = KeyOf(i);
    const std::string plain = StrCat(directory.path(), "/plain", i);
    put.push_back(Seconds([&] { CHECK(disk_only->Put(key, value).ok()); }));
    put_peer.push_back(Seconds([&] { CHECK(files.WriteAtomically(plain, value).ok()); }));
    get.push_back(Seconds([&] { CHECK(disk_only->Get(key.digest).ok()); }));
    get_peer.push_back(Seconds([&] { CHECK(files.Read(plain).ok()); }));
  }
  const auto in_memory = *cache::Cache::Open({}, metrics);
  CHECK(in_memory->Put(KeyOf(0), value).ok());
  for (int i = 0; i < 1000; ++i) {
    memory.push_back(Seconds([&] { CHECK(in_memory->Get(KeyOf(0).digest).ok()); }));
  }
  const std::string size = StrCat(bytes / 1024, " KiB");
  CacheRow(StrCat("cache put, ", size).c_str(), Median(put), Median(put_peer));
  CacheRow(StrCat("cache get from disk, ", size).c_str(), Median(get), Median(get_peer));
  std::printf("%-44s %10.2f us (with the key)\n", StrCat("cache get from memory, ", size).c_str(),
              Median(memory) * 1e6);
}

int Run(int64_t equations, int runs) {
  Programs(equations);
  Modules(std::min<int64_t>(equations, 10'000), runs);
  const std::string block(16 << 20, 'x');
  const double hashed = MedianSeconds(runs, [&] { (void)Sha256::Of(block); });
  std::printf("%-44s %10.1f ms %9.1f MB/s\n", "SHA-256 of 16 MiB", hashed * 1e3,
              static_cast<double>(block.size()) / hashed / 1e6);
  std::printf("%-44s %13s %13s %8s\n", "", "ours", "plain file", "ratio");
  for (const size_t bytes : {size_t{4} << 10, size_t{1} << 20}) CacheOf(bytes, runs);
  return 0;
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  const auto number = [&](int i, int64_t fallback) {
    return argc > i ? std::max<int64_t>(1, megalith::ParseInt(argv[i]).value_or(fallback))
                    : fallback;
  };
  return megalith::bench::Run(number(1, 1'000'000), static_cast<int>(number(2, 20)));
}
