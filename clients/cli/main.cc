// megalithctl: everything a user does with a fleet, from a shell.
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "clients/cli/session.h"
#include "common/foundation/base/cancellation.h"
#include "services/allinone/engines.h"

int main(int argc, char** argv) {
  using namespace megalith;
  const std::vector<std::string> words(argv + 1, argv + argc);
  return cli::RunCli(words, {.out = &std::cout,
                             .err = &std::cerr,
                             .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                             .files = &RealFileSystem(),
                             .cancellation = nullptr,
                             .engines = services::RealEngines(),
                             .commands = cli::AllCommands()});
}
