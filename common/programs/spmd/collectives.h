// What devices exchange, as arithmetic on the values of all of them; not for users of the library.
#pragma once

#include "common/programs/spmd/frame.h"
#include "common/programs/spmd/writer.h"

namespace megalith::spmd {

bool IsCollective(const stablehlo::Op& op);

// Gives the results of a collective to all instances of the frame. Requires IsCollective(op).
// Errors: kInvalidArgument (groups or pairs that name a device beyond `devices`, twice or not at
// all), kUnimplemented (not all instances are in `set`; a combination by more than elementwise
// operations).
Status WriteCollective(Frame& frame, const stablehlo::Op& op, const Set& set, int64_t devices,
                       FuncWriter* writer);

}  // namespace megalith::spmd
