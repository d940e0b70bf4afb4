// What ZooKeeper's nodes say in version 3: which saved models a layout wants, and where bound ones
// are served (spec agent-service.md, sections 2.2, 3 and 6). Pure: from snapshots to values.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"

namespace megalith::agent {

// A sub-graph of a layout with its declaration.
struct LayoutModel {
  std::string model;
  std::string sub_graph;
  discovery::SavedModelDeployConfig deploy;
  std::string Name() const;  // "model:sub_graph", as the model server calls it
  friend bool operator==(const LayoutModel&, const LayoutModel&) = default;
};

// Hears of nodes that are left out, with their path below the base.
using OnDamaged = std::function<void(const std::string& path, const Status& why)>;

// The sub-graphs that `layout` (its children) lists and `saved_models` ({model}/{sub_graph})
// declares, by name. Others are left out until they are declared.
std::vector<LayoutModel> ReadLayout(const discovery::Tree& layout,
                                    const discovery::Tree& saved_models,
                                    const OnDamaged& on_damaged);

// Addresses by "model:sub_graph" of what containers have bound: `bindings` holds
// {model}/{sub_graph}:{container}, `containers` {container}. Only models in `subscribed` count. A
// container that has not said where it is is left out.
std::map<std::string, std::vector<std::string>> BoundAddresses(
    const std::set<std::string>& subscribed, const discovery::Tree& bindings,
    const discovery::Tree& containers, bool grpc, const OnDamaged& on_damaged);

}  // namespace megalith::agent
