// megalithctl completion: scripts for shells.
#include "clients/cli/families.h"
#include "clients/cli/session.h"

namespace megalith::cli {
namespace {

Status RunCompletion(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::string script,
                   CompletionScript(session.commands(), arguments.positional()[0]));
  session.Write(script);
  return OkStatus();
}

constexpr CommandDef kCommands[] = {
    {.name = "completion",
     .positional = "bash|zsh|fish",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Print a completion script. For bash: source <(megalithctl completion bash).",
     .flags = {},
     .run = RunCompletion},
};

}  // namespace

std::span<const CommandDef> CompletionCommands() { return kCommands; }

}  // namespace megalith::cli
