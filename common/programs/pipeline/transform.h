// Transforms as data: what a user stacks on a program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"

namespace megalith::pipeline {

// One entry per argument or output; nullopt: not mapped.
using Axes = std::vector<std::optional<int64_t>>;

// One transform with its fields (spec/transforms.md section 1); a transform reads the fields it
// knows.
struct Transform {
  std::string name;  // "jit", "grad", "vmap" ... of the table in transforms.cc

  // grad, value_and_grad, jacfwd, jacrev, hessian
  std::vector<int64_t> argnums = {0};
  bool argnums_is_list = false;
  bool has_aux = false;

  // vmap: one axis for all when `*_is_list` is false
  Axes in_axes = {0};
  bool in_axes_is_list = false;
  Axes out_axes = {0};
  bool out_axes_is_list = false;
  std::string axis_name;
  std::optional<int64_t> axis_size;

  // vjp, linear_transpose
  int64_t num_primals = 0;

  // checkpoint
  std::string policy;  // empty: none
  bool prevent_cse = true;

  // The transform as a user would write it, "grad(argnums=0)": for ledgers and messages.
  std::string Text() const;
};

// Names of all transforms, in table order.
std::vector<std::string_view> TransformNames();
bool IsTransform(std::string_view name);

}  // namespace megalith::pipeline
