// The parts of an exported model, their version and size: what a scheduler must know (spec
// agent-service.md, section 11, cal_model_info).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/agent/scheduler.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

// The sub-models below `exported_models` ({sub_model}/{version}/...), by name. The version is
// `version`; else the one that each sub-model's ExportSaverListenerState names for the step of the
// checkpoint; else the highest that all have. `checkpoint` ("model.ckpt-61") empty: the one that
// the file `checkpoint` beside `exported_models` names, if there is one. Sizes are those of all
// files of the version, and of the checkpoint's assets that belong to a ps. Reads directories:
// slow. Errors: kNotFound  no sub-model, no common version; kFailedPrecondition  sub-models
// disagree about the step's version; kResourceExhausted  more than a million files; those of
// FileSystem.
Result<std::vector<SubModel>> ExportedSubModels(std::string exported_models, std::string checkpoint,
                                                std::optional<int64_t> version, FileSystem& files);

}  // namespace megalith::agent
