// MLIR text to Module: the pretty form JAX prints, and the generic form of every op.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// Bounds on what one program may ask for. A program beyond one of them is refused with
// kResourceExhausted, which names the limit.
struct Limits {
  uint64_t max_text_bytes = uint64_t{1} << 30;
  uint64_t max_ops = 4'000'000;
  uint64_t max_values = 8'000'000;
  uint32_t max_nesting = 64;      // regions in regions, attributes in attributes, types in types
  uint32_t max_call_depth = 256;  // functions calling functions
  uint32_t max_rank = 64;
  int64_t max_elements = int64_t{1} << 33;  // of any one value, constants included
};

struct ParseOptions {
  Limits limits;
  // Check the result with Verify (verify.h).
  bool verify = true;
};

// Locations, comments and unknown dialects' attributes are accepted; locations and comments are
// dropped. Errors, with line and column: kInvalidArgument (not MLIR text, or not a valid program),
// kUnimplemented (an op or type this library does not have; the message names it),
// kResourceExhausted (a limit). Cost: linear in the text. Thread-safe.
Result<Module> ParseModule(std::string_view text, const ParseOptions& options = {});

}  // namespace megalith::stablehlo
