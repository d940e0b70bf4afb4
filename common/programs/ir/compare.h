// How equal two programs are, on the levels of spec/jaxpr.md section 7.
#pragma once

#include <string>
#include <string_view>

#include "common/foundation/base/sha256.h"
#include "common/programs/ir/jaxpr.h"

namespace megalith::ir {

// Level N1 of a text: "np.int64(1)" becomes "1", " at 0x7f..." becomes " at 0x0".
std::string NormalizeText(std::string_view text);

// Level N3: the same equations (primitive, parameters, operands as a dag), the same outputs,
// whatever the names, the order of independent equations, dead equations and sharing of nested
// jaxprs.
bool SameDag(const Jaxpr& a, const Jaxpr& b);

// Why SameDag is false, for people: the equations that only one side has, at most `max_lines` of
// them.
std::string ExplainDag(const Jaxpr& a, const Jaxpr& b, size_t max_lines = 8);

// A digest of the dag of level N3.
Sha256Digest DagDigest(const Jaxpr& jaxpr);

// Exact serialised form for keys: equations in order, all parameters, types with weakness,
// constants. Two programs have equal bytes iff they are the same up to names. Custom rule bodies
// are part of it.
std::string CanonicalBytes(const ClosedJaxpr& closed);

}  // namespace megalith::ir
