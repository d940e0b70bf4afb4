#include "clients/cli/command.h"

#include <algorithm>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

constexpr FlagDef kGlobalFlags[] = {
    {.name = "address",
     .value_name = "HOST:PORT",
     .help = "a running fleet; without it one is started inside this process. Also "
             "megalith:///SERVICE and zk://HOST:PORT/SERVICE: all replicas of a name. For table "
             "commands all parameter servers in the order of their shards, divided by commas, or "
             "zk://HOST:PORT/BZID/service/NAME/ps"},
    {.name = "discovery",
     .value_name = "TARGET",
     .help = "where names are looked up: zk://HOST:PORT or a file; default: the variable "
             "MEGALITH_DISCOVERY"},
    {.name = "data_dir",
     .value_name = "DIR",
     .help = "where the fleet inside this process keeps its data"},
    {.name = "timeout_ms", .value_name = "N", .help = "deadline of each call; default 60000"},
    {.name = "ca_file",
     .value_name = "FILE",
     .help = "PEM authority of the fleet's certificate: TLS"},
    {.name = "certificate_file",
     .value_name = "FILE",
     .help = "PEM certificate to show: mutual TLS"},
    {.name = "key_file", .value_name = "FILE", .help = "PEM key of certificate_file"},
    {.name = "json", .value_name = "", .help = "print one JSON document instead of text"},
    {.name = "quiet", .value_name = "", .help = "no progress"},
    {.name = "help", .value_name = "", .help = "explain the command"},
};

std::vector<std::string_view> WordsOf(std::string_view name) { return Split(name, ' '); }

// The row of the longest name that `words` begin with.
const CommandDef* FindCommand(std::span<const CommandDef* const> commands,
                              std::span<const std::string> words) {
  const CommandDef* best = nullptr;
  for (const CommandDef* command : commands) {
    const auto name = WordsOf(command->name);
    if (name.size() > words.size() || !std::equal(name.begin(), name.end(), words.begin()))
      continue;
    if (best == nullptr || WordsOf(best->name).size() < name.size()) best = command;
  }
  return best;
}

// By name, in which '-' counts as '_', or by letter if `name` is "-o".
const FlagDef* FindFlag(const CommandDef& command, std::string_view name) {
  std::string plain(name);
  std::replace(plain.begin(), plain.end(), '-', '_');
  const char letter = name.size() == 2 && name[0] == '-' ? name[1] : '\0';
  for (const std::span<const FlagDef> table : {command.flags, GlobalFlags()}) {
    for (const FlagDef& f : table) {
      if (letter != '\0' ? f.letter == letter : f.name == plain) return &f;
    }
  }
  return nullptr;
}

Status UnknownFlag(const CommandDef& command, std::string_view name) {
  std::vector<std::string> known;
  for (const FlagDef& f : command.flags) known.emplace_back(f.name);
  for (const FlagDef& f : kGlobalFlags) known.emplace_back(f.name);
  const std::string_view nearest = NearestName(name, known);
  const std::string_view dashes = name.starts_with("-") ? "" : "--";
  std::string message = StrCat("'", command.name, "' has no flag ", dashes, Printable(name));
  if (!nearest.empty()) StrAppend(&message, "; did you mean --", nearest, "?");
  return InvalidArgument(std::move(message));
}

Status UnknownCommand(std::span<const CommandDef* const> commands,
                      std::span<const std::string> words) {
  std::vector<std::string> known;
  for (const CommandDef* c : commands) known.emplace_back(c->name);
  const std::string given = words.size() > 1 ? StrCat(words[0], " ", words[1]) : words[0];
  std::string_view nearest = NearestName(given, known);
  if (nearest.empty()) nearest = NearestName(words[0], known);
  std::string message = StrCat("no command '", Printable(given), "'");
  if (!nearest.empty()) StrAppend(&message, "; did you mean '", nearest, "'?");
  return InvalidArgument(std::move(message));
}

// "--flag", "-o"; not "-", which is standard input, and not "-1".
bool IsFlag(std::string_view word) {
  if (word.starts_with("--")) return true;
  return word.size() >= 2 && word[0] == '-' &&
         ((word[1] >= 'a' && word[1] <= 'z') || (word[1] >= 'A' && word[1] <= 'Z'));
}

// Reads the flag at words[*at], which moves to its last word.
Status ReadFlag(const CommandDef& command, std::span<const std::string> words, size_t* at,
                Arguments* arguments) {
  const std::string_view word = words[*at];
  const std::string_view text = word.starts_with("--") ? word.substr(2) : word;
  const size_t equals = text.find('=');
  const FlagDef* flag = FindFlag(command, text.substr(0, equals));
  if (flag == nullptr) return UnknownFlag(command, text.substr(0, equals));
  const std::string_view name = flag->name;
  std::string value;
  if (flag->value_name.empty()) {
    if (equals != std::string_view::npos)
      return InvalidArgument(StrCat("flag --", name, " takes no value"));
  } else if (equals != std::string_view::npos) {
    value = std::string(text.substr(equals + 1));
  } else if (flag->optional_value) {
    value = "true";
  } else {
    if (*at + 1 >= words.size())
      return InvalidArgument(StrCat("flag --", name, " expects ", flag->value_name));
    value = words[++*at];
  }
  if (!flag->words.empty()) {
    const auto admitted = WordsOf(flag->words);
    if (std::find(admitted.begin(), admitted.end(), value) == admitted.end()) {
      return InvalidArgument(StrCat("flag --", name, " expects one of ", Join(admitted, ", "),
                                    "; got '", Printable(value), "'"));
    }
  }
  auto& values = arguments->flags_[std::string(name)];
  if (!values.empty() && !flag->repeated)
    return InvalidArgument(StrCat("flag --", name, " is given twice"));
  values.push_back(std::move(value));
  return OkStatus();
}

std::string_view Summary(std::string_view help) {
  const size_t end = help.find(". ");
  return end == std::string_view::npos ? help : help.substr(0, end + 1);
}

std::string Usage(const CommandDef& command) {
  return StrCat("megalithctl ", command.name, command.positional.empty() ? "" : " ",
                command.positional, " [flags]");
}

void AppendFlags(std::span<const FlagDef> flags, std::string* out) {
  for (const FlagDef& f : flags) {
    std::string left = f.letter == 0 ? "  " : StrCat("  -", std::string(1, f.letter), ", ");
    StrAppend(&left, "--", f.name, f.value_name.empty() ? "" : "=", f.value_name);
    left.resize(std::max<size_t>(left.size() + 1, 28), ' ');
    StrAppend(out, left, f.help);
    if (!f.words.empty()) StrAppend(out, " (", f.words, ")");
    *out += '\n';
  }
}

bool BeginsWith(std::string_view name, std::string_view topic) {
  return name == topic ||
         (name.starts_with(topic) && name.size() > topic.size() && name[topic.size()] == ' ');
}

}  // namespace

std::span<const FlagDef> GlobalFlags() { return kGlobalFlags; }

std::string Arguments::Get(std::string_view flag, std::string_view fallback) const {
  const auto at = flags_.find(flag);
  return at == flags_.end() ? std::string(fallback) : at->second.back();
}

std::vector<std::string> Arguments::GetAll(std::string_view flag) const {
  const auto at = flags_.find(flag);
  return at == flags_.end() ? std::vector<std::string>() : at->second;
}

Result<std::optional<int64_t>> Arguments::GetInt(std::string_view flag) const {
  const auto at = flags_.find(flag);
  if (at == flags_.end()) return std::optional<int64_t>();
  const std::optional<int64_t> value = ParseInt(at->second.back());
  if (!value)
    return InvalidArgument(StrCat("flag --", flag, " expects a whole number, got '",
                                  Printable(at->second.back()), "'"));
  return value;
}

Result<int64_t> Arguments::GetPositive(std::string_view flag, int64_t fallback) const {
  ASSIGN_OR_RETURN(const std::optional<int64_t> value, GetInt(flag));
  if (value && *value < 1)
    return InvalidArgument(StrCat("flag --", flag, " expects at least 1, got ", *value));
  return value.value_or(fallback);
}

Result<std::map<std::string, std::string>> Arguments::GetPairs(std::string_view flag) const {
  std::map<std::string, std::string> out;
  for (const std::string& pair : GetAll(flag)) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return InvalidArgument(
          StrCat("flag --", flag, " expects NAME=TEXT, got '", Printable(pair), "'"));
    if (!out.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
      return InvalidArgument(
          StrCat("flag --", flag, " gives '", Printable(pair.substr(0, equals)), "' twice"));
  }
  return out;
}

Result<Parsed> ParseCommandLine(std::span<const CommandDef* const> commands,
                                std::span<const std::string> words) {
  Parsed parsed;
  if (words.empty() || words[0] == "help" || words[0] == "--help") {
    if (words.size() > 1) parsed.help_topic = Join(words.subspan(1), " ");
    return parsed;
  }
  // Flags of every command may stand before it too.
  static constexpr CommandDef kAny{.name = "megalithctl"};
  size_t leading = 0;
  for (; leading < words.size() && IsFlag(words[leading]); ++leading) {
    RETURN_IF_ERROR(ReadFlag(kAny, words, &leading, &parsed.arguments));
  }
  words = words.subspan(leading);
  if (words.empty()) return InvalidArgument("no command is given");
  const CommandDef* command = FindCommand(commands, words);
  if (command == nullptr) {
    // "cache" alone asks what there is.
    for (const CommandDef* c : commands) {
      if (BeginsWith(c->name, words[0]) && (words.size() == 1 || words[1] == "--help")) {
        parsed.help_topic = words[0];
        return parsed;
      }
    }
    return UnknownCommand(commands, words);
  }
  bool flags_end = false;
  for (size_t i = WordsOf(command->name).size(); i < words.size(); ++i) {
    if (words[i] == "--" && !flags_end) {
      flags_end = true;
    } else if (IsFlag(words[i]) && !flags_end) {
      RETURN_IF_ERROR(ReadFlag(*command, words, &i, &parsed.arguments));
    } else {
      parsed.arguments.positional_.push_back(words[i]);
    }
  }
  if (parsed.arguments.Has("help")) {
    parsed.help_topic = std::string(command->name);
    return parsed;
  }
  const int n = static_cast<int>(parsed.arguments.positional().size());
  if (n < command->min_positional ||
      (command->max_positional >= 0 && n > command->max_positional)) {
    return InvalidArgument(StrCat("usage: ", Usage(*command)));
  }
  parsed.command = command;
  return parsed;
}

std::string HelpText(std::span<const CommandDef* const> commands, std::string_view topic) {
  std::vector<const CommandDef*> matching;
  for (const CommandDef* c : commands) {
    if (topic.empty() || BeginsWith(c->name, topic)) matching.push_back(c);
  }
  std::string out;
  if (matching.empty())
    return StrCat("no command '", Printable(topic), "'; try megalithctl help\n");
  if (matching.size() == 1) {
    const CommandDef& c = *matching[0];
    StrAppend(&out, "usage: ", Usage(c), "\n\n", c.help, "\n");
    if (!c.examples.empty()) {
      out += "\nExamples:\n";
      for (const std::string_view line : Split(c.examples, '\n')) StrAppend(&out, "  ", line, "\n");
    }
    if (!c.flags.empty()) {
      out += "\nFlags:\n";
      AppendFlags(c.flags, &out);
    }
    out += "\nFlags of every command:\n";
    AppendFlags(kGlobalFlags, &out);
    return out;
  }
  out += "usage: megalithctl COMMAND [arguments] [flags]\n\nCommands:\n";
  for (const CommandDef* c : matching) {
    std::string left = StrCat("  ", c->name);
    left.resize(std::max<size_t>(left.size() + 1, 24), ' ');
    StrAppend(&out, left, Summary(c->help), "\n");
  }
  out += "\nFlags of every command:\n";
  AppendFlags(kGlobalFlags, &out);
  out += "\nExit codes:\n";
  for (const ExitCodeRow& row : ExitCodes())
    StrAppend(&out, "  ", row.exit_code, row.exit_code < 10 ? "  " : " ", row.meaning, "\n");
  out += "\nmegalithctl help COMMAND explains one of them.\n";
  return out;
}

const std::vector<ExitCodeRow>& ExitCodes() {
  static const std::vector<ExitCodeRow> rows = {
      {0, "done", {Code::kOk}},
      {1,
       "done, and the answer is no: a broken ledger, a failing case, a service that does not serve",
       {Code::kAborted}},
      {2, "wrong command line", {}},
      {3,
       "wrong input: a program, a file, an argument",
       {Code::kInvalidArgument, Code::kFailedPrecondition, Code::kOutOfRange,
        Code::kAlreadyExists}},
      {4, "not found", {Code::kNotFound}},
      {5,
       "not now: unavailable, too slow or cancelled; a retry may help",
       {Code::kUnavailable, Code::kDeadlineExceeded, Code::kCancelled}},
      {6, "not implemented", {Code::kUnimplemented}},
      {7, "damaged data", {Code::kDataLoss}},
      {8, "a limit was met", {Code::kResourceExhausted}},
      {9, "not allowed", {Code::kPermissionDenied, Code::kUnauthenticated}},
      {70, "a fault of Megalith", {Code::kInternal, Code::kUnknown}},
  };
  return rows;
}

int ExitCodeOf(const Status& status) {
  for (const ExitCodeRow& row : ExitCodes()) {
    if (std::find(row.codes.begin(), row.codes.end(), status.code()) != row.codes.end())
      return row.exit_code;
  }
  return 70;
}

}  // namespace megalith::cli
