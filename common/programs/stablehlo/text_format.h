// The pretty form of an op as a string in its row, read and written by one interpreter.
//
//   $0        operand 0             $*   all operands, comma-separated        $1*  operands from 1
//   on
//   @name     the attribute `name`: [1, 2], 3, true, EQ, "text", @symbol, by its kind
//   {}        the remaining attributes as a dictionary, with a blank before it; nothing if there
//   are none [ ... ]   present if the attribute first mentioned inside is <word>    a directive
//   from the table in text_directives.cc: <same>, <func>, <slices>, ... other     itself; blanks
//   matter in printing only
//
// " $0, dims = @permutation{} : <func>" is the form of stablehlo.transpose.
#pragma once

#include <vector>

#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo {

// Reads an op of row op->def after its name. Fills operands, attributes and the result types.
Status ParseFormat(OpParser& parser, Op* op, std::vector<TensorType>* result_types);
// Writes what follows the name.
void PrintFormat(OpPrinter& printer, const Op& op);

// One <word>. `attrs` lists the attributes it shows, which {} then leaves out.
struct Directive {
  std::string_view name;
  std::span<const std::string_view> attrs;
  Status (*parse)(OpParser& parser, Op* op, std::vector<TensorType>* result_types);
  void (*print)(OpPrinter& printer, const Op& op);
};
const Directive* FindDirective(std::string_view name);

}  // namespace megalith::stablehlo
