#include "common/learning/embedding/record.h"

#include <cmath>

namespace megalith::embedding {
namespace {

std::vector<std::string> NamesOf(std::span<const FieldDef> fields) {
  std::vector<std::string> out;
  for (const FieldDef& field : fields) out.emplace_back(field.name);
  return out;
}

Status CheckValue(const FieldDef& field, double value) {
  if (!(std::fabs(value) <= FLT_MAX)) {
    return InvalidArgument(
        StrCat("field '", field.name, "' is ", value, ", wanted a finite number"));
  }
  // Compared as the float it becomes: 0.99999999 is 1 there.
  const double held = field.kind == FieldKind::kFloat ? static_cast<float>(value) : value;
  if (field.kind == FieldKind::kBool && value != 0 && value != 1) {
    return InvalidArgument(StrCat("field '", field.name, "' is ", value, ", wanted 0 or 1"));
  }
  if (field.kind == FieldKind::kInt &&
      (std::nearbyint(value) != value || std::fabs(value) > kMaxInteger)) {
    return InvalidArgument(StrCat("field '", field.name, "' is ", value, ", wanted an integer"));
  }
  if (held >= field.min && held <= field.max) return OkStatus();
  return InvalidArgument(
      StrCat("field '", field.name, "' is ", value, ", wanted ", field.min, " to ", field.max));
}

}  // namespace

Result<Params> BindFields(const RuleConfig& config, std::span<const FieldDef> fields) {
  CHECK(fields.size() <= kMaxFields);
  std::array<double, kMaxFields> values{};
  std::array<bool, kMaxFields> seen{};
  for (size_t i = 0; i < fields.size(); ++i) values[i] = fields[i].default_value;
  for (const auto& [name, value] : config.fields) {
    size_t i = 0;
    while (i < fields.size() && fields[i].name != name) ++i;
    if (i == fields.size()) {
      const std::vector<std::string> known = NamesOf(fields);
      const std::string near(NearestName(name, known));
      return InvalidArgument(StrCat(
          "'", config.name, "' has no field '", Printable(name, 80), "'; ",
          near.empty()
              ? (known.empty() ? std::string("it has none") : StrCat("it has ", Join(known, ", ")))
              : StrCat("did you mean '", near, "'?")));
    }
    if (seen[i]) return InvalidArgument(StrCat("field '", name, "' is set twice"));
    seen[i] = true;
    RETURN_IF_ERROR(CheckValue(fields[i], value).Annotate(StrCat("'", config.name, "'")));
    values[i] = value;
  }
  Params out;
  for (size_t i = 0; i < fields.size(); ++i) {
    out.f[i] = static_cast<float>(values[i]);
    out.d[i] = fields[i].kind == FieldKind::kFloat ? out.f[i] : values[i];
  }
  return out;
}

}  // namespace megalith::embedding
