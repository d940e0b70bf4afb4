// What the front end's tests share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/programs/ir/print.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/tracing/tracing.h"

namespace megalith::tracing::testing {

// The text of a function's program after a line break, or its error.
inline std::string Text(const Function& f, const std::vector<Aval>& args,
                        const TraceOptions& options = {}) {
  const Result<ir::Program> program = MakeJaxpr(f, args, options);
  return "\n" + (program.ok() ? ir::Print(program->closed.jaxpr) : program.status().ToString());
}

// The function's results for arguments, by the reference evaluator.
inline Result<std::vector<tensor::Tensor>> Evaluate(const Function& f,
                                                    const std::vector<tensor::Tensor>& args) {
  std::vector<Aval> types;
  for (const tensor::Tensor& t : args) types.push_back({t.dtype(), false, t.shape()});
  ASSIGN_OR_RETURN(const ir::Program program, MakeJaxpr(f, types));
  ASSIGN_OR_RETURN(const stablehlo::Module module, pipeline::LowerToStablehlo(program));
  return stablehlo::Evaluate(module, args);
}

}  // namespace megalith::tracing::testing
