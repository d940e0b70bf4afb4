#include "common/fleet/agent/scheduler.h"

#include <algorithm>
#include <limits>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using discovery::PublishMeta;

constexpr int64_t kMaxGroups = 100'000;

struct Shard {
  int64_t free = std::numeric_limits<int64_t>::max();  // bytes
  std::vector<const LiveReplica*> replicas;
};
using Shards = std::map<int64_t, Shard>;

struct Group {
  std::vector<const SubModel*> sub_models;
  int64_t bytes = 0;
  std::optional<int64_t> shard;
};

int64_t Sum(int64_t a, int64_t b) {
  int64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? std::numeric_limits<int64_t>::max() : out;
}

int64_t Difference(int64_t a, int64_t b) {
  int64_t out = 0;
  return __builtin_sub_overflow(a, b, &out) ? std::numeric_limits<int64_t>::min() : out;
}

bool Chosen(const WantedModel& model, const LiveReplica& replica) {
  const auto& special = model.spec_replicas;
  return special.empty() || std::find(special.begin(), special.end(),
                                      StrCat(replica.shard, ":", replica.replica)) != special.end();
}

// Groups of a model; ps in the order of their numbers, then what every group carries.
Result<std::vector<Group>> GroupsOf(const WantedModel& model, size_t live_shards) {
  std::map<int64_t, const SubModel*> ps;
  std::vector<const SubModel*> shared;
  for (const SubModel& sub_model : model.sub_models) {
    if (sub_model.bytes < 0) return InvalidArgument(StrCat(sub_model.name, " has a negative size"));
    if (const auto index = PsIndex(sub_model.name)) {
      ps[*index] = &sub_model;
    } else {
      shared.push_back(&sub_model);
    }
  }
  if (ps.empty() && shared.empty()) return InvalidArgument("the model has no parts");
  const auto parts = static_cast<int64_t>(std::max<size_t>(ps.size(), 1));
  int64_t count = model.num_groups;
  if (count < 1) count = std::max<int64_t>(static_cast<int64_t>(live_shards), 1);
  count = std::min({count, parts, kMaxGroups});
  std::vector<Group> out(static_cast<size_t>(count));
  for (const auto& [index, sub_model] : ps) {
    out[static_cast<size_t>(index % count)].sub_models.push_back(sub_model);
  }
  std::erase_if(out, [&](const Group& group) { return group.sub_models.empty() && !ps.empty(); });
  for (Group& group : out) {
    group.sub_models.insert(group.sub_models.end(), shared.begin(), shared.end());
    for (const SubModel* sub_model : group.sub_models) {
      group.bytes = Sum(group.bytes, sub_model->bytes);
    }
  }
  return out;
}

// Whether a publish has every part of the group, in the versions wanted.
bool Holds(const PublishMeta& publish, const Group& group) {
  if (!publish.sub_models || publish.ptype != PublishMeta::kLoad) return false;
  return std::all_of(group.sub_models.begin(), group.sub_models.end(), [&](const SubModel* part) {
    return std::find(publish.sub_models->begin(), publish.sub_models->end(),
                     std::pair(part->name, part->version_path)) != publish.sub_models->end();
  });
}

// Where groups are published now, if their shard lives. The same part in another version keeps its
// shard too: it has the memory.
void KeepPlaces(const std::vector<const PublishMeta*>& current, const Shards& shards,
                std::vector<Group>* groups) {
  for (Group& group : *groups) {
    for (const PublishMeta* publish : current) {
      if (!publish->sub_models || !publish->shard_id || !shards.contains(*publish->shard_id)) {
        continue;
      }
      const bool has = std::any_of(
          publish->sub_models->begin(), publish->sub_models->end(),
          [&](const auto& part) { return part.first == group.sub_models.front()->name; });
      if (has && !group.shard) group.shard = publish->shard_id;
    }
  }
}

// Whether all containers of the shard have loaded the model: what they have left is after it.
bool Loaded(const Shard& shard, const std::string& model) {
  return std::all_of(shard.replicas.begin(), shard.replicas.end(),
                     [&](const LiveReplica* replica) { return replica->loaded.contains(model); });
}

Status Place(std::vector<Group>* groups, Shards* shards) {
  std::map<int64_t, int> taken;  // groups of this model, by shard
  std::vector<Group*> homeless;
  for (Group& group : *groups) {
    if (group.shard) {
      ++taken[*group.shard];
    } else {
      homeless.push_back(&group);
    }
  }
  std::stable_sort(homeless.begin(), homeless.end(),
                   [](const Group* a, const Group* b) { return a->bytes > b->bytes; });
  for (Group* group : homeless) {
    std::optional<int64_t> best;
    for (const auto& [id, shard] : *shards) {
      if (shard.free < group->bytes) continue;
      if (!best ||
          std::pair(-taken[id], shard.free) > std::pair(-taken[*best], shards->at(*best).free)) {
        best = id;
      }
    }
    if (!best) {
      return ResourceExhausted(StrCat("no shard has ", group->bytes, " bytes left for ",
                                      group->sub_models.front()->name));
    }
    group->shard = best;
    ++taken[*best];
    shards->at(*best).free -= group->bytes;
  }
  return OkStatus();
}

std::vector<PublishMeta> Publishes(const WantedModel& model, const std::vector<Group>& groups,
                                   const Shards& shards) {
  // A container has one node for a model: groups that share a shard share it.
  std::map<int64_t, std::vector<const SubModel*>> by_shard;
  int64_t num_ps = 0;
  for (const SubModel& sub_model : model.sub_models) num_ps += PsIndex(sub_model.name) ? 1 : 0;
  for (const Group& group : groups) {
    auto& parts = by_shard[*group.shard];
    for (const SubModel* part : group.sub_models) {
      if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    }
  }
  std::vector<PublishMeta> out;
  for (auto& [id, parts] : by_shard) {
    std::stable_partition(parts.begin(), parts.end(),
                          [](const SubModel* part) { return PsIndex(part->name).has_value(); });
    PublishMeta publish;
    publish.shard_id = id;
    publish.model_name = model.name;
    publish.num_ps = num_ps;
    publish.is_spec = !model.spec_replicas.empty();
    publish.sub_models.emplace();
    for (const SubModel* part : parts) {
      publish.sub_models->emplace_back(part->name, part->version_path);
    }
    for (const LiveReplica* replica : shards.at(id).replicas) {
      publish.replica_id = replica->replica;
      out.push_back(publish);
    }
  }
  for (PublishMeta& publish : out) publish.total_publish_num = static_cast<int64_t>(out.size());
  return out;
}

// Whether what is published serves the model as it is wanted: nothing is to be touched then.
bool Stands(const std::vector<const PublishMeta*>& current, const std::vector<Group>& groups,
            const Shards& shards) {
  const bool counted = std::all_of(current.begin(), current.end(), [&](const PublishMeta* publish) {
    return publish->total_publish_num == static_cast<int64_t>(current.size());
  });
  if (current.empty() || !counted) return false;
  return std::all_of(groups.begin(), groups.end(), [&](const Group& group) {
    return std::any_of(current.begin(), current.end(), [&](const PublishMeta* publish) {
      return publish->shard_id && shards.contains(*publish->shard_id) && Holds(*publish, group);
    });
  });
}

// The shards that a model may use, with what is left of them.
Shards CandidatesOf(const WantedModel& model, const std::vector<LiveReplica>& replicas,
                    const std::map<int64_t, int64_t>& promised) {
  Shards out;
  for (const LiveReplica& replica : replicas) {
    if (replica.shard < 0 || !Chosen(model, replica)) continue;  // -1: entry servers
    Shard& shard = out[replica.shard];
    const auto owed = promised.find(replica.shard);
    shard.free =
        std::min(shard.free, Difference(replica.memory, owed == promised.end() ? 0 : owed->second));
    shard.replicas.push_back(&replica);
  }
  for (auto& [id, shard] : out) {
    std::sort(shard.replicas.begin(), shard.replicas.end(),
              [](const auto* a, const auto* b) { return a->replica < b->replica; });
  }
  return out;
}

}  // namespace

std::optional<int64_t> PsIndex(std::string_view sub_model) {
  if (!sub_model.starts_with("ps_")) return std::nullopt;
  const auto index = ParseInt(sub_model.substr(3));
  return index && *index >= 0 ? index : std::nullopt;
}

Schedule MakeSchedule(const std::vector<WantedModel>& wanted,
                      const std::vector<LiveReplica>& replicas,
                      const std::vector<PublishMeta>& current) {
  Schedule out;
  std::map<std::string, std::vector<const PublishMeta*>> published;
  for (const PublishMeta& publish : current) {
    published[publish.model_name.value_or("")].push_back(&publish);
  }
  std::map<int64_t, int64_t> promised;  // bytes, by shard, that are not loaded yet
  const auto keep = [&](const std::string& name) {
    for (const PublishMeta* publish : published[name]) out.publishes[name].push_back(*publish);
  };
  // Those that stand come first: what they are owed is not there for others.
  std::vector<std::pair<const WantedModel*, std::vector<Group>>> open;
  for (const WantedModel& model : wanted) {
    Shards shards = CandidatesOf(model, replicas, {});
    auto groups = GroupsOf(model, shards.size());
    if (!groups.ok() || shards.empty()) {
      out.unplaced[model.name] =
          groups.ok() ? Unavailable("no container that may load it is alive") : groups.status();
      keep(model.name);
      continue;
    }
    const auto& before = published[model.name];
    KeepPlaces(before, shards, &*groups);
    if (!Stands(before, *groups, shards)) {
      open.emplace_back(&model, *std::move(groups));
      continue;
    }
    keep(model.name);
    for (const Group& group : *groups) {
      if (!group.shard || Loaded(shards.at(*group.shard), model.name)) continue;
      promised[*group.shard] = Sum(promised[*group.shard], group.bytes);
    }
  }
  for (auto& [model, groups] : open) {
    Shards shards = CandidatesOf(*model, replicas, promised);
    for (const Group& group : groups) {
      if (!group.shard || Loaded(shards.at(*group.shard), model->name)) continue;
      Shard& shard = shards.at(*group.shard);
      shard.free = Difference(shard.free, group.bytes);
    }
    const Status placed = Place(&groups, &shards);
    if (!placed.ok()) {
      out.unplaced[model->name] = placed;
      keep(model->name);
      continue;
    }
    out.publishes[model->name] = Publishes(*model, groups, shards);
    for (const Group& group : groups) {
      if (Loaded(shards.at(*group.shard), model->name)) continue;
      promised[*group.shard] = Sum(promised[*group.shard], group.bytes);
    }
  }
  return out;
}

std::map<std::string, PublishMeta> ExpectedLoading(
    const std::vector<PublishMeta>& publishes, int64_t shard, int64_t replica,
    const std::map<std::string, PublishMeta>& before) {
  std::map<std::string, std::vector<const PublishMeta*>> models;
  for (const PublishMeta& publish : publishes) {
    if (publish.model_name && publish.ptype == PublishMeta::kLoad) {
      models[*publish.model_name].push_back(&publish);
    }
  }
  std::map<std::string, PublishMeta> out;
  for (const auto& [name, all] : models) {
    if (static_cast<int64_t>(all.size()) != all.front()->total_publish_num) {
      // Some are on their way: what is loaded stays.
      if (const auto at = before.find(name); at != before.end()) out.insert(*at);
      continue;
    }
    const PublishMeta* own = nullptr;
    const PublishMeta* sibling = nullptr;
    const PublishMeta* fewest = all.front();
    for (const PublishMeta* publish : all) {
      const bool same = publish->shard_id == shard;
      if (same && publish->replica_id == replica) own = publish;
      if (same && !publish->is_spec && sibling == nullptr) sibling = publish;
      const size_t size = publish->sub_models ? publish->sub_models->size() : 0;
      if (size < (fewest->sub_models ? fewest->sub_models->size() : 0)) fewest = publish;
    }
    PublishMeta expected = own != nullptr ? *own : sibling != nullptr ? *sibling : *fewest;
    expected.shard_id = shard;
    expected.replica_id = replica;
    if (own == nullptr && sibling == nullptr && expected.sub_models) {
      std::erase_if(*expected.sub_models,
                    [](const auto& part) { return !part.first.starts_with("entry"); });
    }
    out.emplace(name, std::move(expected));
  }
  return out;
}

}  // namespace megalith::agent
