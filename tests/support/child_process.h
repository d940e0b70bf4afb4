// A real process of the fleet, for tests that kill it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::testing {

// Not thread-safe, but Signal may be called while another thread waits.
class ChildProcess {
 public:
  // Starts `binary` with `arguments`; its output goes to the test's standard error. Errors:
  // kUnavailable.
  static Result<std::unique_ptr<ChildProcess>> Start(const std::string& binary,
                                                     const std::vector<std::string>& arguments);
  // Kills what still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal);
  // Exit code; 128 + signal if a signal ended it; nullopt if it still runs after `patience`.
  std::optional<int> Wait(std::chrono::milliseconds patience);
  pid_t pid() const { return pid_; }

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  const pid_t pid_;
  std::optional<int> exit_;
};

// A server process: starts it with a port file in `directory` and waits until it accepts calls.
struct ServerProcess {
  std::unique_ptr<ChildProcess> process;
  std::string address;  // first listening address
  std::string metrics_address;
};
Result<ServerProcess> StartServer(const std::string& binary, const std::string& directory,
                                  std::vector<std::string> arguments);

}  // namespace megalith::testing
