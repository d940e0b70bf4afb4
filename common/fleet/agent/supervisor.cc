#include "common/fleet/agent/supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::agent {
namespace {

using telemetry::Level;
using telemetry::Log;

// Ends are looked for so often where the kernel has no pidfd (before 5.3).
constexpr std::chrono::milliseconds kWithoutPidfd{100};

std::string EndOf(int status) {
  if (WIFSIGNALED(status)) return StrCat("signal ", WTERMSIG(status));
  return StrCat("exit code ", WEXITSTATUS(status));
}

bool PortIsOpen(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool open = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  if (!open && errno == EINPROGRESS) {
    pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
    int error = 0;
    socklen_t size = sizeof(error);
    open = ::poll(&wait, 1, 100) == 1 &&
           ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  ::close(fd);
  return open;
}

// Everything that the child needs, made before fork: after it only calls that are safe in a signal
// handler are allowed, other threads may hold any lock.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<std::string> environment_texts;
  std::vector<char*> environment;
  const char* directory = nullptr;
  int output = -1;
  int errors = -1;  // a pipe that tells why there was no exec
  pid_t parent = 0;
};

[[noreturn]] void RunChild(const Prepared& prepared) {
  // The kernel kills this process when the thread that made it ends; it may have ended already.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  bool ok = ::getppid() == prepared.parent;
  ok = ok && ::setpgid(0, 0) == 0;
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (prepared.output >= 0) {
    ok = ok && ::dup2(prepared.output, 1) == 1 && ::dup2(prepared.output, 2) == 2;
  }
  ok = ok && (prepared.directory == nullptr || ::chdir(prepared.directory) == 0);
#ifdef SYS_close_range
  // None of our sockets is to live on in a model server.
  constexpr unsigned kCloseOnExec = 1U << 2;
  ::syscall(SYS_close_range, 3U, ~0U, kCloseOnExec);
#endif
  if (ok) {
    ::execvpe(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  }
  const int error = errno;
  (void)!::write(prepared.errors, &error, sizeof(error));
  ::_exit(127);
}

void PrepareEnvironment(const std::map<std::string, std::string>& changes, Prepared* out) {
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    if (!changes.contains(std::string(entry.substr(0, entry.find('='))))) {
      out->environment_texts.emplace_back(entry);
    }
  }
  for (const auto& [name, value] : changes) {
    out->environment_texts.push_back(StrCat(name, "=", value));
  }
  for (std::string& text : out->environment_texts) out->environment.push_back(text.data());
  out->environment.push_back(nullptr);
}

}  // namespace

struct Supervisor::Child {
  explicit Child(ProcessSpec s) : spec(std::move(s)) { state.name = spec.name; }
  const ProcessSpec spec;
  ProcessState state;  // guarded by mu_; what follows is of the supervisor's thread
  pid_t pid = 0;
  int pidfd = -1;
  std::chrono::nanoseconds started{0};
  std::chrono::nanoseconds next_start{0};
  bool listening = false;
  std::chrono::milliseconds delay{0};
};

Supervisor::Supervisor(std::vector<ProcessSpec> processes, SupervisorOptions options)
    : options_(options) {
  for (ProcessSpec& spec : processes) {
    CHECK(!spec.command.empty());
    children_.push_back(std::make_unique<Child>(std::move(spec)));
  }
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { Loop(); });
}

Supervisor::~Supervisor() {
  Stop();
  if (wake_ >= 0) ::close(wake_);
}

void Supervisor::Hold() {
  const std::lock_guard<std::mutex> lock(gate_mu_);
  held_ = true;
}

void Supervisor::Stop() {
  stopping_ = true;
  const uint64_t one = 1;
  if (wake_ >= 0) (void)!::write(wake_, &one, sizeof(one));
  const std::lock_guard<std::mutex> lock(stop_mu_);
  if (thread_.joinable()) thread_.join();
}

std::vector<ProcessState> Supervisor::states() const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::vector<ProcessState> out;
  for (const auto& child : children_) out.push_back(child->state);
  return out;
}

// Returns early when a process ends or Stop is called.
void Supervisor::WaitForChange(std::chrono::milliseconds limit) {
  std::vector<pollfd> waits;
  if (wake_ >= 0) waits.push_back({.fd = wake_, .events = POLLIN, .revents = 0});
  bool blind = wake_ < 0;
  for (const auto& child : children_) {
    if (child->pidfd >= 0) waits.push_back({.fd = child->pidfd, .events = POLLIN, .revents = 0});
    blind = blind || (child->pid != 0 && child->pidfd < 0);
  }
  if (blind) limit = std::min(limit, kWithoutPidfd);
  ::poll(waits.data(), waits.size(), static_cast<int>(limit.count()));
}

void Supervisor::Loop() {
  SetThreadName("supervisor");
  while (!stopping_) {
    for (const auto& child : children_) Step(child.get());
    std::chrono::milliseconds limit = options_.poll_interval;
    for (const auto& child : children_) {
      if (child->pid != 0) continue;
      limit = std::min(limit, std::chrono::ceil<std::chrono::milliseconds>(std::max(
                                  child->next_start - Now(), std::chrono::nanoseconds(0))));
      // One that waits for its turn is asked every poll_interval.
      if (child->next_start <= Now()) limit = options_.poll_interval;
    }
    WaitForChange(limit);
  }
  for (auto at = children_.rbegin(); at != children_.rend(); ++at) Drain(at->get());
}

void Supervisor::Step(Child* child) {
  if (child->pid != 0) Reap(child, /*wait=*/false);
  if (child->pid == 0) {
    StartChild(child);
    return;
  }
  if (child->listening) return;
  child->listening = child->spec.port == 0 || PortIsOpen(child->spec.port);
  if (child->listening) {
    const std::lock_guard<std::mutex> lock(mu_);
    child->state.listening = true;
  } else if (Now() - child->started > options_.start_limit) {
    ::kill(-child->pid, SIGKILL);
    Reap(child, /*wait=*/true);
  }
}

void Supervisor::StartChild(Child* child) {
  if (Now() < child->next_start) return;
  {
    const std::lock_guard<std::mutex> lock(gate_mu_);
    if (held_ || (child->spec.may_start && !child->spec.may_start())) return;
    child->started = Now();
    const Status launched = Launch(child);
    if (launched.ok()) {
      const std::lock_guard<std::mutex> state_lock(mu_);
      child->state.pid = child->pid;
      ++child->state.starts;
    } else {
      Ended(child, std::string(launched.message()));
      return;
    }
  }
  Log(Level::info, "agent_process_started", {{"process", child->spec.name}, {"pid", child->pid}});
}

Status Supervisor::Launch(Child* child) {
  const ProcessSpec& spec = child->spec;
  Prepared prepared;
  for (const std::string& argument : spec.command) {
    prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  prepared.arguments.push_back(nullptr);
  PrepareEnvironment(spec.environment, &prepared);
  if (!spec.directory.empty()) prepared.directory = spec.directory.c_str();
  prepared.parent = ::getpid();
  if (!spec.output.empty()) {
    const int how = spec.truncate_output ? O_TRUNC : O_APPEND;
    prepared.output = ::open(spec.output.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0644);
    if (prepared.output < 0) {  // better seen with our own output than not run
      Log(Level::warn, "agent_process_output",
          {{"process", spec.name}, {"file", spec.output}, {"error", std::strerror(errno)}});
    }
  }
  int pipe[2] = {-1, -1};
  pid_t pid = -1;
  if (::pipe2(pipe, O_CLOEXEC) == 0) {
    prepared.errors = pipe[1];
    pid = ::fork();
    if (pid == 0) RunChild(prepared);
  }
  int error = errno;
  if (prepared.output >= 0) ::close(prepared.output);
  if (pipe[1] >= 0) ::close(pipe[1]);
  if (pid > 0) {
    // Closed by exec; otherwise it tells why there was none.
    ssize_t got = 0;
    while ((got = ::read(pipe[0], &error, sizeof(error))) < 0 && errno == EINTR) {
    }
    if (got == 0) error = 0;
  }
  if (pipe[0] >= 0) ::close(pipe[0]);
  if (pid > 0 && error != 0) ::waitpid(pid, nullptr, 0);
  if (pid < 0 || error != 0) {
    return Unavailable(
        StrCat("cannot run '", Printable(spec.command[0], 200), "': ", std::strerror(error)));
  }
  child->pid = pid;
  child->listening = false;
#ifdef SYS_pidfd_open
  child->pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
#endif
  return OkStatus();
}

void Supervisor::Reap(Child* child, bool wait) {
  siginfo_t info{};
  const int flags = WEXITED | WNOWAIT | (wait ? 0 : WNOHANG);
  if (::waitid(P_PID, static_cast<id_t>(child->pid), &info, flags) != 0 || info.si_pid == 0) return;
  // Before the process is reaped its number is nobody else's: what it has started goes with it.
  ::kill(-child->pid, SIGKILL);
  int status = 0;
  ::waitpid(child->pid, &status, 0);
  if (child->pidfd >= 0) ::close(std::exchange(child->pidfd, -1));
  child->pid = 0;
  if (Now() - child->started >= options_.stable_after) child->delay = std::chrono::milliseconds(0);
  Ended(child, EndOf(status));
}

void Supervisor::Ended(Child* child, const std::string& how) {
  child->delay = child->delay.count() == 0 ? options_.first_delay
                                           : std::min(child->delay * 2, options_.max_delay);
  child->next_start = Now() + child->delay;
  child->listening = false;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    child->state.pid = 0;
    child->state.listening = false;
    child->state.last_end = how;
    child->state.delay = child->delay;
  }
  if (stopping_) return;
  Log(Level::error, "agent_process_ended",
      {{"process", child->spec.name}, {"how", how}, {"delay_ms", child->delay.count()}});
  if (options_.metrics != nullptr) {
    options_.metrics->GetCounter(telemetry::kAgentProcessEnds, {child->spec.name}).Add();
  }
}

void Supervisor::Drain(Child* child) {
  if (child->pid == 0) return;
  ::kill(-child->pid, SIGTERM);
  const auto limit = std::chrono::steady_clock::now() + options_.grace;
  while (child->pid != 0 && std::chrono::steady_clock::now() < limit) {
    Reap(child, /*wait=*/false);
    if (child->pid == 0) return;
    // Only this one is waited for: another that has ended would keep poll from waiting.
    auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(limit - std::chrono::steady_clock::now(), std::chrono::nanoseconds(1)));
    if (child->pidfd < 0) left = std::min(left, kWithoutPidfd);
    pollfd end{.fd = child->pidfd, .events = POLLIN, .revents = 0};
    ::poll(&end, 1, static_cast<int>(left.count()));
  }
  Log(Level::warn, "agent_process_killed", {{"process", child->spec.name}, {"pid", child->pid}});
  ::kill(-child->pid, SIGKILL);
  Reap(child, /*wait=*/true);
}

}  // namespace megalith::agent
