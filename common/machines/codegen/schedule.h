// The order of steps that needs the least temporary memory.
#pragma once

#include "common/machines/codegen/memory.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// Reorders the steps of plan->entry such that every step still finds what it read before. Orders
// that open few arrays and close many at each step, from the front and from the back, are compared
// by the arena they need and the results that lie in no input; without gain the order stays. To be
// called before AssignMemory. Programs of very many steps stay as they are.
void ScheduleSteps(const Arrays& arrays, runtime::Plan* plan);

}  // namespace megalith::codegen
