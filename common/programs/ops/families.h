// One function per family of primitives: its rows.
#pragma once

#include <span>

#include "common/programs/ir/op_def.h"

namespace megalith::ops {

std::span<const ir::OpDef> ArithmeticOps();    // arithmetic.cc
std::span<const ir::OpDef> CallOps();          // call.cc
std::span<const ir::OpDef> CondOps();          // cond.cc
std::span<const ir::OpDef> CustomOps();        // custom.cc
std::span<const ir::OpDef> RematOps();         // remat.cc
std::span<const ir::OpDef> ScanOps();          // scan.cc
std::span<const ir::OpDef> WhileOps();         // while.cc

}  // namespace megalith::ops
