#include "common/fleet/discovery/static_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::discovery {
namespace {

using telemetry::Level;
using telemetry::Log;

constexpr uint64_t kMaxFileBytes = 1 << 20;

bool Same(const Snapshot& a, const Snapshot& b) {
  const std::vector<Endpoint> none;
  return (a ? *a : none) == (b ? *b : none);
}

}  // namespace

Result<StaticFileRegistry::Content> StaticFileRegistry::Parse(std::string_view text) {
  Content content;
  int number = 0;
  for (const std::string_view raw : Split(text, '\n')) {
    ++number;
    const std::string_view line = Trim(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    const std::string service(Trim(line.substr(0, equals)));
    if (equals == std::string_view::npos || service.empty()) {
      return InvalidArgument(StrCat(
          "line ", number, ": expects 'service = address, address', got '", Printable(line), "'"));
    }
    auto endpoints = std::make_shared<std::vector<Endpoint>>();
    const std::string_view list = Trim(line.substr(equals + 1));
    for (const std::string_view part :
         list.empty() ? std::vector<std::string_view>{} : Split(list, ',')) {
      if (Trim(part).empty())
        return InvalidArgument(StrCat("line ", number, ": an address is empty"));
      endpoints->push_back({.service = service, .address = std::string(Trim(part))});
    }
    std::sort(endpoints->begin(), endpoints->end());
    endpoints->erase(std::unique(endpoints->begin(), endpoints->end()), endpoints->end());
    if (!content.emplace(service, std::move(endpoints)).second) {
      return InvalidArgument(
          StrCat("line ", number, ": service '", Printable(service), "' was given before"));
    }
  }
  return content;
}

Result<std::unique_ptr<StaticFileRegistry>> StaticFileRegistry::Open(
    const std::string& path, FileSystem& files, std::chrono::milliseconds poll) {
  std::unique_ptr<StaticFileRegistry> registry(new StaticFileRegistry(path, files));
  RETURN_IF_ERROR(registry->Reload());
  if (poll.count() > 0) {
    registry->poller_ = std::thread([r = registry.get(), poll] { r->PollLoop(poll); });
  }
  return registry;
}

StaticFileRegistry::~StaticFileRegistry() {
  {
    const std::lock_guard<std::mutex> lock(poll_mu_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (poller_.joinable()) poller_.join();
}

void StaticFileRegistry::PollLoop(std::chrono::milliseconds poll) {
  SetThreadName("disco-file");
  std::string last_error;
  std::unique_lock<std::mutex> lock(poll_mu_);
  while (!stop_.wait_for(lock, poll, [this] { return stopping_; })) {
    lock.unlock();
    const Status status = Reload();
    // A file that stays broken is reported once.
    if (!status.ok() && status.message() != last_error) {
      Log(Level::warn, "discovery_file_rejected", {{"path", path_}, {"error", status.message()}});
    }
    last_error = status.message();
    lock.lock();
  }
}

Status StaticFileRegistry::Reload() {
  ASSIGN_OR_RETURN(std::string text, files_.Read(path_, kMaxFileBytes));
  ASSIGN_OR_RETURN(Content fresh, Parse(text).Annotate(StrCat("discovery file '", path_, "'")));
  std::set<std::string> changed;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (text == text_) return OkStatus();
    for (const auto& [service, snapshot] : fresh) {
      if (!Same(snapshot, content_[service])) changed.insert(service);
    }
    for (const auto& [service, snapshot] : content_) {
      if (!fresh.contains(service) && !Same(snapshot, nullptr)) changed.insert(service);
    }
    content_ = std::move(fresh);
    text_ = std::move(text);
    Log(Level::info, "discovery_file_reloaded", {{"path", path_}, {"services", content_.size()}});
  }
  for (const std::string& service : changed) {
    watches_.Notify(service, [this, &service] { return Current(service); });
  }
  return OkStatus();
}

Snapshot StaticFileRegistry::Current(const std::string& service) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = content_.find(service);
  return at != content_.end() ? at->second : std::make_shared<const std::vector<Endpoint>>();
}

Result<std::unique_ptr<Handle>> StaticFileRegistry::Register(const Endpoint& endpoint) {
  return Unimplemented(StrCat("static discovery file '", path_, "' cannot register '",
                              endpoint.service, "': write the address into the file"));
}

Result<Snapshot> StaticFileRegistry::Lookup(const std::string& service) { return Current(service); }

Result<std::unique_ptr<Handle>> StaticFileRegistry::Watch(
    const std::string& service, std::function<void(const Snapshot&)> on_change) {
  return watches_.Add(service, std::move(on_change), [this, &service] { return Current(service); });
}

}  // namespace megalith::discovery
