// Trees that anybody may have written, as the agent's three versions read them, and what a leader
// makes of them: nothing crashes, and a schedule keeps its promises.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "common/fleet/agent/layout_table.h"
#include "common/fleet/agent/mirror_table.h"
#include "common/fleet/agent/replica_table.h"
#include "common/fleet/agent/scheduler.h"
#include "common/foundation/base/strings.h"

namespace {

using namespace megalith;

// Lines "path value"; a path's parents are there too.
discovery::Tree TreeOf(std::string_view text) {
  discovery::Tree tree;
  for (const std::string_view line : Split(text, '\n')) {
    const size_t blank = std::min(line.find(' '), line.size());
    std::string path(line.substr(0, blank));
    if (path.empty() || !discovery::CheckZkPath("/" + path).ok()) continue;
    discovery::ZkNode node;
    if (blank < line.size()) node.data = line.substr(blank + 1);
    tree.nodes[path] = std::make_shared<const discovery::ZkNode>(std::move(node));
    for (size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1)) {
      tree.nodes.try_emplace(path.substr(0, at), std::make_shared<const discovery::ZkNode>());
    }
  }
  return tree;
}

void CheckSchedule(const std::vector<agent::WantedModel>& wanted,
                   const std::vector<agent::LiveReplica>& replicas,
                   const std::vector<discovery::PublishMeta>& current) {
  const agent::Schedule schedule = agent::MakeSchedule(wanted, replicas, current);
  std::vector<discovery::PublishMeta> all;
  for (const auto& [model, publishes] : schedule.publishes) {
    all.insert(all.end(), publishes.begin(), publishes.end());
    if (schedule.unplaced.contains(model)) continue;
    for (const discovery::PublishMeta& publish : publishes) {
      CHECK(publish.total_publish_num == static_cast<int64_t>(publishes.size()));
    }
  }
  for (const agent::WantedModel& model : wanted) {
    CHECK(schedule.unplaced.contains(model.name) || schedule.publishes.contains(model.name));
  }
  (void)agent::ExpectedLoading(all, 0, 0, agent::ExpectedLoading(current, 0, 0, {}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const discovery::Tree tree = TreeOf(text);
  const auto ignore = [](const std::string&, const Status&) {};
  std::set<std::string> subscribed;
  for (const agent::LayoutModel& model : agent::ReadLayout(tree, tree, ignore)) {
    subscribed.insert(model.model);
  }
  (void)agent::BoundAddresses(subscribed, tree, tree, true, ignore);
  (void)agent::LeaderOf(tree);
  for (const bool dc_aware : {false, true}) {
    agent::ReplicaTable table({.dc_aware = dc_aware});
    table.Update(tree);
    (void)table.HeartBeat("ps");
  }
  const auto services = agent::ReadServices(tree, ignore);
  const auto publishes = agent::ReadPublishes(tree, ignore);
  const auto replicas = agent::ReadResources(tree, publishes, services, ignore);
  std::set<std::string> names;
  std::vector<agent::WantedModel> wanted;
  for (const discovery::PublishMeta& publish : publishes) {
    if (!names.insert(publish.model_name.value_or("")).second) continue;
    agent::WantedModel model{.name = publish.model_name.value_or("")};
    model.num_groups = publish.num_ps.value_or(-1);
    for (const auto& [name, path] :
         publish.sub_models.value_or(std::vector<std::pair<std::string, std::string>>())) {
      model.sub_models.push_back({name, static_cast<int64_t>(size), path});
    }
    wanted.push_back(std::move(model));
  }
  CheckSchedule(wanted, replicas, publishes);
  CheckSchedule(wanted, replicas, {});
  return 0;
}
