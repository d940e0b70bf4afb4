// Programs that come to the trace service lowered: StableHLO as text, as a portable artifact or as
// an export of JAX.
#pragma once

#include <span>

#include "common/foundation/base/status.h"
#include "common/programs/ir/aval.h"
#include "common/programs/ir/parse.h"
#include "common/programs/pipeline/transform.h"
#include "common/programs/stablehlo/module.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::services {

bool IsStablehlo(const trace::v1::ProgramSource& source);

// Requires IsStablehlo(source). Errors: those of ParseModule, ReadArtifact and ReadExport;
// kInvalidArgument  constants, rules or input types beside a module, which has its own.
Result<stablehlo::Module> ModuleFromProto(const trace::v1::ProgramSource& source,
                                          const ir::ParseLimits& limits);

// True for a stack that leaves a lowered program as it is.
bool IsIdentity(std::span<const pipeline::Transform> stack);

// Types of an array argument or result; of a token those of the value that stands for it.
ir::Aval AvalOf(const stablehlo::TensorType& type);

// The request's argument types, if it gave any, are those of the program. Errors: kInvalidArgument.
Status CheckArgumentTypes(std::span<const ir::Aval> given, const stablehlo::Func& entry);

}  // namespace megalith::services
