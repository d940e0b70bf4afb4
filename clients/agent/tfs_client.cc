// tfs_client: calls a model server as a user of TensorFlow Serving would.
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

#include "clients/agent/framed_data.h"
#include "clients/agent/tools.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace megalith::agent_tools {
namespace {

namespace tfs = tensorflow::serving;

constexpr char kModelService[] = "tensorflow.serving.ModelService";
constexpr char kPredictionService[] = "tensorflow.serving.PredictionService";
constexpr std::chrono::seconds kPredictDeadline{30};
constexpr uint64_t kMaxConfigBytes = 64 << 20;

// A message as Python prints it.
std::string PrintedProto(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetExpandAny(true);
  std::string out;
  printer.PrintToString(message, &out);
  return out + "\n";
}

struct Target {
  std::string model;
  std::vector<std::shared_ptr<rpc::Channel>> servers;
  std::string signature;

  void Fill(tfs::ModelSpec* spec) const {
    spec->set_name(model);
    spec->set_signature_name(signature);
  }
};

// Whom to call, by deploy_type where flags say nothing (spec cli.md, section 1).
Result<Target> TargetOf(const ToolFlags& flags, const ToolWorld& world) {
  ASSIGN_OR_RETURN(const agent::AgentConfig config, ToolConfig(flags, world));
  std::string model = "entry";
  int port = config.entry.grpc;
  if (config.deploy_type == agent::DeployType::kPs) {
    model = StrCat("ps_", config.shard_id);
    port = config.ps.grpc;
  } else if (config.deploy_type == agent::DeployType::kDense) {
    model = "dense";
    port = config.dense.grpc;
  }
  Target out{.model = flags.Has("model_name") ? flags.Text("model_name") : model,
             .servers = {},
             .signature = flags.Text("signature_name")};
  std::string addresses = flags.Text("target");
  if (addresses.empty()) {
    if (port == 0) return InvalidArgument("no model server: give --target=HOST:PORT, or --conf");
    addresses = StrCat(ToolHost(world), ":", port);
  }
  for (const std::string_view address : Split(addresses, ',')) {
    ASSIGN_OR_RETURN(out.servers.emplace_back(), rpc::Channel::Dial(std::string(address), {}));
  }
  return out;
}

Status PrintModelStatus(const Target& target, ToolWorld& world) {
  tfs::GetModelStatusRequest request;
  target.Fill(request.mutable_model_spec());
  const rpc::UnaryMethod<tfs::GetModelStatusRequest, tfs::GetModelStatusResponse> call(
      target.servers.front(), kModelService, "GetModelStatus");
  ASSIGN_OR_RETURN(const auto response, call(request));
  *world.out << PrintedProto(response);
  return OkStatus();
}

Status PrintMetadata(const Target& target, ToolWorld& world) {
  tfs::GetModelMetadataRequest request;
  target.Fill(request.mutable_model_spec());
  // The reference asks for base_path, num_versions and signature_name, which no server knows.
  request.add_metadata_field("signature_def");
  const rpc::UnaryMethod<tfs::GetModelMetadataRequest, tfs::GetModelMetadataResponse> call(
      target.servers.front(), kPredictionService, "GetModelMetadata");
  ASSIGN_OR_RETURN(const auto response, call(request));
  // The descriptor must be linked for the answer to be printed in full.
  tfs::SignatureDefMap::descriptor();
  *world.out << PrintedProto(response);
  return OkStatus();
}

Status Reload(const ToolFlags& flags, const Target& target, ToolWorld& world) {
  const std::string& path = flags.Text("input_file");
  if (path.empty()) {
    return InvalidArgument("load needs --input_file, a text ModelServerConfig");
  }
  ASSIGN_OR_RETURN(const std::string text, world.files->Read(path, kMaxConfigBytes));
  tfs::ReloadConfigRequest request;
  if (!google::protobuf::TextFormat::ParseFromString(text, request.mutable_config())) {
    return InvalidArgument(StrCat(path, " is no text of tensorflow.serving.ModelServerConfig"));
  }
  const rpc::UnaryMethod<tfs::ReloadConfigRequest, tfs::ReloadConfigResponse> call(
      target.servers.front(), kModelService, "HandleReloadConfigRequest");
  ASSIGN_OR_RETURN(const auto response, call(request));
  if (response.status().error_code() != 0) {
    return Status(static_cast<Code>(response.status().error_code()),
                  response.status().error_message());
  }
  *world.err << PrintedProto(request.config()) << "load done!\n";
  return OkStatus();
}

FramingOptions FramingOf(const ToolFlags& flags) {
  return {.lagrangex_header = flags.Switch("lagrangex_header"),
          .kafka_dump_prefix = flags.Switch("kafka_dump_prefix"),
          .has_sort_id = flags.Switch("has_sort_id"),
          .kafka_dump = flags.Switch("kafka_dump")};
}

// A tensor of texts: [n].
void FillTexts(std::vector<std::string> texts, tensorflow::TensorProto* tensor) {
  tensor->set_dtype(tensorflow::DT_STRING);
  tensor->mutable_tensor_shape()->add_dim()->set_size(static_cast<int64_t>(texts.size()));
  for (std::string& text : texts) tensor->add_string_val(std::move(text));
}

// The request of `get` from one file of data.
Result<tfs::PredictRequest> RequestOf(const ToolFlags& flags, const Target& target,
                                      const std::string& path, ToolWorld& world) {
  if (flags.Text("file_type") == "pbtxt") {
    return Unimplemented("text files of data are not read: give --file_type=pb");
  }
  if (path.empty()) {
    return InvalidArgument(
        "no data: give --input_file, framed as --lagrangex_header, --has_sort_id, --kafka_dump and "
        "--kafka_dump_prefix say");
  }
  const std::string& type = flags.Text("input_type");
  const size_t wanted = type == "instance"
                            ? static_cast<size_t>(std::max<int64_t>(1, flags.Number("batch_size")))
                            : 1;
  ASSIGN_OR_RETURN(std::vector<std::string> records,
                   ReadFramed(path, FramingOf(flags), wanted, *world.files));
  tfs::PredictRequest request;
  target.Fill(request.mutable_model_spec());
  if (type == "example_batch") {
    FillTexts(std::move(records), &(*request.mutable_inputs())["example_batch"]);
    return request;
  }
  if (type != "instance") {
    ASSIGN_OR_RETURN(records, InstancesOfExampleBatch(records.front()));
  }
  FillTexts(std::move(records), &(*request.mutable_inputs())["instances"]);
  return request;
}

using PredictMethod = rpc::UnaryMethod<tfs::PredictRequest, tfs::PredictResponse>;

Status Predict(const ToolFlags& flags, const Target& target, ToolWorld& world) {
  ASSIGN_OR_RETURN(const auto request, RequestOf(flags, target, flags.Text("input_file"), world));
  const PredictMethod call(target.servers.front(), kPredictionService, "Predict");
  ASSIGN_OR_RETURN(const auto response, call(request, {.timeout = kPredictDeadline}));
  *world.out << PrintedProto(response);
  return OkStatus();
}

// The requests of `profile`: each file of the folder, or the one file.
Result<std::vector<tfs::PredictRequest>> ProfileData(const ToolFlags& flags, const Target& target,
                                                     ToolWorld& world) {
  std::vector<std::string> paths;
  if (const std::string& folder = flags.Text("profile_data_dir"); !folder.empty()) {
    ASSIGN_OR_RETURN(const auto files, world.files->List(folder));
    for (const FileInfo& file : files) {
      if (!file.is_directory) paths.push_back(JoinPath(folder, file.name));
    }
  } else if (flags.Has("input_file")) {
    paths.push_back(flags.Text("input_file"));
  }
  if (paths.empty()) {
    return InvalidArgument(
        "profile needs data: give --profile_data_dir with one framed request in each file");
  }
  std::vector<tfs::PredictRequest> out;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(out.emplace_back(), RequestOf(flags, target, path, world));
  }
  return out;
}

Status Profile(const ToolFlags& flags, const Target& target, ToolWorld& world) {
  const int64_t threads = flags.Number("parallel_num");
  const int64_t seconds = flags.Number("profile_duration");
  if (threads < 1 || threads > 1024) {
    return InvalidArgument(StrCat("--parallel_num is 1 to 1024, got ", threads));
  }
  if (seconds < 0) return InvalidArgument("--profile_duration is in seconds, and not below 0");
  ASSIGN_OR_RETURN(const auto requests, ProfileData(flags, target, world));
  std::vector<PredictMethod> servers;
  for (const auto& channel : target.servers)
    servers.emplace_back(channel, kPredictionService, "Predict");
  std::mutex mu;
  std::vector<double> milliseconds;
  int64_t failed = 0;
  std::string reason;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + std::chrono::seconds(seconds);
  const auto work = [&](uint64_t seed) {
    SetThreadName("profile");
    Rng rng(seed);
    std::vector<double> mine;
    do {
      const tfs::PredictRequest& request = requests[rng.Below(requests.size())];
      const PredictMethod& call = servers[rng.Below(servers.size())];
      const auto start = std::chrono::steady_clock::now();
      const auto response = call(request, {.timeout = kPredictDeadline});
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      if (response.ok()) {
        mine.push_back(took.count());
      } else {
        const std::lock_guard<std::mutex> lock(mu);
        ++failed;
        reason = response.status().ToString();
      }
    } while (std::chrono::steady_clock::now() < end);
    const std::lock_guard<std::mutex> lock(mu);
    milliseconds.insert(milliseconds.end(), mine.begin(), mine.end());
  };
  std::vector<std::thread> pool;
  for (int64_t i = 0; i < threads; ++i) pool.emplace_back(work, static_cast<uint64_t>(i) + 1);
  for (std::thread& thread : pool) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::sort(milliseconds.begin(), milliseconds.end());
  double sum = 0;
  for (const double one : milliseconds) sum += one;
  const auto count = static_cast<double>(milliseconds.size());
  const bool any = !milliseconds.empty();
  const double p99 =
      any ? milliseconds[static_cast<size_t>(std::nearbyint((count - 1) * 0.99))] : 0.0;
  *world.err << "[Profile] Count: " << milliseconds.size()
             << ", Avg Latency: " << PythonFloat(any ? sum / count : 0.0)
             << ", P99 Latency: " << PythonFloat(p99)
             << ", QPS: " << PythonFloat(any ? count / took.count() : 0.0) << '\n';
  if (failed == 0) return OkStatus();
  *world.err << failed << " calls failed, the last with " << reason << '\n';
  return any ? OkStatus() : Unavailable(StrCat("every call failed: ", reason));
}

}  // namespace

Status RunTfsClient(const ToolFlags& flags, ToolWorld& world) {
  ASSIGN_OR_RETURN(const Target target, TargetOf(flags, world));
  const std::string& command = flags.Text("cmd_type");
  if (command == "status") return PrintModelStatus(target, world);
  if (command == "meta") return PrintMetadata(target, world);
  if (command == "load") return Reload(flags, target, world);
  if (command == "profile") return Profile(flags, target, world);
  return Predict(flags, target, world);
}

}  // namespace megalith::agent_tools
