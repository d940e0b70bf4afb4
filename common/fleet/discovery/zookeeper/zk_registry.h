// Discovery of our own services in ZooKeeper: /megalith/services/<service>/<address>, ephemeral.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/registrations.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"

namespace megalith::discovery {

// Lookups are answered from memory, also while ZooKeeper is lost. Registrations come back by
// themselves in a new session. Layout: docs/formats/zookeeper.md. Thread-safe.
class ZkRegistry final : public Registry {
 public:
  // Waits for the first reading of the tree for at most `start_wait`, then goes on without it:
  // Lookup returns kUnavailable until it was read. Errors: those of ZkClient::Open;
  // kPermissionDenied  the servers refuse the credentials.
  static Result<std::unique_ptr<ZkRegistry>> Open(const ZkOptions& options,
                                                  std::chrono::milliseconds start_wait);

  // A node that cannot be written now is written when ZooKeeper is back.
  Result<std::unique_ptr<Handle>> Register(const Endpoint& endpoint) override;
  Result<Snapshot> Lookup(const std::string& service) override;
  Result<std::unique_ptr<Handle>> Watch(const std::string& service,
                                        std::function<void(const Snapshot&)> on_change) override;
  std::optional<std::chrono::nanoseconds> Staleness() const override {
    return mirror_->staleness();
  }

  ZkClient& client() { return *client_; }
  const TreeMirror& mirror() const { return *mirror_; }

 private:
  class Registration;
  ZkRegistry() = default;
  void OnChange(const TreeSnapshot& tree);
  Snapshot Current(const std::string& service);
  void Deregister(const Endpoint& endpoint);

  std::mutex mu_;
  std::map<std::string, Snapshot> services_;  // guarded by mu_
  std::mutex register_mu_;                    // held while nodes are made and removed, in order
  std::map<Endpoint, int> registered_;        // guarded by register_mu_; how often
  WatchList watches_;
  std::unique_ptr<ZkClient> client_;
  std::unique_ptr<ZkRegistrations> registrations_;
  std::unique_ptr<TreeMirror> mirror_;  // last: its callback uses the rest
};

// "zk://host:port,host:port/chroot" as ZkOptions::servers; nullopt for other text.
std::optional<std::string> ZkServersOf(std::string_view target);

}  // namespace megalith::discovery
