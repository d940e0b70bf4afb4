// Functions with derivative rules of their own.
#pragma once

#include "common/programs/tracing/function.h"

namespace megalith::tracing {

// `f`, differentiated by `jvp`: primals, then their tangents -> results, then their tangents. A
// tangent without value (Array()) is zero. Tangents of integer arguments are of type float0.
//
// The rule is traced where the function is called, so an error in it shows there even if nobody
// differentiates. It may call the function itself. It must not use arrays of the functions around
// it. Errors (in the trace): TypeError if the rule's results have other types than the function's.
Function CustomJvp(Function f, Function jvp);

// `f`, differentiated backwards: `fwd` takes the arguments of f and gives its results, then
// residuals; `bwd` takes the residuals, then the cotangents of the results, and gives those of the
// arguments; one without value is zero. The notes on CustomJvp hold.
Function CustomVjp(Function f, Function fwd, Function bwd);

}  // namespace megalith::tracing
