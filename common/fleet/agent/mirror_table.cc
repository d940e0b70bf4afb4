#include "common/fleet/agent/mirror_table.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr std::string_view kLockMark = "__lock__";

}  // namespace

std::vector<ServedReplica> ReadServices(const discovery::Tree& services,
                                        const OnDamaged& on_damaged) {
  std::vector<ServedReplica> out;
  for (const auto& [path, node] : services.nodes) {
    const auto parsed = discovery::ParseReplicaPath(StrCat("/b/service/", path));
    // An empty value is one that its agent has not written yet.
    if (!parsed || !parsed->replica || !parsed->Location().empty() || node->data.empty()) continue;
    auto meta = discovery::ReadRecord<discovery::ReplicaMeta>(node->data);
    if (!meta.ok()) {
      on_damaged(path, meta.status());
      continue;
    }
    out.push_back({.model = parsed->base_name,
                   .server_type = parsed->server_type,
                   .task = parsed->task,
                   .meta = *std::move(meta)});
  }
  return out;
}

std::string PublishName(const discovery::PublishMeta& publish) {
  return StrCat(publish.shard_id.value_or(-1), ":", publish.replica_id, ":",
                publish.model_name.value_or(""));
}

std::string_view ModelOfPublish(std::string_view name) {
  const auto parts = Split(name, ':');
  return parts.size() == 3 ? parts[2] : std::string_view();
}

std::vector<discovery::PublishMeta> ReadPublishes(const discovery::Tree& publishes,
                                                  const OnDamaged& on_damaged) {
  std::vector<discovery::PublishMeta> out;
  for (const auto& [name, node] : publishes.nodes) {
    auto publish = discovery::ReadRecord<discovery::PublishMeta>(node->data);
    if (!publish.ok()) {
      on_damaged(name, publish.status());
    } else if (PublishName(*publish) != name) {
      on_damaged(name, InvalidArgument("the value is that of another node"));
    } else {
      out.push_back(*std::move(publish));
    }
  }
  return out;
}

std::pair<std::string, int64_t> TaskOf(std::string_view sub_model) {
  const size_t underscore = sub_model.rfind('_');
  const auto task = underscore == sub_model.npos ? std::optional<int64_t>()
                                                 : ParseInt(sub_model.substr(underscore + 1));
  if (!task || *task < 0) return {std::string(sub_model), 0};
  return {std::string(sub_model.substr(0, underscore)), *task};
}

std::vector<LiveReplica> ReadResources(const discovery::Tree& resources,
                                       const std::vector<discovery::PublishMeta>& publishes,
                                       const std::vector<ServedReplica>& services,
                                       const OnDamaged& on_damaged) {
  using Part = std::tuple<std::string, std::string, int64_t, int64_t>;
  std::set<Part> available;  // model, type, task, replica
  for (const ServedReplica& served : services) {
    if (served.meta.stat == static_cast<int64_t>(discovery::ModelState::kAvailable)) {
      available.emplace(served.model, served.server_type, served.task, served.meta.replica);
    }
  }
  const auto loaded = [&](const discovery::PublishMeta& publish) {
    const std::string model = publish.model_name.value_or("");
    return publish.sub_models &&
           std::all_of(publish.sub_models->begin(), publish.sub_models->end(),
                       [&](const auto& part) {
                         auto [type, task] = TaskOf(part.first);
                         return available.contains({model, type, task, publish.replica_id});
                       });
  };
  std::vector<LiveReplica> out;
  for (const auto& [name, node] : resources.nodes) {
    const size_t colon = std::min(name.find(':'), name.size() - 1);
    const std::optional<int64_t> shard = ParseInt(name.substr(0, colon));
    const std::optional<int64_t> replica = ParseInt(name.substr(colon + 1));
    const auto spec = discovery::ReadRecord<discovery::ResourceSpec>(node->data);
    if (!shard || !replica || !spec.ok()) {
      on_damaged(name,
                 spec.ok() ? InvalidArgument("the name must be shard:replica") : spec.status());
      continue;
    }
    LiveReplica live{.shard = shard.value_or(0),
                     .replica = replica.value_or(0),
                     .memory = std::max<int64_t>(spec->memory.value_or(0), 0)};
    for (const discovery::PublishMeta& publish : publishes) {
      if (publish.shard_id == live.shard && publish.replica_id == live.replica && loaded(publish)) {
        live.loaded.insert(*publish.model_name);
      }
    }
    out.push_back(std::move(live));
  }
  return out;
}

std::string LeaderOf(const discovery::Tree& election) {
  std::string best;
  std::optional<int64_t> lowest;
  for (const auto& [name, node] : election.nodes) {
    const size_t mark = name.rfind(kLockMark);
    if (mark == name.npos) continue;
    const auto sequence = ParseInt(name.substr(mark + kLockMark.size()));
    if (!sequence || (lowest && *sequence >= *lowest)) continue;
    lowest = sequence;
    best = name;
  }
  return best;
}

}  // namespace megalith::agent
