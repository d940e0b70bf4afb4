// The client of parameter servers that divide ids among them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/shard_calls.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/thread_pool.h"
#include "common/learning/embedding/server/value_format.h"
#include "common/learning/embedding/table_client.h"

namespace megalith::table::v1 {
class CreateTableRequest;
class LookupRequest;
class LookupResponse;
class StatsResponse;
}  // namespace megalith::table::v1

namespace megalith::stubs {

// One of the servers.
struct TableShard {
  std::shared_ptr<rpc::Channel> primary;
  std::shared_ptr<rpc::Channel> replica;  // may be null: lookups are not hedged
};

struct TableClientOptions {
  std::chrono::milliseconds timeout{30'000};  // of a whole call, retries included
  // Of one attempt. One that hangs is given up and made again: an update carries its id, so that
  // it is not applied twice.
  std::chrono::milliseconds attempt_timeout{5'000};
  rpc::RetryPolicy retry{.max_attempts = 100};  // as long as the timeout allows
  // A lookup that takes longer than this share of the latest ones did is sent to the replica too;
  // the first answer counts.
  double hedge_quantile = 0.95;
  std::chrono::nanoseconds min_hedge_delay = std::chrono::milliseconds(1);
  std::chrono::nanoseconds first_hedge_delay = std::chrono::milliseconds(50);
  embedding::ValueFormat format = embedding::ValueFormat::kFp32;
  size_t threads = 16;    // calls at the same time, beside those on the callers' own threads
  std::string client_id;  // empty: a random one. Never used again by another run
  uint64_t seed = 0;      // of jitter and client_id; 0: from the operating system
};

// Divides ids by embedding::ShardOf, removes duplicates, calls the shards side by side and puts
// rows back in order. Thread-safe.
class ShardedTableClient final : public embedding::TableClient {
 public:
  // Errors: kInvalidArgument  no shard.
  static Result<std::unique_ptr<ShardedTableClient>> Make(std::vector<TableShard> shards,
                                                          TableClientOptions options);
  // Shard i is whoever discovery lists as `<service>_<i>`, its replicas as
  // `<service>_<i>_replica`; both are followed when they change. `registry` must outlive this.
  // Errors: kInvalidArgument  fewer than one shard; those of rpc::Channel::Discover.
  static Result<std::unique_ptr<ShardedTableClient>> Discover(
      discovery::Registry& registry, const std::string& service, int shards,
      const rpc::ChannelOptions& channel_options, TableClientOptions options);
  ~ShardedTableClient() override;

  Result<int64_t> Lookup(std::span<const embedding::RowsWanted> batches,
                         const Cancellation& cancellation) override;
  Result<std::vector<embedding::WriteReport>> Apply(
      std::span<const embedding::TableGradients> batches, const embedding::ApplyOptions& options,
      const Cancellation& cancellation) override;

  // On every shard. Errors: those of the first shard that fails, with its number.
  Status CreateTable(const table::v1::CreateTableRequest& request,
                     const Cancellation& cancellation);
  // Of every shard, in order.
  Result<std::vector<table::v1::StatsResponse>> Stats(const Cancellation& cancellation);

  const std::string& client_id() const { return options_.client_id; }
  // Lookups that were sent to a replica too, and those that it answered first.
  uint64_t hedged() const;
  uint64_t hedges_won() const;

 private:
  struct Shard;
  struct Part;
  ShardedTableClient(std::vector<TableShard> shards, TableClientOptions options);

  // A lookup of one shard, of its replica too if it takes long.
  Result<table::v1::LookupResponse> Hedged(
      Shard& shard, const std::shared_ptr<const table::v1::LookupRequest>& request,
      const rpc::CallOptions& options);
  Status LookupShard(size_t shard, const std::shared_ptr<const table::v1::LookupRequest>& request,
                     std::span<const size_t> batches, std::deque<Part>& parts,
                     const Cancellation& cancellation);

  const TableClientOptions options_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<uint64_t> hedged_{0};
  std::atomic<uint64_t> hedges_won_{0};
  // They end first: their tasks use the shards. Two, so that who waits never holds the thread that
  // it waits for.
  ShardCalls shard_calls_;
  ThreadPool calls_;
};

}  // namespace megalith::stubs
