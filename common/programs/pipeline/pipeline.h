// The front door of programs: text and a stack of transforms in, a transformed program, StableHLO
// and keys out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/programs/ir/builder.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/parse.h"
#include "common/programs/pipeline/transform.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::pipeline {

// A program as a client sends it.
struct Source {
  std::string text;                    // jaxpr text, or
  ir::JaxprPtr jaxpr;                  // the parsed form
  std::vector<tensor::Tensor> consts;  // values of the constvars, in order
  ir::RuleSet rules;                   // in pre-order of appearance
  std::vector<bool> weak_inputs;       // empty: all strong
  std::string fun_name = "<lambda>";
};

struct TraceOptions {
  // Types of the arguments of the *transformed* program; needed by vmap without axis_size. Absent:
  // derived from the program's own inputs.
  std::optional<std::vector<ir::Aval>> arg_avals;
  bool x64 = false;
  ir::ParseLimits parse_limits;
  ir::SessionLimits limits;
  const Cancellation* cancel = nullptr;
};

// One step of the work, for the ledger: what was done to what.
struct TraceStep {
  std::string transform;  // "grad(argnums=0)"
  uint64_t eqns_in = 0;
  uint64_t eqns_out = 0;
  double seconds = 0;
};

struct Traced {
  ir::Program program;
  std::vector<TraceStep> steps;
};

// Parses, attaches constants and rules, checks types. Errors name line and column, or the equation.
Result<ir::Program> Load(const Source& source, const TraceOptions& options = {});

// A program that arrives lowered, as the jaxpr it raises to (raising/raising.h). A program of
// 64-bit types needs options.x64.
Result<ir::Program> LoadStablehlo(const stablehlo::Module& module, const std::string& fun_name,
                                  const TraceOptions& options = {});

// Applies the stack (innermost first) and traces the result, as jax.make_jaxpr would trace the
// transformed function. An empty stack traces the program itself. Errors are JAX's, by class and
// phrase.
Result<Traced> Apply(const ir::Program& source, const std::vector<Transform>& stack,
                     const TraceOptions& options = {});

// The StableHLO module of a traced program.
Result<stablehlo::Module> LowerToStablehlo(const ir::Program& program,
                                           const TraceOptions& options = {});

// Digest of everything a trace result depends on: program (with constants and rules), stack,
// argument types, options and the version of the tracer. The components are for `cache explain`.
struct KeyComponent {
  std::string name;
  std::string value;  // text, or the SHA-256 of longer content
};
std::vector<KeyComponent> TraceKey(const ir::Program& source, const std::vector<Transform>& stack,
                                   const TraceOptions& options);

}  // namespace megalith::pipeline
