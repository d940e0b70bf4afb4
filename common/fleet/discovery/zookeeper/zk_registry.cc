#include "common/fleet/discovery/zookeeper/zk_registry.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::discovery {
namespace {

// Persistent: never change.
constexpr char kRoot[] = "/megalith/services";

// Node names cannot hold '/'.
std::string NodeName(std::string_view address) {
  std::string out;
  for (const char c : address) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '/' || c == '%' || byte < 0x20 || byte >= 0x7f) {
      out += '%';
      out += HexEncode({&byte, 1});
    } else {
      out += c;
    }
  }
  return out;
}

// Text that is not escaped as NodeName does it stands for itself.
std::string AddressOf(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto byte = name[i] == '%' ? HexDecode(name.substr(i + 1, 2)) : std::nullopt;
    if (byte && byte->size() == 1) {
      out += static_cast<char>(byte->front());
      i += 2;
    } else {
      out += name[i];
    }
  }
  return out;
}

std::string PathOf(const Endpoint& endpoint) {
  return StrCat(kRoot, "/", NodeName(endpoint.service), "/", NodeName(endpoint.address));
}

}  // namespace

class ZkRegistry::Registration final : public Handle {
 public:
  Registration(ZkRegistry* registry, Endpoint endpoint)
      : registry_(registry), endpoint_(std::move(endpoint)) {}
  ~Registration() override { registry_->Deregister(endpoint_); }

 private:
  ZkRegistry* const registry_;
  const Endpoint endpoint_;
};

Result<std::unique_ptr<ZkRegistry>> ZkRegistry::Open(const ZkOptions& options,
                                                     std::chrono::milliseconds start_wait) {
  std::unique_ptr<ZkRegistry> registry(new ZkRegistry());
  ASSIGN_OR_RETURN(registry->client_, ZkClient::Open(options));
  registry->registrations_ = std::make_unique<ZkRegistrations>(*registry->client_);
  registry->mirror_ = std::make_unique<TreeMirror>(
      *registry->client_, TreeMirrorOptions{.base = kRoot, .max_depth = 2},
      [r = registry.get()](const TreeSnapshot& tree) { r->OnChange(tree); });
  const Status connected = registry->client_->WaitConnected(start_wait);
  if (connected.code() == Code::kPermissionDenied) return connected;
  const Status loaded = connected.ok() ? registry->mirror_->WaitLoaded(start_wait) : connected;
  if (!loaded.ok()) {
    telemetry::Log(telemetry::Level::warn, "discovery_unread", {{"error", loaded.ToString()}});
  }
  return registry;
}

void ZkRegistry::OnChange(const TreeSnapshot& tree) {
  std::map<std::string, std::vector<Endpoint>> found;
  for (const auto& [path, node] : tree->nodes) {
    const size_t slash = path.find('/');
    if (slash == std::string::npos) continue;
    const std::string service = AddressOf(std::string_view(path).substr(0, slash));
    found[service].push_back(
        {.service = service, .address = AddressOf(std::string_view(path).substr(slash + 1))});
  }
  std::set<std::string> changed;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const auto& [service, snapshot] : services_) {
      if (!found.contains(service)) changed.insert(service);
    }
    for (const std::string& service : changed) services_.erase(service);
    for (auto& [service, endpoints] : found) {
      std::sort(endpoints.begin(), endpoints.end());
      Snapshot& current = services_[service];
      if (current != nullptr && *current == endpoints) continue;
      current = std::make_shared<const std::vector<Endpoint>>(std::move(endpoints));
      changed.insert(service);
    }
  }
  for (const std::string& service : changed) {
    watches_.Notify(service, [this, &service] { return Current(service); });
  }
}

Snapshot ZkRegistry::Current(const std::string& service) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = services_.find(service);
  return at != services_.end() ? at->second : std::make_shared<const std::vector<Endpoint>>();
}

Result<std::unique_ptr<Handle>> ZkRegistry::Register(const Endpoint& endpoint) {
  if (endpoint.service.empty() || endpoint.address.empty()) {
    return InvalidArgument("a registration needs a service and an address");
  }
  const std::lock_guard<std::mutex> lock(register_mu_);
  if (!registered_.contains(endpoint)) {
    const std::string path = PathOf(endpoint);
    const Status put = registrations_->Put(path, endpoint.address);
    if (!put.ok() && put.code() != Code::kUnavailable) {
      (void)registrations_->Remove(path);
      return put;
    }
  }
  ++registered_[endpoint];
  return std::unique_ptr<Handle>(std::make_unique<Registration>(this, endpoint));
}

void ZkRegistry::Deregister(const Endpoint& endpoint) {
  const std::lock_guard<std::mutex> lock(register_mu_);
  const auto at = registered_.find(endpoint);
  if (--at->second != 0) return;
  registered_.erase(at);
  // Without a connection it is removed with the next one.
  (void)registrations_->Remove(PathOf(endpoint));
}

Result<Snapshot> ZkRegistry::Lookup(const std::string& service) {
  if (!mirror_->loaded()) {
    return Unavailable(
        StrCat("discovery: zookeeper at '", client_->servers(), "' was not read yet"));
  }
  return Current(service);
}

Result<std::unique_ptr<Handle>> ZkRegistry::Watch(const std::string& service,
                                                  std::function<void(const Snapshot&)> on_change) {
  return watches_.Add(service, std::move(on_change), [this, &service] { return Current(service); });
}

std::optional<std::string> ZkServersOf(std::string_view target) {
  constexpr std::string_view kScheme = "zk://";
  if (!target.starts_with(kScheme)) return std::nullopt;
  return std::string(target.substr(kScheme.size()));
}

}  // namespace megalith::discovery
