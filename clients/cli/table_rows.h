// Ids and rows of tables as people write and read them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/entry_view.h"

namespace megalith::cli {

// "123", "-5", or "7:123" for signature 123 of v2 slot 7. Errors: kInvalidArgument.
Result<embedding::Fid> ParseFid(std::string_view text);
Result<std::vector<embedding::Fid>> ParseFids(std::span<const std::string> words);

// "7:1,2.5": values of a row, behind '='. Errors: kInvalidArgument.
struct RowToPut {
  embedding::Fid fid = 0;
  std::vector<float> values;
};
Result<RowToPut> ParseRow(std::string_view text);

nlohmann::json EntryJson(embedding::Fid fid, const embedding::EntryView& entry);
std::string EntryText(embedding::Fid fid, const embedding::EntryView& entry);
// "2021-06-03T10:35:14Z".
std::string SecondsText(int64_t unix_seconds);

}  // namespace megalith::cli
