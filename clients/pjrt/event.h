// What callers of the plugin wait for, and the errors they get.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "clients/pjrt/abi.h"
#include "common/foundation/base/status.h"

namespace megalith::pjrt {

// Something that happens once, with success or an error. Thread-safe.
class EventState {
 public:
  EventState() = default;
  EventState(const EventState&) = delete;
  EventState& operator=(const EventState&) = delete;

  // Only the first call counts. Runs what waits for it, on this thread, without holding a lock.
  void Set(Status status);
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  // Requires ready().
  const Status& status() const { return status_; }
  // Calls `f` exactly once: now if it has happened, else from the thread that sets it.
  void OnReady(std::function<void(const Status&)> f);
  // Blocks until it has happened.
  const Status& Wait();

 private:
  std::atomic<bool> ready_{false};
  std::mutex mu_;  // guards set_, waiting_, and status_ until ready_
  std::condition_variable happened_;
  bool set_ = false;
  Status status_;
  std::vector<std::function<void(const Status&)>> waiting_;
};
using EventPtr = std::shared_ptr<EventState>;

// One that has happened, with success; shared by everybody.
const EventPtr& DoneEvent();

// What the host holds until it hands it to DestroyEvent.
abi::Event* NewEvent(EventPtr state);
void DestroyEvent(abi::Event* event);

// Null for success; else an object that the host destroys.
abi::Error* ToError(Status status);

}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct Event {
  EventPtr state;
};
struct Error {
  Status status;
};

}  // namespace megalith::pjrt::abi
