// What the passes share: the graph, the options and what is left of the budgets.
#pragma once

#include "common/machines/codegen/passes/graph.h"
#include "common/machines/codegen/passes/passes.h"

namespace megalith::codegen {

struct PassContext {
  Graph& graph;
  const PassOptions& options;
  uint64_t fold_bytes_left = 0;
  double fold_elements_left = 0;

  Status Poll() const {
    return options.cancellation == nullptr ? OkStatus() : options.cancellation->Check();
  }
};

// Each counts what it does in graph.rewrites.

// Applies the rules of all tables (rule.h) until none applies, and removes what nobody needs.
Status Simplify(PassContext& context);
// Merges operations that compute the same, where one encloses or precedes the other.
Status MergeEqual(PassContext& context);
// Computes operations on constants, within the budgets.
Status FoldConstants(PassContext& context);
// Loops: forwards values that do not change, drops carried values nobody reads, moves out what does
// not depend on the turn, counts turns.
Status OptimizeLoops(PassContext& context);
// Writes out the turns of short loops of operations that fuse, and simplifies them.
Status UnrollLoops(PassContext& context);
// Removes comparisons, clamps and the like that can only have one result.
Status NarrowRanges(PassContext& context);
// Makes one product before a loop of the products of single rows in it, and one after it of outer
// products that it adds up.
Status BatchLoopProducts(PassContext& context);
// Writes operations that nobody has a kernel for as others that have one.
Status ExpandUnsupported(PassContext& context);
// Moves transposes and broadcasts to where they cost least, and simplifies with all rules again.
Status ImproveLayout(PassContext& context);
// Replaces operations by cheaper ones that are harder to look through: last.
Status ReduceStrength(PassContext& context);

// Computes `n` if all its operands are constants of one distinct element; false if not.
bool FoldSplat(Graph& graph, Node& n);

}  // namespace megalith::codegen
