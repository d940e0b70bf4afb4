// A client of a ZooKeeper ensemble: one session at a time, opened again when it expires, with
// errors as values and events on a thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/foundation/base/status.h"

namespace megalith::discovery {

struct ZkOptions {
  // "host:port,host:port" (the port may be missing: 2181), then optionally "/path", the chroot:
  // every other path is below it. The chroot is created when something is created below it.
  std::string servers;
  // "user:password" of the digest scheme, sent with every connection; empty: none. Nodes are open
  // to the world in either case, as Monolith's agents make them.
  std::string auth;
  // Asked for; the servers may grant another one. Ephemeral nodes outlive a silent client by this.
  std::chrono::milliseconds session_timeout{10'000};
};

enum class SessionState : uint8_t {
  kConnecting = 0,  // no session yet
  kConnected = 1,
  kSuspended = 2,   // the connection is lost, the session may still live
  kExpired = 3,     // the session is gone; the next one is being opened
  kAuthFailed = 4,  // the servers refuse the credentials; tried again after session_timeout
};
std::string_view SessionStateName(SessionState state);

struct SessionEvent {
  SessionState state = SessionState::kConnecting;
  // With kConnected, otherwise 0. Another number than before: ephemeral nodes of the earlier
  // session are gone or will go.
  int64_t session_id = 0;
};

struct NodeEvent {
  enum class Kind : uint8_t { kCreated, kDeleted, kChanged, kChildren };
  Kind kind = Kind::kChanged;
  std::string path;
};

// Called on the client's event thread, one call at a time, without a lock held. May call every
// method of the client except WaitConnected, and must not end its own subscription.
class ZkListener {
 public:
  virtual ~ZkListener() = default;
  // The state now, first of all, and every change of it.
  virtual void OnSession(const SessionEvent& event) = 0;
  // A watch has fired, whoever set it: listeners pick the paths they care for. A watch fires once.
  virtual void OnNode(const NodeEvent& event) = 0;
};

struct ZkNode {
  std::string data;
  int64_t owner_session = 0;  // of an ephemeral node, otherwise 0
  int64_t created = 0;        // transaction that created it: another number, another node
  int32_t version = 0;        // grows by one with every Set
};

enum class CreateMode : uint8_t {
  kPersistent = 0,
  kEphemeral = 1,
  kPersistentSequential = 2,  // the servers append ten digits to the name
  kEphemeralSequential = 3,
};

// Thread-safe, except for destruction. Calls block for a round trip and for at most about the
// session timeout. Paths are absolute, below the chroot. Errors of all calls: kUnavailable  the
// connection or the session is lost, the call may have been carried out; kInvalidArgument  a path
// that ZooKeeper does not admit; kPermissionDenied; kResourceExhausted  data above the servers'
// limit.
class ZkClient {
 public:
  // Starts connecting and returns at once. Errors: kInvalidArgument  servers cannot be parsed.
  static Result<std::unique_ptr<ZkClient>> Open(const ZkOptions& options);
  // Closes the session, which removes its ephemeral nodes, and joins. Subscriptions end before.
  ~ZkClient();

  // Errors: kDeadlineExceeded; kPermissionDenied  the servers refuse the credentials.
  Status WaitConnected(std::chrono::milliseconds timeout);
  SessionState state() const;
  // 0 unless connected or suspended.
  int64_t session_id() const;
  const std::string& servers() const;

  // Creates the node and, persistent and empty, the parents it lacks. Returns its path, which
  // differs from `path` for sequential nodes. Errors: kAlreadyExists.
  Result<std::string> Create(const std::string& path, std::string_view data, CreateMode mode);
  // With `watch`, the next change of a node found fires. Errors: kNotFound.
  Result<ZkNode> Get(const std::string& path, bool watch = false);
  // The same for many nodes in about one round trip; results in the order of `paths`.
  std::vector<Result<ZkNode>> GetMany(std::span<const std::string> paths, bool watch = false);
  // nullopt if there is no node; with `watch`, creation, change or deletion fires in either case.
  // The data is left empty.
  Result<std::optional<ZkNode>> Exists(const std::string& path, bool watch = false);
  // Names, sorted. With `watch`, the next change of the list fires. Errors: kNotFound.
  Result<std::vector<std::string>> Children(const std::string& path, bool watch = false);
  // The same for many nodes in about one round trip.
  std::vector<Result<std::vector<std::string>>> ChildrenOfMany(std::span<const std::string> paths,
                                                               bool watch = false);
  // `version` -1 replaces any. Errors: kNotFound; kAborted  the node has another version.
  Status Set(const std::string& path, std::string_view data, int32_t version = -1);
  // Errors: kNotFound; kFailedPrecondition  it has children; kAborted  another version.
  Status Delete(const std::string& path, int32_t version = -1);

  // `listener` hears events until the handle is destroyed, which waits for a call in progress.
  std::unique_ptr<Handle> Listen(ZkListener* listener);

 private:
  struct Impl;
  struct Session;
  class Subscription;
  ZkClient();
  std::unique_ptr<Impl> impl_;
};

// kInvalidArgument unless ZooKeeper admits the path: absolute, no empty, "." or ".." component, no
// control characters, at most 1024 bytes.
Status CheckZkPath(std::string_view path);

}  // namespace megalith::discovery
