// The registry: every family of rows, and the look-up by name.
#include <unordered_map>

#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

struct Table {
  std::vector<const OpDef*> rows;
  std::unordered_map<std::string_view, const OpDef*> by_name;
};

const Table& GetTable() {
  static const Table table = [] {
    Table t;
    for (const auto family : {ElementwiseOps(), ShapeOps(), IndexOps(), ReductionOps(), LinalgOps(),
                              ControlOps(), EffectOps(), ChloOps(), RefusedOps()}) {
      for (const OpDef& def : family) {
        t.rows.push_back(&def);
        CHECK(t.by_name.emplace(def.name, &def).second);
      }
    }
    return t;
  }();
  return table;
}

}  // namespace

const OpDef* FindOp(std::string_view name) {
  const auto& names = GetTable().by_name;
  const auto it = names.find(name);
  return it == names.end() ? nullptr : it->second;
}

std::span<const OpDef* const> AllOps() { return GetTable().rows; }

const AttrSpec* OpDef::FindAttr(std::string_view attr_name) const {
  for (const AttrSpec& spec : attrs) {
    if (spec.name == attr_name) return &spec;
  }
  return nullptr;
}

}  // namespace megalith::stablehlo
