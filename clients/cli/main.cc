// megalithctl: the fleet on the command line.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "clients/cli/session.h"
#include "common/foundation/telemetry/log.h"
#include "services/allinone/engines.h"

namespace {

// Handlers reach nothing but statics.
megalith::Cancellation& Interrupt() {
  static megalith::Cancellation cancellation;
  return cancellation;
}

// The first signal asks the work to end; a second one ends the process.
void OnInterrupt(int signal) {
  Interrupt().Cancel();
  std::signal(signal, SIG_DFL);
}

}  // namespace

int main(int argc, char** argv) {
  using megalith::cli::AllCommands;
  const megalith::Cancellation& interrupt = Interrupt();
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGTERM, OnInterrupt);
  std::ios::sync_with_stdio(false);
  // What the fleet inside this process logs is news to nobody unless something is wrong.
  megalith::telemetry::SetLogLevel(megalith::telemetry::Level::warn);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return megalith::cli::RunCli(words, {.out = &std::cout,
                                       .err = &std::cerr,
                                       .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                                       .files = &megalith::RealFileSystem(),
                                       .cancellation = &interrupt,
                                       .engines = megalith::services::RealEngines(),
                                       .commands = AllCommands(),
                                       .in = &std::cin});
}
