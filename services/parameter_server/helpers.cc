#include "services/parameter_server/helpers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace megalith::services {
namespace {

struct Work {
  Work(size_t parts, const std::function<void(size_t)>& run) : count(parts), part(&run) {}
  const size_t count;
  // The caller's, which lives until all parts have ended; a helper that comes later finds none.
  const std::function<void(size_t)>* part;
  std::atomic<size_t> next{0};
  std::mutex mu;
  std::condition_variable all_ended;
  size_t ended = 0;  // guarded by mu

  void Run() {
    size_t done = 0;
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      (*part)(i);
      ++done;
    }
    if (done == 0) return;
    const std::lock_guard<std::mutex> lock(mu);
    ended += done;
    if (ended == count) all_ended.notify_one();
  }
};

}  // namespace

void Helpers::Run(size_t count, const std::function<void(size_t)>& part) {
  const auto work = std::make_shared<Work>(count, part);
  for (size_t i = 0; i < std::min(threads_, count - std::min<size_t>(count, 1)); ++i) {
    if (!pool_.Submit([work] { work->Run(); }).ok()) break;
  }
  work->Run();
  std::unique_lock<std::mutex> lock(work->mu);
  work->all_ended.wait(lock, [&] { return work->ended == work->count; });
}

}  // namespace megalith::services
