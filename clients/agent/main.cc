// megalith-agent-tools: Monolith's command-line tools of its serving agents. The program's own name
// says which one (agent_controller, agent_client, client, svr_client, tfs_client, run); under
// another name the first argument does.
#include <unistd.h>

#include <iostream>
#include <vector>

#include "clients/agent/tools.h"
#include "common/foundation/config/loader.h"
#include "common/foundation/telemetry/log.h"

namespace {

using megalith::agent_tools::AllTools;

bool IsTool(std::string_view name) {
  for (const auto& tool : AllTools()) {
    if (tool.name == name) return true;
  }
  return name == "run";
}

void PrintUsage() {
  std::cerr << "usage: megalith-agent-tools TOOL [flags], where TOOL is one of\n";
  for (const auto& tool : AllTools()) std::cerr << "  " << tool.name << ": " << tool.help << '\n';
  std::cerr << "  run: one of them, or the agent, by --bin_name\n";
}

// Becomes megalith-agent, which lies beside this program.
int BecomeAgent(const std::string& own_path, std::vector<std::string> arguments) {
  const size_t slash = own_path.rfind('/');
  const std::string path = slash == std::string::npos
                               ? "megalith-agent"
                               : own_path.substr(0, slash + 1) + "megalith-agent";
  arguments.insert(arguments.begin(), path);
  std::vector<char*> raw;
  for (std::string& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  ::execvp(path.c_str(), raw.data());
  std::cerr << "run: " << path << " cannot be started\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv, argv + argc);
  const std::string own_path = words[0];
  std::string name = own_path.substr(own_path.rfind('/') + 1);
  words.erase(words.begin());
  if (!IsTool(name)) {
    if (words.empty() || !IsTool(words[0])) {
      PrintUsage();
      return 1;
    }
    name = words[0];
    words.erase(words.begin());
  }
  if (name == "run") {
    auto target = megalith::agent_tools::SplitRun(words);
    if (!target.ok()) {
      std::cerr << "FATAL Flags parsing error: " << target.status().message() << '\n';
      return 1;
    }
    if (target->bin_name == "agent") return BecomeAgent(own_path, std::move(target->arguments));
    name = target->bin_name;
    words = std::move(target->arguments);
  }
  megalith::telemetry::SetLogLevel(megalith::telemetry::Level::warn);
  return megalith::agent_tools::RunTool(name, words,
                                        {.out = &std::cout,
                                         .err = &std::cerr,
                                         .files = &megalith::RealFileSystem(),
                                         .environment = megalith::config::ProcessEnvironment()});
}
