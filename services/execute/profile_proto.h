// Conversion of run profiles to the wire; nothing else.
#pragma once

#include "common/machines/runtime/run_profile.h"
#include "megalith/execute/v1/execute.pb.h"

namespace megalith::services {

execute::v1::RunProfile ProfileToProto(const runtime::RunProfile& profile);

}  // namespace megalith::services
