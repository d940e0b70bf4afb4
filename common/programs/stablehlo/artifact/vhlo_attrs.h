// Attributes of operations: VHLO's fields against StableHLO's attributes. Most have one name and
// differ in kind only; dimension numbers are records in StableHLO and single fields in VHLO.
#pragma once

#include <span>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo::artifact {

// One field of an operation in an artifact, as Entities gives it.
struct Field {
  std::string_view name;
  stablehlo::Attr value;
};

// Adds to op->attrs what the fields say; defaults are left out, as in the text. op->def and the
// operands are set, and their number is right. Errors: kInvalidArgument (a field of the wrong
// kind), kUnimplemented.
Status SetAttrsFromFields(std::span<const Field> fields, const stablehlo::Func& func,
                          stablehlo::Op* op);

// The value of a field for writing: enumerations, strings, booleans, numbers, dense tensors, lists
// and dictionaries of those; Opaque(kNoneMark) and Opaque(kTf32Mark) stand for types.
// Errors: kUnimplemented (a value that artifacts cannot hold).
Result<stablehlo::Attr> FieldOfOp(std::string_view field, const stablehlo::Op& op,
                                  const stablehlo::Func& func);

// True if a revision without the field says the same.
bool FieldIsDefault(const stablehlo::Attr& value);

}  // namespace megalith::stablehlo::artifact
