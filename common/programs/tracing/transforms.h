// Transforms of functions: each takes a function and gives one, so they compose in any order, as in
// JAX.
//
// The result is called, jitted or traced like any other function. What a transform gives follows
// common/programs/pipeline (spec/transforms.md): results are flat lists of arrays.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/programs/tracing/function.h"

namespace megalith::tracing {

struct GradOptions {
  // Parameters of the function by position, negative from the end; one that holds several arrays
  // counts once.
  std::vector<int64_t> argnums = {0};
  bool has_aux = false;  // the function gives its value, then arrays that are passed through
};

struct VmapOptions {
  // One for all, or one per parameter (result); nullopt: not mapped.
  std::vector<std::optional<int64_t>> in_axes = {0};
  std::vector<std::optional<int64_t>> out_axes = {0};
  std::string axis_name = {};
  std::optional<int64_t> axis_size = {};
};

struct CheckpointOptions {
  std::string policy =
      {};  // "dots_saveable", ... of spec/transforms.md; empty: nothing is saved but inputs
  bool prevent_cse = true;
};

// One jit equation. The same function for the same types is traced once per program.
Function Jit(Function f, Place where = Place::current());
// Arguments of f -> gradients, then aux results.
Function Grad(Function f, GradOptions options = {}, Place where = Place::current());
// -> value, aux results, gradients.
Function ValueAndGrad(Function f, GradOptions options = {}, Place where = Place::current());
Function Vmap(Function f, VmapOptions options = {}, Place where = Place::current());
// Primals, then tangents -> results, then their tangents.
Function Jvp(Function f, Place where = Place::current());
Function Linearize(Function f, Place where = Place::current());
// Primals, then cotangents of the results -> results, then cotangents of the primals. The number of
// primals is that of the function's parameters; a function of any number of arrays needs it said.
Function Vjp(Function f, std::optional<int64_t> num_primals = {}, Place where = Place::current());
// Jacobians: one array of shape out.shape + arg.shape per result (outer) and argument (inner).
Function Jacfwd(Function f, GradOptions options = {}, Place where = Place::current());
Function Jacrev(Function f, GradOptions options = {}, Place where = Place::current());
Function Hessian(Function f, GradOptions options = {}, Place where = Place::current());
// Values inside are computed again in the backward pass instead of being kept.
Function Checkpoint(Function f, CheckpointOptions options = {}, Place where = Place::current());

}  // namespace megalith::tracing
