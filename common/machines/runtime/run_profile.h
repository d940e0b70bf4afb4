// What one run of an executable did, kernel by kernel and moment by moment: for `--profile`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/machines/kernels/work_observer.h"
#include "common/machines/runtime/plan.h"

namespace megalith::runtime {

// One kernel, over all its calls. Sizes and counts are those of one call, from the plan alone:
// whole operands and results, and instructions times points.
struct KernelProfile {
  std::string name;    // "fusion.3 subtract exponential", "dot"
  std::string kind;    // "loop", "library", "while", "branch", "copy", "operation"
  std::string tier;    // "0" ready-made routines, "1" machine code, "library", "" for control flow
  std::string shapes;  // "f32[8] f32[8] -> f32[8] over [8]"
  double bytes = 0;    // read and written; 0 for control flow
  double flops = 0;    // 0: not known, or none
  int threads = 1;     // the most that worked on one call
  uint64_t calls = 0;
  double seconds = 0;  // without steps that ran within it
};

// One call. Those within others (steps of a loop) lie within their time.
struct RunEvent {
  uint32_t kernel = 0;  // of RunProfile::kernels
  int worker = 0;       // 0: the calling thread; others: that helper's part of the call
  int64_t begin_ns = 0, end_ns = 0;  // since the run began
};

// However long a run is, this stays small: of the turns of a loop only the first few have events,
// and there are no more than kMaxEvents.
struct RunProfile {
  static constexpr size_t kMaxEvents = 20'000;
  static constexpr int64_t kTracedTurns = 3;

  std::vector<KernelProfile> kernels;  // in the order of their first calls
  std::vector<RunEvent> events;        // in the order they ended
  uint64_t left_out = 0;               // events that are only counted in `kernels`
  double seconds = 0;                  // of the whole run
};

// Fills a profile while a plan runs. Begin, End and the turns are of the running thread; helpers of
// the pool report from their own. While it lives, calls of WorkPool::For by this thread are
// watched.
class ProfileRecorder {
 public:
  // Both must outlive it.
  ProfileRecorder(const Plan& plan, RunProfile* profile);
  ~ProfileRecorder();
  ProfileRecorder(const ProfileRecorder&) = delete;
  ProfileRecorder& operator=(const ProfileRecorder&) = delete;

  void Begin(const PlanStep& step, bool machine_code);
  void End();
  // Around the turns of a loop from kTracedTurns on.
  void Mute() { ++muted_; }
  void Unmute() { --muted_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Open {
    uint32_t kernel = 0;
    Time begin;
    std::chrono::nanoseconds within{0};  // of steps inside
  };
  static void Helped(void* self, int worker, Time begin, Time end);
  void Keep(uint32_t kernel, int worker, Time begin, Time end);  // requires mu_
  KernelProfile Describe(const PlanStep& step, bool machine_code) const;

  const Plan& plan_;
  RunProfile* const profile_;
  const Time start_;
  const kernels::WorkObserver observer_;
  const kernels::WorkObserver* const before_;
  int muted_ = 0;
  std::vector<Open> open_;
  std::map<std::pair<StepKind, uint32_t>, uint32_t> known_;
  std::mutex mu_;
  uint64_t helped_ = 0;  // guarded by mu_; helpers that took part since the step began, by bit
};

}  // namespace megalith::runtime
