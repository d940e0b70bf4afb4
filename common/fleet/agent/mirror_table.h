// What ZooKeeper's nodes say in version 2: publishes, containers, and who serves what (spec
// agent-service.md, sections 2.3, 3 and 7). Pure: from snapshots to values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fleet/agent/layout_table.h"
#include "common/fleet/agent/scheduler.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"

namespace megalith::agent {

// A replica that version 2 lists below /{bzid}/service.
struct ServedReplica {
  std::string model;
  std::string server_type;
  int64_t task = 0;
  discovery::ReplicaMeta meta;
};

// Every replica, by path. Paths of another form, those with a location included, are skipped; nodes
// that are damaged are told.
std::vector<ServedReplica> ReadServices(const discovery::Tree& services,
                                        const OnDamaged& on_damaged);

// Nodes "{shard}:{replica}:{model}". One whose name and value disagree counts as damaged.
std::vector<discovery::PublishMeta> ReadPublishes(const discovery::Tree& publishes,
                                                  const OnDamaged& on_damaged);

// The name of a publish's node; that of the model in such a name, "" if it has another form.
std::string PublishName(const discovery::PublishMeta& publish);
std::string_view ModelOfPublish(std::string_view name);

// The containers of "{shard}:{replica}". A model counts as loaded in one that serves all parts that
// are published for it.
std::vector<LiveReplica> ReadResources(const discovery::Tree& resources,
                                       const std::vector<discovery::PublishMeta>& publishes,
                                       const std::vector<ServedReplica>& services,
                                       const OnDamaged& on_damaged);

// The type and task of a sub-model: "ps_3" is task 3 of ps; names without a number have task 0.
std::pair<std::string, int64_t> TaskOf(std::string_view sub_model);

// The leader among the children of the election: the one with the lowest sequence number. Empty
// without any.
std::string LeaderOf(const discovery::Tree& election);

}  // namespace megalith::agent
