#include "common/fleet/discovery/registry.h"

#include <utility>

namespace megalith::discovery {

class WatchList::WatchHandle final : public Handle {
 public:
  WatchHandle(WatchList* list, std::string service, uint64_t id)
      : list_(list), service_(std::move(service)), id_(id) {}
  ~WatchHandle() override {
    const std::lock_guard<std::mutex> lock(list_->mu_);
    const auto at = list_->watchers_.find(service_);
    at->second.erase(id_);
    if (at->second.empty()) list_->watchers_.erase(at);
  }

 private:
  WatchList* const list_;
  const std::string service_;
  const uint64_t id_;
};

std::unique_ptr<Handle> WatchList::Add(const std::string& service,
                                       std::function<void(const Snapshot&)> on_change,
                                       const std::function<Snapshot()>& current) {
  const std::lock_guard<std::mutex> lock(mu_);
  on_change(current());
  const uint64_t id = next_id_++;
  watchers_[service].emplace(id, std::move(on_change));
  return std::make_unique<WatchHandle>(this, service, id);
}

void WatchList::Notify(const std::string& service, const std::function<Snapshot()>& current) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = watchers_.find(service);
  if (at == watchers_.end()) return;
  const Snapshot snapshot = current();
  for (const auto& [id, on_change] : at->second) on_change(snapshot);
}

class MemoryRegistry::Registration final : public Handle {
 public:
  Registration(MemoryRegistry* registry, Endpoint endpoint)
      : registry_(registry), endpoint_(std::move(endpoint)) {}
  ~Registration() override { registry_->Deregister(endpoint_); }

 private:
  MemoryRegistry* const registry_;
  const Endpoint endpoint_;
};

Snapshot MemoryRegistry::Current(const std::string& service) {
  auto out = std::make_shared<std::vector<Endpoint>>();
  const std::lock_guard<std::mutex> lock(mu_);
  for (auto at = endpoints_.lower_bound(Endpoint{.service = service, .address = ""});
       at != endpoints_.end() && at->first.service == service; ++at) {
    out->push_back(at->first);
  }
  return out;
}

Result<std::unique_ptr<Handle>> MemoryRegistry::Register(const Endpoint& endpoint) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    ++endpoints_[endpoint];
  }
  watches_.Notify(endpoint.service, [this, &endpoint] { return Current(endpoint.service); });
  return std::unique_ptr<Handle>(std::make_unique<Registration>(this, endpoint));
}

void MemoryRegistry::Deregister(const Endpoint& endpoint) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = endpoints_.find(endpoint);
    if (--at->second == 0) endpoints_.erase(at);
  }
  watches_.Notify(endpoint.service, [this, &endpoint] { return Current(endpoint.service); });
}

Result<Snapshot> MemoryRegistry::Lookup(const std::string& service) { return Current(service); }

Result<std::unique_ptr<Handle>> MemoryRegistry::Watch(
    const std::string& service, std::function<void(const Snapshot&)> on_change) {
  return watches_.Add(service, std::move(on_change), [this, &service] { return Current(service); });
}

}  // namespace megalith::discovery
