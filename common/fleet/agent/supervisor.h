// Starts processes, restarts those that end, and leaves none behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::agent {

struct ProcessSpec {
  std::string name;                  // in logs, metrics and ProcessState: "ps"
  std::vector<std::string> command;  // the first word is a path, or a name that PATH knows
  std::string directory;             // to run in; empty: ours
  std::map<std::string, std::string> environment;  // beside ours, and instead of it
  std::string output;            // file for standard output and error; empty: where ours go
  bool truncate_output = false;  // at each start; otherwise it is appended to
  int port = 0;                  // of 127.0.0.1 that it opens once it has started; 0: none
  // Not started before this returns true; empty: at once. Called on the supervisor's thread, about
  // once a second, until Hold.
  std::function<bool()> may_start;
};

struct SupervisorOptions {
  // Between an end and the next start; doubled with each failure in a row.
  std::chrono::milliseconds first_delay{1'000};
  std::chrono::milliseconds max_delay{60'000};
  // A process that has run so long starts anew with first_delay.
  std::chrono::milliseconds stable_after{60'000};
  // From SIGTERM to SIGKILL, for each process.
  std::chrono::milliseconds grace{10'000};
  // A process that has not opened its port by then is killed and counts as failed.
  std::chrono::milliseconds start_limit{3'600'000};
  std::chrono::milliseconds poll_interval{1'000};  // of ports and may_start
  telemetry::MetricRegistry* metrics = nullptr;    // outlive the supervisor, as below
  const Clock* clock = &RealClock();
};

struct ProcessState {
  std::string name;
  pid_t pid = 0;           // 0 while it does not run
  bool listening = false;  // its port is open; true for running processes without one
  uint64_t starts = 0;
  std::string last_end;                // "exit code 3", "signal 9", or why it did not start
  std::chrono::milliseconds delay{0};  // before the next start; 0 if it has not failed
};

// Every process leads a process group of its own, so that what it starts ends with it, and is
// killed by the kernel when the supervisor's thread ends, however that comes. Thread-safe.
class Supervisor {
 public:
  // Starts the processes, in their order, on a thread of its own.
  Supervisor(std::vector<ProcessSpec> processes, SupervisorOptions options);
  // As Stop.
  ~Supervisor();

  // Starts nothing any more; returns when no may_start is being called and none will be.
  void Hold();
  // SIGTERM to one after the other, in reverse order, SIGKILL to what is there after the grace;
  // returns when all are reaped. Idempotent.
  void Stop();
  std::vector<ProcessState> states() const;

 private:
  struct Child;
  void Loop();
  void Step(Child* child);
  void StartChild(Child* child);
  Status Launch(Child* child);
  void Reap(Child* child, bool wait);
  void Ended(Child* child, const std::string& how);
  void Drain(Child* child);
  void WaitForChange(std::chrono::milliseconds limit);
  std::chrono::nanoseconds Now() const { return options_.clock->Monotonic(); }

  const SupervisorOptions options_;
  std::vector<std::unique_ptr<Child>> children_;  // the list is constant
  mutable std::mutex mu_;                         // guards the states of children
  std::mutex gate_mu_;                            // held while may_start is called
  bool held_ = false;                             // guarded by gate_mu_
  std::atomic<bool> stopping_{false};
  int wake_ = -1;  // an eventfd
  std::mutex stop_mu_;
  std::thread thread_;  // guarded by stop_mu_
};

}  // namespace megalith::agent
