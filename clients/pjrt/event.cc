#include "clients/pjrt/event.h"

#include <utility>

namespace megalith::pjrt {

void EventState::Set(Status status) {
  std::vector<std::function<void(const Status&)>> waiting;
  {
    const std::lock_guard lock(mu_);
    if (set_) return;
    set_ = true;
    status_ = std::move(status);
    ready_.store(true, std::memory_order_release);
    waiting.swap(waiting_);
  }
  happened_.notify_all();
  for (const auto& f : waiting) f(status_);
}

void EventState::OnReady(std::function<void(const Status&)> f) {
  if (!ready()) {
    const std::lock_guard lock(mu_);
    if (!set_) {
      waiting_.push_back(std::move(f));
      return;
    }
  }
  f(status_);
}

const Status& EventState::Wait() {
  if (!ready()) {
    std::unique_lock lock(mu_);
    happened_.wait(lock, [this] { return set_; });
  }
  return status_;
}

const EventPtr& DoneEvent() {
  static const EventPtr done = [] {
    auto e = std::make_shared<EventState>();
    e->Set(OkStatus());
    return e;
  }();
  return done;
}

namespace {

// Most events a host gets are this one. Hosts have threads that outlive static objects.
abi::Event* SharedDone() {
  static abi::Event* const done = new abi::Event{DoneEvent()};
  return done;
}

}  // namespace

abi::Event* NewEvent(EventPtr state) {
  if (state == DoneEvent()) return SharedDone();
  return new abi::Event{std::move(state)};
}

void DestroyEvent(abi::Event* event) {
  if (event != SharedDone()) delete event;
}

abi::Error* ToError(Status status) {
  return status.ok() ? nullptr : new abi::Error{std::move(status)};
}

}  // namespace megalith::pjrt
