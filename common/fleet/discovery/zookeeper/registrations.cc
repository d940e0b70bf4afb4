#include "common/fleet/discovery/zookeeper/registrations.h"

#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::discovery {

using telemetry::Level;
using telemetry::Log;

ZkRegistrations::ZkRegistrations(ZkClient& client) : client_(client) {
  subscription_ = client_.Listen(this);
}

ZkRegistrations::~ZkRegistrations() {
  subscription_.reset();
  const std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [path, wanted] : wanted_) {
    if (client_.state() != SessionState::kConnected) return;
    // What cannot be deleted goes with the session.
    if (wanted.session != 0 && !wanted.shared) (void)client_.Delete(path);
  }
}

Status ZkRegistrations::Write(const std::string& path, Wanted* wanted) {
  // Another session's node may come and go between two calls.
  constexpr int kTries = 5;
  wanted->session = 0;
  // OnSession writes it then; until then nobody is to wait for a server that may not answer.
  if (client_.state() != SessionState::kConnected) {
    return Unavailable(StrCat("zookeeper: '", path, "' is written with the next connection"));
  }
  const int64_t session = client_.session_id();
  for (int i = 1;; ++i) {
    const Status created = client_.Create(path, wanted->data, CreateMode::kEphemeral).status();
    if (created.ok()) {
      wanted->shared = false;
      break;
    }
    if (created.code() != Code::kAlreadyExists) return created;
    // The watch tells when the node of another session goes.
    const Result<ZkNode> found = client_.Get(path, /*watch=*/true);
    if (!found.ok() && (found.status().code() != Code::kNotFound || i == kTries)) {
      return found.status();
    }
    if (!found.ok()) continue;
    wanted->shared = found->owner_session != session;
    if (found->data != wanted->data) {
      const Status set = client_.Set(path, wanted->data);
      if (set.code() == Code::kNotFound && i < kTries) continue;
      RETURN_IF_ERROR(set);
    }
    break;
  }
  if (wanted->shared && !wanted->warned) {
    wanted->warned = true;
    Log(Level::warn, "zookeeper_node_shared", {{"path", path}});
  }
  wanted->session = session;
  return OkStatus();
}

void ZkRegistrations::WriteAll(int64_t session) {
  for (auto& [path, wanted] : wanted_) {
    if (wanted.session == session && session != 0) continue;
    const Status status = Write(path, &wanted);
    if (status.ok()) continue;
    if (status.code() == Code::kUnavailable) return;  // the next connection tries again
    Log(Level::error, "zookeeper_registration_failed",
        {{"path", path}, {"error", status.ToString()}});
  }
}

Status ZkRegistrations::Put(const std::string& path, std::string_view data) {
  RETURN_IF_ERROR(CheckZkPath(path));
  const std::lock_guard<std::mutex> lock(mu_);
  const auto [at, fresh] = wanted_.try_emplace(path);
  Wanted& wanted = at->second;
  const bool written = wanted.session != 0 && wanted.session == client_.session_id();
  if (written && wanted.data == data) return OkStatus();
  wanted.data = data;
  if (written) {
    wanted.session = 0;
    const Status set = client_.Set(path, data);
    if (set.ok()) wanted.session = client_.session_id();
    if (set.code() != Code::kNotFound) return set;
  }
  return Write(path, &wanted);
}

Result<std::string> ZkRegistrations::PutSequential(const std::string& prefix,
                                                   std::string_view data) {
  const std::lock_guard<std::mutex> lock(mu_);
  const int64_t session = client_.session_id();
  ASSIGN_OR_RETURN(std::string path,
                   client_.Create(prefix, data, CreateMode::kEphemeralSequential));
  wanted_[path] = {.data = std::string(data), .session = session};
  return path;
}

Status ZkRegistrations::Remove(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = wanted_.find(path);
  if (at == wanted_.end()) return OkStatus();
  const int64_t session = at->second.session;
  const bool ours = !at->second.shared;
  wanted_.erase(at);
  if (!ours) return OkStatus();
  const Status deleted = client_.Delete(path);
  // A node whose creation was in doubt has no session: whichever comes next may own it.
  if (deleted.code() == Code::kUnavailable) unwanted_[path] = session;
  return deleted.code() == Code::kNotFound ? OkStatus() : deleted;
}

Status ZkRegistrations::Verify() {
  const std::lock_guard<std::mutex> lock(mu_);
  Status first;
  for (auto& [path, wanted] : wanted_) {
    const auto found = client_.Exists(path);
    Status status = found.status();
    if (found.ok() && (!found->has_value() || wanted.session == 0)) status = Write(path, &wanted);
    if (first.ok()) first = status;
    if (status.code() == Code::kUnavailable) break;
  }
  return first;
}

size_t ZkRegistrations::shared() const {
  const std::lock_guard<std::mutex> lock(mu_);
  size_t count = 0;
  for (const auto& [path, wanted] : wanted_) count += wanted.shared ? 1 : 0;
  return count;
}

void ZkRegistrations::OnSession(const SessionEvent& event) {
  if (event.state != SessionState::kConnected) return;
  const std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [path, session] : std::exchange(unwanted_, {})) {
    if (wanted_.contains(path) || (session != 0 && session != event.session_id)) continue;
    const Result<ZkNode> found = client_.Get(path);
    if (found.ok() && found->owner_session == event.session_id) (void)client_.Delete(path);
  }
  WriteAll(event.session_id);
}

void ZkRegistrations::OnNode(const NodeEvent& event) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = wanted_.find(event.path);
  if (at == wanted_.end() || !at->second.shared) return;
  // Its owner has gone or has changed it; the watch must be set again either way.
  const auto found = client_.Exists(at->first, /*watch=*/true);
  Status status = found.status();
  if (found.ok() && !found->has_value()) status = Write(at->first, &at->second);
  if (status.ok()) return;
  at->second.session = 0;
  if (status.code() == Code::kUnavailable) return;
  Log(Level::error, "zookeeper_registration_failed",
      {{"path", at->first}, {"error", status.ToString()}});
}

}  // namespace megalith::discovery
