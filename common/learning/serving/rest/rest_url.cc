#include "common/learning/serving/rest/rest_url.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

// "%2F" and the like; anything else stays as it is.
std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr ==
            text.data() + i + 3) {
      out.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// What stands behind the last colon of an inference request.
std::optional<RestAction> InferenceOf(std::string_view verb) {
  if (verb == "predict") return RestAction::kPredict;
  if (verb == "classify") return RestAction::kClassify;
  if (verb == "regress") return RestAction::kRegress;
  return std::nullopt;
}

bool IsDigits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool IsName(std::string_view text) {
  return !text.empty() && text.find(':') == std::string_view::npos;
}

}  // namespace

bool IsRestPath(std::string_view path) {
  return path.size() >= 4 && AsciiLower(path.substr(0, 4)) == "/v1/";
}

Result<RestTarget> ParseRestPath(std::string_view method, std::string_view path) {
  const Status malformed =
      InvalidArgument(StrCat("Malformed request: ", Printable(method), " ", Printable(path, 512)));
  RestTarget out;
  std::string_view rest = path;
  if (method == "POST") {
    const size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos) return malformed;
    const auto action = InferenceOf(AsciiLower(rest.substr(colon + 1)));
    if (!action) return malformed;
    out.action = *action;
    rest = rest.substr(0, colon);
  } else if (method != "GET") {
    return malformed;
  }
  // "/v1/models/NAME" [ "/versions/N" | "/labels/L" ] [ "/metadata" ]
  std::vector<std::string_view> parts = Split(rest, '/');
  if (parts.size() < 3 || !parts[0].empty() || AsciiLower(parts[1]) != "v1" ||
      AsciiLower(parts[2]) != "models")
    return malformed;
  if (method == "GET" && parts.size() > 4 && AsciiLower(parts.back()) == "metadata") {
    out.action = RestAction::kMetadata;
    parts.pop_back();
  }
  if (method == "GET" && parts.size() == 3)
    return InvalidArgument("Missing model name in request.");
  if ((parts.size() != 4 && parts.size() != 6) || !IsName(parts[3])) return malformed;
  out.servable.name = PercentDecoded(parts[3]);
  if (parts.size() == 4) return out;
  const std::string kind = AsciiLower(parts[4]);
  if (kind == "versions" && IsDigits(parts[5])) {
    const std::optional<int64_t> version = ParseInt(parts[5]);
    if (!version) {
      return InvalidArgument(
          StrCat("Failed to convert version: ", Printable(parts[5]), " to numeric."));
    }
    out.servable.version = *version;
    return out;
  }
  if (kind != "labels" || !IsName(parts[5])) return malformed;
  out.servable.label = PercentDecoded(parts[5]);
  return out;
}

}  // namespace megalith::serving
