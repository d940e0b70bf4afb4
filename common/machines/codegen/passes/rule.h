// Rewrite rules: one row per rule, grouped into tables by what they know about.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/machines/codegen/passes/graph.h"

namespace megalith::codegen {

// What a rule keeps of results.
enum class Keeps : uint8_t {
  kBits,   // everything (of NaN: that it is one)
  kTerms,  // the terms of sums, in another order
  kValue,  // the value up to rounding
};

struct Rule {
  std::string_view name;
  OpKind kind;  // operations it is tried on
  // Rewrites `node` or does nothing. True if it changed anything; the node may be gone then. A rule
  // must make progress: no two rules may undo each other.
  bool (*apply)(Graph& graph, Node& node);
  Keeps keeps = Keeps::kBits;
};

// The tables.
std::span<const Rule> ArithmeticRules();
std::span<const Rule> BooleanRules();
std::span<const Rule> ConvertRules();
std::span<const Rule> ShapeRules();
std::span<const Rule> SliceRules();
std::span<const Rule> IndexRules();
std::span<const Rule> ReductionRules();
std::span<const Rule> ControlRules();
std::span<const Rule> LayoutRules();
std::span<const Rule> DotRules();
std::span<const Rule> StrengthRules();
std::span<const Rule> TypeRules();
std::span<const Rule> BodyRules();
std::span<const Rule> SortRules();

}  // namespace megalith::codegen
