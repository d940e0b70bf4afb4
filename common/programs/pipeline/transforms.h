// The table of transforms: what the pipeline applies to programs and the C++ front end to functions
// it traces.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/programs/ir/builder.h"
#include "common/programs/pipeline/transform.h"

namespace megalith::pipeline {

// The function that a transform acts on. It may use values of the trace it is called in: those are
// its open constvars.
struct Callee {
  ir::JaxprPtr jaxpr;               // array constants carry their values
  std::vector<ir::Value> captured;  // one per open constvar
  std::string fun_name = "<lambda>";
};
// A program as a callee: nothing is captured.
Callee CalleeOf(const ir::Program& program);

// How one transform acts. `inner` is called outside in, `apply` inside out.
struct TransformDef {
  std::string_view name;
  // Argument types of the function being transformed, from those of the result; checks what JAX
  // checks before it calls the function.
  Result<std::vector<ir::Aval>> (*inner)(const Transform&, const std::vector<ir::Aval>& args);
  // Argument types of the result, from those of the function, where they follow (used when a caller
  // sends none).
  Result<std::vector<ir::Aval>> (*outer)(const Transform&, const std::vector<ir::Aval>& inner_args,
                                         const std::vector<ir::Aval>& inner_outs);
  // Emits the transformed function into `b` for inputs of the result.
  Result<std::vector<ir::Value>> (*apply)(ir::Builder& b, const Transform&, const Callee& inner,
                                          std::span<const ir::Value> args);
  // False: the result has no name of its own and prints as <lambda>.
  bool keeps_name = true;
};

// nullptr if there is none.
const TransformDef* FindTransform(std::string_view name);

}  // namespace megalith::pipeline
