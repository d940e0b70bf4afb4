#include "common/fleet/rpc/dial.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "common/fleet/discovery/static_file.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/replica_registry.h"
#include "common/fleet/discovery/zookeeper/zk_registry.h"
#include "common/foundation/base/strings.h"

namespace megalith::rpc {
namespace {

using discovery::Registry;

constexpr std::string_view kSchemes[] = {"zk://", "megalith://"};

std::string_view SchemeOf(std::string_view target) {
  for (const std::string_view scheme : kSchemes) {
    if (target.starts_with(scheme)) return scheme;
  }
  return "";
}

bool IsServerType(std::string_view word) {
  return word == "ps" || word == "entry" || word == "dense";
}

std::string JoinPath(std::span<const std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) StrAppend(&out, "/", part);
  return out;
}

// "/.../BZID/service/BASE[/IDC:CLUSTER]/TYPE[:TASK]": fills `out`, and `chroot` with what comes
// before.
bool ParseTask(std::span<const std::string_view> parts, DialTarget* out, std::string* chroot) {
  const size_t n = parts.size();
  for (const size_t location : {0U, 1U}) {
    if (n < 4 + location || parts[n - 3 - location] != "service") continue;
    const std::string_view last = parts[n - 1];
    const size_t colon = last.find(':');
    // With any task the whole must be a path that agents make.
    const std::string whole =
        StrCat(JoinPath(parts.subspan(n - 4 - location, 3 + location)), "/", last.substr(0, colon),
               ":", colon == last.npos ? "0" : last.substr(colon + 1));
    const auto parsed = discovery::ParseReplicaPath(whole);
    if (!parsed || parsed->replica || parsed->Location().empty() != (location == 0)) continue;
    if (colon == last.npos && !IsServerType(last)) continue;
    out->kind = DialTarget::Kind::kTask;
    out->base = StrCat("/", parsed->bzid, "/service/", parsed->base_name);
    out->location = parsed->Location();
    out->server_type = parsed->server_type;
    out->task = colon == last.npos ? "" : StrCat(parsed->task);
    *chroot = JoinPath(parts.first(n - 4 - location));
    return true;
  }
  return false;
}

// The name by which Dial's registry knows a task.
std::string NameOf(const DialTarget& target, const std::string& task) {
  const std::string name = StrCat(target.server_type, ":", task);
  return target.location.empty() ? name : StrCat(target.location, "/", name);
}

// ZooKeeper's servers and chroot of a target, which may leave them to the process's discovery.
Result<std::string> ServersOf(const DialTarget& target, const DialOptions& options) {
  const size_t slash = target.servers.find('/');
  if (slash != 0 && !target.servers.empty()) return target.servers;
  const auto servers = discovery::ZkServersOf(options.discovery);
  if (!servers || servers->empty()) {
    return InvalidArgument(
        "the target names no ZooKeeper servers, and no discovery is configured: write "
        "zk://HOST:PORT/..., or set MEGALITH_DISCOVERY=zk://HOST:PORT");
  }
  return StrCat(*servers, target.servers);
}

discovery::ZkOptions ZkOptionsOf(std::string servers, const DialOptions& options) {
  return {.servers = std::move(servers),
          .auth = options.zk_auth,
          .session_timeout = options.session_timeout};
}

Result<std::shared_ptr<Registry>> OpenServices(const DialTarget& target, const DialOptions& options,
                                               FileSystem& files) {
  if (target.servers.empty() && !options.discovery.empty() &&
      !discovery::ZkServersOf(options.discovery)) {
    ASSIGN_OR_RETURN(auto file, discovery::StaticFileRegistry::Open(options.discovery, files,
                                                                    options.file_poll));
    return std::shared_ptr<Registry>(std::move(file));
  }
  ASSIGN_OR_RETURN(std::string servers, ServersOf(target, options));
  ASSIGN_OR_RETURN(
      auto registry,
      discovery::ZkRegistry::Open(ZkOptionsOf(std::move(servers), options), options.start_wait));
  if (const auto read = registry->Lookup(target.service); !read.ok()) {
    return Unavailable(
        StrCat(read.status().message(), " within ", options.start_wait.count(), " ms"));
  }
  return std::shared_ptr<Registry>(std::move(registry));
}

Result<std::shared_ptr<discovery::ReplicaRegistry>> OpenReplicas(const DialTarget& target,
                                                                 const DialOptions& options) {
  ASSIGN_OR_RETURN(std::string servers, ServersOf(target, options));
  ASSIGN_OR_RETURN(auto registry,
                   discovery::ReplicaRegistry::Open(
                       {.zookeeper = ZkOptionsOf(std::move(servers), options), .base = target.base},
                       options.start_wait));
  return std::shared_ptr<discovery::ReplicaRegistry>(std::move(registry));
}

Result<std::shared_ptr<Channel>> DialService(const DialTarget& target, const DialOptions& options,
                                             FileSystem& files) {
  if (target.servers.empty() && options.registry != nullptr) {
    return Channel::Discover(*options.registry, target.service, options.channel, files);
  }
  ASSIGN_OR_RETURN(auto registry, OpenServices(target, options, files));
  return Channel::Discover(std::move(registry), target.service, options.channel, files);
}

// The numbers of the tasks must leave no gap: shard i is task i.
Status CheckTasks(const DialTarget& target, std::span<const std::string> tasks) {
  if (tasks.empty()) {
    return FailedPrecondition(StrCat("no task '", target.server_type, ":N' is registered below ",
                                     target.base,
                                     target.location.empty() ? "" : StrCat("/", target.location)));
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i] == NameOf(target, StrCat(i))) continue;
    return FailedPrecondition(StrCat("task '", target.server_type, ":", i, "' of ", target.base,
                                     " is not registered, later ones are: its rows would go to "
                                     "other servers; start it, or give the addresses"));
  }
  return OkStatus();
}

}  // namespace

Result<DialTarget> ParseDialTarget(std::string_view target) {
  DialTarget out;
  const std::string_view scheme = SchemeOf(target);
  if (scheme.empty()) {
    out.address = std::string(target);
    return out;
  }
  const std::string_view rest = target.substr(scheme.size());
  const size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  std::vector<std::string_view> parts;
  if (slash != rest.npos && slash + 1 < rest.size()) parts = Split(rest.substr(slash + 1), '/');
  if (parts.empty() || std::find(parts.begin(), parts.end(), "") != parts.end()) {
    return InvalidArgument(StrCat("'", Printable(target), "' names no service: write ", scheme,
                                  "HOST:PORT/SERVICE, such as zk://127.0.0.1:2181/table"));
  }
  std::string chroot;
  if (!ParseTask(parts, &out, &chroot)) {
    out.kind = DialTarget::Kind::kService;
    out.service = std::string(parts.back());
    std::span<const std::string_view> before(parts.data(), parts.size() - 1);
    // The whole path of the nodes means the same.
    const size_t n = before.size();
    if (n >= 2 && before[n - 2] == "megalith" && before[n - 1] == "services") {
      before = before.first(n - 2);
    }
    chroot = JoinPath(before);
  }
  out.servers = StrCat(authority, chroot);
  return out;
}

std::vector<std::string> SplitDialTargets(std::string_view targets) {
  std::vector<std::string> out;
  bool open = false;  // the last one is a list of ZooKeeper servers that goes on
  for (const std::string_view part : Split(targets, ',')) {
    if (open && SchemeOf(part).empty()) {
      StrAppend(&out.back(), ",", part);
    } else {
      out.emplace_back(part);
    }
    const std::string_view whole = out.back();
    const std::string_view scheme = SchemeOf(whole);
    open = !scheme.empty() && whole.find('/', scheme.size()) == whole.npos;
  }
  return out;
}

Result<std::shared_ptr<Channel>> Dial(const std::string& target, const DialOptions& options,
                                      FileSystem& files) {
  ASSIGN_OR_RETURN(const DialTarget parsed, ParseDialTarget(target));
  switch (parsed.kind) {
    case DialTarget::Kind::kAddress:
      return Channel::Dial(parsed.address, options.channel, files);
    case DialTarget::Kind::kService:
      return DialService(parsed, options, files);
    case DialTarget::Kind::kTask:
      break;
  }
  if (parsed.task.empty()) {
    return InvalidArgument(StrCat("'", Printable(target), "' means all tasks: choose one, such as ",
                                  Printable(target), ":0"));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Registry> registry, OpenReplicas(parsed, options));
  return Channel::Discover(std::move(registry), NameOf(parsed, parsed.task), options.channel,
                           files);
}

Result<std::vector<std::shared_ptr<Channel>>> DialShards(const std::string& target,
                                                         const DialOptions& options,
                                                         FileSystem& files) {
  std::vector<std::shared_ptr<Channel>> out;
  ASSIGN_OR_RETURN(const DialTarget parsed, ParseDialTarget(target));
  if (parsed.kind != DialTarget::Kind::kTask || !parsed.task.empty()) {
    ASSIGN_OR_RETURN(out.emplace_back(), Dial(target, options, files));
    return out;
  }
  ASSIGN_OR_RETURN(const auto registry, OpenReplicas(parsed, options));
  const std::vector<std::string> tasks = registry->Tasks(parsed.server_type, parsed.location);
  RETURN_IF_ERROR(CheckTasks(parsed, tasks));
  for (const std::string& task : tasks) {
    ASSIGN_OR_RETURN(out.emplace_back(), Channel::Discover(std::shared_ptr<Registry>(registry),
                                                           task, options.channel, files));
  }
  return out;
}

}  // namespace megalith::rpc
