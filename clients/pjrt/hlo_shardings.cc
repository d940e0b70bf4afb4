#include "clients/pjrt/hlo_shardings.h"

#include <cstdint>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

// XLA's notation: {replicated}, {devices=[4,2]0,1,2,3,4,5,6,7}, or with copies
// {devices=[4,2]0,1,2,3,4,5,6,7 last_tile_dim_replicate}, or with terms of a sum and copies
// {devices=[1,4,2]0,1,2,3,4,5,6,7 last_tile_dims={unreduced, replicated}}.
std::string Text(const PlacedArray& array, int devices) {
  const int64_t terms = array.sharding.Terms();
  if (array.sharding.IsReplicated() && terms == 1) return "{replicated}";
  std::vector<int64_t> dims;
  int64_t cells = 1;
  for (size_t d = 0; d < array.rank; ++d) {
    dims.push_back(array.sharding.Parts(d));
    cells *= dims.back();
  }
  if (terms > 1) {
    dims.push_back(terms);
    cells *= terms;
  }
  std::vector<std::vector<int64_t>> by_cell(static_cast<size_t>(cells));
  for (int64_t device = 0; device < devices; ++device) {
    int64_t cell = 0;
    for (size_t d = 0; d < array.rank; ++d) {
      cell = cell * dims[d] + array.sharding.PartOf(d, device);
    }
    cell = cell * terms + array.sharding.TermOf(device);
    by_cell[static_cast<size_t>(cell)].push_back(device);
  }
  const bool copies = devices != cells;
  if (copies) dims.push_back(devices / cells);
  std::string text = "{devices=[";
  for (size_t i = 0; i < dims.size(); ++i) StrAppend(&text, i == 0 ? "" : ",", dims[i]);
  text += "]";
  bool first = true;
  for (const std::vector<int64_t>& cell : by_cell) {
    for (const int64_t device : cell) {
      StrAppend(&text, first ? "" : ",", device);
      first = false;
    }
  }
  if (terms > 1)
    text += copies ? " last_tile_dims={unreduced, replicated}" : " last_tile_dims={unreduced}";
  if (terms > 1) return text + "}";
  return text + (copies ? " last_tile_dim_replicate}" : "}");
}

// An array of one element.
std::string TypeOfRank(size_t rank) {
  std::string type = "tensor<";
  for (size_t d = 0; d < rank; ++d) type += "1x";
  return type + "f32>";
}

}  // namespace

std::string ModuleWithShardings(const std::vector<PlacedArray>& inputs,
                                const std::vector<PlacedArray>& outputs, int devices) {
  std::string text = "module @placement attributes {mhlo.spmd_output_sharding = \"{";
  for (size_t i = 0; i < outputs.size(); ++i) {
    StrAppend(&text, i == 0 ? "" : ", ", Text(outputs[i], devices));
  }
  if (outputs.empty()) text += "replicated";
  text += "}\", mhlo.spmd_parameters_shardings = [";
  for (size_t i = 0; i < inputs.size(); ++i) {
    StrAppend(&text, i == 0 ? "" : ", ", "\"", Text(inputs[i], devices), "\"");
  }
  // The host wants arguments and results of the right number and rank.
  text += "]} {\n  func.func public @main(";
  for (size_t i = 0; i < inputs.size(); ++i) {
    StrAppend(&text, i == 0 ? "" : ", ", "%arg", i, ": ", TypeOfRank(inputs[i].rank));
  }
  text += ") -> (";
  std::string constants, returned, types;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string type = TypeOfRank(outputs[i].rank);
    StrAppend(&constants, "    %", i, " = stablehlo.constant dense<0.0> : ", type, "\n");
    StrAppend(&returned, i == 0 ? " " : ", ", "%", i);
    StrAppend(&types, i == 0 ? "" : ", ", type);
  }
  return StrCat(text, types, ") {\n", constants, "    return", returned,
                outputs.empty() ? "" : " : ", types, "\n  }\n}\n");
}

}  // namespace megalith::pjrt
