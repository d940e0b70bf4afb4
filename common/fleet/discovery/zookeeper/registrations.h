// Ephemeral nodes that stand for this process: kept with their last value through session losses.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/fleet/discovery/zookeeper/client.h"

namespace megalith::discovery {

// Creates every node once per session, with the value it has then: a lost session costs no state
// and causes no flapping (spec agent-service.md, D1, D3, D4). A node that another session owns, an
// earlier run of the same replica for example, gets our value and is created as ours when it goes.
// Thread-safe. The client must outlive it.
class ZkRegistrations final : public ZkListener {
 public:
  explicit ZkRegistrations(ZkClient& client);
  // Removes the nodes, if ZooKeeper can be reached.
  ~ZkRegistrations() override;

  // From now on the node at `path` is to exist with `data`; equal bytes are not written again.
  // Errors: those of ZkClient. After kUnavailable it is written with the next connection.
  Status Put(const std::string& path, std::string_view data);
  // Creates `prefix` with ten digits after it, and keeps the node under that name from then on.
  // Errors: those of ZkClient; nothing is kept then.
  Result<std::string> PutSequential(const std::string& prefix, std::string_view data);
  // The node is no longer wanted. One that another session owns stays. OK if there was none. After
  // kUnavailable it is removed with the next connection.
  Status Remove(const std::string& path);
  // Creates wanted nodes that somebody has deleted. Errors: the first one met.
  Status Verify();

  // Wanted nodes whose place another session holds.
  size_t shared() const;

  void OnSession(const SessionEvent& event) override;
  void OnNode(const NodeEvent& event) override;

 private:
  struct Wanted {
    std::string data;
    int64_t session = 0;  // in which it was written last; 0: it must be written
    bool shared = false;  // another session owns the node
    bool warned = false;
  };
  // Require mu_.
  Status Write(const std::string& path, Wanted* wanted);
  void WriteAll(int64_t session);

  ZkClient& client_;
  mutable std::mutex mu_;  // held while nodes are written, which keeps values in order
  std::map<std::string, Wanted> wanted_;  // guarded by mu_
  // Nodes to be removed while the session lives in which they were made. Guarded by mu_.
  std::map<std::string, int64_t> unwanted_;
  std::unique_ptr<Handle> subscription_;  // last: ends first
};

}  // namespace megalith::discovery
