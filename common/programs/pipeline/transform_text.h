// Transforms as users type them: "grad:argnums=0,1", "vmap:in_axes=0,None;axis_size=3".
//
//   transform = name [":" fields] | name "(" [fields] ")"
//   fields    = field { ("," | ";") field }
//   field     = word ["=" value]                       a flag without a value is true
//   value     = item | "[" items "]" | "(" items ")" | item { "," item }
//
// A comma begins a new field where a field's name follows, and goes on with the list otherwise.
// Brackets make a list of one. The form with parentheses is what Transform::Text() prints.
#pragma once

#include <string_view>

#include "common/foundation/base/status.h"
#include "common/programs/pipeline/transform.h"

namespace megalith::pipeline {

// Errors: kInvalidArgument with the column (1-based); unknown names come with the nearest known
// one.
Result<Transform> ParseTransform(std::string_view text);

}  // namespace megalith::pipeline
