// Threads that help a handler with the parts of one large request.
#pragma once

#include <cstddef>
#include <functional>

#include "common/foundation/base/thread_pool.h"

namespace megalith::services {

// Thread-safe. Helps where it can: with all helpers busy the caller does everything itself.
class Helpers {
 public:
  explicit Helpers(size_t threads) : threads_(threads), pool_("table-help", threads, threads) {}

  // Runs part(0) to part(count - 1), each once, on the caller's thread and on helpers; returns when
  // all have ended. `part` must not wait for a thread of its own kind.
  void Run(size_t count, const std::function<void(size_t)>& part);

 private:
  const size_t threads_;
  ThreadPool pool_;
};

}  // namespace megalith::services
