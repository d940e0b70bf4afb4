// Surgery on jaxprs: dead code, outputs, binders. Each function returns a new jaxpr and leaves its
// argument alone; results are remembered in the Session, so the same request on the same object
// gives the same object.
#pragma once

#include <vector>

#include "common/programs/ir/builder.h"

namespace megalith::staging {

struct DceOutcome {
  ir::JaxprPtr jaxpr;  // inputs that are not used are gone, as are outputs that were not asked for
  std::vector<bool> used_inputs;  // one per input of the argument
  std::vector<bool> used_consts;  // one per constvar of the argument, open or not
};

// Removes equations, inputs, constvars and outputs that `used_outputs` does not need, inside nested
// programs too where their primitive has a rule. Inputs whose `keep_inputs` entry is true stay
// (empty: none; one entry per input).
Result<DceOutcome> Dce(ir::Session& session, const ir::JaxprPtr& jaxpr,
                       const std::vector<bool>& used_outputs,
                       const std::vector<bool>& keep_inputs = {});

// For each output the input it is, or -1.
std::vector<int> ForwardedInputs(const ir::Jaxpr& jaxpr);

// Without the outputs whose `keep` entry is false; equations stay.
ir::JaxprPtr PruneOutputs(ir::Session& session, const ir::JaxprPtr& jaxpr,
                          const std::vector<bool>& keep);

// Open constvars become leading inputs.
ir::JaxprPtr ConstsToInputs(const ir::JaxprPtr& jaxpr);

// Inputs and outputs reordered: new input i is old input in_order[i], and so for outputs. Each list
// names every position once; an empty out_order keeps the outputs.
ir::JaxprPtr Reorder(ir::Session& session, const ir::JaxprPtr& jaxpr,
                     const std::vector<size_t>& in_order,
                     const std::vector<size_t>& out_order = {});

// With more inputs at the end, of the given types, that nothing reads.
ir::JaxprPtr WithUnusedInputs(ir::Session& session, const ir::JaxprPtr& jaxpr,
                              const std::vector<ir::Aval>& avals);

// "0110", for memo keys.
std::string BitsKey(const std::vector<bool>& bits);

}  // namespace megalith::staging
