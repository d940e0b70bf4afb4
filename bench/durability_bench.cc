// How fast sidecars are made and objects restored, on one core. Peers, measured in turn with ours
// on the same data in the same run: SHA-256 of it, which every cache entry costs anyway, and
// memcpy. Medians; the ratio is ours over theirs, the fraction of their speed that we reach.
//
//   bench/durability_bench [runs, default 20]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/durability/raptorq.h"
#include "common/foundation/durability/sidecar.h"

namespace megalith::bench {
namespace {

struct Contender {
  const char* name;
  std::function<void()> work;
  std::vector<double> seconds;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string RandomBytes(size_t n, Rng& rng) {
  std::string out(n, '\0');
  for (char& c : out) c = static_cast<char>(rng.Next());
  return out;
}

// Zeroes every tenth run of symbols, in all nine percent of the object.
std::string Damaged(std::string object) {
  for (size_t at = 0; at < object.size(); at += object.size() / 10 + 1) {
    const size_t n = std::min(object.size() - at, object.size() * 8 / 1000);
    std::memset(object.data() + at, 0, n);
  }
  return object;
}

void Sidecars(size_t bytes, int runs) {
  Rng rng(bytes);
  const std::string object = RandomBytes(bytes, rng);
  const std::string sidecar = *durability::MakeSidecar(object);
  const std::string damaged = Damaged(object);
  CHECK(durability::RestoreObject(damaged, sidecar)->object == object);
  std::string copy(bytes, '\0');
  std::vector<Contender> contenders = {
      {"sha256", [&] { (void)Sha256::Of(object); }, {}},
      {"memcpy", [&] { std::memcpy(copy.data(), object.data(), bytes); }, {}},
      {"make sidecar, 10 %", [&] { (void)durability::MakeSidecar(object); }, {}},
      {"check sidecar", [&] { (void)durability::CheckSidecar(sidecar); }, {}},
      {"restore, 8 % damaged", [&] { (void)durability::RestoreObject(damaged, sidecar); }, {}},
  };
  for (int i = 0; i < runs; ++i) {
    for (Contender& c : contenders) {
      const auto start = std::chrono::steady_clock::now();
      c.work();
      c.seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  const double sha = Median(contenders[0].seconds);
  const double memcpy_seconds = Median(contenders[1].seconds);
  for (const Contender& c : contenders) {
    const double s = Median(c.seconds);
    std::printf("%9zu bytes  %-22s %9.1f MB/s  sha256 ratio %6.3f  memcpy ratio %6.4f\n", bytes,
                c.name, static_cast<double>(bytes) / s / 1e6, sha / s, memcpy_seconds / s);
  }
}

// The code alone, for each instruction set: symbols of the block over the time to compute a tenth
// of it, elimination included and apart.
void Codec(uint32_t symbols, size_t symbol_bytes, int runs) {
  Rng rng(symbols);
  const std::string block = RandomBytes(symbols * symbol_bytes, rng);
  std::vector<uint32_t> ids(symbols);
  std::iota(ids.begin(), ids.end(), 0u);
  std::vector<const uint8_t*> pointers;
  for (uint32_t i = 0; i < symbols; ++i)
    pointers.push_back(AsBytes(block).data() + i * symbol_bytes);
  std::vector<uint32_t> wanted(symbols / 10 + 1);
  std::iota(wanted.begin(), wanted.end(), symbols);
  std::vector<uint8_t> out(wanted.size() * symbol_bytes);
  const durability::SymbolSolver solver = *durability::SymbolSolver::Make(symbols, ids);
  const auto measure = [&](const std::function<void()>& work) {
    std::vector<double> seconds;
    for (int i = 0; i < runs; ++i) {
      const auto start = std::chrono::steady_clock::now();
      work();
      seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return Median(seconds);
  };
  const auto megabytes = static_cast<double>(block.size()) / 1e6;
  const double make = measure([&] { (void)durability::SymbolSolver::Make(symbols, ids); });
  std::printf("K %5u  T %6zu  eliminate %8.2f ms, %u inactive columns\n", symbols, symbol_bytes,
              make * 1e3, solver.inactive_columns());
  for (const durability::Gf256Kernels* kernels : durability::AllGf256Kernels()) {
    const double run =
        measure([&] { solver.Run(pointers, symbol_bytes, wanted, out.data(), *kernels); });
    std::printf("K %5u  T %6zu  %-9.*s %9.1f MB/s, with elimination %9.1f MB/s\n", symbols,
                symbol_bytes, static_cast<int>(kernels->name.size()), kernels->name.data(),
                megabytes / run, megabytes / (run + make));
  }
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  const int runs = argc > 1 ? static_cast<int>(megalith::ParseInt(argv[1]).value_or(20)) : 20;
  for (const size_t bytes : {20'000u, 200'000u, 2'000'000u, 20'000'000u})
    megalith::bench::Sidecars(bytes, runs);
  for (const auto& [symbols, symbol_bytes] :
       {std::pair<uint32_t, size_t>{100, 256}, {500, 1024}, {1000, 4096}, {5000, 1024}})
    megalith::bench::Codec(symbols, symbol_bytes, runs);
  return 0;
}
