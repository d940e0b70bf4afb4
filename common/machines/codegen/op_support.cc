#include "common/machines/codegen/op_support.h"

#include <algorithm>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/elementwise.h"
#include "common/machines/codegen/kernel_builder.h"
#include "common/machines/codegen/library_ops.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

struct Remark {
  std::string_view op;
  OpHandling handling;  // of operations that have neither a formula nor a kernel
  std::string_view text;
};
constexpr auto kEvaluator = OpHandling::kEvaluator;
constexpr auto kStructure = OpHandling::kStructure;
constexpr std::string_view kOneDevice =
    "a program on one device has no partners; the whole program runs in the evaluator";
constexpr std::string_view kRare = "rare, and without a formula on vectors";

constexpr Remark kRemarks[] = {
    {"chlo.bessel_i1e", kEvaluator, kRare},
    {"chlo.polygamma", kEvaluator, kRare},
    {"chlo.zeta", kEvaluator, kRare},
    {"func.call", kStructure, "inlined before"},
    {"func.return", kStructure, ""},
    {"sdy.manual_computation", kEvaluator, "refused: of several devices, rewritten before"},
    {"sdy.sharding_constraint", kStructure, "removed"},
    {"stablehlo.after_all", kStructure, "tokens are empty arrays"},
    {"stablehlo.all_gather", kEvaluator, kOneDevice},
    {"stablehlo.all_reduce", kEvaluator, kOneDevice},
    {"stablehlo.all_to_all", kEvaluator, kOneDevice},
    {"stablehlo.bitcast_convert", kStructure, "another width: the same array"},
    {"stablehlo.case", kStructure, ""},
    {"stablehlo.collective_broadcast", kEvaluator, kOneDevice},
    {"stablehlo.collective_permute", kEvaluator, kOneDevice},
    {"stablehlo.compare", kEvaluator, "order of complex numbers"},
    {"stablehlo.composite", kEvaluator, "the whole program, unless canonicalisation opens it"},
    {"stablehlo.constant", kStructure, "splats lie in kernels, others in the package"},
    {"stablehlo.create_token", kStructure, "tokens are empty arrays"},
    {"stablehlo.custom_call", kEvaluator, "whatever target has no kernel"},
    {"stablehlo.dynamic_update_slice", OpHandling::kFused, ""},
    {"stablehlo.get_dimension_size", kStructure, "folded"},
    {"stablehlo.if", kStructure, ""},
    {"stablehlo.optimization_barrier", kStructure, "removed"},
    {"stablehlo.partition_id", kEvaluator, kOneDevice},
    {"stablehlo.reduce", kEvaluator,
     "a body that is not elementwise; the largest, the smallest and products of complex numbers; "
     "an "
     "argmax or argmin that starts from another number than the worst"},
    {"stablehlo.reduce_scatter", kEvaluator, kOneDevice},
    {"stablehlo.reduce_window", kEvaluator,
     "of bodies that are not one operation: windows with holes or of more than 64 positions; "
     "products "
     "of complex numbers"},
    {"stablehlo.replica_id", kEvaluator, kOneDevice},
    {"stablehlo.return", kStructure, ""},
    {"stablehlo.rng", kEvaluator, "its numbers are not determined, so it is never moved or fused"},
    {"stablehlo.scatter", kEvaluator,
     "a body of more than one operation, or other than sums of complex numbers, where indices may "
     "repeat"},
    {"stablehlo.select_and_scatter", kEvaluator,
     "other bodies than >=, <=, >, < and one operation"},
    {"stablehlo.sort", kEvaluator, "a comparator that is not a list of keys"},
    {"stablehlo.while", kStructure, "short loops are written out"},
};

// The result is an expression of elements of the operands.
constexpr std::string_view kMoves[] = {"stablehlo.broadcast_in_dim",
                                       "stablehlo.dynamic_slice",
                                       "stablehlo.gather",
                                       "stablehlo.iota",
                                       "stablehlo.pad",
                                       "stablehlo.reshape",
                                       "stablehlo.reverse",
                                       "stablehlo.slice",
                                       "stablehlo.transpose",
                                       "stablehlo.reduce"};

std::string_view HandlingName(OpHandling handling) {
  switch (handling) {
    case OpHandling::kFused:
      return "fused";
    case OpHandling::kKernel:
      return "kernel";
    case OpHandling::kStructure:
      return "plan";
    case OpHandling::kEvaluator:
      return "evaluator";
    case OpHandling::kRefused:
      return "refused";
    case OpHandling::kUnlisted:
      break;
  }
  return "?";
}

}  // namespace

OpSupport SupportOf(std::string_view op) {
  const stablehlo::OpDef* def = stablehlo::FindOp(op);
  if (def != nullptr && !def->refusal.empty()) return {OpHandling::kRefused, def->refusal};
  OpSupport out;
  const auto* row = std::ranges::find(kRemarks, op, &Remark::op);
  if (row != std::end(kRemarks)) out = {row->handling, row->text};
  if (IsElementwiseName(op) || std::ranges::find(kMoves, op) != std::end(kMoves)) {
    out.handling = OpHandling::kFused;
  } else if (HasLibraryKernel(op)) {
    out.handling = OpHandling::kKernel;
  }
  return out;
}

bool RemarksAreKnown() {
  return std::ranges::all_of(kRemarks,
                             [](const Remark& r) { return stablehlo::FindOp(r.op) != nullptr; });
}

std::string OpSupportMarkdown() {
  std::vector<std::string_view> names;
  for (const stablehlo::OpDef* op : stablehlo::AllOps()) names.push_back(op->name);
  std::ranges::sort(names);
  std::string out = "| operation | runs as | in the evaluator, or remark |\n|---|---|---|\n";
  for (const std::string_view name : names) {
    const OpSupport support = SupportOf(name);
    if (support.handling == OpHandling::kRefused) continue;
    StrAppend(&out, "| `", name, "` | ", HandlingName(support.handling), " | ", support.remark,
              " |\n");
  }
  return out;
}

}  // namespace megalith::codegen
