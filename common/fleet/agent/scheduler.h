// Version 2: which container loads which part of a model (spec agent-service.md, section 7). The
// original of this is in no open tree; what its tests show is kept: ps_k goes to group k mod n,
// every group carries what is no ps, and each replica of a group's shard gets one PublishMeta.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fleet/discovery/zookeeper/records.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

// A part of a model as it was exported.
struct SubModel {
  std::string name;  // "entry", "ps_3", "dense_0"
  int64_t bytes = 0;
  std::string version_path;
};

// What is to be served.
struct WantedModel {
  std::string name;
  int64_t num_groups = -1;  // -1: as many as there are shards, and no more than ps
  std::vector<SubModel> sub_models;
  std::vector<std::string> spec_replicas;  // "shard:replica": only these; empty: all
};

// A container that can load: its node is there.
struct LiveReplica {
  int64_t shard = 0;
  int64_t replica = 0;
  int64_t memory = 0;            // bytes available
  std::set<std::string> loaded;  // models whose parts are in memory already
};

// What is to be published, by model, and why a model cannot be.
struct Schedule {
  std::map<std::string, std::vector<discovery::PublishMeta>> publishes;
  std::map<std::string, Status> unplaced;
};

// Pure and deterministic. What is published stays where it is while each of its shards has a live
// replica and its versions are those wanted. Otherwise groups without a shard go, the largest
// first, to the shard with the most memory left, if it can hold them, and to one without another
// group of the same model before one with. The memory of a shard is that of its smallest replica,
// less what is published to it and not yet loaded. A model that cannot be placed keeps what is
// published of it. Errors in `unplaced`: kResourceExhausted  no shard has the memory, kUnavailable
// no live shard, kInvalidArgument  the model has no parts, or negative sizes.
Schedule MakeSchedule(const std::vector<WantedModel>& wanted,
                      const std::vector<LiveReplica>& replicas,
                      const std::vector<discovery::PublishMeta>& current);

// What the container (shard, replica) is to load, by model, from all publishes. A model counts once
// all its publishes are there; until then `before` holds. Its own publish, else that of another
// replica of its shard unless that is for special replicas only, else the sub-models that begin
// with "entry" of the one that has the fewest.
std::map<std::string, discovery::PublishMeta> ExpectedLoading(
    const std::vector<discovery::PublishMeta>& publishes, int64_t shard, int64_t replica,
    const std::map<std::string, discovery::PublishMeta>& before);

// The number of "ps_3"; nullopt for other names.
std::optional<int64_t> PsIndex(std::string_view sub_model);

}  // namespace megalith::agent
