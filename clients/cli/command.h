// Commands of megalithctl as rows of tables: names, flags, help and completion come from here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::cli {

class Session;

// One flag of a command. Without a value name it is a switch.
struct FlagDef {
  std::string_view name;        // "kind", written --kind
  std::string_view value_name;  // "NAME"
  std::string_view help;
  std::string_view words = "";  // admitted values, separated by blanks; empty: any
  bool repeated = false;
  char letter = 0;  // "o" for -o; 0: none
  // The value may be left out, which means "true"; only "=" gives one.
  bool optional_value = false;
};

// Flags of several tables one after the other, for commands that share some.
template <size_t... kSizes>
constexpr auto JoinFlags(const std::array<FlagDef, kSizes>&... tables) {
  std::array<FlagDef, (kSizes + ...)> out{};
  size_t at = 0;
  const auto append = [&](const auto& table) {
    for (const FlagDef& f : table) out[at++] = f;
  };
  (append(tables), ...);
  return out;
}

// What the user gave to one command, checked against its row.
class Arguments {
 public:
  bool Has(std::string_view flag) const { return flags_.contains(flag); }
  // The last value, or `fallback`.
  std::string Get(std::string_view flag, std::string_view fallback = "") const;
  std::vector<std::string> GetAll(std::string_view flag) const;
  // Errors: kInvalidArgument, naming the flag. nullopt if it was not given.
  Result<std::optional<int64_t>> GetInt(std::string_view flag) const;
  // A number above 0, or `fallback`. Errors: kInvalidArgument, naming the flag.
  Result<int64_t> GetPositive(std::string_view flag, int64_t fallback) const;
  // The values "NAME=TEXT" of a repeated flag. Errors: kInvalidArgument  another form, a name given
  // twice.
  Result<std::map<std::string, std::string>> GetPairs(std::string_view flag) const;
  const std::vector<std::string>& positional() const { return positional_; }

  std::map<std::string, std::vector<std::string>, std::less<>> flags_;
  std::vector<std::string> positional_;
};

// One command, "cache get". `run` prints its result through the session; an error status becomes
// the exit code.
struct CommandDef {
  std::string_view name;        // "cache get"
  std::string_view positional;  // "KEY [KEY...]", for help
  int min_positional = 0;
  int max_positional = 0;  // -1: any number
  std::string_view help;   // first sentence is the summary
  std::span<const FlagDef> flags;
  Status (*run)(Session& session, const Arguments& arguments) = nullptr;
  std::string_view examples = "";  // lines of the shell, for help
};

// Flags that every command has.
std::span<const FlagDef> GlobalFlags();

// Finds the command that `words` begin with and splits the rest.
// Errors: kInvalidArgument  no such command or flag (with the nearest one), a missing or surplus
// value.
struct Parsed {
  const CommandDef* command = nullptr;  // nullptr: help was asked for, of `help_topic`
  std::string help_topic;
  Arguments arguments;
};
Result<Parsed> ParseCommandLine(std::span<const CommandDef* const> commands,
                                std::span<const std::string> words);

// Text of `megalithctl help`, for all commands or for those that begin with `topic`.
std::string HelpText(std::span<const CommandDef* const> commands, std::string_view topic);

// A completion script. `shell` is "bash", "zsh" or "fish". Errors: kInvalidArgument.
Result<std::string> CompletionScript(std::span<const CommandDef* const> commands,
                                     std::string_view shell);

// Exit codes of megalithctl, by status; documented in `megalithctl help`.
struct ExitCodeRow {
  int exit_code;
  std::string_view meaning;
  std::vector<Code> codes;
};
const std::vector<ExitCodeRow>& ExitCodes();
int ExitCodeOf(const Status& status);

}  // namespace megalith::cli
