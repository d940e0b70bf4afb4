// Completion scripts for bash, zsh and fish, printed from the command table.
#include <set>

#include "clients/cli/command.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

// A switch or a flag with a value, as the user types it.
std::string FlagWord(const FlagDef& f) {
  return StrCat("--", f.name, f.value_name.empty() ? "" : "=");
}

std::string FlagWords(const CommandDef& command) {
  std::vector<std::string> words;
  for (const FlagDef& f : command.flags) words.push_back(FlagWord(f));
  for (const FlagDef& f : GlobalFlags()) words.push_back(FlagWord(f));
  return Join(words, " ");
}

// First words of all commands, and for each the words that may follow.
std::map<std::string, std::set<std::string>> Tree(std::span<const CommandDef* const> commands) {
  std::map<std::string, std::set<std::string>> tree;
  for (const CommandDef* c : commands) {
    const auto words = Split(c->name, ' ');
    auto& next = tree[std::string(words[0])];
    if (words.size() > 1) next.emplace(words[1]);
  }
  tree["help"];
  return tree;
}

// Bash's programmable completion; zsh runs the same through bashcompinit.
std::string BashFunction(std::span<const CommandDef* const> commands) {
  const auto tree = Tree(commands);
  std::vector<std::string> first;
  for (const auto& [word, next] : tree) first.push_back(word);
  std::string out = StrCat(
      "_megalithctl() {\n  local cur=\"${COMP_WORDS[COMP_CWORD]}\" line=\"${COMP_LINE}\" "
      "words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"",
      Join(first, " "), "\"\n  else\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
  for (const CommandDef* c : commands) {
    StrAppend(&out, "      \"", c->name, "\"", Split(c->name, ' ').size() == 1 ? "\\ *" : "",
              ") words=\"", FlagWords(*c), "\" ;;\n");
  }
  out += "    esac\n    if [ \"$COMP_CWORD\" -eq 2 ]; then\n      case \"${COMP_WORDS[1]}\" in\n";
  for (const auto& [word, next] : tree) {
    if (!next.empty()) StrAppend(&out, "        ", word, ") words=\"", Join(next, " "), "\" ;;\n");
  }
  out +=
      "      esac\n    fi\n  fi\n"
      "  case \"$cur\" in\n    --*|\"\") ;;\n    *) [ \"$COMP_CWORD\" -gt 2 ] && { "
      "COMPREPLY=($(compgen -f -- \"$cur\")); return; } ;;\n  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  [[ \"${COMPREPLY[0]}\" == *= ]] && compopt -o nospace\n}\n"
      "complete -F _megalithctl megalithctl\n";
  return out;
}

std::string FishQuote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string FishScript(std::span<const CommandDef* const> commands) {
  std::string out =
      "complete -c megalithctl -f -n __fish_use_subcommand -a help -d 'explain commands'\n";
  std::set<std::string_view> seen;
  for (const CommandDef* c : commands) {
    const auto words = Split(c->name, ' ');
    const std::string in_first = StrCat("'__fish_seen_subcommand_from ", words[0], "'");
    if (words.size() == 1) {
      StrAppend(&out, "complete -c megalithctl -f -n __fish_use_subcommand -a ", words[0], " -d ",
                FishQuote(c->help), "\n");
    } else {
      if (seen.insert(words[0]).second) {
        StrAppend(&out, "complete -c megalithctl -f -n __fish_use_subcommand -a ", words[0], "\n");
      }
      StrAppend(&out, "complete -c megalithctl -f -n ", in_first, " -a ", words[1], " -d ",
                FishQuote(c->help), "\n");
    }
    const std::string in_command =
        words.size() == 1 ? in_first
                          : StrCat("'__fish_seen_subcommand_from ", words[0],
                                   "; and __fish_seen_subcommand_from ", words[1], "'");
    for (const FlagDef& f : c->flags) {
      StrAppend(&out, "complete -c megalithctl -n ", in_command, " -l ", f.name,
                f.value_name.empty() ? "" : " -r", " -d ", FishQuote(f.help), "\n");
    }
  }
  for (const FlagDef& f : GlobalFlags()) {
    StrAppend(&out, "complete -c megalithctl -l ", f.name, f.value_name.empty() ? "" : " -r",
              " -d ", FishQuote(f.help), "\n");
  }
  return out;
}

}  // namespace

Result<std::string> CompletionScript(std::span<const CommandDef* const> commands,
                                     std::string_view shell) {
  if (shell == "bash") return BashFunction(commands);
  if (shell == "zsh")
    return StrCat("autoload -U +X bashcompinit && bashcompinit\n", BashFunction(commands));
  if (shell == "fish") return FishScript(commands);
  return InvalidArgument(
      StrCat("completion knows bash, zsh and fish, not '", Printable(shell), "'"));
}

}  // namespace megalith::cli
