#include "clients/cli/table_rows.h"

#include <cmath>
#include <ctime>

#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

// A number for people: the shortest that gives the same float.
std::string FloatText(double value) { return StrCat(static_cast<float>(value)); }

template <typename Values>
std::string ValuesText(const Values& values) {
  std::string out;
  for (const auto value : values) StrAppend(&out, out.empty() ? "" : " ", FloatText(value));
  return out;
}

// JSON has no NaN: null says that there is no number.
template <typename Values>
Json ValuesJson(const Values& values) {
  Json out = Json::array();
  for (const auto value : values) out.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
  return out;
}

}  // namespace

Result<embedding::Fid> ParseFid(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    if (const auto fid = ParseInt(text)) return *fid;
  } else {
    const auto slot = ParseInt(text.substr(0, colon));
    const auto signature = ParseUint(text.substr(colon + 1));
    if (slot && signature) {
      if (*signature >> embedding::kSignatureBitsV2 != 0)
        return InvalidArgument(
            StrCat("a signature has ", embedding::kSignatureBitsV2, " bits, got ", *signature));
      return embedding::MakeFidV2(*slot, *signature);
    }
  }
  return InvalidArgument(
      StrCat("'", Printable(text), "' is no id: wanted a number, or SLOT:SIGNATURE"));
}

Result<std::vector<embedding::Fid>> ParseFids(std::span<const std::string> words) {
  std::vector<embedding::Fid> out;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const embedding::Fid fid, ParseFid(word));
    out.push_back(fid);
  }
  return out;
}

Result<RowToPut> ParseRow(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return InvalidArgument(StrCat("'", Printable(text), "' is no row: wanted ID=VALUE,VALUE,..."));
  RowToPut row;
  ASSIGN_OR_RETURN(row.fid, ParseFid(text.substr(0, equals)));
  for (const std::string_view word : Split(text.substr(equals + 1), ',')) {
    const auto value = ParseDouble(Trim(word));
    if (!value)
      return InvalidArgument(
          StrCat("'", Printable(word), "' of row '", Printable(text), "' is no number"));
    row.values.push_back(static_cast<float>(*value));
  }
  return row;
}

std::string SecondsText(int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return StrCat(unix_seconds);
  char buffer[40];
  return {buffer, std::strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Json EntryJson(embedding::Fid fid, const embedding::EntryView& entry) {
  Json state = Json::array();
  for (const embedding::NamedState& segment : entry.state) {
    Json arrays = Json::object();
    for (const auto& array : segment.arrays)
      arrays[std::string(array.name)] = ValuesJson(array.values);
    state.push_back({{"optimizer", segment.optimizer}, {"state", arrays}});
  }
  return {{"id", fid},
          {"slot", embedding::SlotV2(fid)},
          {"update_time", entry.timestamp},
          {"values", ValuesJson(entry.values)},
          {"segments", state}};
}

std::string EntryText(embedding::Fid fid, const embedding::EntryView& entry) {
  std::string out =
      StrCat("id ", fid, " (slot ", embedding::SlotV2(fid), ", signature ",
             static_cast<uint64_t>(fid) & ((uint64_t{1} << embedding::kSignatureBitsV2) - 1),
             ")\n  updated  ", SecondsText(entry.timestamp), " (", entry.timestamp,
             ")\n  values   ", ValuesText(entry.values));
  for (const embedding::NamedState& segment : entry.state) {
    StrAppend(&out, "\n  ", segment.optimizer);
    for (const auto& array : segment.arrays)
      StrAppend(&out, "\n    ", array.name, "  ", ValuesText(array.values));
  }
  return out;
}

}  // namespace megalith::cli
