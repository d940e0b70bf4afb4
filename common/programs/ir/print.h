// Jaxpr text as JAX 0.9.2 prints it.
#pragma once

#include <string>

#include "common/programs/ir/jaxpr.h"

namespace megalith::ir {

struct PrintOptions {
  int64_t width = 80;        // columns
  bool print_shapes = true;  // off: binders without ":f32[3]"
};

// The text of a jaxpr, byte for byte what str(jax.make_jaxpr(...)) gives for the same program (spec/jaxpr.md).
// Cost: linear in the size of the text.
std::string Print(const JaxprPtr& jaxpr, const PrintOptions& options = {});

}  // namespace megalith::ir
