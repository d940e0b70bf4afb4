#include "common/learning/serving/compiled_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::serving {
namespace {

using ::testing::HasSubstr;

// Rows of 4 bytes become rows of 1 GiB; running it is an error.
class WideProgram final : public Program {
 public:
  const std::vector<ProgramType>& inputs() const override { return inputs_; }
  const std::vector<ProgramType>& outputs() const override { return outputs_; }
  Result<std::vector<Value>> Run(std::vector<Value>, const Cancellation&) const override {
    return Internal("the program was run");
  }

 private:
  const std::vector<ProgramType> inputs_ = {{DataType::kFloat, {1, 1}}};
  const std::vector<ProgramType> outputs_ = {{DataType::kFloat, {1, 1 << 28}}};
};

Status RunRows(int64_t rows) {
  const auto program = MakeRowwise(std::make_shared<WideProgram>(), {true});
  EXPECT_TRUE(program.ok()) << program.status().ToString();
  std::vector<Value> arguments = {
      Value::Of(*tensor::Tensor::Create(tensor::DType::kF32, {rows, 1}))};
  return (*program)->Run(std::move(arguments), Cancellation()).status();
}

TEST(MakeRowwiseTest, ResultsBeyondTheLimitAreRefusedBeforeAnythingRuns) {
  const Status status = RunRows(3);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("send fewer rows at once"));
}

TEST(MakeRowwiseTest, ResultsOfTheLimitAreComputed) {
  EXPECT_EQ(RunRows(2).message(), "the program was run");
}

}  // namespace
}  // namespace megalith::serving
