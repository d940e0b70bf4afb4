// How soon runs and compilations notice that nobody waits for them, and that they take too much:
// counted in questions, not in time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/runtime/executable.h"

namespace megalith::codegen {
namespace {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

// Gives up at the n-th question.
class GivesUpAt {
 public:
  explicit GivesUpAt(int n) : n_(n) {}
  const Cancellation& cancellation() const { return cancellation_; }
  int asked() const { return asked_.load(); }

 private:
  static bool Ask(const void* self) {
    const auto* g = static_cast<const GivesUpAt*>(self);
    return ++g->asked_ >= g->n_;
  }
  const int n_;
  mutable std::atomic<int> asked_{0};
  const Cancellation cancellation_{std::nullopt, RealClock(), Ask, this};
};

// `kernels` loops that do not fuse into one (each is a result), of `depth` functions each.
std::string Program(int64_t elements, int kernels, int depth) {
  const std::string type = StrCat("tensor<", elements, "xf32>");
  std::string body, results, types;
  for (int k = 0; k < kernels; ++k) {
    std::string last = "%x";
    for (int d = 0; d < depth; ++d) {
      const std::string next = StrCat("%v", k, "_", d);
      const char* const op = (k >> (d % 8)) % 2 == 0 ? "tanh" : "sine";
      StrAppend(&body, "    ", next, " = stablehlo.", op, " ", last, " : ", type, "\n");
      last = next;
    }
    StrAppend(&results, k == 0 ? "" : ", ", last);
    StrAppend(&types, k == 0 ? "" : ", ", type);
  }
  return StrCat("module {\n  func.func public @main(%x: ", type, ") -> (", types, ") {\n", body,
                "    return ", results, " : ", types, "\n  }\n}\n");
}

Result<std::vector<Tensor>> RunOf(const std::string& program, int64_t elements,
                                  const Cancellation& cancellation) {
  const auto backend = MakeCpuBackend();
  ASSIGN_OR_RETURN(const std::string package,
                   backend->Compile(program, {.settings = {{"tier", "0"}}}, {}));
  ASSIGN_OR_RETURN(const auto executable, backend->Load(package));
  ASSIGN_OR_RETURN(const Tensor x, Tensor::Create(DType::kF32, Shape{elements}));
  return executable->Run(std::vector<Tensor>{x}, {.cancellation = &cancellation});
}

TEST(CancellationTest, LongLoopKernelAsksBetweenItsParts) {
  constexpr int64_t kElements = 2'000'000;
  const std::string program = Program(kElements, /*kernels=*/1, /*depth=*/16);
  const GivesUpAt never(1'000'000);
  ASSERT_TRUE(RunOf(program, kElements, never.cancellation()).ok());
  EXPECT_GT(never.asked(), 3);
  const GivesUpAt third(3);
  EXPECT_EQ(RunOf(program, kElements, third.cancellation()).status().code(), Code::kCancelled);
}

TEST(CancellationTest, CompilationStopsAtTheQuestionThatSaysSo) {
  const auto backend = MakeCpuBackend();
  const std::string program = Program(64, /*kernels=*/24, /*depth=*/8);
  const GivesUpAt never(1'000'000);
  ASSERT_TRUE(backend
                  ->Compile(program,
                            {.settings = {{"tier", "1"}}, .cancellation = &never.cancellation()},
                            {})
                  .ok());
  // Passes, lowering, and code generation ask; each of the questions ends the work.
  EXPECT_GT(never.asked(), 15);
  for (int n = 1; n <= never.asked(); n += 3) {
    const GivesUpAt some(n);
    const auto package = backend->Compile(
        program, {.settings = {{"tier", "1"}}, .cancellation = &some.cancellation()}, {});
    EXPECT_EQ(package.status().code(), Code::kCancelled) << n;
  }
}

TEST(CancellationTest, MemoryBudgetIsAskedWhileCompiling) {
  const auto backend = MakeCpuBackend();
  const std::string program = Program(64, 1, 1);
  EXPECT_TRUE(
      backend->Compile(program, {.settings = {{"tier", "0"}}, .memory_budget_bytes = 1 << 20}, {})
          .ok());
  const Status small =
      backend->Compile(program, {.settings = {{"tier", "0"}}, .memory_budget_bytes = 100}, {})
          .status();
  EXPECT_EQ(small.code(), Code::kResourceExhausted);
  EXPECT_THAT(small.message(), HasSubstr("above memory_budget_bytes (100)"));
}

}  // namespace
}  // namespace megalith::codegen
