// Runs every float32 there is through the functions of one operand and prints the largest error of
// each, in ulps, against the C library in double precision. Minutes; not a test: `make prove`.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "common/machines/kernels/math_reference.h"
#include "common/machines/kernels/tile_sets.h"
#include "common/machines/kernels/work_pool.h"

namespace megalith::kernels {
namespace {

struct Worst {
  double ulps = 0.5;  // what rounding alone may give
  float at = 0;
};

// Of each set. The reference takes most of the time, so all sets are held against one answer.
std::vector<Worst> Prove(std::span<const TileSet> sets, const MathReference& r) {
  constexpr int64_t kBlock = 1 << 12;
  std::vector<TileFn> functions;
  for (const TileSet& set : sets) {
    functions.push_back(FindIn(set, r.op, DType::kF32, DType::kF32));
  }
  std::vector<Worst> worst(sets.size());
  std::mutex mu;  // guards worst
  ProcessPool().For((int64_t{1} << 32) / kBlock, 64, [&](int64_t begin, int64_t end) {
    std::vector<float> x(kBlock);
    std::vector<std::vector<float>> y(sets.size(), std::vector<float>(kBlock));
    std::vector<Worst> mine(sets.size());
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t i = 0; i < kBlock; ++i) {
        x[static_cast<size_t>(i)] = std::bit_cast<float>(static_cast<uint32_t>(block * kBlock + i));
      }
      const void* in[] = {x.data()};
      for (size_t set = 0; set < sets.size(); ++set) {
        functions[set](in, 0, y[set].data(), kBlock, 0);
      }
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = r.of1(static_cast<double>(x[i]));
        const auto rounded = std::bit_cast<uint32_t>(static_cast<float>(want));
        for (size_t set = 0; set < sets.size(); ++set) {
          // Correctly rounded, or as good as that.
          if (std::bit_cast<uint32_t>(y[set][i]) == rounded) continue;
          const double off = UlpsOff(y[set][i], want);
          if (off > mine[set].ulps) mine[set] = {off, x[i]};
        }
      }
    }
    const std::lock_guard lock(mu);
    for (size_t set = 0; set < sets.size(); ++set) {
      if (mine[set].ulps > worst[set].ulps) worst[set] = mine[set];
    }
  });
  return worst;
}

int Run(std::string_view only) {
  const std::span<const TileSet> sets = TileSetsHere();
  int failures = 0;
  for (const MathReference& r : MathReferences()) {
    const std::string_view name = FindScalarOp(r.op)->name;
    if (r.of1 == nullptr || (!only.empty() && only != name)) continue;
    const std::vector<Worst> worst = Prove(sets, r);
    for (size_t set = 0; set < sets.size(); ++set) {
      const bool fine = worst[set].ulps <= r.f32_ulps;
      failures += fine ? 0 : 1;
      std::printf("%-10.*s %-7.*s %8.3f ulps at %-14a bound %g%s\n", static_cast<int>(name.size()),
                  name.data(), static_cast<int>(sets[set].name.size()), sets[set].name.data(),
                  worst[set].ulps, static_cast<double>(worst[set].at), r.f32_ulps,
                  fine ? "" : "  EXCEEDED");
    }
    std::fflush(stdout);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace megalith::kernels

// vector_math_prove [function]: all functions by default.
int main(int argc, char** argv) { return megalith::kernels::Run(argc > 1 ? argv[1] : ""); }
