#include "common/fleet/agent/layout_table.h"

#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {

std::string LayoutModel::Name() const { return StrCat(model, ":", sub_graph); }

std::vector<LayoutModel> ReadLayout(const discovery::Tree& layout,
                                    const discovery::Tree& saved_models,
                                    const OnDamaged& on_damaged) {
  std::vector<LayoutModel> out;
  for (const auto& [name, node] : layout.nodes) {
    if (name.find('/') != name.npos) continue;
    // Further parts are ignored, as the reference does.
    const auto parts = Split(name, ':');
    if (parts.size() < 2 || parts[0].empty() || parts[1].empty()) {
      on_damaged(name, InvalidArgument("the name must be model:sub_graph"));
      continue;
    }
    LayoutModel model{
        .model = std::string(parts[0]), .sub_graph = std::string(parts[1]), .deploy = {}};
    const auto declared = saved_models.nodes.find(StrCat(model.model, "/", model.sub_graph));
    if (declared == saved_models.nodes.end()) {
      on_damaged(name, NotFound("the sub-graph is not declared under saved_models"));
      continue;
    }
    auto deploy = discovery::ReadRecord<discovery::SavedModelDeployConfig>(declared->second->data);
    if (!deploy.ok() || !deploy->model_base_path) {
      on_damaged(name, deploy.ok() ? InvalidArgument("its declaration has no model_base_path")
                                   : deploy.status());
      continue;
    }
    model.deploy = *std::move(deploy);
    // "m:a" and "m:a:x" are the same one.
    if (out.empty() || out.back().Name() != model.Name()) out.push_back(std::move(model));
  }
  return out;
}

std::map<std::string, std::vector<std::string>> BoundAddresses(
    const std::set<std::string>& subscribed, const discovery::Tree& bindings,
    const discovery::Tree& containers, bool grpc, const OnDamaged& on_damaged) {
  std::map<std::string, std::string> addresses;  // by container
  for (const auto& [container, node] : containers.nodes) {
    if (container.find('/') != container.npos || node->data.empty()) continue;
    auto info = discovery::ReadRecord<discovery::ContainerServiceInfo>(node->data);
    if (!info.ok()) {
      on_damaged(container, info.status());
      continue;
    }
    std::string address = (grpc ? info->grpc : info->archon).value_or("");
    if (!address.empty() && !FindInvalidUtf8(address)) addresses[container] = std::move(address);
  }
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& [path, node] : bindings.nodes) {
    const size_t slash = path.find('/');
    if (slash == path.npos || !subscribed.contains(path.substr(0, slash))) continue;
    const size_t colon = path.find(':', slash);
    if (colon == path.npos || colon == slash + 1 || path.find(':', colon + 1) == path.npos) {
      on_damaged(path, InvalidArgument("the name must be sub_graph:cluster:id"));
      continue;
    }
    const auto at = addresses.find(path.substr(colon + 1));
    if (at == addresses.end()) continue;
    std::string key = path.substr(0, colon);
    key[slash] = ':';
    out[std::move(key)].push_back(at->second);
  }
  return out;
}

}  // namespace megalith::agent
