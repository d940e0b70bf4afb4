#include "common/programs/ops/coverage.h"

#include <algorithm>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ops {
namespace {

using ir::BatchRule;
using ir::JvpRule;
using ir::OpDef;

std::string_view JvpText(const OpDef& op) {
  switch (op.jvp.kind) {
    case JvpRule::Kind::kMissing:
      return "";
    case JvpRule::Kind::kZero:
      return "zero";
    case JvpRule::Kind::kLinear:
      return "linear";
    case JvpRule::Kind::kTerms:
    case JvpRule::Kind::kFull:
      return "yes";
  }
  return "";
}

std::string_view BatchText(const OpDef& op) {
  switch (op.batch.kind) {
    case BatchRule::Kind::kMissing:
      return "";
    case BatchRule::Kind::kElementwise:
      return "elementwise";
    case BatchRule::Kind::kBroadcasting:
      return "broadcasting";
    case BatchRule::Kind::kReducer:
      return "axes";
    case BatchRule::Kind::kFull:
      return "yes";
  }
  return "";
}

std::string_view YesIf(bool condition) { return condition ? "yes" : ""; }

std::string Params(const OpDef& op) {
  std::vector<std::string> names;
  for (const ir::ParamSpec& p : op.params) {
    if (p.type != ir::ParamSpec::Type::kRule) names.push_back(StrCat("`", p.name, "`"));
  }
  return Join(names, " ");
}

}  // namespace

std::string CoverageMarkdown(const ir::OpTable& ops) {
  std::vector<const OpDef*> rows = ops.all();
  std::sort(rows.begin(), rows.end(),
            [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  std::string out =
      "# Primitives\n\n"
      "Generated from the records in `common/programs/ops`; `MEGALITH_UPDATE_GOLDEN=1 "
      "coverage_test` writes it anew.\n"
      "An empty cell is a rule that is not there: asking for it answers UNIMPLEMENTED with the "
      "primitive's name.\n"
      "\"zero\": the derivative is zero; \"linear\": tangents go through the primitive itself. "
      "Tiers are those of the\n"
      "specification: 1 is what networks and optimizers need, 2 the rest of numerics.\n\n"
      "| primitive | tier | parameters | jvp | linearize | transpose | vmap | lowering | samples "
      "|\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const OpDef* op : rows) {
    StrAppend(&out, "| `", op->name, "` | ", op->tier, " | ", Params(*op), " | ", JvpText(*op),
              " | ", YesIf(op->linearize != nullptr), " | ", YesIf(op->transpose != nullptr), " | ",
              BatchText(*op), " | ", YesIf(op->lower != nullptr), " | ", op->samples.size(),
              " |\n");
  }
  StrAppend(&out, "\n", rows.size(), " primitives.\n");
  return out;
}

}  // namespace megalith::ops
