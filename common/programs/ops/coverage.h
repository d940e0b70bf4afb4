// Which rules each primitive has, as a table for people: docs/ops.md.
#pragma once

#include <string>

#include "common/programs/ir/op_table.h"

namespace megalith::ops {

// The whole document, sorted by name.
std::string CoverageMarkdown(const ir::OpTable& ops);

}  // namespace megalith::ops
