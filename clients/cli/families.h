// Families of commands, one file each, listed in registry.cc.
#pragma once

#include <span>

#include "clients/cli/command.h"

namespace megalith::cli {

std::span<const CommandDef> TraceCommands();
std::span<const CommandDef> ConvertCommands();
std::span<const CommandDef> CompileCommands();
std::span<const CommandDef> RunCommands();
std::span<const CommandDef> BenchCommands();
std::span<const CommandDef> ServicesCommands();
std::span<const CommandDef> CacheCommands();
std::span<const CommandDef> LedgerCommands();
std::span<const CommandDef> TableCommands();
std::span<const CommandDef> AgentCommands();
std::span<const CommandDef> ServeCommands();
std::span<const CommandDef> ConformanceCommands();
std::span<const CommandDef> CompletionCommands();

}  // namespace megalith::cli
