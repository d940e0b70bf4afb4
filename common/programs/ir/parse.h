// Reads jaxpr text.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_table.h"

namespace megalith::ir {

// Bounds on what a text may ask for; beyond them parsing stops with kResourceExhausted naming the
// limit.
struct ParseLimits {
  uint64_t max_bytes = 64ull << 20;
  uint64_t max_eqns = 2'000'000;  // over all nested jaxprs
  int max_depth = 100;            // nesting of jaxprs
  int max_value_depth = 32;       // nesting of tuples in one parameter
  int max_rank = 64;
  // Lets an operand `_` mean the latest value called so where several were; such texts are
  // ambiguous.
  bool guess_dropped = false;
};

// Parses a program as str(jax.make_jaxpr(f)(...)) prints it (spec/jaxpr.md), line breaks or flat,
// with `let` definitions of shared jaxprs, which become one object at all their uses.
//
// Types of results are taken from the text; Check (check.h) recomputes them and finds the weak
// ones. Errors: kInvalidArgument with "line L, column C: ..."; kUnimplemented for primitives and
// types that are not supported, by name; kResourceExhausted for limits.
Result<JaxprPtr> ParseJaxpr(std::string_view text, const OpTable& ops,
                            const ParseLimits& limits = {});

// Parses "f32[2,3]".
Result<Aval> ParseAval(std::string_view text, int max_rank = 64);

}  // namespace megalith::ir
