// Conversion between the trace service's messages and the types of common/programs; nothing else.
#pragma once

#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/ir/aval.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/pipeline/transform.h"
#include "megalith/common/v1/common.pb.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::services {

common::v1::TypeProto AvalToProto(const ir::Aval& aval);
Result<ir::Aval> AvalFromProto(const common::v1::TypeProto& proto);

// Errors: kInvalidArgument, naming the transform by its place in the stack.
Result<std::vector<pipeline::Transform>> StackFromProto(
    const google::protobuf::RepeatedPtrField<trace::v1::Transform>& stack);

// `limits` bound the texts of rules. Errors: kInvalidArgument with the field; those of parsing rule
// bodies.
Result<pipeline::Source> SourceFromProto(const trace::v1::ProgramSource& source,
                                         const ir::ParseLimits& limits);

}  // namespace megalith::services
