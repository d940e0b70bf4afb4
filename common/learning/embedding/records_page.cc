#include "common/learning/embedding/records_page.h"

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/compressors/compressor.h"
#include "common/learning/embedding/initializers/initializer.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/quirks.h"

namespace megalith::embedding {
namespace {

std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string FieldsCell(std::span<const FieldDef> fields) {
  std::vector<std::string> out;
  for (const FieldDef& field : fields) {
    const bool flag = field.kind == FieldKind::kBool;
    out.push_back(
        StrCat("`", field.name, "` ",
               flag ? (field.default_value != 0 ? "true" : "false") : StrCat(field.default_value)));
  }
  return Join(out, ", ");
}

std::string StateCell(const OptimizerDef& optimizer) {
  std::vector<std::string> out;
  for (const StateDef& state : optimizer.state) {
    out.push_back(StrCat(state.name,
                         state.kind == StateKind::kPerElement ? "[dim]"
                         : state.kind == StateKind::kInt64    ? " (int64)"
                                                              : "",
                         " = ", state.number));
  }
  return out.empty() ? "none" : Join(out, ", ");
}

// "1, 1": the members of OptimizerConfig and SingleOptimizerDump.
std::string NumbersCell(const OptimizerDef& optimizer) {
  return StrCat(optimizer.config_number, ", ",
                optimizer.dump_number == 0 ? "-" : StrCat(optimizer.dump_number));
}

}  // namespace

std::string RecordsMarkdown() {
  std::string out =
      "### Optimizers\n\n| name | numbers | fields and defaults | state of a row | step |\n"
      "|---|---|---|---|---|\n";
  for (const OptimizerDef* o : Optimizers()) {
    const std::string state = o->compensate ? "its base's" : StateCell(*o);
    StrAppend(&out, "| `", o->name, "` | ", NumbersCell(*o), " | ", FieldsCell(o->fields), " | ",
              state, " | ", Cell(o->formula), " |\n");
  }
  out += "\n### Initializers\n\n| name | fields and defaults | value |\n|---|---|---|\n";
  for (const InitializerDef* i : Initializers()) {
    StrAppend(&out, "| `", i->name, "` | ", FieldsCell(i->fields), " | ", i->rule, " |\n");
  }
  out +=
      "\n### Compressors\n\n| name | fields and defaults | bytes of 16 weights | value |\n"
      "|---|---|---|---|\n";
  for (const CompressorDef* c : Compressors()) {
    StrAppend(&out, "| `", c->name, "` | ", FieldsCell(c->fields), " | ", c->bytes(16), " | ",
              c->rule, " |\n");
  }
  out +=
      "\n### Where the original is not followed blindly\n\n"
      "| no. | original | `monolith` | `corrected` |\n|---|---|---|---|\n";
  for (const Quirk& q : Quirks()) {
    StrAppend(&out, "| ", q.number, " | ", Cell(q.original), " | ", q.monolith, " | ",
              q.corrected.empty() ? "the same" : q.corrected, " |\n");
  }
  return out;
}

}  // namespace megalith::embedding
