// Which replicas serve a name: the interface, and the registry that lives in one process.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::discovery {

// One replica of a service.
struct Endpoint {
  std::string service;  // "trace", "cache", ...
  std::string address;  // what a channel dials: "host:port" or "unix:/path"
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// The replicas of one service at one moment, sorted by address; immutable.
using Snapshot = std::shared_ptr<const std::vector<Endpoint>>;

// Ends what it stands for when destroyed: a registration or a subscription. Destruction of a
// subscription waits for a callback that runs on another thread, so it must not happen inside that
// callback.
class Handle {
 public:
  virtual ~Handle() = default;
};

// Thread-safe. Handles must not outlive the registry that made them.
class Registry {
 public:
  virtual ~Registry() = default;

  // Announces a replica until the handle is destroyed. Registering the same endpoint twice counts
  // twice. Errors: kUnimplemented  the registry is read-only; kUnavailable  its store cannot be
  // reached.
  virtual Result<std::unique_ptr<Handle>> Register(const Endpoint& endpoint) = 0;

  // The replicas now; empty if there are none.
  virtual Result<Snapshot> Lookup(const std::string& service) = 0;

  // Calls `on_change` once before it returns and again after every change, one call at a time, in
  // order, never with an outdated snapshot after a newer one. The callback must not call into the
  // registry.
  virtual Result<std::unique_ptr<Handle>> Watch(const std::string& service,
                                                std::function<void(const Snapshot&)> on_change) = 0;

  // How long ago what Lookup and Watch give was last known to be current; nullopt while it is. A
  // store that is lost leaves its last snapshot in use.
  virtual std::optional<std::chrono::nanoseconds> Staleness() const { return std::nullopt; }
};

// Serializes the callbacks of one registry: what all implementations of Watch share. Thread-safe.
class WatchList {
 public:
  // Runs `on_change` with `current()` before it returns.
  std::unique_ptr<Handle> Add(const std::string& service,
                              std::function<void(const Snapshot&)> on_change,
                              const std::function<Snapshot()>& current);
  // Tells every watcher of `service` what `current()` gives.
  void Notify(const std::string& service, const std::function<Snapshot()>& current);

 private:
  class WatchHandle;
  std::mutex mu_;  // held while callbacks run, which keeps them in order
  uint64_t next_id_ = 0;
  std::map<std::string, std::map<uint64_t, std::function<void(const Snapshot&)>>>
      watchers_;  // guarded by mu_
};

// Replicas of one process: the all-in-one and tests.
class MemoryRegistry final : public Registry {
 public:
  Result<std::unique_ptr<Handle>> Register(const Endpoint& endpoint) override;
  Result<Snapshot> Lookup(const std::string& service) override;
  Result<std::unique_ptr<Handle>> Watch(const std::string& service,
                                        std::function<void(const Snapshot&)> on_change) override;

 private:
  class Registration;
  Snapshot Current(const std::string& service);
  void Deregister(const Endpoint& endpoint);

  std::mutex mu_;
  std::map<Endpoint, int> endpoints_;  // guarded by mu_; with the number of registrations
  WatchList watches_;
};

}  // namespace megalith::discovery
