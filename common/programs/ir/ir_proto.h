// Conversion between programs and their wire form; nothing else. What text loses (weak types,
// nested constants, rule bodies) the wire form carries.
#pragma once

#include "common/foundation/base/status.h"
#include "common/programs/ir/builder.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_table.h"
#include "megalith/ir/v1/ir.pb.h"

namespace megalith::ir {

struct ProtoLimits {
  uint64_t max_eqns = 2'000'000;  // over all jaxprs
  int max_depth = 100;            // nesting of jaxprs
  int max_value_depth = 32;       // nesting of tuples in one parameter
  size_t max_rules = 10'000;      // of a program, derived ones included
};

// The session makes the bodies of rules that were derived. Equal programs give equal messages, and
// the message holds no map, so its serialized bytes are equal too. Errors: those of making a rule's
// bodies; kResourceExhausted (max_rules).
Result<v1::Program> ProgramToProto(Session& session, const Program& program,
                                   const ProtoLimits& limits = {});

// A program whose calls of custom functions refer to `rules` by index: see CustomRule.
struct DecodedProgram {
  Program program;
  RuleSet rules;
};

// Checks structure (indices, counts, parameters, limits); types are checked where text's are, by
// CheckProgram. Errors: kInvalidArgument, kUnimplemented (a primitive that is not in `ops`),
// kResourceExhausted; messages name the jaxpr and equation.
Result<DecodedProgram> ProgramFromProto(const v1::Program& proto, const OpTable& ops,
                                        const ProtoLimits& limits = {});

}  // namespace megalith::ir
