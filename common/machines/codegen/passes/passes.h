// Passes over a StableHLO program before it is fused and scheduled: fewer and cheaper operations
// that compute the same.
//
// A pass is a row of the table in passes.cc; what the simplifier knows is a table of rules
// (rule.h), one row each. Rules keep results bit for bit, signs of zero, infinities and NaN
// included (which of several NaN it is may change), unless their row says otherwise: sums and
// products of floats may be added up in another order, as compiled kernels do anyway, and rules
// that round differently run only on request.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

// On a `while` whose number of turns is known: how many (i64) ...
inline constexpr std::string_view kTripCountAttr = "megalith.trip_count";
// ... and, if it counts with one of its carried values, which (i64); that value goes through
// start, start + step, ... with constants for both.
inline constexpr std::string_view kInductionAttr = "megalith.induction";
inline constexpr std::string_view kInductionStartAttr = "megalith.induction_start";
inline constexpr std::string_view kInductionStepAttr = "megalith.induction_step";

struct PassOptions {
  // Rules that may round differently (x / c as x * (1 / c), sums regrouped).
  bool allow_reassociation = false;
  // Rules that add the same terms of sums in another order: operands of dot_general exchanged or
  // transposed, products of the turns of a loop made at once, reductions of transposed values.
  bool allow_reordering = true;
  // Constants made by folding may take this much memory in all, beyond what they replace; one
  // operation may take no more than 1/4 of it.
  uint64_t fold_budget_bytes = uint64_t{1} << 20;
  // Elements that folding may read and write at compile time.
  double fold_budget_elements = 4e6;
  // A loop is unrolled if that gives no more operations than this.
  int64_t unrolled_ops = 320;
  const Cancellation* cancellation = nullptr;  // asked at least every 50 ms
  bool record_text = false;
  // If set, how often each rule (by its name) was applied is added here.
  std::map<std::string_view, uint64_t>* rule_counts = nullptr;
};

struct PassRecord {
  std::string_view name;
  double seconds = 0;
  uint64_t ops_before = 0, ops_after = 0;  // nested ones and terminators included
  uint64_t rewrites = 0;
  std::string text_after;  // if record_text and something changed
};

// Rewrites every function of the module in place; one record per pass, in the order they ran.
// Requires a module that Verify accepts, best as Canonicalize makes it (calls inlined), and leaves
// one. Errors: kCancelled, kDeadlineExceeded; the module is then still valid and means the same.
// Cost: linear in the number of operations, plus the folding budget; codegen_passes_bench measures.
Result<std::vector<PassRecord>> RunPasses(stablehlo::Module* module, const PassOptions& options);

}  // namespace megalith::codegen
