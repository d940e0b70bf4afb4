// What happens to the parts of arrays outside of manual computations; not for users of the library.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "common/programs/spmd/sharding.h"
#include "common/programs/spmd/writer.h"

namespace megalith::spmd {

// Where an array lies that `op` makes by moving one that lies as `operand` says, or by a call that
// can be split along its first dimensions: what is left of that where dimensions stay whole.
// nullopt for operations of other kinds.
std::optional<Sharding> AfterMoving(const stablehlo::Op& op, const Shape& from, const Shape& to,
                                    const Sharding& operand);

// The custom call that asks where its operand lies (docs/formats/custom-calls.md), and its number.
// Errors: kInvalidArgument (it has none).
bool IsInspection(const stablehlo::Op& op);
Result<uint64_t> InspectionId(const stablehlo::Op& op);

// True for a host call that takes parts: `partitioned` in its configuration.
bool TakesParts(const stablehlo::Op& op);

// Writes such a call once per device, on the parts that it has of `operands`; `lies` gives null for
// arrays that every device has. The results, which are tokens, are appended to `results`. Errors:
// kInvalidArgument (results that are none; a sharding that does not divide).
Status WriteCallPerDevice(const stablehlo::Op& op, const std::vector<ValueId>& operands,
                          const std::vector<stablehlo::TensorType>& types,
                          const std::function<const Sharding*(ValueId)>& lies, int64_t devices,
                          FuncWriter* writer, std::vector<ValueId>* results);

}  // namespace megalith::spmd
