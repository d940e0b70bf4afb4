#include "common/foundation/config/field.h"

#include <cmath>

#include "common/foundation/base/strings.h"

namespace megalith::config::internal {

Status ParseField(const FieldSpec&, std::string_view text, bool* out) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") {
    *out = true;
  } else if (text == "false" || text == "0" || text == "no" || text == "off") {
    *out = false;
  } else {
    return InvalidArgument(StrCat("expects true or false, got '", Printable(text), "'"));
  }
  return OkStatus();
}

Status ParseField(const FieldSpec& spec, std::string_view text, int64_t* out) {
  const std::optional<int64_t> value = ParseInt(text);
  if (!value) return InvalidArgument(StrCat("expects a whole number, got '", Printable(text), "'"));
  if (*value < spec.min_int || *value > spec.max_int) {
    return InvalidArgument(
        StrCat("expects a number from ", spec.min_int, " to ", spec.max_int, ", got ", *value));
  }
  *out = *value;
  return OkStatus();
}

Status ParseField(const FieldSpec& spec, std::string_view text, double* out) {
  const std::optional<double> value = ParseDouble(text);
  if (!value || !std::isfinite(*value)) {
    return InvalidArgument(StrCat("expects a finite number, got '", Printable(text), "'"));
  }
  if (*value < spec.min_double || *value > spec.max_double) {
    return InvalidArgument(StrCat("expects a number from ", spec.min_double, " to ",
                                  spec.max_double, ", got ", *value));
  }
  *out = *value;
  return OkStatus();
}

Status ParseField(const FieldSpec&, std::string_view text, std::string* out) {
  if (const auto bad = FindInvalidUtf8(text)) {
    return InvalidArgument(StrCat("expects UTF-8 text, byte ", *bad, " is not"));
  }
  *out = std::string(text);
  return OkStatus();
}

Status ParseField(const FieldSpec& spec, std::string_view text, std::vector<std::string>* out) {
  std::string checked;
  RETURN_IF_ERROR(ParseField(spec, text, &checked));
  out->clear();
  if (Trim(text).empty()) return OkStatus();
  for (const std::string_view part : Split(text, ',')) {
    const std::string_view item = Trim(part);
    if (item.empty()) return InvalidArgument("expects a comma-separated list without empty items");
    out->emplace_back(item);
  }
  return OkStatus();
}

Status ParseWord(const FieldSpec& spec, std::string_view text, size_t* index) {
  for (size_t i = 0; i < spec.words.size(); ++i) {
    if (spec.words[i] == text) {
      *index = i;
      return OkStatus();
    }
  }
  return InvalidArgument(
      StrCat("expects one of ", Join(spec.words, ", "), "; got '", Printable(text), "'"));
}

std::string PrintField(bool v) { return v ? "true" : "false"; }
std::string PrintField(int64_t v) { return StrCat(v); }
std::string PrintField(double v) { return StrCat(v); }
std::string PrintField(const std::string& v) { return v; }
std::string PrintField(const std::vector<std::string>& v) { return Join(v, ","); }

}  // namespace megalith::config::internal
