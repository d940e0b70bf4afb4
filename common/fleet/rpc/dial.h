// Channels by name: what a user writes where an address is wanted.
//
//   host:port, unix:/path               that server
//   megalith:///SERVICE                 the replicas that this process's discovery lists
//   zk://HOST:PORT[,...][/CHROOT]/SERVICE
//                                       the replicas that registered there (--discovery=zk://...)
//   zk://HOST:PORT[,...][/CHROOT]/BZID/service/BASE_NAME[/IDC:CLUSTER]/TYPE:TASK
//                                       the available replicas of a task, as Monolith's agents
//                                       registered them; without ":TASK" all tasks of the type
//
// megalith://HOST:PORT/... means what zk://HOST:PORT/... means; zk:///PATH takes its servers from
// the process's discovery.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::rpc {

struct DialOptions {
  ChannelOptions channel;
  // What "megalith:///SERVICE" asks; outlives the channels. nullptr: `discovery` is opened.
  discovery::Registry* registry = nullptr;
  // "zk://HOST:PORT,.../CHROOT" or the path of a file with lines "service = address, address".
  std::string discovery;
  std::string zk_auth;  // "user:password" of the digest scheme; empty: none
  std::chrono::milliseconds session_timeout{10'000};
  std::chrono::milliseconds start_wait{5000};  // for the first reading of ZooKeeper
  std::chrono::milliseconds file_poll{2000};   // of a file of replicas
};

// Taken apart, without asking anybody.
struct DialTarget {
  enum class Kind : uint8_t { kAddress, kService, kTask };
  Kind kind = Kind::kAddress;
  std::string address;      // kAddress
  std::string servers;      // ZooKeeper's, with the chroot; empty: the process's discovery
  std::string service;      // kService
  std::string base;         // kTask: "/{bzid}/service/{base_name}"
  std::string location;     // kTask: "idc:cluster" or empty
  std::string server_type;  // kTask
  std::string task;         // kTask: digits; empty: all tasks
};

// Errors: kInvalidArgument  a target with a scheme that names nothing.
Result<DialTarget> ParseDialTarget(std::string_view target);

// "A,B" taken apart; commas between the servers of one ZooKeeper target divide nothing.
std::vector<std::string> SplitDialTargets(std::string_view targets);

// One channel over all replicas of the target: one connection for each, in turn, those known to be
// dead passed over, the list followed for as long as the channel lives. While ZooKeeper is lost the
// last list stays (Channel::replicas tells its age). No replica is no error here: calls fail with
// kUnavailable until there is one. Errors: kInvalidArgument  of the target, or all tasks are meant
// where one channel is wanted; kUnavailable  ZooKeeper cannot be read; kPermissionDenied  it
// refuses the credentials; those of Channel::Dial.
Result<std::shared_ptr<Channel>> Dial(const std::string& target, const DialOptions& options,
                                      FileSystem& files = RealFileSystem());

// The same for the shards of a target: one channel for each task in order if all tasks are meant,
// otherwise one. Errors: as Dial; kFailedPrecondition  the tasks known now are none, or not 0 to
// n - 1.
Result<std::vector<std::shared_ptr<Channel>>> DialShards(const std::string& target,
                                                         const DialOptions& options,
                                                         FileSystem& files = RealFileSystem());

}  // namespace megalith::rpc
