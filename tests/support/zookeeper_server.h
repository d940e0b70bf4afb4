// A ZooKeeper server inside a test: it speaks the wire protocol well enough for the real client
// library, and loses connections and sessions when told to.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace megalith::testing {

// Standalone, in memory, on a free port of 127.0.0.1. Requests: connect, ping, auth, create,
// delete, exists, getData, setData, getChildren (with and without stat), setWatches, close.
// Sessions expire only by ExpireSessions and never by time, so that tests do not depend on it. All
// methods may be called from any thread; what they change fires watches as another client's request
// would.
class ZooKeeperServer {
 public:
  ZooKeeperServer();
  ~ZooKeeperServer();
  ZooKeeperServer(const ZooKeeperServer&) = delete;
  ZooKeeperServer& operator=(const ZooKeeperServer&) = delete;

  // "127.0.0.1:port".
  const std::string& address() const { return address_; }

  // With parents; replaces. `owner` is a session, 0 for persistent nodes.
  void Put(const std::string& path, std::string_view data, int64_t owner = 0);
  // With everything below it.
  void Remove(const std::string& path);
  std::optional<std::string> Data(const std::string& path) const;
  // nullopt without the node; 0 for a persistent one.
  std::optional<int64_t> Owner(const std::string& path) const;
  std::vector<std::string> Children(const std::string& path) const;

  // Closes all connections; sessions live on and clients come back.
  void DropConnections();
  // Ends all sessions: their ephemeral nodes go, connections close, clients that come back hear of
  // it.
  void ExpireSessions();
  // While false, new connections are closed at once.
  void SetReachable(bool reachable);
  // Clients that send other digest credentials are refused ("user:password").
  void RequireAuth(const std::string& credentials);

  // Requests of this type that were answered since the start, by the protocol's number.
  uint64_t requests(int32_t type) const;
  size_t sessions() const;
  // Digest credentials that clients have sent.
  std::vector<std::string> credentials() const;

 private:
  struct Node {
    std::string data;
    int64_t owner = 0, created = 0, modified = 0;
    int32_t version = 0, children_version = 0;
    uint64_t sequence = 0;  // of sequential children
  };
  struct Connection {
    int socket = -1;
    std::string in, out;
    int64_t session = 0;
    bool closing = false;
    std::set<std::string> data_watches, child_watches;
  };
  class Reader;
  class Writer;

  void Loop();
  void Wake();
  // The rest requires mu_.
  void Serve(Connection* connection);
  void Connect(Connection* connection, Reader& in);
  int32_t Handle(Connection* connection, int32_t type, Reader& in, Writer* out);
  int32_t HandleCreate(Connection* connection, Reader& in, Writer* out);
  int32_t HandleRead(Connection* connection, int32_t type, Reader& in, Writer* out);
  void HandleSetWatches(Connection* connection, Reader& in);
  int32_t CreateNode(const std::string& path, std::string_view data, int64_t owner);
  int32_t DeleteNode(const std::string& path);
  void Fire(int32_t event, const std::string& path);
  void EndSession(int64_t session);
  void PutStat(const Node& node, const std::string& path, Writer* out) const;
  std::vector<std::string> ChildrenLocked(const std::string& path) const;

  std::string address_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  mutable std::mutex mu_;
  std::map<std::string, Node> nodes_;  // guarded by mu_, as all below
  std::vector<std::unique_ptr<Connection>> connections_;
  std::set<int64_t> sessions_;
  std::map<int32_t, uint64_t> requests_;
  std::vector<std::string> credentials_;
  std::string required_;
  int64_t transaction_ = 0;
  int64_t next_session_ = 0x1000;
  bool reachable_ = true;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace megalith::testing
