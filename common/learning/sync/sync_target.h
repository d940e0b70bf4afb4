// What sync needs from the outside: who the targets are and how to reach one. Services bind both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/sync/push.h"

namespace megalith::sync {

// A serving replica, as discovery knows it.
struct TargetAddress {
  std::string address;  // "host:port"
  std::string idc;      // may be empty
  std::string cluster;  // may be empty
  int64_t replica_id = -1;
  friend bool operator==(const TargetAddress&, const TargetAddress&) = default;
};

// What a target's answer says about itself.
struct PushAck {
  // A number that another run of the target does not have; servers other than Megalith's say none.
  std::optional<uint64_t> instance;
  // Version of the model that took the rows.
  std::optional<int64_t> version;
};

// One connection. Push is called by one thread at a time.
class SyncTarget {
 public:
  virtual ~SyncTarget() = default;
  // Sends one part and waits, at most push.timeout, for the answer: OK means that the rows are in
  // the target. Errors: kUnavailable and kDeadlineExceeded for a target that cannot be reached or
  // does not answer; whatever the target answers.
  virtual Result<PushAck> Push(const sync::Push& push) = 0;
};

// The replicas now. An error leaves the last known ones in use.
using TargetResolver = std::function<Result<std::vector<TargetAddress>>()>;
// Never null. Connecting happens in Push.
using TargetFactory = std::function<std::unique_ptr<SyncTarget>(const TargetAddress& target)>;

}  // namespace megalith::sync
