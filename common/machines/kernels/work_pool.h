// The threads numeric work is split over: one pool per process, shared by every executable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace megalith::kernels {

// A callable of (begin, end), borrowed for the duration of a call.
class RangeBody {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, RangeBody>>>
  RangeBody(F&& f)  // NOLINT: implicit by design
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<F>*>(o))(begin, end);
        }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t);
};

// Thread-safe. A caller always works itself; helpers join while they are free. So a pool that is
// busy with another caller slows nobody down beyond its share, and nested calls run where they are.
class WorkPool {
 public:
  // `threads` counts the caller: 1 starts none.
  explicit WorkPool(int threads);
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  int threads() const;

  // Calls body(begin, end) on disjoint ranges that cover [0, n), each (but the last) of a multiple
  // of `grain` items; returns when all are done. Runs on the caller alone if n <= grain.
  void For(int64_t n, int64_t grain, const RangeBody& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The pool of this process: as many threads as the machine (or its cgroup) gives processors, or
// MEGALITH_THREADS if that is set when the pool is first asked for.
WorkPool& ProcessPool();

}  // namespace megalith::kernels
