// megalithctl agent: who serves what, from an agent and from ZooKeeper's tree.
#include <nlohmann/json.hpp>

#include "clients/agent/agent_calls.h"
#include "clients/agent/deployment.h"
#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "common/fleet/discovery/zookeeper/zk_registry.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using agent_tools::AgentCalls;
using agent_tools::Deployment;
using Json = nlohmann::json;

constexpr std::chrono::seconds kStartWait{15};

Result<AgentCalls> Agent(Session& session, const Arguments& arguments) {
  if (!arguments.Has("address")) {
    return InvalidArgument("an agent is asked: give its --address=HOST:PORT");
  }
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  ASSIGN_OR_RETURN(auto options, session.CallOptions());
  return AgentCalls(std::move(channel), std::move(options));
}

// A tree in ZooKeeper, connected.
struct Tree {
  std::unique_ptr<discovery::ZkClient> client;
  std::unique_ptr<Deployment> deployment;
};

Result<Tree> TreeOf(Session& session, const Arguments& arguments) {
  const rpc::DialOptions dial = session.DialOptions();
  const std::string given = arguments.Get("zookeeper", dial.discovery);
  const std::string servers = discovery::ZkServersOf(given).value_or(given);
  if (servers.empty()) {
    return InvalidArgument(
        "no ZooKeeper: give --zookeeper=HOST:PORT, or set MEGALITH_DISCOVERY=zk://HOST:PORT");
  }
  Tree out;
  ASSIGN_OR_RETURN(out.client,
                   discovery::ZkClient::Open({.servers = servers, .auth = dial.zk_auth}));
  const Status connected = out.client->WaitConnected(kStartWait);
  if (connected.code() == Code::kDeadlineExceeded) return Unavailable(connected.message());
  RETURN_IF_ERROR(connected);
  if (arguments.Get("bzid").empty()) {
    return InvalidArgument("no namespace: give --bzid, the first part of the tree's paths");
  }
  out.deployment = std::make_unique<Deployment>(*out.client, arguments.Get("bzid"));
  return out;
}

Status RunHeartbeat(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const AgentCalls calls, Agent(session, arguments));
  Json json = Json::object();
  TextTable table({"task", "replicas", "addresses"});
  for (const char* type : {"ps", "entry", "dense"}) {
    if (arguments.Has("type") && arguments.Get("type") != type) continue;
    ASSIGN_OR_RETURN(const auto lists, calls.HeartBeat(type));
    for (const auto& [task, addresses] : lists) {
      json[task] = addresses;
      table.Add({task, StrCat(addresses.size()), Join(addresses, " ")});
    }
  }
  session.Print(json.dump(), table.Render());
  return OkStatus();
}

Status RunResource(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const AgentCalls calls, Agent(session, arguments));
  ASSIGN_OR_RETURN(const auto resource, calls.GetResource());
  TextTable table({"address", "shard", "replica", "free memory"});
  table.Add({resource.address, StrCat(resource.shard_id), StrCat(resource.replica_id),
             StrCat(resource.memory_bytes)});
  session.Print(Json{{"address", resource.address},
                     {"shard_id", resource.shard_id},
                     {"replica_id", resource.replica_id},
                     {"memory_bytes", resource.memory_bytes}}
                    .dump(),
                table.Render());
  return OkStatus();
}

Json OrNull(const std::optional<std::string>& text) { return text ? Json(*text) : Json(nullptr); }

Status RunReplicas(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Tree tree, TreeOf(session, arguments));
  std::vector<std::string> names = arguments.positional();
  if (names.empty()) {
    ASSIGN_OR_RETURN(names, tree.deployment->Services());
  }
  Json json = Json::array();
  TextTable table({"model", "task", "replica", "state", "address"});
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto rows, tree.deployment->Replicas(name));
    for (const auto& row : rows) {
      const auto path = discovery::ParseReplicaPath(row.path);
      const std::string location = path ? path->Location() : "";
      const std::string task =
          path ? StrCat(location, location.empty() ? "" : "/", path->Task()) : "?";
      const std::string replica = row.path.substr(row.path.rfind('/') + 1);
      const std::string state = row.meta ? agent_tools::StateName(row.meta->stat) : "damaged";
      const Json address = row.meta ? OrNull(row.meta->address) : Json(nullptr);
      json.push_back({{"path", row.path},
                      {"model", name},
                      {"task", task},
                      {"replica", replica},
                      {"state", state},
                      {"address", address},
                      {"address_ipv6", row.meta ? OrNull(row.meta->address_ipv6) : Json(nullptr)}});
      table.Add({name, task, replica, state, address.is_null() ? "-" : address.get<std::string>()});
    }
  }
  session.Print(json.dump(), table.Render());
  return OkStatus();
}

// One row for each sub-graph: where it is declared, placed and served.
std::string ModelsTable(const Json& info) {
  TextTable table({"model", "sub graph", "served by", "layouts"});
  for (const auto& [model, graphs] : info["model_info"].items()) {
    for (const auto& [graph, entry] : graphs.items()) {
      if (!entry.is_object()) continue;
      std::vector<std::string> layouts;
      for (const auto& [layout, placed] : info["layout_info"].items()) {
        for (const Json& name : placed) {
          if (name.get<std::string>() == StrCat(model, ":", graph)) layouts.push_back(layout);
        }
      }
      const size_t served = entry.contains("bindings") ? entry["bindings"].size() : 0;
      table.Add({model, graph, StrCat(served), layouts.empty() ? "-" : Join(layouts, " ")});
    }
  }
  return table.Render();
}

Status RunModels(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Tree tree, TreeOf(session, arguments));
  ASSIGN_OR_RETURN(const discovery::Json info, tree.deployment->Info());
  const std::string text = discovery::DumpPythonJson(info);
  session.Print(text, ModelsTable(Json::parse(text)));
  return OkStatus();
}

Status RunDeclare(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Tree tree, TreeOf(session, arguments));
  ASSIGN_OR_RETURN(const std::string model,
                   tree.deployment->Declare(arguments.positional()[0], arguments.Get("model"),
                                            arguments.Has("overwrite"), session.files()));
  session.Print(Json{{"model", model}}.dump(), StrCat("declared ", model));
  return OkStatus();
}

Status Place(Session& session, const Arguments& arguments, bool publish) {
  ASSIGN_OR_RETURN(const Tree tree, TreeOf(session, arguments));
  if (arguments.Get("layout").empty()) return InvalidArgument("which layout? give --layout=NAME");
  ASSIGN_OR_RETURN(const auto done, tree.deployment->Publish(arguments.positional()[0],
                                                             arguments.Get("layout"), publish));
  if (done.empty()) {
    return NotFound(StrCat("no declared sub-graph matches '", Printable(arguments.positional()[0]),
                           "'; see `megalithctl agent models`"));
  }
  session.Print(Json(done).dump(), Join(done, "\n"));
  return OkStatus();
}

Status RunPublish(Session& session, const Arguments& arguments) {
  return Place(session, arguments, true);
}
Status RunUnpublish(Session& session, const Arguments& arguments) {
  return Place(session, arguments, false);
}

constexpr auto kTreeFlags = std::to_array<FlagDef>({
    {.name = "zookeeper",
     .value_name = "HOST:PORT,...",
     .help = "servers and chroot; default: MEGALITH_DISCOVERY"},
    {.name = "bzid", .value_name = "NAME", .help = "the namespace: first part of all paths"},
});
constexpr auto kTypeFlags = std::to_array<FlagDef>({
    {.name = "type",
     .value_name = "TYPE",
     .help = "of these servers alone",
     .words = "ps entry dense"},
});
constexpr auto kDeclareFlags = JoinFlags(
    kTreeFlags, std::to_array<FlagDef>({
                    {.name = "model",
                     .value_name = "NAME",
                     .help = "default: what the entry graph of the export calls"},
                    {.name = "overwrite", .value_name = "", .help = "replace what is declared"},
                }));
constexpr auto kPlaceFlags =
    JoinFlags(kTreeFlags, std::to_array<FlagDef>({
                              {.name = "layout", .value_name = "NAME", .help = "of agents"},
                          }));

constexpr CommandDef kCommands[] = {
    {.name = "agent heartbeat",
     .help = "Ask an agent which replicas are available, task by task.",
     .flags = kTypeFlags,
     .run = RunHeartbeat,
     .examples = "megalithctl agent heartbeat --address=127.0.0.1:8002"},
    {.name = "agent resource",
     .help = "Ask an agent for its shard, replica and free memory.",
     .flags = {},
     .run = RunResource},
    {.name = "agent replicas",
     .positional = "[BASE_NAME...]",
     .min_positional = 0,
     .max_positional = -1,
     .help = "List the replicas that agents registered in ZooKeeper, with their states.",
     .flags = kTreeFlags,
     .run = RunReplicas,
     .examples = "megalithctl agent replicas --zookeeper=127.0.0.1:2181 --bzid=prod"},
    {.name = "agent models",
     .help = "List declared models, where they are placed and how many containers serve them.",
     .flags = kTreeFlags,
     .run = RunModels},
    {.name = "agent declare",
     .positional = "EXPORT",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Declare the folders of an export as sub-graphs of a model.",
     .flags = kDeclareFlags,
     .run = RunDeclare},
    {.name = "agent publish",
     .positional = "MODEL:PATTERN",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Place declared sub-graphs in a layout, whose agents then load them.",
     .flags = kPlaceFlags,
     .run = RunPublish,
     .examples = "megalithctl agent publish 'recommend:ps_*' --layout=blue --bzid=prod"},
    {.name = "agent unpublish",
     .positional = "MODEL:PATTERN",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Take sub-graphs off a layout.",
     .flags = kPlaceFlags,
     .run = RunUnpublish},
};

}  // namespace

std::span<const CommandDef> AgentCommands() { return kCommands; }

}  // namespace megalith::cli
