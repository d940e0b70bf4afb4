#include "tests/support/child_process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <thread>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"

extern char** environ;

namespace megalith::testing {

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::string& binary, const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(binary.c_str())};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, binary.c_str(), nullptr, nullptr, argv.data(), environ);
  if (error != 0) return Unavailable(StrCat("cannot start '", binary, "'"));
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() {
  if (exit_) return;
  Signal(SIGKILL);
  (void)Wait(std::chrono::seconds(10));
}

void ChildProcess::Signal(int signal) { ::kill(pid_, signal); }

std::optional<int> ChildProcess::Wait(std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!exit_) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else if (std::chrono::steady_clock::now() >= end) {
      return std::nullopt;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return exit_;
}

Result<ServerProcess> StartServer(const std::string& binary, const std::string& directory,
                                  std::vector<std::string> arguments) {
  const std::string port_file = JoinPath(directory, "port");
  RETURN_IF_ERROR(RealFileSystem().Remove(port_file));
  arguments.push_back("--port_file=" + port_file);
  ServerProcess server;
  ASSIGN_OR_RETURN(server.process, ChildProcess::Start(binary, arguments));
  for (int i = 0; i < 10'000; ++i) {
    const Result<std::string> text = RealFileSystem().Read(port_file);
    if (text.ok()) {
      const auto lines = Split(*text, '\n');
      server.address = std::string(lines[0]);
      if (lines.size() > 1) server.metrics_address = std::string(lines[1]);
      return server;
    }
    if (server.process->Wait(std::chrono::milliseconds(3)))
      return Unavailable("the server ended before it served");
  }
  return DeadlineExceeded("the server did not come up");
}

}  // namespace megalith::testing
