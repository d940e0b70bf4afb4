#include "clients/agent/tools.h"

#include <algorithm>
#include <array>

#include "common/foundation/base/strings.h"

namespace megalith::agent_tools {
namespace {

constexpr std::chrono::seconds kStartWait{15};  // kazoo's
constexpr std::string_view kBinNames = "agent agent_client tfs_client";

template <size_t... kSizes>
constexpr auto JoinFlags(const std::array<ToolFlag, kSizes>&... tables) {
  std::array<ToolFlag, (kSizes + ...)> out{};
  size_t at = 0;
  const auto append = [&](const auto& table) {
    for (const ToolFlag& f : table) out[at++] = f;
  };
  (append(tables), ...);
  return out;
}

constexpr auto kConf = std::to_array<ToolFlag>({
    {.name = "conf", .help = "agent conf file"},
});

// Of client.py, which agent_client and tfs_client share.
constexpr auto kClientFlags = std::to_array<ToolFlag>({
    {.name = "cmd_type",
     .fallback = "hb",
     .help = "what to do",
     .words = "hb gr addr get clean load unload meta status profile"},
    {.name = "zk_servers", .help = "zk servers"},
    {.name = "bzid", .help = "business id"},
    {.name = "model_name", .help = "model name"},
    {.name = "target", .help = "host:port"},
    {.name = "input_type",
     .fallback = "dump",
     .help = "inputs type for prediction",
     .words = "json pbtext dump binary instance example_batch example_batch_to_instance"},
    {.name = "input_file", .help = "The input file name"},
});

constexpr auto kAgentFlags = std::to_array<ToolFlag>({
    {.name = "port", .kind = FlagKind::kNumber, .fallback = "0", .help = "agent_port"},
    {.name = "args",
     .fallback = "addr",
     .help = "what to get or to clean",
     .words = "addr portal pub res lock elect info"},
    {.name = "server_type",
     .fallback = "ps",
     .help = "server_type, ps or entry or dense",
     .words = "ps entry dense"},
    {.name = "task",
     .kind = FlagKind::kNumber,
     .fallback = "0",
     .help = "task id of given server_type"},
    {.name = "model_dir", .help = "saved model dir"},
    {.name = "ckpt", .help = "ckpt name"},
    {.name = "num_shard",
     .kind = FlagKind::kNumber,
     .fallback = "-1",
     .help = "number of shard will use of current model"},
});

constexpr auto kTfsFlags = std::to_array<ToolFlag>({
    {.name = "signature_name", .fallback = "serving_default", .help = "signature name"},
    {.name = "feature_list", .help = "feature_list for prediction"},
    {.name = "file_type", .fallback = "pb", .help = "The input file type", .words = "pb pbtxt"},
    {.name = "batch_size",
     .kind = FlagKind::kNumber,
     .fallback = "8",
     .help = "batch_size for prediction"},
    {.name = "lagrangex_header",
     .kind = FlagKind::kSwitch,
     .fallback = "false",
     .help = "whether the data has a lagrangex header"},
    {.name = "has_sort_id",
     .kind = FlagKind::kSwitch,
     .fallback = "false",
     .help = "whether the data has sort ids"},
    {.name = "kafka_dump",
     .kind = FlagKind::kSwitch,
     .fallback = "false",
     .help = "whether the data is a kafka dump"},
    {.name = "kafka_dump_prefix",
     .kind = FlagKind::kSwitch,
     .fallback = "false",
     .help = "whether the data has a kafka dump prefix"},
    {.name = "parallel_num",
     .kind = FlagKind::kNumber,
     .fallback = "1",
     .help = "parallel_num for profile"},
    {.name = "profile_duration",
     .kind = FlagKind::kNumber,
     .fallback = "600",
     .help = "second for profile"},
    {.name = "profile_data_dir", .help = "profile input dir"},
});

constexpr auto kControllerFlags = std::to_array<ToolFlag>({
    {.name = "zk_servers", .help = "zk connection string"},
    {.name = "bzid", .fallback = "test", .help = "namespace"},
    {.name = "export_base", .help = "exported model base path"},
    {.name = "overwrite",
     .kind = FlagKind::kNumber,
     .fallback = "0",
     .help = "overwrite existing saved_model configs"},
    {.name = "model_name", .help = "model_name"},
    {.name = "layout", .help = "layout base"},
    {.name = "arch", .fallback = "entry_ps", .help = "serving architecture"},
    {.name = "cmd", .fallback = "bzid_info", .help = "decl|pub|unpub|bzid_info"},
});

// agent_client and tfs_client are one program in the reference, and take each other's flags.
constexpr auto kAgentClientFlags = JoinFlags(kConf, kClientFlags, kAgentFlags);
constexpr auto kTfsClientFlags = JoinFlags(kConf, kClientFlags, kTfsFlags);

constexpr Tool kTools[] = {
    {.name = "agent_controller",
     .help = "declares models, places them in layouts, tells what there is",
     .flags = kControllerFlags,
     .run = RunController},
    {.name = "agent_client",
     .help = "asks the agent of this host, and ZooKeeper, who serves what",
     .flags = kAgentClientFlags,
     .run = RunAgentClient},
    {.name = "client",
     .help = "asks to load and unload models, in ZooKeeper alone",
     .flags = kAgentClientFlags,
     .run = RunServingClient},
    {.name = "svr_client",
     .help = "heart_beat (hb) and get_replicas (gr) of the agent of this host",
     .flags = kAgentClientFlags,
     .run = RunSvrClient},
    {.name = "tfs_client",
     .help = "calls a model server: status, meta, load, get, profile",
     .flags = kTfsClientFlags,
     .run = RunTfsClient},
};

}  // namespace

std::span<const Tool> AllTools() { return kTools; }

int RunTool(std::string_view name, std::span<const std::string> arguments, ToolWorld world) {
  for (const Tool& tool : kTools) {
    if (tool.name != name) continue;
    const auto flags = ToolFlags::Parse(tool.flags, arguments, *world.files);
    if (!flags.ok()) {
      *world.err << "FATAL Flags parsing error: " << flags.status().message()
                 << "\nPass --helpshort or --helpfull to see help on flags.\n";
      return 1;
    }
    if (flags->help()) {
      *world.out << tool.name << ": " << tool.help << "\n\nflags:\n" << FlagHelp(tool.flags);
      return 0;
    }
    const Status status = tool.run(*flags, world);
    world.out->flush();
    if (status.ok()) return 0;
    *world.err << tool.name << ": " << status.ToString() << '\n';
    return 1;
  }
  std::vector<std::string_view> names;
  for (const Tool& tool : kTools) names.push_back(tool.name);
  *world.err << "no tool '" << Printable(name) << "'; there are " << Join(names, ", ") << '\n';
  return 1;
}

Result<RunTarget> SplitRun(std::span<const std::string> arguments) {
  RunTarget out{.bin_name = "agent", .arguments = {}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    const size_t dashes = word.starts_with("--") ? 2 : 1;
    if (!word.starts_with("-") || word.substr(dashes, 8) != "bin_name") {
      out.arguments.emplace_back(word);
    } else if (word.size() == dashes + 8 && i + 1 < arguments.size()) {
      out.bin_name = arguments[++i];
    } else if (word.size() > dashes + 8 && word[dashes + 8] == '=') {
      out.bin_name = std::string(word.substr(dashes + 9));
    } else {
      return InvalidArgument("Missing value for flag --bin_name");
    }
  }
  const auto names = Split(kBinNames, ' ');
  if (std::find(names.begin(), names.end(), out.bin_name) == names.end()) {
    return InvalidArgument(StrCat("flag --bin_name=", Printable(out.bin_name),
                                  ": value should be one of <", Join(names, "|"), ">"));
  }
  return out;
}

Result<std::unique_ptr<discovery::ZkClient>> OpenZooKeeper(const std::string& servers,
                                                           const ToolWorld& world) {
  if (servers.empty()) {
    return InvalidArgument(
        "no ZooKeeper servers: give --zk_servers=HOST:PORT, or a --conf whose zk_servers names "
        "them");
  }
  const auto auth = world.environment.find("ZK_AUTH");
  ASSIGN_OR_RETURN(auto client, discovery::ZkClient::Open(
                                    {.servers = servers,
                                     .auth = auth == world.environment.end() ? "" : auth->second}));
  const Status connected = client->WaitConnected(kStartWait);
  if (connected.code() == Code::kDeadlineExceeded) return Unavailable(connected.message());
  RETURN_IF_ERROR(connected);
  return client;
}

std::string ToolHost(const ToolWorld& world) {
  const auto ip = world.environment.find("MY_HOST_IP");
  if (ip != world.environment.end() && !ip->second.empty()) return ip->second;
  const std::string named = agent::ThisHost().ipv4;
  return named.empty() ? "127.0.0.1" : named;
}

Result<agent::AgentConfig> ToolConfig(const ToolFlags& flags, const ToolWorld& world) {
  agent::AgentConfig config;
  if (!flags.Text("conf").empty()) {
    ASSIGN_OR_RETURN(config, agent::LoadAgentConfig(flags.Text("conf"), world.environment,
                                                    agent::ThisHost(), *world.files));
  } else if (const auto port = world.environment.find("PORT2"); port != world.environment.end()) {
    config.agent_port = static_cast<int>(ParseInt(port->second).value_or(0));
  }
  if (flags.Has("zk_servers")) config.zk_servers = flags.Text("zk_servers");
  if (flags.Has("bzid")) config.bzid = flags.Text("bzid");
  return config;
}

}  // namespace megalith::agent_tools
