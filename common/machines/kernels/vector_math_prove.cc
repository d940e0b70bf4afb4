// Runs every float32 there is through the functions of one operand and prints the largest error of
// each, in ulps, against the C library in double precision. Minutes; not a test: `make prove`.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <mutex>
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

Worst Prove(const TileSet& set, const MathReference& r) {
  constexpr int64_t kBlock = 1 << 12;
  const TileFn fn = FindIn(set, r.op, DType::kF32, DType::kF32);
  Worst worst;
  std::mutex mu;  // guards worst
  ProcessPool().For((int64_t{1} << 32) / kBlock, 64, [&](int64_t begin, int64_t end) {
    std::vector<float> x(kBlock), y(kBlock);
    Worst mine;
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t i = 0; i < kBlock; ++i) {
        x[static_cast<size_t>(i)] = std::bit_cast<float>(static_cast<uint32_t>(block * kBlock + i));
      }
      const void* in[] = {x.data()};
      fn(in, 0, y.data(), kBlock, 0);
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = r.of1(static_cast<double>(x[i]));
        // Correctly rounded, or as good as that.
        if (std::bit_cast<uint32_t>(y[i]) == std::bit_cast<uint32_t>(static_cast<float>(want))) {
          continue;
        }
        const double off = UlpsOff(y[i], want);
        if (off > mine.ulps) mine = {off, x[i]};
      }
    }
    const std::lock_guard lock(mu);
    if (mine.ulps > worst.ulps) worst = mine;
  });
  return worst;
}

int Run(std::string_view set_name, std::string_view only) {
  int failures = 0;
  for (const TileSet& set : TileSetsHere()) {
    if (!set_name.empty() && set.name != set_name) continue;
    for (const MathReference& r : MathReferences()) {
      const std::string_view name = FindScalarOp(r.op)->name;
      if (r.of1 == nullptr || (!only.empty() && only != name)) continue;
      const Worst worst = Prove(set, r);
      const bool fine = worst.ulps <= r.f32_ulps;
      failures += fine ? 0 : 1;
      std::printf("%-7.*s %-10.*s %8.3f ulps at %-14a bound %g%s\n",
                  static_cast<int>(set.name.size()), set.name.data(), static_cast<int>(name.size()),
                  name.data(), worst.ulps, static_cast<double>(worst.at), r.f32_ulps,
                  fine ? "" : "  EXCEEDED");
      std::fflush(stdout);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace megalith::kernels

// vector_math_prove [set [function]]: all sets the processor has and all functions by default.
int main(int argc, char** argv) {
  return megalith::kernels::Run(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
}
