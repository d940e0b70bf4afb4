// Jaxpr text as JAX 0.9.2 prints it.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"

namespace megalith::ir {

struct PrintOptions {
  int64_t width = 80;        // columns
  bool print_shapes = true;  // off: binders without ":f32[3]"
};

// The text of a jaxpr, byte for byte what str(jax.make_jaxpr(...)) gives for the same program
// (spec/jaxpr.md). Cost: linear in the size of the text; but JAX's text of shared jaxprs that share
// others doubles with each level of them (section 6: a definition spells out those that follow it).
std::string Print(const JaxprPtr& jaxpr, const PrintOptions& options = {});

// The same for programs of unknown origin. Error: kResourceExhausted for a text of more than
// `max_bytes`; time and memory are bounded by them too.
Result<std::string> PrintWithin(uint64_t max_bytes, const JaxprPtr& jaxpr,
                                const PrintOptions& options = {});

}  // namespace megalith::ir
