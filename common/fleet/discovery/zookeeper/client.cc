#include "common/fleet/discovery/zookeeper/client.h"

#include <zookeeper/zookeeper.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "common/fleet/discovery/zookeeper/answer.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::discovery {
namespace {

using telemetry::Level;
using telemetry::Log;

// Requests that are under way at a time: enough to hide the round trip.
constexpr size_t kMaxOutstanding = 256;
// Before a session is opened again that could not be opened at all.
constexpr std::chrono::milliseconds kReopenDelay{500};
constexpr size_t kMaxPathBytes = 1024;

void OnAuth(int rc, const void*) {
  if (rc == ZAUTHFAILED) Log(Level::error, "zookeeper_auth_failed");
}

void OnLibraryMessage(const char* message) {
  Log(Level::debug, "zookeeper_library", {{"message", message}});
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "" : path.substr(0, slash);
}

// Checks "host:port,host" and adds the usual port where none is given.
Result<std::string> HostsOf(std::string_view servers) {
  std::string out;
  for (const std::string_view part : Split(servers, ',')) {
    const std::string_view host = Trim(part);
    const size_t colon = host.ends_with(']') ? host.npos : host.rfind(':');
    const auto port =
        colon == host.npos ? std::optional<uint64_t>(2181) : ParseUint(host.substr(colon + 1));
    if (host.empty() || colon == 0 || !port || *port == 0 || *port > 65535) {
      return InvalidArgument(StrCat("zookeeper servers '", Printable(servers, 200),
                                    "': expects host:port,host:port/chroot, got '", Printable(host),
                                    "'"));
    }
    StrAppend(&out, out.empty() ? "" : ",", host.substr(0, colon), ":", *port);
  }
  return out;
}

// Something for the event thread.
struct Pending {
  enum class Kind : uint8_t { kSession, kNode, kIntroduce } kind = Kind::kSession;
  uint64_t generation = 0;  // of the session that reports
  int state = 0;            // the library's
  int64_t session_id = 0;
  NodeEvent node;
  uint64_t listener = 0;  // of kIntroduce
};

}  // namespace

std::string_view SessionStateName(SessionState state) {
  constexpr std::string_view kNames[] = {"connecting", "connected", "suspended", "expired",
                                         "auth_failed"};
  return kNames[static_cast<size_t>(state)];
}

Status CheckZkPath(std::string_view path) {
  const auto bad = [path](std::string_view why) {
    return InvalidArgument(StrCat("zookeeper: path '", Printable(path, 200), "' ", why));
  };
  if (path.empty() || path[0] != '/') return bad("must begin with '/'");
  if (path.size() > kMaxPathBytes) return bad("is longer than 1024 bytes");
  if (path.size() == 1) return OkStatus();
  for (const std::string_view part : Split(path.substr(1), '/')) {
    if (part.empty()) return bad("has an empty component");
    if (part == "." || part == "..") return bad("has a relative component");
    for (const char c : part) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return bad("has a control character");
    }
  }
  return FindInvalidUtf8(path) ? bad("is not UTF-8") : OkStatus();
}

// One session of the library. Closed when its last user lets go, never on the library's threads:
// they hold no reference.
struct ZkClient::Session {
  Impl* impl = nullptr;
  uint64_t generation = 0;
  zhandle_t* handle = nullptr;
  ~Session() {
    if (handle != nullptr) zookeeper_close(handle);
  }
  static void Watch(zhandle_t* handle, int type, int state, const char* path, void* context);
};

struct ZkClient::Impl {
  std::string hosts;
  std::string servers;
  std::string chroot;  // "" or "/a/b"
  ZkOptions options;

  mutable std::mutex mu;
  std::condition_variable wake;      // the event thread
  std::condition_variable changed;   // state, or the end of a call to a listener
  std::shared_ptr<Session> session;  // guarded by mu, as all below
  uint64_t generation = 0;
  SessionState state = SessionState::kConnecting;
  int64_t session_id = 0;
  std::deque<Pending> queue;
  std::map<uint64_t, ZkListener*> listeners;
  std::set<uint64_t> introduced;  // listeners that know the state
  uint64_t next_listener = 0;
  uint64_t calling = UINT64_MAX;  // the listener that is being called
  bool stopping = false;
  std::thread events;

  std::shared_ptr<Session> Current() const {
    const std::lock_guard<std::mutex> lock(mu);
    return session;
  }
  std::string Full(const std::string& path) const {
    return path == "/" && !chroot.empty() ? chroot : StrCat(chroot, path);
  }
  void Push(Pending pending) {
    const std::lock_guard<std::mutex> lock(mu);
    queue.push_back(std::move(pending));
    wake.notify_all();
  }

  bool OpenSession();
  void EventLoop();
  void HandleSession(const Pending& pending);
  void Reopen(std::chrono::milliseconds delay);
  template <typename F>
  void CallListeners(const F& call);
  template <typename F>
  void CallListener(uint64_t id, const F& call);

  // Sends requests with `submit(handle, full path, answer)` and collects what `take` makes of the
  // answers, a bounded number at a time.
  template <typename T, typename Submit, typename Take>
  std::vector<Result<T>> Many(std::span<const std::string> paths, std::string_view what,
                              const Submit& submit, const Take& take);
  Status CreateParents(const std::string& full_path);
  Result<std::string> CreateOne(const std::string& full_path, std::string_view data, int mode);
};

void ZkClient::Session::Watch(zhandle_t* handle, int type, int state, const char* path,
                              void* context) {
  auto* const self = static_cast<Session*>(context);
  Pending pending;
  pending.generation = self->generation;
  if (type == ZOO_SESSION_EVENT) {
    pending.state = state;
    const clientid_t* const id = zoo_client_id(handle);
    pending.session_id = id == nullptr ? 0 : id->client_id;
  } else {
    pending.kind = Pending::Kind::kNode;
    if (type == ZOO_CREATED_EVENT) {
      pending.node.kind = NodeEvent::Kind::kCreated;
    } else if (type == ZOO_DELETED_EVENT) {
      pending.node.kind = NodeEvent::Kind::kDeleted;
    } else if (type == ZOO_CHANGED_EVENT) {
      pending.node.kind = NodeEvent::Kind::kChanged;
    } else if (type == ZOO_CHILD_EVENT) {
      pending.node.kind = NodeEvent::Kind::kChildren;
    } else {
      return;
    }
    const std::string_view full = path == nullptr ? "" : path;
    const std::string& chroot = self->impl->chroot;
    if (!full.starts_with(chroot)) return;
    pending.node.path = full.substr(chroot.size());
    if (pending.node.path.empty()) pending.node.path = "/";
  }
  self->impl->Push(std::move(pending));
}

bool ZkClient::Impl::OpenSession() {
  auto fresh = std::make_shared<Session>();
  fresh->impl = this;
  {
    const std::lock_guard<std::mutex> lock(mu);
    fresh->generation = ++generation;
  }
  fresh->handle = zookeeper_init2(hosts.c_str(), &Session::Watch,
                                  static_cast<int>(options.session_timeout.count()), nullptr,
                                  fresh.get(), ZOO_NO_LOG_CLIENTENV, &OnLibraryMessage);
  if (fresh->handle == nullptr) return false;
  if (!options.auth.empty()) {
    (void)zoo_add_auth(fresh->handle, "digest", options.auth.data(),
                       static_cast<int>(options.auth.size()), &OnAuth, nullptr);
  }
  const std::lock_guard<std::mutex> lock(mu);
  session = std::move(fresh);
  return true;
}

template <typename F>
void ZkClient::Impl::CallListener(uint64_t id, const F& call) {
  ZkListener* listener = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mu);
    const auto at = listeners.find(id);
    if (at == listeners.end()) return;
    listener = at->second;
    calling = id;
  }
  call(*listener);
  const std::lock_guard<std::mutex> lock(mu);
  calling = UINT64_MAX;
  changed.notify_all();
}

template <typename F>
void ZkClient::Impl::CallListeners(const F& call) {
  std::vector<uint64_t> ids;
  {
    const std::lock_guard<std::mutex> lock(mu);
    ids.assign(introduced.begin(), introduced.end());
  }
  for (const uint64_t id : ids) CallListener(id, call);
}

void ZkClient::Impl::Reopen(std::chrono::milliseconds delay) {
  std::shared_ptr<Session> old;
  {
    std::unique_lock<std::mutex> lock(mu);
    session_id = 0;
    wake.wait_for(lock, delay, [this] { return stopping; });
    old = std::move(session);
  }
  old.reset();
  while (!OpenSession()) {
    std::unique_lock<std::mutex> lock(mu);
    if (wake.wait_for(lock, kReopenDelay, [this] { return stopping; })) return;
  }
}

void ZkClient::Impl::HandleSession(const Pending& pending) {
  SessionEvent event;
  if (pending.state == ZOO_CONNECTED_STATE) {
    event.state = SessionState::kConnected;
    event.session_id = pending.session_id;
  } else if (pending.state == ZOO_EXPIRED_SESSION_STATE) {
    event.state = SessionState::kExpired;
  } else if (pending.state == ZOO_AUTH_FAILED_STATE) {
    event.state = SessionState::kAuthFailed;
  } else {
    const std::lock_guard<std::mutex> lock(mu);
    event.state = session_id == 0 ? SessionState::kConnecting : SessionState::kSuspended;
  }
  bool same = false;
  {
    const std::lock_guard<std::mutex> lock(mu);
    same = state == event.state && (event.session_id == 0 || event.session_id == session_id);
    state = event.state;
    if (event.session_id != 0) session_id = event.session_id;
    changed.notify_all();
  }
  if (!same) {
    Log(Level::info, "zookeeper_session",
        {{"servers", servers},
         {"state", SessionStateName(event.state)},
         {"session", event.session_id}});
    CallListeners([&event](ZkListener& listener) { listener.OnSession(event); });
  }
  if (event.state == SessionState::kExpired) Reopen(std::chrono::milliseconds(0));
  if (event.state == SessionState::kAuthFailed) Reopen(options.session_timeout);
}

void ZkClient::Impl::EventLoop() {
  SetThreadName("zk-events");
  while (true) {
    Pending next;
    SessionEvent now;
    {
      std::unique_lock<std::mutex> lock(mu);
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (stopping) return;
      next = std::move(queue.front());
      queue.pop_front();
      if (next.kind == Pending::Kind::kIntroduce && listeners.contains(next.listener)) {
        introduced.insert(next.listener);
      }
      if (next.kind != Pending::Kind::kIntroduce && next.generation != generation) continue;
      now = {.state = state, .session_id = state == SessionState::kConnected ? session_id : 0};
    }
    if (next.kind == Pending::Kind::kSession) {
      HandleSession(next);
    } else if (next.kind == Pending::Kind::kNode) {
      CallListeners([&next](ZkListener& listener) { listener.OnNode(next.node); });
    } else {
      CallListener(next.listener, [&now](ZkListener& listener) { listener.OnSession(now); });
    }
  }
}

class ZkClient::Subscription final : public Handle {
 public:
  Subscription(Impl* impl, uint64_t id) : impl_(impl), id_(id) {}
  ~Subscription() override {
    std::unique_lock<std::mutex> lock(impl_->mu);
    impl_->listeners.erase(id_);
    impl_->introduced.erase(id_);
    impl_->changed.wait(lock, [this] { return impl_->calling != id_; });
  }

 private:
  Impl* const impl_;
  const uint64_t id_;
};

ZkClient::ZkClient() : impl_(std::make_unique<Impl>()) {}

Result<std::unique_ptr<ZkClient>> ZkClient::Open(const ZkOptions& options) {
  // Before the first handle: the library's own log goes to stderr until a handle has a callback.
  static const bool quiet = (zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR), true);
  (void)quiet;
  std::unique_ptr<ZkClient> client(new ZkClient());
  Impl& impl = *client->impl_;
  impl.options = options;
  const size_t slash = options.servers.find('/');
  impl.servers = options.servers;
  impl.hosts = options.servers.substr(0, slash);
  if (slash != std::string::npos && slash + 1 < options.servers.size()) {
    impl.chroot = options.servers.substr(slash);
    RETURN_IF_ERROR(CheckZkPath(impl.chroot).Annotate("chroot"));
  }
  ASSIGN_OR_RETURN(impl.hosts, HostsOf(impl.hosts));
  if (options.session_timeout.count() < 1 || options.session_timeout.count() > 86'400'000) {
    return InvalidArgument("zookeeper: the session timeout must be 1 ms to a day");
  }
  if (!impl.OpenSession()) {
    // A name that cannot be resolved now may be later.
    impl.Push({.kind = Pending::Kind::kSession,
               .generation = impl.generation,
               .state = ZOO_EXPIRED_SESSION_STATE});
  }
  impl.events = std::thread([&impl] { impl.EventLoop(); });
  return client;
}

ZkClient::~ZkClient() {
  {
    const std::lock_guard<std::mutex> lock(impl_->mu);
    impl_->stopping = true;
    impl_->wake.notify_all();
  }
  if (impl_->events.joinable()) impl_->events.join();
  impl_->session.reset();
}

Status ZkClient::WaitConnected(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(impl_->mu);
  impl_->changed.wait_for(lock, timeout, [this] {
    return impl_->state == SessionState::kConnected || impl_->state == SessionState::kAuthFailed;
  });
  if (impl_->state == SessionState::kConnected) return OkStatus();
  if (impl_->state == SessionState::kAuthFailed) {
    return Status(Code::kPermissionDenied,
                  StrCat("zookeeper at '", impl_->servers, "' refuses the credentials"));
  }
  return DeadlineExceeded(StrCat("zookeeper at '", impl_->servers, "': no session within ",
                                 timeout.count(), " ms; the state is ",
                                 SessionStateName(impl_->state)));
}

SessionState ZkClient::state() const {
  const std::lock_guard<std::mutex> lock(impl_->mu);
  return impl_->state;
}

int64_t ZkClient::session_id() const {
  const std::lock_guard<std::mutex> lock(impl_->mu);
  return impl_->session_id;
}

const std::string& ZkClient::servers() const { return impl_->servers; }

template <typename T, typename Submit, typename Take>
std::vector<Result<T>> ZkClient::Impl::Many(std::span<const std::string> paths,
                                            std::string_view what, const Submit& submit,
                                            const Take& take) {
  std::vector<Result<T>> out;
  out.reserve(paths.size());
  const std::shared_ptr<Session> current = Current();
  for (size_t begin = 0; begin < paths.size(); begin += kMaxOutstanding) {
    const size_t count = std::min(kMaxOutstanding, paths.size() - begin);
    std::vector<Answer> answers(count);
    std::vector<Status> refused(count);
    for (size_t i = 0; i < count; ++i) {
      const std::string& path = paths[begin + i];
      refused[i] = CheckZkPath(path);
      if (!refused[i].ok()) continue;
      if (current == nullptr) {
        refused[i] = StatusOf(ZINVALIDSTATE, what, path);
        continue;
      }
      refused[i] = StatusOf(submit(current->handle, Full(path), &answers[i]), what, path);
    }
    for (size_t i = 0; i < count; ++i) {
      const Status status =
          refused[i].ok() ? StatusOf(answers[i].Wait(), what, paths[begin + i]) : refused[i];
      out.push_back(status.ok() ? Result<T>(take(answers[i])) : Result<T>(status));
    }
  }
  return out;
}

Result<std::string> ZkClient::Impl::CreateOne(const std::string& full_path, std::string_view data,
                                              int mode) {
  const std::shared_ptr<Session> current = Current();
  Answer answer;
  int rc = ZINVALIDSTATE;
  if (current != nullptr) {
    rc = zoo_acreate(current->handle, full_path.c_str(), data.data(), static_cast<int>(data.size()),
                     &ZOO_OPEN_ACL_UNSAFE, mode, &OnText, &answer);
    if (rc == ZOK) rc = answer.Wait();
  }
  RETURN_IF_ERROR(StatusOf(rc, "create", full_path));
  return answer.text;
}

Status ZkClient::Impl::CreateParents(const std::string& full_path) {
  const std::string parent = ParentOf(full_path);
  if (parent.empty()) return OkStatus();
  Status status = CreateOne(parent, "", ZOO_PERSISTENT).status();
  if (status.code() == Code::kNotFound) {
    RETURN_IF_ERROR(CreateParents(parent));
    status = CreateOne(parent, "", ZOO_PERSISTENT).status();
  }
  return status.code() == Code::kAlreadyExists ? OkStatus() : status;
}

Result<std::string> ZkClient::Create(const std::string& path, std::string_view data,
                                     CreateMode mode) {
  RETURN_IF_ERROR(CheckZkPath(path));
  // Other clients may remove an empty parent again before the node is there: tried a few times.
  constexpr int kTries = 5;
  const int modes[] = {ZOO_PERSISTENT, ZOO_EPHEMERAL, ZOO_PERSISTENT_SEQUENTIAL,
                       ZOO_EPHEMERAL_SEQUENTIAL};
  const std::string full = impl_->Full(path);
  for (int i = 1;; ++i) {
    const Result<std::string> created =
        impl_->CreateOne(full, data, modes[static_cast<size_t>(mode)]);
    if (created.ok()) {
      if (created->starts_with(full)) return created->substr(impl_->chroot.size());
      return Internal(StrCat("zookeeper: asked to create '", Printable(full, 200),
                             "', the server created '", Printable(*created, 200), "'"));
    }
    if (created.status().code() != Code::kNotFound || i == kTries) return created.status();
    RETURN_IF_ERROR(impl_->CreateParents(full));
  }
}

std::vector<Result<ZkNode>> ZkClient::GetMany(std::span<const std::string> paths, bool watch) {
  return impl_->Many<ZkNode>(
      paths, "get",
      [watch](zhandle_t* handle, const std::string& path, Answer* answer) {
        return zoo_aget(handle, path.c_str(), watch ? 1 : 0, &OnData, answer);
      },
      [](Answer& answer) { return std::move(answer.node); });
}

Result<ZkNode> ZkClient::Get(const std::string& path, bool watch) {
  return std::move(GetMany({&path, 1}, watch).front());
}

std::vector<Result<std::vector<std::string>>> ZkClient::ChildrenOfMany(
    std::span<const std::string> paths, bool watch) {
  return impl_->Many<std::vector<std::string>>(
      paths, "list",
      [watch](zhandle_t* handle, const std::string& path, Answer* answer) {
        return zoo_aget_children(handle, path.c_str(), watch ? 1 : 0, &OnNames, answer);
      },
      [](Answer& answer) { return std::move(answer.names); });
}

Result<std::vector<std::string>> ZkClient::Children(const std::string& path, bool watch) {
  return std::move(ChildrenOfMany({&path, 1}, watch).front());
}

Result<std::optional<ZkNode>> ZkClient::Exists(const std::string& path, bool watch) {
  Result<ZkNode> found =
      std::move(impl_
                    ->Many<ZkNode>(
                        {&path, 1}, "look up",
                        [watch](zhandle_t* handle, const std::string& full, Answer* answer) {
                          return zoo_aexists(handle, full.c_str(), watch ? 1 : 0, &OnStat, answer);
                        },
                        [](Answer& answer) { return std::move(answer.node); })
                    .front());
  if (found.ok()) return std::optional<ZkNode>(*std::move(found));
  if (found.status().code() == Code::kNotFound) return std::optional<ZkNode>();
  return found.status();
}

Status ZkClient::Set(const std::string& path, std::string_view data, int32_t version) {
  return impl_
      ->Many<bool>(
          {&path, 1}, "set",
          [data, version](zhandle_t* handle, const std::string& full, Answer* answer) {
            return zoo_aset(handle, full.c_str(), data.data(), static_cast<int>(data.size()),
                            version, &OnStat, answer);
          },
          [](Answer&) { return true; })
      .front()
      .status();
}

Status ZkClient::Delete(const std::string& path, int32_t version) {
  return impl_
      ->Many<bool>(
          {&path, 1}, "delete",
          [version](zhandle_t* handle, const std::string& full, Answer* answer) {
            return zoo_adelete(handle, full.c_str(), version, &OnVoid, answer);
          },
          [](Answer&) { return true; })
      .front()
      .status();
}

std::unique_ptr<Handle> ZkClient::Listen(ZkListener* listener) {
  const std::lock_guard<std::mutex> lock(impl_->mu);
  const uint64_t id = impl_->next_listener++;
  impl_->listeners.emplace(id, listener);
  impl_->queue.push_back({.kind = Pending::Kind::kIntroduce, .listener = id});
  impl_->wake.notify_all();
  return std::make_unique<Subscription>(impl_.get(), id);
}

}  // namespace megalith::discovery
