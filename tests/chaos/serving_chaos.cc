// A serving cluster on one machine whose agents, ZooKeeper servers and model servers are killed and
// frozen at random (`make chaos-test`; no part of `make test`). Holds while it goes on: nobody is
// told, and no channel uses, a server that has been dead for longer than the session timeout. Holds
// afterwards, without any help: every replica is registered, available and called; nothing is left
// of what died.
//
//   serving_chaos AGENT_BINARY CLASSPATH SECONDS [SEED]
//   serving_chaos --model-server ADDRESS     (what it starts as model servers)
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "clients/agent/agent_calls.h"
#include "clients/agent/deployment.h"
#include "common/fleet/rpc/dial.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tests/support/child_process.h"

namespace megalith::chaos {
namespace {

namespace tfs = tensorflow::serving;
using testing::ChildProcess;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPods = 4;
constexpr int kMembers = 3;
constexpr seconds kSession{10};
// What the ensemble's ticks, an agent's tick and the damping of flaps add to the session timeout.
constexpr seconds kSlack{6};
constexpr seconds kHeal{90};
constexpr char kBzid[] = "chaos";
constexpr char kModel[] = "ranker";

class ModelService final : public rpc::Service {
 public:
  ModelService() : Service("tensorflow.serving.ModelService", {}) {
    Unary("GetModelStatus", this, &ModelService::GetModelStatus);
  }
  Result<tfs::GetModelStatusResponse> GetModelStatus(const tfs::GetModelStatusRequest&,
                                                     const rpc::Call&) {
    tfs::GetModelStatusResponse response;
    auto* const version = response.add_model_version_status();
    version->set_version(1);
    version->set_state(tfs::ModelVersionStatus::AVAILABLE);
    return response;
  }
};

int RunModelServer(const std::string& address) {
  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Service>> services;
  services.push_back(std::make_unique<ModelService>());
  const auto server = rpc::Server::Start({.listen = {address}}, std::move(services), metrics);
  if (!server.ok()) {
    std::fprintf(stderr, "model server: %s\n", server.status().ToString().c_str());
    return 1;
  }
  while (true) ::pause();
}

// One process that is killed and started again.
struct Victim {
  std::string name;
  std::string binary;
  std::vector<std::string> arguments;
  std::unique_ptr<ChildProcess> process;
  Clock::time_point changed;  // when it was started, killed, frozen or woken last
  Clock::time_point back;     // when it is to be started or woken
  bool frozen = false;

  bool alive() const { return process != nullptr && !frozen; }
  Status Start() {
    ASSIGN_OR_RETURN(process, ChildProcess::Start(binary, arguments));
    changed = Clock::now();
    return OkStatus();
  }
  void Kill() {
    process->Signal(SIGKILL);
    (void)process->Wait(seconds(10));
    process.reset();
    changed = Clock::now();
  }
};

struct Options {
  std::string self, agent, classpath, work;
  int duration = 600;
  uint64_t seed = 0;
};

class Cluster {
 public:
  explicit Cluster(Options options) : options_(std::move(options)), rng_(options_.seed) {}

  Status Start();
  // Kills and freezes for the given time, checking all the while.
  Status Storm();
  // Starts what is down and waits until everything is as at the beginning.
  Status Heal();
  int actions() const { return actions_; }
  int64_t calls() const { return calls_; }
  int64_t failed_calls() const { return failed_; }

 private:
  std::string Servers() const;
  std::string Address(int pod) const { return StrCat("127.0.0.1:", ports_[pod]); }
  std::string AgentAddress(int pod) const { return StrCat("127.0.0.1:", ports_[kPods + pod]); }
  Status MakeMembers();
  Status MakePods();
  Status Strike();
  Status Revive(bool all);
  Status CheckEnded();
  Status CheckRouting();
  Status CheckAddress(const std::string& address, const std::string& who);
  Status Whole();

  const Options options_;
  Rng rng_;
  std::vector<int> ports_;
  std::vector<Victim> members_, agents_, models_;
  std::shared_ptr<rpc::Channel> channel_;
  int actions_ = 0;
  int64_t calls_ = 0;
  int64_t failed_ = 0;
};

// Free now; nobody else is expected to take them.
Result<std::vector<int>> FreePorts(size_t count) {
  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Server>> held;
  std::vector<int> out;
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(auto server, rpc::Server::Start({.listen = {"127.0.0.1:0"}}, {}, metrics));
    const std::string address = server->addresses()[0];
    out.push_back(static_cast<int>(*ParseInt(address.substr(address.rfind(':') + 1))));
    held.push_back(std::move(server));
  }
  return out;
}

std::string Cluster::Servers() const {
  std::vector<std::string> out;
  for (int n = 0; n < kMembers; ++n) out.push_back(StrCat("127.0.0.1:", ports_[2 * kPods + n]));
  return Join(out, ",");
}

Status Cluster::MakeMembers() {
  std::string ensemble;
  const int first = 2 * kPods;
  for (int n = 0; n < kMembers; ++n) {
    StrAppend(&ensemble, "server.", n + 1, "=127.0.0.1:", ports_[first + kMembers + n], ":",
              ports_[first + 2 * kMembers + n], "\n");
  }
  for (int n = 0; n < kMembers; ++n) {
    const std::string folder = StrCat(options_.work, "/member", n + 1);
    RETURN_IF_ERROR(RealFileSystem().MakeDirectory(folder));
    RETURN_IF_ERROR(
        RealFileSystem().WriteAtomically(JoinPath(folder, "myid"), StrCat(n + 1, "\n")));
    const std::string file = StrCat(folder, ".cfg");
    RETURN_IF_ERROR(RealFileSystem().WriteAtomically(
        file, StrCat("tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir=", folder,
                     "\nclientPort=", ports_[first + n],
                     "\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n"
                     "maxSessionTimeout=60000\n",
                     ensemble)));
    members_.push_back(
        {.name = StrCat("zookeeper ", n + 1),
         .binary = "/usr/bin/env",
         .arguments = {"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                       "-Dzookeeper.jmx.log4j.disable=true",
                       "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", options_.classpath,
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", file}});
  }
  return OkStatus();
}

Status Cluster::MakePods() {
  const std::string conf = StrCat(options_.work, "/agent.conf");
  RETURN_IF_ERROR(RealFileSystem().WriteAtomically(
      conf, StrCat("bzid ", kBzid, "\nbase_name ", kModel, "\ndeploy_type entry\nzk_servers ",
                   Servers(), "\n")));
  for (int pod = 0; pod < kPods; ++pod) {
    models_.push_back({.name = StrCat("model server ", pod),
                       .binary = options_.self,
                       .arguments = {"--model-server", Address(pod)}});
    agents_.push_back({.name = StrCat("agent ", pod),
                       .binary = "/usr/bin/env",
                       .arguments = {StrCat("MY_POD_NAME=pod-", pod), "MY_HOST_IP=127.0.0.1",
                                     "SHARD_ID=0", StrCat("PORT2=", ports_[kPods + pod]),
                                     StrCat("PORT3=", ports_[pod]), options_.agent, "--conf", conf,
                                     "--model_server=none", StrCat("--listen=", AgentAddress(pod)),
                                     "--metrics_listen=127.0.0.1:0", "--log_level=error"}});
  }
  return OkStatus();
}

Status Cluster::Start() {
  ASSIGN_OR_RETURN(ports_, FreePorts(2 * kPods + 3 * kMembers));
  RETURN_IF_ERROR(MakeMembers());
  RETURN_IF_ERROR(MakePods());
  for (auto* const group : {&members_, &models_, &agents_}) {
    for (Victim& victim : *group) RETURN_IF_ERROR(victim.Start());
  }
  rpc::DialOptions options{.start_wait = kHeal};
  options.channel.retry = {.max_attempts = 1};
  ASSIGN_OR_RETURN(
      channel_,
      rpc::Dial(StrCat("zk://", Servers(), "/", kBzid, "/service/", kModel, "/entry:0"), options));
  return Heal();
}

// Kills or freezes something; of ZooKeeper never a second member while one is down.
Status Cluster::Strike() {
  std::vector<Victim*> candidates;
  bool member_down = false;
  for (const Victim& member : members_) member_down = member_down || !member.alive();
  for (auto* const group : {&members_, &agents_, &models_}) {
    for (Victim& victim : *group) {
      if (victim.alive() && (group != &members_ || !member_down)) candidates.push_back(&victim);
    }
  }
  if (candidates.empty()) return OkStatus();
  Victim& victim = *candidates[rng_.Below(candidates.size())];
  ++actions_;
  const milliseconds pause(rng_.Below(20'000));
  if (rng_.Below(3) == 0) {
    victim.process->Signal(SIGSTOP);
    victim.frozen = true;
    victim.changed = Clock::now();
  } else {
    victim.Kill();
  }
  victim.back = Clock::now() + pause;
  return OkStatus();
}

Status Cluster::Revive(bool all) {
  for (auto* const group : {&members_, &agents_, &models_}) {
    for (Victim& victim : *group) {
      if (victim.alive() || (!all && Clock::now() < victim.back)) continue;
      if (!victim.frozen) {
        RETURN_IF_ERROR(victim.Start());
        continue;
      }
      victim.process->Signal(SIGCONT);
      victim.frozen = false;
      victim.changed = Clock::now();
    }
  }
  return OkStatus();
}

// Nothing may end that was not killed.
Status Cluster::CheckEnded() {
  for (auto* const group : {&members_, &agents_, &models_}) {
    for (Victim& victim : *group) {
      if (!victim.alive()) continue;
      const auto exit = victim.process->Wait(milliseconds(0));
      if (exit) return Internal(StrCat(victim.name, " ended by itself with ", *exit));
    }
  }
  return OkStatus();
}

// Of an address that somebody would use now. What happened to ZooKeeper or to the agent beside the
// server starts the time anew: sessions begin again with a new leader, and an agent that wakes up
// needs a look at its model server.
Status Cluster::CheckAddress(const std::string& address, const std::string& who) {
  for (int pod = 0; pod < kPods; ++pod) {
    if (Address(pod) != address || models_[pod].alive()) continue;
    Clock::time_point since = std::max(models_[pod].changed, agents_[pod].changed);
    for (const Victim& member : members_) since = std::max(since, member.changed);
    const auto dead = Clock::now() - since;
    if (dead <= kSession + kSlack) return OkStatus();
    // A frozen server keeps its connections: only its agent can tell, which is asked each second.
    return Internal(StrCat(who, " would still call ", address, ", whose server is dead for ",
                           std::chrono::duration_cast<milliseconds>(dead).count(), " ms"));
  }
  return OkStatus();
}

Status Cluster::CheckRouting() {
  for (int pod = 0; pod < kPods; ++pod) {
    if (!agents_[pod].alive()) continue;
    const auto channel = rpc::Channel::Dial(AgentAddress(pod), {.retry = {.max_attempts = 1}});
    const agent_tools::AgentCalls calls(*channel, {.timeout = milliseconds(500)});
    const auto answer = calls.HeartBeat("entry");
    if (!answer.ok()) continue;  // it starts
    for (const auto& [task, addresses] : *answer) {
      for (const std::string& address : addresses)
        RETURN_IF_ERROR(CheckAddress(address, agents_[pod].name));
    }
  }
  for (const auto& replica : channel_->replicas().replicas) {
    if (!replica.down) RETURN_IF_ERROR(CheckAddress(replica.address, "the channel"));
  }
  const rpc::UnaryMethod<tfs::GetModelStatusRequest, tfs::GetModelStatusResponse> call(
      channel_, "tensorflow.serving.ModelService", "GetModelStatus");
  ++calls_;
  if (!call({}, {.timeout = milliseconds(500)}).ok()) ++failed_;
  return OkStatus();
}

Status Cluster::Storm() {
  const auto end = Clock::now() + seconds(options_.duration);
  auto next = Clock::now();
  while (Clock::now() < end) {
    if (Clock::now() >= next) {
      RETURN_IF_ERROR(Strike());
      next = Clock::now() + milliseconds(500 + rng_.Below(3500));
    }
    RETURN_IF_ERROR(Revive(/*all=*/false));
    RETURN_IF_ERROR(CheckEnded());
    RETURN_IF_ERROR(CheckRouting());
    std::this_thread::sleep_for(milliseconds(100));
  }
  return OkStatus();
}

// OK when every replica is registered, available, told by every agent and called, and nothing else.
Status Cluster::Whole() {
  std::set<std::string> wanted;
  for (int pod = 0; pod < kPods; ++pod) wanted.insert(Address(pod));
  ASSIGN_OR_RETURN(const auto client, discovery::ZkClient::Open({.servers = Servers()}));
  RETURN_IF_ERROR(client->WaitConnected(seconds(5)));
  agent_tools::Deployment deployment(*client, kBzid);
  ASSIGN_OR_RETURN(const auto rows, deployment.Replicas(kModel));
  std::set<std::string> registered;
  for (const auto& row : rows) {
    if (!row.meta || row.meta->stat != 30)
      return Unavailable(StrCat(row.path, " is not available"));
    registered.insert(row.meta->address.value_or(""));
  }
  if (registered != wanted || rows.size() != wanted.size()) {
    return Unavailable(StrCat(rows.size(), " nodes are registered, wanted ", wanted.size()));
  }
  for (int pod = 0; pod < kPods; ++pod) {
    ASSIGN_OR_RETURN(const auto calls, agent_tools::AgentCalls::Dial(AgentAddress(pod)));
    ASSIGN_OR_RETURN(auto lists, calls.HeartBeat("entry"));
    const auto& list = lists["entry:0"];
    if (std::set<std::string>(list.begin(), list.end()) != wanted) {
      return Unavailable(StrCat(agents_[pod].name, " tells of ", list.size(), " replicas"));
    }
  }
  const rpc::ReplicaView view = channel_->replicas();
  if (view.stale || view.replicas.size() != wanted.size()) {
    return Unavailable(StrCat("the channel has ", view.replicas.size(), " replicas"));
  }
  const rpc::UnaryMethod<tfs::GetModelStatusRequest, tfs::GetModelStatusResponse> call(
      channel_, "tensorflow.serving.ModelService", "GetModelStatus");
  for (int i = 0; i < 3 * kPods; ++i) RETURN_IF_ERROR(call({}, {.timeout = seconds(5)}).status());
  return OkStatus();
}

Status Cluster::Heal() {
  RETURN_IF_ERROR(Revive(/*all=*/true));
  const auto limit = Clock::now() + kHeal;
  Status whole = Whole();
  while (!whole.ok() && Clock::now() < limit) {
    RETURN_IF_ERROR(CheckEnded());
    std::this_thread::sleep_for(milliseconds(250));
    whole = Whole();
  }
  return whole.Annotate("not healed");
}

int Run(const Options& options) {
  telemetry::SetLogLevel(telemetry::Level::error);
  std::printf("chaos: seed %llu, %d s\n", static_cast<unsigned long long>(options.seed),
              options.duration);
  std::fflush(stdout);
  Cluster cluster(options);
  Status status = cluster.Start().Annotate("start");
  if (status.ok()) status = cluster.Storm();
  if (status.ok()) status = cluster.Heal();
  std::printf("chaos: %d kills and freezes, %lld calls, %lld of them failed: %s\n",
              cluster.actions(), static_cast<long long>(cluster.calls()),
              static_cast<long long>(cluster.failed_calls()),
              status.ok() ? "all healed, nobody called the dead" : status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace megalith::chaos

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  if (words.size() == 3 && words[1] == "--model-server") {
    return megalith::chaos::RunModelServer(words[2]);
  }
  if (words.size() < 4) {
    std::fprintf(stderr, "usage: serving_chaos AGENT_BINARY CLASSPATH SECONDS [SEED]\n");
    return 2;
  }
  const megalith::TempDirectory work;
  return megalith::chaos::Run(
      {.self = std::filesystem::canonical(words[0]).string(),
       .agent = words[1],
       .classpath = words[2],
       .work = work.path(),
       .duration = static_cast<int>(megalith::ParseInt(words[3]).value_or(600)),
       .seed =
           words.size() > 4 ? megalith::ParseUint(words[4]).value_or(1) : megalith::EntropySeed()});
}
