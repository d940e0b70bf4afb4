// What the records of optimizers, initializers and compressors have in common: named, numbered,
// bounded fields that a RuleConfig sets by name and Monolith's messages set by number.
#pragma once

#include <array>
#include <cfloat>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

enum class FieldKind : uint8_t { kFloat, kInt, kBool };

// The largest integer that doubles and so RuleConfig hold exactly.
inline constexpr double kMaxInteger = 9007199254740992.0;  // 2^53

// One field. Names and numbers are those of the record's message in Monolith's schema
// (persistent: never change). Field 1 of every message, dim_size, is the segment's dim.
struct FieldDef {
  std::string_view name;
  int number = 0;
  FieldKind kind = FieldKind::kFloat;
  double default_value = 0;
  // Inclusive, of the value as a float. Wide enough for whatever has finite arithmetic.
  double min = -FLT_MAX;
  double max = FLT_MAX;
};

inline constexpr int kMaxFields = 10;

// The values of a record's fields, in the record's order. Floats are rounded to float32 once, here,
// as Monolith's messages hold them.
struct Params {
  std::array<float, kMaxFields> f{};
  std::array<double, kMaxFields> d{};
};

// The fields of `config`, defaults elsewhere.
// Errors: kInvalidArgument  an unknown or repeated name, a value that is not of the field's kind or
//                           outside its limits.
Result<Params> BindFields(const RuleConfig& config, std::span<const FieldDef> fields);

// One configuration of a record that the property tests run it with; unused places have no name.
struct Sample {
  struct Setting {
    std::string_view name;
    double value = 0;
  };
  std::array<Setting, 6> settings{};
};

// The record of that name. `what` is the noun of the message: "optimizer".
// Errors: kInvalidArgument  none has that name; suggests the nearest.
template <typename Def>
Result<const Def*> FindRecord(std::span<const Def* const> records, std::string_view name,
                              std::string_view what) {
  std::vector<std::string> names;
  for (const Def* record : records) {
    if (record->name == name) return record;
    names.emplace_back(record->name);
  }
  const std::string near(NearestName(name, names));
  return InvalidArgument(StrCat("unknown ", what, " '", Printable(name, 80), "'; ",
                                near.empty() ? StrCat("known are ", Join(names, ", "))
                                             : StrCat("did you mean '", near, "'?")));
}

}  // namespace megalith::embedding
