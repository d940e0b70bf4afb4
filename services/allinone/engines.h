// The engines of a fleet in one process.
#pragma once

#include "services/allinone/fleet.h"

namespace megalith::services {

// Those of the single binaries: common/programs/pipeline and every backend of common/machines.
Engines RealEngines();

}  // namespace megalith::services
