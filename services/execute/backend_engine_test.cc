#include "services/execute/backend_engine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/machines/backends/backends.h"
#include "common/machines/runtime/backend.h"

namespace megalith::services {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr std::string_view kDouble = R"(
module {
  func.func public @main(%x: tensor<f32>) -> tensor<f32> {
    %r = stablehlo.add %x, %x : tensor<f32>
    return %r : tensor<f32>
  }
})";

// Doubles its input until it is at least 100.
constexpr std::string_view kLoop = R"(
module {
  func.func public @main(%x: tensor<f32>) -> tensor<f32> {
    %most = stablehlo.constant dense<100.0> : tensor<f32>
    %r = stablehlo.while(%a = %x) : tensor<f32>
     cond {
      %c = stablehlo.compare LT, %a, %most : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %c : tensor<i1>
    } do {
      %b = stablehlo.add %a, %a : tensor<f32>
      stablehlo.return %b : tensor<f32>
    }
    return %r : tensor<f32>
  }
})";

class BackendEngineTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<const Executable> Load(std::string_view text) {
    const auto backends = machines::AllBackends();
    const auto backend = *backends->Find(GetParam());
    const auto package = backend->Compile(text, {}, [](std::string_view, double) {});
    EXPECT_TRUE(package.ok()) << package.status().ToString();
    auto loaded =
        MakeBackendExecuteEngine(backends)->Load(*package, runtime::Origin::kOwn, Cancellation());
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    return *std::move(loaded);
  }
  // How many of `n` runs leave the program quick: all but some, on a machine that is busy.
  static int QuickAfter(const Executable& executable, int n) {
    int quick = 0;
    const std::vector<Tensor> inputs = {Tensor::Scalar(DType::kF32, 1)};
    for (int i = 0; i < n; ++i) {
      EXPECT_TRUE(executable.Run(inputs, Cancellation(), nullptr).ok());
      quick += executable.quick() ? 1 : 0;
    }
    return quick;
  }
};

TEST_P(BackendEngineTest, ProgramsWithoutLoopsBecomeQuick) {
  const auto executable = Load(kDouble);
  EXPECT_FALSE(executable->quick());
  EXPECT_GT(QuickAfter(*executable, 2000), 0);
}

TEST_P(BackendEngineTest, LoopsNeverDo) { EXPECT_EQ(QuickAfter(*Load(kLoop), 100), 0); }

INSTANTIATE_TEST_SUITE_P(Backends, BackendEngineTest, ::testing::Values("cpu", "reference"));

}  // namespace
}  // namespace megalith::services
