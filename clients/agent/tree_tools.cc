// agent_controller, agent_client, client and svr_client.
#include "clients/agent/agent_calls.h"
#include "clients/agent/deployment.h"
#include "clients/agent/python_text.h"
#include "clients/agent/tools.h"
#include "common/fleet/agent/model_info.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent_tools {
namespace {

using Lists = std::map<std::string, std::vector<std::string>>;

std::string OrNone(const std::optional<std::string>& text) { return text.value_or("None"); }

// A list as protobuf prints an AddressList.
std::vector<std::string> ProtoLines(const std::vector<std::string>& addresses) {
  std::vector<std::string> out;
  for (const std::string& address : addresses) out.push_back(StrCat("address: \"", address, "\""));
  return out;
}

Result<AgentCalls> DialAgent(const ToolFlags& flags, const ToolWorld& world,
                             const agent::AgentConfig& config) {
  const int64_t port = flags.Number("port") != 0 ? flags.Number("port") : config.agent_port;
  if (port <= 0 || port > 65535) {
    return InvalidArgument(
        "no port of the agent: give --port, or --conf, or the variable PORT2 that the agent has");
  }
  return AgentCalls::Dial(StrCat(ToolHost(world), ":", port));
}

// What --args means below /{bzid}.
std::string FolderOf(const std::string& args) {
  if (args == "res") return "resource";
  if (args == "pub") return "publish";
  if (args == "elect") return "election";
  return args == "addr" ? "service" : args;  // portal, lock
}

Status PrintReplicas(Deployment& deployment, const std::string& model, ToolWorld& world) {
  const auto rows = deployment.Replicas(model);
  if (rows.status().code() == Code::kNotFound) {
    *world.out << model << " has not load !\n";
    return OkStatus();
  }
  RETURN_IF_ERROR(rows.status());
  std::vector<std::string> lines;
  for (const ReplicaRow& row : *rows) {
    if (!row.meta) {
      *world.err << row.path << " is no ReplicaMeta, left out\n";
      continue;
    }
    lines.push_back(StrCat(row.path, "\tarchon_address: ", OrNone(row.meta->archon_address),
                           "\taddress: ", OrNone(row.meta->address),
                           "\tstate: ", StateName(row.meta->stat)));
  }
  *world.out << Join(lines, "\n") << '\n';
  return OkStatus();
}

Status PrintFolder(Deployment& deployment, const std::string& args, ToolWorld& world) {
  const auto nodes = deployment.Folder(FolderOf(args));
  if (nodes.status().code() == Code::kNotFound) {
    *world.out << "no " << args << " found !\n";
    return OkStatus();
  }
  RETURN_IF_ERROR(nodes.status());
  for (const auto& [name, data] : *nodes)
    *world.out << name << ' ' << PythonBytesRepr(data) << '\n';
  if (nodes->empty()) *world.out << "{}\n";
  return OkStatus();
}

Status PrintExport(const ToolFlags& flags, ToolWorld& world) {
  ASSIGN_OR_RETURN(const auto models,
                   agent::ExportedSubModels(flags.Text("model_dir"), flags.Text("ckpt"),
                                            /*version=*/std::nullopt, *world.files));
  std::vector<std::string> items;
  for (const agent::SubModel& model : models) {
    items.push_back(StrCat(PythonRepr(model.name), ": (", model.bytes, ", ",
                           PythonRepr(model.version_path), ")"));
  }
  *world.out << '{' << Join(items, ", ") << "}\n";
  return OkStatus();
}

discovery::ModelMeta ModelOf(const ToolFlags& flags, const std::string& model) {
  const auto given = [&flags](std::string_view name) {
    return flags.Has(name) ? std::optional(flags.Text(name)) : std::nullopt;
  };
  return {.model_name = model,
          .model_dir = given("model_dir"),
          .ckpt = given("ckpt"),
          .num_shard = flags.Number("num_shard")};
}

Status NeedModel(const std::string& model) {
  return model.empty() ? InvalidArgument("no model: give --model_name, or base_name in --conf")
                       : OkStatus();
}

// The commands of agent_client that work on ZooKeeper alone.
Status RunOnTree(const ToolFlags& flags, const agent::AgentConfig& config, const std::string& model,
                 ToolWorld& world) {
  const std::string& command = flags.Text("cmd_type");
  const std::string& args = flags.Text("args");
  if (config.bzid.empty()) return InvalidArgument("no bzid: give --bzid, or bzid in --conf");
  ASSIGN_OR_RETURN(const auto client, OpenZooKeeper(config.zk_servers, world));
  Deployment deployment(*client, config.bzid);
  if (command == "addr" || (command == "get" && args == "addr")) {
    RETURN_IF_ERROR(NeedModel(model));
    return PrintReplicas(deployment, model, world);
  }
  if (command == "get") return PrintFolder(deployment, args, world);
  if (command == "clean") {
    if (args != "portal" && args != "pub" && args != "addr" && args != "res") {
      return InvalidArgument(StrCat(args, " is not support!"));
    }
    return deployment.Clean(FolderOf(args)).status();
  }
  RETURN_IF_ERROR(NeedModel(model));
  if (command == "load") return deployment.Load(ModelOf(flags, model), /*fresh=*/false);
  const Status removed = deployment.Unload(model);
  if (removed.code() != Code::kNotFound) return removed;
  *world.err << model << " not exists, nothing to do!\n";
  return OkStatus();
}

Status PrintStatus(discovery::ZkClient& client, const std::string& bzid, const std::string& model,
                   ToolWorld& world) {
  Deployment deployment(client, bzid);
  ASSIGN_OR_RETURN(const auto portal, client.Exists(StrCat("/", bzid, "/portal/", model)));
  bool published = false;
  if (const auto nodes = deployment.Folder("publish"); nodes.ok()) {
    for (const auto& [name, data] : *nodes) {
      const auto parts = Split(name, ':');  // shard:replica:model
      published = published || (parts.size() == 3 && parts[2] == model);
    }
  }
  std::vector<std::string> items;
  if (const auto rows = deployment.Replicas(model); rows.ok()) {
    const size_t base = StrCat("/", bzid, "/service/", model, "/").size();
    for (const ReplicaRow& row : *rows) {
      if (!row.meta) continue;
      std::string key = row.path.substr(base);
      const size_t slash = key.rfind('/');
      if (slash != key.npos) key[slash] = ':';
      items.push_back(StrCat(PythonRepr(key), ": ", row.meta->stat));
    }
  } else if (rows.status().code() != Code::kNotFound) {
    return rows.status();
  }
  *world.out << "LoadSate(portal=" << (portal ? "True" : "None")
             << ", publish=" << (published ? "True" : "None") << ", service={" << Join(items, ", ")
             << "})\n";
  return OkStatus();
}

}  // namespace

Status RunController(const ToolFlags& flags, ToolWorld& world) {
  const std::string& command = flags.Text("cmd");
  if (command != "decl" && command != "pub" && command != "unpub" && command != "bzid_info") {
    return InvalidArgument(
        StrCat("unsupported cmd ", Printable(command), ", options are decl|pub|unpub|bzid_info"));
  }
  *world.out << '\n';  // the reference begins so
  ASSIGN_OR_RETURN(const auto client, OpenZooKeeper(flags.Text("zk_servers"), world));
  Deployment deployment(*client, flags.Text("bzid"));
  if (command == "bzid_info") {
    ASSIGN_OR_RETURN(const auto info, deployment.Info());
    *world.out << IndentedJson(info) << '\n';
    return OkStatus();
  }
  if (command == "decl") {
    if (flags.Text("arch") != "entry_ps") {
      return InvalidArgument("only entry + ps architecture supported");
    }
    if (flags.Text("export_base").empty()) {
      return InvalidArgument("decl needs --export_base, the folder with entry and ps_*");
    }
    ASSIGN_OR_RETURN(const auto model,
                     deployment.Declare(flags.Text("export_base"), flags.Text("model_name"),
                                        flags.Number("overwrite") != 0, *world.files));
    *world.err << "declare saved_model for " << model << " on path " << flags.Text("export_base")
               << " success\n";
    return OkStatus();
  }
  if (flags.Text("layout").empty() || flags.Text("model_name").empty()) {
    return InvalidArgument(StrCat(command, " needs --layout and --model_name=MODEL:SUB_GRAPH"));
  }
  const bool publish = command == "pub";
  const std::string layout = StrCat("/", flags.Text("bzid"), "/layouts/", flags.Text("layout"));
  ASSIGN_OR_RETURN(const auto done,
                   deployment.Publish(flags.Text("model_name"), flags.Text("layout"), publish));
  for (const std::string& graph : done) {
    *world.err << (publish ? "publishing " : "deleting ") << graph << (publish ? " to " : " from ")
               << layout << '\n';
  }
  if (done.empty()) {
    *world.err << "no declared sub-graph matches " << flags.Text("model_name") << '\n';
  }
  return OkStatus();
}

Status RunAgentClient(const ToolFlags& flags, ToolWorld& world) {
  const std::string& command = flags.Text("cmd_type");
  if (command == "get" && flags.Text("args") == "info") return PrintExport(flags, world);
  ASSIGN_OR_RETURN(const agent::AgentConfig config, ToolConfig(flags, world));
  const std::string model = config.base_name.empty() ? flags.Text("model_name") : config.base_name;
  const std::string& type = flags.Text("server_type");
  if (command == "hb") {
    ASSIGN_OR_RETURN(const AgentCalls calls, DialAgent(flags, world, config));
    ASSIGN_OR_RETURN(const Lists lists, calls.HeartBeat(type));
    for (const auto& [key, addresses] : lists) {
      // Python's split of nothing is one empty line: the reference counts that.
      std::vector<std::string> lines = ProtoLines(addresses);
      if (lines.empty()) lines.emplace_back();
      *world.out << key << "  -> (" << lines.size() << ") \n\t" << Join(lines, "\n\t") << '\n';
    }
    return OkStatus();
  }
  if (command == "gr") {
    RETURN_IF_ERROR(NeedModel(model));
    ASSIGN_OR_RETURN(const AgentCalls calls, DialAgent(flags, world, config));
    ASSIGN_OR_RETURN(const auto addresses, calls.GetReplicas(type, flags.Number("task"), model));
    std::string upper = type;
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    *world.out << upper << ' ' << flags.Number("task") << "  =>  " << PythonListRepr(addresses)
               << '\n';
    return OkStatus();
  }
  if (command == "meta" || command == "status" || command == "profile") {
    return InvalidArgument(StrCat(command, " is asked of a model server: use tfs_client"));
  }
  return RunOnTree(flags, config, model, world);
}

Status RunServingClient(const ToolFlags& flags, ToolWorld& world) {
  ASSIGN_OR_RETURN(const agent::AgentConfig config, ToolConfig(flags, world));
  const std::string& model = flags.Text("model_name");
  if (config.bzid.empty()) return InvalidArgument("bzid is None: give --bzid");
  if (model.empty()) return InvalidArgument("no model: give --model_name");
  const std::string& command = flags.Text("cmd_type");
  if (command == "load" && flags.Text("model_dir").empty()) {
    return InvalidArgument("load needs --model_dir");
  }
  ASSIGN_OR_RETURN(const auto client, OpenZooKeeper(config.zk_servers, world));
  Deployment deployment(*client, config.bzid);
  if (command == "load") return deployment.Load(ModelOf(flags, model), /*fresh=*/true);
  if (command != "unload") return PrintStatus(*client, config.bzid, model, world);
  const Status removed = deployment.Unload(model);
  if (removed.code() != Code::kNotFound) return removed;
  *world.err << model << " not exists, nothing to do!\n";
  return OkStatus();
}

Status RunSvrClient(const ToolFlags& flags, ToolWorld& world) {
  ASSIGN_OR_RETURN(const agent::AgentConfig config, ToolConfig(flags, world));
  ASSIGN_OR_RETURN(const AgentCalls calls, DialAgent(flags, world, config));
  const std::string& type = flags.Text("server_type");
  if (flags.Text("cmd_type") == "gr") {
    ASSIGN_OR_RETURN(const auto addresses, calls.GetReplicas(type, flags.Number("task"), ""));
    *world.out << PythonListRepr(addresses) << '\n';
    return OkStatus();
  }
  if (flags.Text("cmd_type") != "hb") {
    return InvalidArgument("svr_client has --cmd_type=hb and --cmd_type=gr");
  }
  ASSIGN_OR_RETURN(const Lists lists, calls.HeartBeat(type));
  std::vector<std::string> items;
  for (const auto& [key, addresses] : lists) {
    std::string value;
    for (const std::string& line : ProtoLines(addresses)) StrAppend(&value, line, "\n");
    items.push_back(StrCat(PythonRepr(key), ": ", value));
  }
  *world.out << '{' << Join(items, ", ") << "}\n";
  return OkStatus();
}

}  // namespace megalith::agent_tools
