// Where temporaries of whole programs lie, and in which order steps run.
#include "common/machines/codegen/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

constexpr uint64_t kMatrix = 64 * 64 * sizeof(float);

// A function of one matrix, of `body` and the values it returns.
std::string Program(std::string_view body, std::string_view result) {
  return StrCat("module { func.func public @main(%x: tensor<64x64xf32>) -> tensor<64x64xf32> {\n",
                body, "return ", result, " : tensor<64x64xf32> } }");
}

std::string Product(std::string_view result, std::string_view lhs, std::string_view rhs) {
  return StrCat(result, " = stablehlo.dot_general ", lhs, ", ", rhs,
                ", contracting_dims = [1] x [0] : (tensor<64x64xf32>, tensor<64x64xf32>) -> "
                "tensor<64x64xf32>\n");
}

// Temporary bytes of the program, which gives what the evaluator gives.
uint64_t TemporaryBytes(const std::string& text) {
  Tensor x = *Tensor::Create(DType::kF32, Shape{64, 64});
  for (int64_t i = 0; i < x.size(); ++i) x.SetDouble(i, static_cast<double>(i % 7) / 192);
  const auto backend = MakeCpuBackend();
  const auto package = backend->Compile(text, {}, nullptr);
  EXPECT_TRUE(package.ok()) << package.status().ToString();
  const auto executable = backend->Load(*package);
  EXPECT_TRUE(executable.ok()) << executable.status().ToString();
  const std::vector<Tensor> got = *(*executable)->Run(std::vector<Tensor>{x});
  const std::vector<Tensor> wanted =
      *stablehlo::Evaluate(*stablehlo::ParseModule(text), std::vector<Tensor>{x});
  for (int64_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(got[0].DoubleAt(i), wanted[0].DoubleAt(i), 1e-6) << i;
  }
  return static_cast<uint64_t>((*executable)->cost().peak_temporary_bytes);
}

TEST(AssignMemoryTest, ResultsHoldTemporariesBeforeTheyAreWritten) {
  const std::string text = Program(StrCat(Product("%a", "%x", "%x"), Product("%b", "%a", "%x"),
                                          Product("%c", "%b", "%x"), Product("%d", "%c", "%x")),
                                   "%d");
  EXPECT_EQ(TemporaryBytes(text), kMatrix);
}

TEST(ScheduleStepsTest, FinishesOneBranchBeforeTheNext) {
  // As it stands, all of %a are made before the first of %s.
  std::string body;
  const int branches = 6;
  for (int i = 0; i < branches; ++i) {
    StrAppend(&body, Product(StrCat("%a", i), "%x", i == 0 ? "%x" : StrCat("%a", i - 1)));
  }
  std::string sum = "%x";
  for (int i = 0; i < branches; ++i) {
    StrAppend(&body, Product(StrCat("%s", i), StrCat("%a", i), sum));
    sum = StrCat("%s", i);
  }
  EXPECT_LE(TemporaryBytes(Program(body, sum)), 3 * kMatrix);
}

TEST(PeakTextTest, NamesTheLargestArrays) {
  runtime::Plan plan;
  plan.library = {{"first", "", {}, {}, 0}, {"second", "", {}, {}, 0}, {"third", "", {}, {}, 0}};
  Arrays arrays;
  const uint32_t in = arrays.Add(runtime::BufferKind::kInput, 0, 100);
  const uint32_t large = arrays.AddTemporary(640), small = arrays.AddTemporary(64);
  const uint32_t out = arrays.Add(runtime::BufferKind::kOutput, 0, 10);
  const auto step = [&](uint32_t index, std::vector<uint32_t> from, uint32_t to) {
    plan.entry.steps.push_back(
        {runtime::StepKind::kLibrary, index, std::move(from), {to}, UINT32_MAX, UINT32_MAX, {}});
  };
  step(0, {in}, large);
  step(1, {large}, small);
  step(2, {small}, out);
  AssignMemory(arrays, &plan);
  EXPECT_EQ(plan.arena_bytes, 704U);
  EXPECT_THAT(PeakText(plan), HasSubstr("704 bytes are needed at 'second', 704 are reserved"));
  EXPECT_THAT(PeakText(plan), HasSubstr("+640] from 'first' to 'second'"));
}

}  // namespace
}  // namespace megalith::codegen
