#include "tests/support/zookeeper_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::testing {
namespace {

// Numbers of ZooKeeper's protocol.
constexpr int32_t kCreate = 1, kDelete = 2, kExists = 3, kGetData = 4, kSetData = 5,
                  kGetChildren = 8, kPing = 11, kGetChildren2 = 12, kAuth = 100, kSetWatches = 101,
                  kClose = -11;
constexpr int32_t kOk = 0, kMarshalling = -5, kUnimplemented = -6, kNoNode = -101,
                  kBadVersion = -103, kNoChildrenForEphemerals = -108, kNodeExists = -110,
                  kNotEmpty = -111, kAuthFailed = -115;
constexpr int32_t kCreatedEvent = 1, kDeletedEvent = 2, kChangedEvent = 3, kChildEvent = 4;
constexpr int32_t kConnectedState = 3;
constexpr size_t kMaxFrame = 1 << 20;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

// Big-endian numbers and length-prefixed text. After the end everything reads as zero, and ok() is
// false.
class ZooKeeperServer::Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  int64_t Number(size_t width) {
    if (bytes_.size() < width) {
      ok_ = false;
      bytes_ = {};
      return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < width; ++i) v = v << 8 | static_cast<uint8_t>(bytes_[i]);
    bytes_.remove_prefix(width);
    return width == 4 ? static_cast<int32_t>(v) : static_cast<int64_t>(v);
  }
  int32_t Int() { return static_cast<int32_t>(Number(4)); }
  int64_t Long() { return Number(8); }
  bool Bool() { return Number(1) != 0; }
  std::string Text() {
    const int32_t size = Int();
    if (size < 0) return "";
    if (bytes_.size() < static_cast<size_t>(size)) {
      ok_ = false;
      return "";
    }
    const std::string out(bytes_.substr(0, static_cast<size_t>(size)));
    bytes_.remove_prefix(static_cast<size_t>(size));
    return out;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> out;
    const int32_t count = Int();
    for (int32_t i = 0; i < count && ok_; ++i) out.push_back(Text());
    return out;
  }
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

class ZooKeeperServer::Writer {
 public:
  void Number(uint64_t v, size_t width) {
    for (size_t i = width; i-- > 0;) bytes += static_cast<char>(v >> (8 * i));
  }
  void Int(int32_t v) { Number(static_cast<uint32_t>(v), 4); }
  void Long(int64_t v) { Number(static_cast<uint64_t>(v), 8); }
  void Text(std::string_view v) {
    Int(static_cast<int32_t>(v.size()));
    bytes += v;
  }
  // With its length in front.
  std::string Frame() const {
    Writer length;
    length.Int(static_cast<int32_t>(bytes.size()));
    return length.bytes + bytes;
  }
  std::string bytes;
};

ZooKeeperServer::ZooKeeperServer() {
  nodes_["/"] = {};
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(::listen(listener_, 64) == 0);
  CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  CHECK(::pipe(wake_) == 0);
  address_ = StrCat("127.0.0.1:", ntohs(address.sin_port));
  thread_ = std::thread([this] { Loop(); });
}

ZooKeeperServer::~ZooKeeperServer() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  for (const auto& c : connections_) ::close(c->socket);
  for (const int fd : {listener_, wake_[0], wake_[1]}) ::close(fd);
}

void ZooKeeperServer::Wake() {
  const char byte = 0;
  CHECK(::write(wake_[1], &byte, 1) == 1);
}

void ZooKeeperServer::Loop() {
  SetThreadName("zk-fake");
  while (true) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    {
      const std::lock_guard<std::mutex> lock(mu_);
      if (stopping_) return;
      for (const auto& c : connections_) {
        polled.push_back(
            {c->socket, static_cast<short>(POLLIN | (c->out.empty() ? 0 : POLLOUT)), 0});
      }
    }
    ::poll(polled.data(), polled.size(), -1);
    const std::lock_guard<std::mutex> lock(mu_);
    char buffer[64 << 10];
    if (polled[1].revents != 0) (void)!::read(wake_[0], buffer, 1);
    const size_t known = polled.size() - 2;
    for (size_t i = 0; i < known; ++i) {
      Connection& c = *connections_[i];
      if ((polled[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !c.closing) {
        const ssize_t got = ::recv(c.socket, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got <= 0) {
          c.closing = true;
          c.out.clear();
        } else {
          c.in.append(buffer, static_cast<size_t>(got));
          Serve(&c);
        }
      }
    }
    for (const auto& c : connections_) {
      if (c->out.empty()) continue;
      const ssize_t sent =
          ::send(c->socket, c->out.data(), c->out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) c->out.erase(0, static_cast<size_t>(sent));
    }
    std::erase_if(connections_, [](const auto& c) {
      if (!c->closing || !c->out.empty()) return false;
      ::close(c->socket);
      return true;
    });
    if (polled[0].revents != 0) {
      const int accepted = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (accepted >= 0 && !reachable_) {
        ::close(accepted);
      } else if (accepted >= 0) {
        connections_.push_back(std::make_unique<Connection>());
        connections_.back()->socket = accepted;
      }
    }
  }
}

void ZooKeeperServer::Serve(Connection* c) {
  while (!c->closing && c->in.size() >= 4) {
    const int64_t size = Reader(c->in).Int();
    if (size < 0 || size > static_cast<int64_t>(kMaxFrame)) {
      c->closing = true;
      return;
    }
    if (c->in.size() < 4 + static_cast<size_t>(size)) return;
    const std::string frame = c->in.substr(4, static_cast<size_t>(size));
    c->in.erase(0, 4 + static_cast<size_t>(size));
    Reader in(frame);
    if (c->session == 0) {
      Connect(c, in);
      continue;
    }
    const int32_t xid = in.Int();
    const int32_t type = in.Int();
    Writer body;
    const int32_t error = Handle(c, type, in, &body);
    ++requests_[type];
    Writer reply;
    reply.Int(xid);
    reply.Long(transaction_);
    reply.Int(error);
    if (error == kOk) reply.bytes += body.bytes;
    c->out += reply.Frame();
    if (error == kAuthFailed || type == kClose) c->closing = true;
  }
}

void ZooKeeperServer::Connect(Connection* c, Reader& in) {
  (void)in.Int();   // protocol version
  (void)in.Long();  // last transaction seen
  const int32_t timeout = in.Int();
  const int64_t asked = in.Long();
  int64_t session = asked;
  if (asked == 0) {
    session = ++next_session_;
    sessions_.insert(session);
  }
  const bool expired = !sessions_.contains(session);
  for (const auto& other : connections_) {
    if (other.get() != c && other->session == session) other->closing = true;  // it has moved here
  }
  Writer reply;
  reply.Int(0);
  reply.Int(expired ? 0 : timeout);
  reply.Long(expired ? 0 : session);
  reply.Text(std::string(16, expired ? '\0' : 'p'));
  reply.Number(0, 1);  // not read-only
  c->out += reply.Frame();
  c->session = session;
  c->closing = expired;
}

int32_t ZooKeeperServer::Handle(Connection* c, int32_t type, Reader& in, Writer* out) {
  switch (type) {
    case kPing:
      return kOk;
    case kAuth: {
      (void)in.Int();
      const std::string scheme = in.Text();
      credentials_.push_back(in.Text());
      const bool refused =
          scheme != "digest" || (!required_.empty() && credentials_.back() != required_);
      return refused ? kAuthFailed : kOk;
    }
    case kCreate:
      return HandleCreate(c, in, out);
    case kDelete: {
      const std::string path = in.Text();
      const int32_t version = in.Int();
      const auto at = nodes_.find(path);
      if (at == nodes_.end()) return kNoNode;
      if (version != -1 && version != at->second.version) return kBadVersion;
      return DeleteNode(path);
    }
    case kSetData: {
      const std::string path = in.Text();
      const std::string data = in.Text();
      const int32_t version = in.Int();
      const auto at = nodes_.find(path);
      if (at == nodes_.end()) return kNoNode;
      if (version != -1 && version != at->second.version) return kBadVersion;
      at->second.data = data;
      ++at->second.version;
      at->second.modified = ++transaction_;
      PutStat(at->second, path, out);
      Fire(kChangedEvent, path);
      return kOk;
    }
    case kExists:
    case kGetData:
    case kGetChildren:
    case kGetChildren2:
      return HandleRead(c, type, in, out);
    case kSetWatches:
      HandleSetWatches(c, in);
      return kOk;
    case kClose:
      EndSession(c->session);
      return kOk;
    default:
      return kUnimplemented;
  }
}

int32_t ZooKeeperServer::HandleCreate(Connection* c, Reader& in, Writer* out) {
  std::string path = in.Text();
  const std::string data = in.Text();
  const int32_t entries = in.Int();
  for (int32_t i = 0; i < entries && in.ok(); ++i) {
    (void)in.Int();
    (void)in.Text();
    (void)in.Text();
  }
  const int32_t flags = in.Int();
  if (!in.ok()) return kMarshalling;
  if ((flags & 2) != 0) {
    const auto parent = nodes_.find(ParentOf(path));
    if (parent == nodes_.end()) return kNoNode;
    char digits[16];
    std::snprintf(digits, sizeof(digits), "%010llu",
                  static_cast<unsigned long long>(parent->second.sequence++));
    path += digits;
  }
  const int32_t error = CreateNode(path, data, (flags & 1) != 0 ? c->session : 0);
  if (error == kOk) out->Text(path);
  return error;
}

int32_t ZooKeeperServer::HandleRead(Connection* c, int32_t type, Reader& in, Writer* out) {
  const std::string path = in.Text();
  const bool watch = in.Bool();
  if (!in.ok()) return kMarshalling;
  const auto at = nodes_.find(path);
  const bool children = type == kGetChildren || type == kGetChildren2;
  // Only exists leaves a watch on what is not there.
  if (watch && (at != nodes_.end() || type == kExists)) {
    (children ? c->child_watches : c->data_watches).insert(path);
  }
  if (at == nodes_.end()) return kNoNode;
  if (type == kGetData) out->Text(at->second.data);
  if (children) {
    const std::vector<std::string> names = ChildrenLocked(path);
    out->Int(static_cast<int32_t>(names.size()));
    for (const std::string& name : names) out->Text(name);
  }
  if (type != kGetChildren) PutStat(at->second, path, out);
  return kOk;
}

// A client that came back names what it watched and up to where it has seen.
void ZooKeeperServer::HandleSetWatches(Connection* c, Reader& in) {
  const int64_t seen = in.Long();
  const std::vector<std::string> data = in.Texts();
  const std::vector<std::string> exist = in.Texts();
  const std::vector<std::string> child = in.Texts();
  const auto fire = [c](int32_t event, const std::string& path) {
    Writer message;
    message.Int(-1);
    message.Long(-1);
    message.Int(0);
    message.Int(event);
    message.Int(kConnectedState);
    message.Text(path);
    c->out += message.Frame();
  };
  for (const std::string& path : data) {
    const auto at = nodes_.find(path);
    if (at == nodes_.end()) {
      fire(kDeletedEvent, path);
    } else if (at->second.modified > seen) {
      fire(kChangedEvent, path);
    } else {
      c->data_watches.insert(path);
    }
  }
  for (const std::string& path : exist) {
    if (nodes_.contains(path)) {
      fire(kCreatedEvent, path);
    } else {
      c->data_watches.insert(path);
    }
  }
  for (const std::string& path : child) {
    if (!nodes_.contains(path)) {
      fire(kDeletedEvent, path);
    } else {
      fire(kChildEvent, path);  // more often than a real server, which is allowed
    }
  }
}

int32_t ZooKeeperServer::CreateNode(const std::string& path, std::string_view data, int64_t owner) {
  if (nodes_.contains(path)) return kNodeExists;
  const std::string parent = ParentOf(path);
  const auto above = nodes_.find(parent);
  if (above == nodes_.end()) return kNoNode;
  if (above->second.owner != 0) return kNoChildrenForEphemerals;
  ++above->second.children_version;
  ++transaction_;
  nodes_[path] = {
      .data = std::string(data), .owner = owner, .created = transaction_, .modified = transaction_};
  Fire(kCreatedEvent, path);
  Fire(kChildEvent, parent);
  return kOk;
}

int32_t ZooKeeperServer::DeleteNode(const std::string& path) {
  if (!nodes_.contains(path)) return kNoNode;
  if (!ChildrenLocked(path).empty()) return kNotEmpty;
  nodes_.erase(path);
  ++transaction_;
  ++nodes_[ParentOf(path)].children_version;
  Fire(kDeletedEvent, path);
  Fire(kChildEvent, ParentOf(path));
  return kOk;
}

void ZooKeeperServer::Fire(int32_t event, const std::string& path) {
  Writer message;
  message.Int(-1);
  message.Long(-1);
  message.Int(kOk);
  message.Int(event);
  message.Int(kConnectedState);
  message.Text(path);
  for (const auto& c : connections_) {
    size_t fired = 0;
    if (event != kChildEvent) fired += c->data_watches.erase(path);
    if (event == kChildEvent || event == kDeletedEvent) fired += c->child_watches.erase(path);
    if (fired > 0 && !c->closing) c->out += message.Frame();
  }
}

void ZooKeeperServer::EndSession(int64_t session) {
  sessions_.erase(session);
  std::vector<std::string> gone;
  for (const auto& [path, node] : nodes_) {
    if (node.owner == session && session != 0) gone.push_back(path);
  }
  for (const std::string& path : gone) (void)DeleteNode(path);
}

void ZooKeeperServer::PutStat(const Node& node, const std::string& path, Writer* out) const {
  out->Long(node.created);
  out->Long(node.modified);
  out->Long(0);  // created and modified at, in milliseconds
  out->Long(0);
  out->Int(node.version);
  out->Int(node.children_version);
  out->Int(0);
  out->Long(node.owner);
  out->Int(static_cast<int32_t>(node.data.size()));
  out->Int(static_cast<int32_t>(ChildrenLocked(path).size()));
  out->Long(node.created);
}

std::vector<std::string> ZooKeeperServer::ChildrenLocked(const std::string& path) const {
  const std::string prefix = path == "/" ? "/" : path + "/";
  std::vector<std::string> out;
  for (auto at = nodes_.lower_bound(prefix);
       at != nodes_.end() && std::string_view(at->first).starts_with(prefix); ++at) {
    const std::string name = at->first.substr(prefix.size());
    if (!name.empty() && name.find('/') == std::string::npos) out.push_back(name);
  }
  return out;
}

void ZooKeeperServer::Put(const std::string& path, std::string_view data, int64_t owner) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      (void)CreateNode(path.substr(0, slash), "", 0);
    }
    if (CreateNode(path, data, owner) == kNodeExists) {
      Node& node = nodes_[path];
      node.data = data;
      ++node.version;
      node.modified = ++transaction_;
      Fire(kChangedEvent, path);
    }
  }
  Wake();
}

void ZooKeeperServer::Remove(const std::string& path) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    std::vector<std::string> below;
    for (const auto& [name, node] : nodes_) {
      if (name == path || name.starts_with(path + "/")) below.push_back(name);
    }
    for (auto at = below.rbegin(); at != below.rend(); ++at) (void)DeleteNode(*at);
  }
  Wake();
}

std::optional<std::string> ZooKeeperServer::Data(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = nodes_.find(path);
  return at == nodes_.end() ? std::nullopt : std::optional<std::string>(at->second.data);
}

std::optional<int64_t> ZooKeeperServer::Owner(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = nodes_.find(path);
  return at == nodes_.end() ? std::nullopt : std::optional<int64_t>(at->second.owner);
}

std::vector<std::string> ZooKeeperServer::Children(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mu_);
  return ChildrenLocked(path);
}

void ZooKeeperServer::DropConnections() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const auto& c : connections_) {
      c->closing = true;
      c->out.clear();
    }
  }
  Wake();
}

void ZooKeeperServer::ExpireSessions() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const auto& c : connections_) {
      c->closing = true;
      c->out.clear();
    }
    const std::set<int64_t> all = sessions_;
    for (const int64_t session : all) EndSession(session);
  }
  Wake();
}

void ZooKeeperServer::SetReachable(bool reachable) {
  const std::lock_guard<std::mutex> lock(mu_);
  reachable_ = reachable;
}

void ZooKeeperServer::RequireAuth(const std::string& credentials) {
  const std::lock_guard<std::mutex> lock(mu_);
  required_ = credentials;
}

uint64_t ZooKeeperServer::requests(int32_t type) const {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = requests_.find(type);
  return at == requests_.end() ? 0 : at->second;
}

size_t ZooKeeperServer::sessions() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return sessions_.size();
}

std::vector<std::string> ZooKeeperServer::credentials() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return credentials_;
}

}  // namespace megalith::testing
