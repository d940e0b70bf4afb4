// The C++ front end as a whole (docs/tracing.md).
#pragma once

#include "common/programs/tracing/array.h"       // IWYU pragma: export
#include "common/programs/tracing/control.h"     // IWYU pragma: export
#include "common/programs/tracing/custom.h"      // IWYU pragma: export
#include "common/programs/tracing/function.h"    // IWYU pragma: export
#include "common/programs/tracing/indexing.h"    // IWYU pragma: export
#include "common/programs/tracing/lax.h"         // IWYU pragma: export
#include "common/programs/tracing/nn.h"          // IWYU pragma: export
#include "common/programs/tracing/numpy.h"       // IWYU pragma: export
#include "common/programs/tracing/transforms.h"  // IWYU pragma: export
