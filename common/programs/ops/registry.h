// The table of all primitives.
#pragma once

#include "common/programs/ir/op_table.h"

namespace megalith::ops {

// Built at first use, immutable, lives for the whole process. Thread-safe.
const ir::OpTable& AllOps();

}  // namespace megalith::ops
