// The table of commands: one line per family.
#include "clients/cli/families.h"
#include "clients/cli/session.h"

namespace megalith::cli {

std::span<const CommandDef* const> AllCommands() {
  static const std::vector<const CommandDef*> commands = [] {
    std::vector<const CommandDef*> out;
    for (const std::span<const CommandDef> family :
         {TraceCommands(), ConvertCommands(), CompileCommands(), RunCommands(), BenchCommands(),
          ServicesCommands(), CacheCommands(), LedgerCommands(), TableCommands(), AgentCommands(),
          ServeCommands(), ConformanceCommands(), CompletionCommands()}) {
      for (const CommandDef& command : family) out.push_back(&command);
    }
    return out;
  }();
  return commands;
}

}  // namespace megalith::cli
