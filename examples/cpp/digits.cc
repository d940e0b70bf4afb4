// Prints the program of one training step of the digit classifier, then trains it on made-up digits
// with the reference evaluator. Run it: build/dev/examples/cpp/example_digits
#include <cstdio>
#include <iostream>

#include "common/programs/ir/print.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/evaluate.h"
#include "examples/cpp/digits_data.h"
#include "examples/cpp/digits_model.h"

namespace {

megalith::Status Main() {
  using megalith::tracing::Function;
  constexpr int kBatch = 40;
  ASSIGN_OR_RETURN(const megalith::ir::Program loss,
                   megalith::tracing::MakeJaxpr(megalith::tracing::Grad(digits::Loss),
                                                digits::ArgumentTypes(kBatch)));
  std::cout << megalith::ir::Print(loss.closed.jaxpr) << "\n\n";

  ASSIGN_OR_RETURN(
      const megalith::ir::Program step,
      megalith::tracing::MakeJaxpr(Function("step", digits::Step), digits::ArgumentTypes(kBatch)));
  ASSIGN_OR_RETURN(const megalith::stablehlo::Module module,
                   megalith::pipeline::LowerToStablehlo(step));
  std::vector<megalith::tensor::Tensor> state = digits::InitialParams();
  const std::vector<megalith::tensor::Tensor> batch = digits::MadeUpDigits(kBatch);
  for (int i = 0; i < 50; ++i) {
    std::vector<megalith::tensor::Tensor> args = state;
    args.insert(args.end(), batch.begin(), batch.end());
    ASSIGN_OR_RETURN(const std::vector<megalith::tensor::Tensor> outs,
                     megalith::stablehlo::Evaluate(module, args));
    if (i % 10 == 0) std::printf("step %d: loss %.4f\n", i, outs[0].DoubleAt(0));
    state.assign(outs.begin() + 1, outs.end());
  }
  return megalith::OkStatus();
}

}  // namespace

int main() {
  const megalith::Status status = Main();
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}
