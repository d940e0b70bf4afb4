// The tile interpreter against the interpreter that does one point after the other.
#include "common/machines/runtime/loop_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/machines/runtime/loop_testing.h"

namespace megalith::runtime {
namespace {

void RunTiles(const LoopKernel& kernel, LoopArguments* arguments, Rng& rng) {
  const TileProgram program(kernel);
  std::vector<char> scratch(program.scratch_bytes() + 64);
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  void* aligned = scratch.data() + (64 - address % 64) % 64;
  const std::vector<void*> pointers = arguments->Pointers();
  const int64_t points = kernel.OuterPoints();
  // Ranges of any size, in any order.
  std::vector<int64_t> cuts = {0, points};
  for (size_t i = 0, n = rng.Below(4); i < n && points > 0; ++i) {
    cuts.push_back(static_cast<int64_t>(rng.Below(static_cast<uint64_t>(points))));
  }
  std::sort(cuts.begin(), cuts.end());
  for (size_t i = cuts.size() - 1; i-- > 0;) {
    program.Run(pointers.data(), cuts[i], cuts[i + 1], aligned);
  }
}

TEST(TileProgramTest, RandomKernelsGiveWhatPointsGive) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Rng rng(seed);
    RandomLoop loop = MakeRandomLoop(rng);
    const Status status = CheckLoopKernel(loop.kernel, loop.arguments.Sizes());
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString() << "\n"
                             << LoopText(loop.kernel);
    LoopArguments got = loop.arguments, want = loop.arguments;
    RunByPoint(loop.kernel, want.Pointers().data(), 0, loop.kernel.OuterPoints());
    RunTiles(loop.kernel, &got, rng);
    ASSERT_EQ(Difference(loop.kernel, got, want), "") << "seed " << seed << "\n"
                                                      << LoopText(loop.kernel);
  }
}

}  // namespace
}  // namespace megalith::runtime
