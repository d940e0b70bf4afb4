#include "clients/agent/flags.h"

#include <algorithm>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent_tools {
namespace {

constexpr int kMaxFlagFiles = 16;  // one within the other
constexpr uint64_t kMaxFlagFileBytes = 1 << 20;

const ToolFlag* Find(std::span<const ToolFlag> table, std::string_view name) {
  for (const ToolFlag& flag : table) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

Status Unknown(std::span<const ToolFlag> table, std::string_view name) {
  std::vector<std::string> known;
  for (const ToolFlag& flag : table) known.emplace_back(flag.name);
  const std::string_view nearest = NearestName(name, known);
  std::string message = StrCat("Unknown command line flag '", Printable(name), "'");
  if (!nearest.empty()) StrAppend(&message, ". Did you mean: ", nearest, " ?");
  return InvalidArgument(std::move(message));
}

}  // namespace

Status ToolFlags::Set(const ToolFlag& flag, std::string value) {
  if (flag.kind == FlagKind::kNumber && !ParseInt(value)) {
    return InvalidArgument(
        StrCat("flag --", flag.name, "=", Printable(value), " expects a whole number"));
  }
  if (flag.kind == FlagKind::kSwitch) {
    const std::string lower = AsciiLower(value);
    const bool on = lower == "true" || lower == "t" || lower == "1";
    if (!on && lower != "false" && lower != "f" && lower != "0") {
      return InvalidArgument(
          StrCat("flag --", flag.name, "=", Printable(value), " expects true or false"));
    }
    value = on ? "true" : "false";
  }
  const auto words = Split(flag.words, ' ');
  if (!flag.words.empty() && std::find(words.begin(), words.end(), value) == words.end()) {
    return InvalidArgument(StrCat("flag --", flag.name, "=", Printable(value),
                                  ": value should be one of <", Join(words, "|"), ">"));
  }
  values_[std::string(flag.name)] = std::move(value);
  given_[std::string(flag.name)] = true;
  return OkStatus();
}

Status ToolFlags::Read(std::span<const ToolFlag> table, std::span<const std::string> arguments,
                       FileSystem& files, int depth) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (word == "--") {
      rest_.insert(rest_.end(), arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      return OkStatus();
    }
    if (word.size() < 2 || word[0] != '-') {
      rest_.emplace_back(word);
      continue;
    }
    word.remove_prefix(word[1] == '-' ? 2 : 1);
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    if (name == "help" || name == "helpfull" || name == "helpshort") {
      help_ = true;
      continue;
    }
    const ToolFlag* flag = name == "flagfile" ? nullptr : Find(table, name);
    if (flag == nullptr && name.starts_with("no") && equals == word.npos) {
      flag = Find(table, name.substr(2));
      if (flag != nullptr && flag->kind == FlagKind::kSwitch) {
        RETURN_IF_ERROR(Set(*flag, "false"));
        continue;
      }
      flag = nullptr;
    }
    if (flag == nullptr && name != "flagfile") return Unknown(table, name);
    std::string value;
    if (equals != word.npos) {
      value = std::string(word.substr(equals + 1));
    } else if (flag != nullptr && flag->kind == FlagKind::kSwitch) {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return InvalidArgument(StrCat("Missing value for flag --", name));
    }
    if (flag != nullptr) {
      RETURN_IF_ERROR(Set(*flag, std::move(value)));
      continue;
    }
    if (depth >= kMaxFlagFiles) {
      return InvalidArgument(StrCat("flag files include each other: ", Printable(value)));
    }
    ASSIGN_OR_RETURN(const std::string text, files.Read(value, kMaxFlagFileBytes));
    std::vector<std::string> lines;
    for (const std::string_view line : Split(text, '\n')) {
      const std::string_view trimmed = Trim(line);
      if (!trimmed.empty() && trimmed[0] != '#' && !trimmed.starts_with("//"))
        lines.emplace_back(trimmed);
    }
    RETURN_IF_ERROR(Read(table, lines, files, depth + 1).Annotate(value));
  }
  return OkStatus();
}

Result<ToolFlags> ToolFlags::Parse(std::span<const ToolFlag> table,
                                   std::span<const std::string> arguments, FileSystem& files) {
  ToolFlags out;
  for (const ToolFlag& flag : table)
    out.values_.emplace(std::string(flag.name), std::string(flag.fallback));
  RETURN_IF_ERROR(out.Read(table, arguments, files, 0));
  return out;
}

const std::string& ToolFlags::Text(std::string_view name) const {
  const auto at = values_.find(name);
  CHECK(at != values_.end());
  return at->second;
}

int64_t ToolFlags::Number(std::string_view name) const { return ParseInt(Text(name)).value_or(0); }

std::string FlagHelp(std::span<const ToolFlag> table) {
  std::string out;
  for (const ToolFlag& flag : table) {
    StrAppend(&out, "  --", flag.kind == FlagKind::kSwitch ? "[no]" : "", flag.name, ": ",
              flag.help);
    if (!flag.words.empty()) {
      StrAppend(&out, " <", Join(Split(flag.words, ' '), "|"), ">");
    }
    if (!flag.fallback.empty()) StrAppend(&out, " (default: '", flag.fallback, "')");
    out += '\n';
  }
  return out;
}

}  // namespace megalith::agent_tools
