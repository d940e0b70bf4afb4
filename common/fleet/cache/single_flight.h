// Many callers of one missing thing cause one computation.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"

namespace megalith::cache {

// Values of type V (cheap to copy: a shared pointer) by text key. Nothing is kept once a
// computation has ended, so errors are not cached. Thread-safe. The destructor waits for
// computations that DoApart left behind.
template <typename V>
class SingleFlight {
 public:
  SingleFlight() = default;
  ~SingleFlight() {
    std::unique_lock<std::mutex> lock(mu_);
    landed_.wait(lock, [this] { return apart_ == 0; });
  }
  SingleFlight(const SingleFlight&) = delete;
  SingleFlight& operator=(const SingleFlight&) = delete;

  struct Outcome {
    V value;
    bool shared = false;  // another caller computed it
  };
  using Compute = std::function<Result<V>(const Cancellation&)>;

  // Runs `compute` on this thread, or waits for the caller that already runs it for `key`.
  // `compute` is cancelled only when every caller that wants the result is; a caller that is
  // cancelled while it waits returns at once (within 20 ms), the one that computes returns when the
  // computation ends. Errors: those of `compute`, given to all who wait; kCancelled and
  // kDeadlineExceeded of `cancellation`.
  Result<Outcome> Do(const std::string& key, const Cancellation& cancellation,
                     const Compute& compute) {
    return Run(key, cancellation, compute, /*apart=*/false);
  }

  // The same, but `compute` runs on a thread of its own and must own what it uses: every caller
  // returns within 20 ms of being cancelled, the first one included, and the computation goes on
  // for the others. Costs a thread per computation.
  Result<Outcome> DoApart(const std::string& key, const Cancellation& cancellation,
                          const Compute& compute) {
    return Run(key, cancellation, compute, /*apart=*/true);
  }

 private:
  Result<Outcome> Run(const std::string& key, const Cancellation& cancellation,
                      const Compute& compute, bool apart) {
    while (true) {
      RETURN_IF_ERROR(cancellation.Check());
      std::shared_ptr<Flight> flight;
      bool leads = false;
      {
        const std::lock_guard<std::mutex> lock(mu_);
        std::shared_ptr<Flight>& slot = flights_[key];
        leads = slot == nullptr;
        if (leads) slot = std::make_shared<Flight>();
        flight = slot;
        flight->Join(&cancellation);
      }
      if (leads && apart) {
        RETURN_IF_ERROR(LeadApart(key, flight, compute, &cancellation));
      } else if (leads) {
        Result<V> result = Lead(key, *flight, compute);
        if (!result.ok()) return result.status();
        return Outcome{.value = *std::move(result), .shared = false};
      }
      const Status waited = flight->Await(cancellation);
      flight->Leave(&cancellation);
      RETURN_IF_ERROR(waited);
      const Result<V>& result = *flight->result;
      // The flight may have been given up by everybody else at the moment this caller joined.
      if (!result.ok() && result.status().code() == Code::kCancelled) continue;
      if (!result.ok()) return result.status();
      return Outcome{.value = *result, .shared = !leads};
    }
  }

  struct Flight {
    std::mutex mu;
    std::condition_variable ended;
    std::vector<const Cancellation*> callers;  // guarded by mu
    std::optional<Result<V>> result;           // guarded by mu until set, constant afterwards

    void Join(const Cancellation* c) {
      const std::lock_guard<std::mutex> lock(mu);
      callers.push_back(c);
    }
    void Leave(const Cancellation* c) {
      const std::lock_guard<std::mutex> lock(mu);
      std::erase(callers, c);
    }
    bool Abandoned() {
      const std::lock_guard<std::mutex> lock(mu);
      for (const Cancellation* c : callers) {
        if (c->Check().ok()) return false;
      }
      return true;
    }
    Status Await(const Cancellation& cancellation) {
      std::unique_lock<std::mutex> lock(mu);
      while (!ended.wait_for(lock, std::chrono::milliseconds(20),
                             [this] { return result.has_value(); })) {
        RETURN_IF_ERROR(cancellation.Check());
      }
      return OkStatus();
    }
  };

  Status LeadApart(const std::string& key, const std::shared_ptr<Flight>& flight,
                   const Compute& compute, const Cancellation* caller) {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      ++apart_;
    }
    try {
      std::thread([this, key, flight, compute] {
        (void)Lead(key, *flight, compute);
        const std::lock_guard<std::mutex> lock(mu_);
        --apart_;
        landed_.notify_all();
      }).detach();
    } catch (const std::system_error& e) {
      const Status failed = ResourceExhausted(std::string("no thread: ") + e.what());
      flight->Leave(caller);
      const Compute fails = [&failed](const Cancellation&) -> Result<V> { return failed; };
      (void)Lead(key, *flight, fails);
      const std::lock_guard<std::mutex> lock(mu_);
      --apart_;
      return failed;
    }
    return OkStatus();
  }

  Result<V> Lead(const std::string& key, Flight& flight, const Compute& compute) {
    const Cancellation all_gone(
        std::nullopt, RealClock(),
        [](const void* f) {
          return const_cast<Flight*>(static_cast<const Flight*>(f))->Abandoned();
        },
        &flight);
    Result<V> result = Guarded(compute, all_gone);
    {
      // First unlisted, then ended: whoever comes later starts afresh.
      const std::lock_guard<std::mutex> lock(mu_);
      flights_.erase(key);
    }
    const std::lock_guard<std::mutex> lock(flight.mu);
    flight.result = result;
    flight.ended.notify_all();
    return result;
  }

  // A computation that throws must not leave the others waiting for ever.
  static Result<V> Guarded(const Compute& compute, const Cancellation& cancellation) {
    try {
      return compute(cancellation);
    } catch (const std::exception& e) {
      return Internal(std::string("computation failed: ") + e.what());
    }
  }

  std::mutex mu_;
  std::condition_variable landed_;
  size_t apart_ = 0;                                        // guarded by mu_; threads of DoApart
  std::map<std::string, std::shared_ptr<Flight>> flights_;  // guarded by mu_
};

}  // namespace megalith::cache
