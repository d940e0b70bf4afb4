#include "common/fleet/stubs/table_client.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "common/fleet/stubs/latency_quantile.h"
#include "common/fleet/stubs/table_proto.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/dedup.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::stubs {

namespace v1 = table::v1;
using embedding::Fid;
using embedding::RowsWanted;
using embedding::TableGradients;
using embedding::WriteReport;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr char kService[] = "megalith.table.v1.TableService";
// How soon a cancelled caller gets its answer.
constexpr milliseconds kPollInterval{20};

struct Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : create(c, kService, "CreateTable"),
        lookup(c, kService, "Lookup"),
        apply(c, kService, "Apply"),
        stats(c, kService, "Stats") {}
  rpc::UnaryMethod<v1::CreateTableRequest, v1::CreateTableResponse> create;
  rpc::UnaryMethod<v1::LookupRequest, v1::LookupResponse> lookup;
  rpc::UnaryMethod<v1::ApplyRequest, v1::ApplyResponse> apply;
  rpc::UnaryMethod<v1::StatsRequest, v1::StatsResponse> stats;
};

// The distinct ids of one batch and where each of them goes.
struct Split {
  explicit Split(std::span<const Fid> distinct, size_t shards)
      : ids(shards), shard(distinct.size()), at(distinct.size()) {
    for (size_t i = 0; i < distinct.size(); ++i) {
      const auto s = static_cast<size_t>(embedding::ShardOf(distinct[i], static_cast<int>(shards)));
      shard[i] = static_cast<uint32_t>(s);
      at[i] = static_cast<uint32_t>(ids[s].size());
      ids[s].push_back(distinct[i]);
    }
  }
  std::vector<std::vector<Fid>> ids;  // by shard
  std::vector<uint32_t> shard;        // of each distinct id
  std::vector<uint32_t> at;           // its place among the shard's
};

// The dim that a buffer of `values` for `ids` ids has; 0 without ids.
Result<size_t> DimOf(const std::string& table, size_t ids, size_t values) {
  if (ids == 0 && values == 0) return size_t{0};
  if (ids == 0 || values == 0 || values % ids != 0) {
    return InvalidArgument(
        StrCat("table '", table, "': ", values, " values are no whole rows of ", ids, " ids"));
  }
  return values / ids;
}

WriteReport ReportOf(const v1::WriteReport& proto) {
  return {.applied = proto.applied(),
          .created = proto.created(),
          .erased = proto.erased(),
          .filtered = proto.filtered(),
          .refused = proto.refused(),
          .non_finite = proto.non_finite(),
          .guarded = proto.guarded(),
          .snapshot_missing = proto.snapshot_missing(),
          .unreadable = proto.unreadable()};
}

}  // namespace

struct ShardedTableClient::Shard {
  Shard(const TableShard& shard, const TableClientOptions& options)
      : primary(shard.primary), latency(options.hedge_quantile, options.first_hedge_delay) {
    if (shard.replica != nullptr) replica.emplace(shard.replica);
  }
  Methods primary;
  std::optional<Methods> replica;
  LatencyQuantile latency;
  std::atomic<uint64_t> next_sequence{1};
};

// One batch of a lookup, and what the shards have answered.
struct ShardedTableClient::Part {
  Part(const RowsWanted& batch, size_t dim_of_rows, size_t shards)
      : distinct(embedding::Distinct(batch.ids)),
        split(distinct.fids, shards),
        dim(dim_of_rows),
        rows(shards) {}
  embedding::DistinctFids distinct;
  Split split;
  size_t dim;
  std::vector<std::vector<float>> rows;  // by shard
  std::atomic<int64_t> hits{0};
};

Result<std::unique_ptr<ShardedTableClient>> ShardedTableClient::Make(std::vector<TableShard> shards,
                                                                     TableClientOptions options) {
  if (shards.empty()) return InvalidArgument("tables need at least one shard, got none");
  if (options.seed == 0) options.seed = EntropySeed();
  if (options.client_id.empty()) options.client_id = RandomClientId(options.seed);
  return std::unique_ptr<ShardedTableClient>(
      new ShardedTableClient(std::move(shards), std::move(options)));
}

Result<std::unique_ptr<ShardedTableClient>> ShardedTableClient::Discover(
    discovery::Registry& registry, const std::string& service, int shards,
    const rpc::ChannelOptions& channel_options, TableClientOptions options) {
  std::vector<TableShard> list;
  for (int i = 0; i < shards; ++i) {
    TableShard shard;
    const std::string name = StrCat(service, "_", i);
    ASSIGN_OR_RETURN(shard.primary, rpc::Channel::Discover(registry, name, channel_options));
    ASSIGN_OR_RETURN(const discovery::Snapshot replicas, registry.Lookup(StrCat(name, "_replica")));
    if (!replicas->empty()) {
      ASSIGN_OR_RETURN(shard.replica,
                       rpc::Channel::Discover(registry, StrCat(name, "_replica"), channel_options));
    }
    list.push_back(std::move(shard));
  }
  return Make(std::move(list), std::move(options));
}

ShardedTableClient::ShardedTableClient(std::vector<TableShard> shards, TableClientOptions options)
    : options_(std::move(options)),
      shard_calls_({.timeout = options_.timeout,
                    .attempt_timeout = options_.attempt_timeout,
                    .retry = options_.retry,
                    .threads = options_.threads,
                    .seed = options_.seed}),
      calls_("tablecalls", options_.threads, options_.threads) {
  for (const TableShard& shard : shards) {
    shards_.push_back(std::make_unique<Shard>(shard, options_));
  }
}

ShardedTableClient::~ShardedTableClient() {
  shard_calls_.Shutdown();
  calls_.Shutdown();
}

uint64_t ShardedTableClient::hedged() const { return hedged_.load(); }
uint64_t ShardedTableClient::hedges_won() const { return hedges_won_.load(); }

// --- lookup ---

Result<v1::LookupResponse> ShardedTableClient::Hedged(
    Shard& shard, const std::shared_ptr<const v1::LookupRequest>& request,
    const rpc::CallOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (!shard.replica) return shard.primary.lookup(*request, options);
  struct Flight {
    std::mutex mu;
    std::condition_variable changed;
    std::optional<Result<v1::LookupResponse>> answers[2];  // guarded by mu
    Cancellation cancel[2];
  };
  const auto flight = std::make_shared<Flight>();
  const auto launch = [&](int which, const Methods& methods) {
    return calls_.Submit([flight, request, &methods, which, timeout = options.timeout] {
      Result<v1::LookupResponse> answer =
          methods.lookup(*request, {.timeout = timeout, .cancellation = &flight->cancel[which]});
      const std::lock_guard<std::mutex> lock(flight->mu);
      flight->answers[which] = std::move(answer);
      flight->changed.notify_all();
    });
  };
  if (!launch(0, shard.primary).ok()) return shard.primary.lookup(*request, options);
  const nanoseconds delay = std::max(shard.latency.Get(), options_.min_hedge_delay);
  std::unique_lock<std::mutex> lock(flight->mu);
  flight->changed.wait_for(lock, delay, [&] { return flight->answers[0].has_value(); });
  bool both = false;
  if (!flight->answers[0] || !flight->answers[0]->ok()) {
    lock.unlock();
    both = launch(1, *shard.replica).ok();
    if (both) hedged_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
  }
  while (true) {
    for (int which = 0; which < 2; ++which) {
      if (!flight->answers[which] || !flight->answers[which]->ok()) continue;
      flight->cancel[1 - which].Cancel();
      if (which == 1) hedges_won_.fetch_add(1, std::memory_order_relaxed);
      shard.latency.Add(std::chrono::steady_clock::now() - start);
      return *std::move(flight->answers[which]);
    }
    if (flight->answers[0] && (!both || flight->answers[1])) return *std::move(flight->answers[0]);
    if (const Status caller = options.cancellation->Check(); !caller.ok()) {
      flight->cancel[0].Cancel();
      flight->cancel[1].Cancel();
      return caller;
    }
    flight->changed.wait_for(lock, kPollInterval);
  }
}

Status ShardedTableClient::LookupShard(size_t index,
                                       const std::shared_ptr<const v1::LookupRequest>& request,
                                       std::span<const size_t> batches, std::deque<Part>& parts,
                                       const Cancellation& cancellation) {
  v1::LookupResponse response;
  RETURN_IF_ERROR(shard_calls_.Retry(cancellation, [&](const rpc::CallOptions& options) {
    auto answer = Hedged(*shards_[index], request, options);
    if (answer.ok()) response = *std::move(answer);
    return answer.status();
  }));
  ASSIGN_OR_RETURN(const auto values, embedding::UnpackValues(response.rows(), options_.format));
  if (static_cast<size_t>(response.parts().size()) != batches.size()) {
    return DataLoss("the answer has another number of parts than the request");
  }
  size_t at = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    Part& part = parts[batches[i]];
    const v1::LookupResponse::Part& answer = response.parts(static_cast<int>(i));
    const size_t size = part.split.ids[index].size() * part.dim;
    if (answer.dim() != static_cast<int64_t>(part.dim)) {
      return InvalidArgument(StrCat("table '", request->parts(static_cast<int>(i)).table(),
                                    "' has rows of dim ", answer.dim(), ", the buffer's are of ",
                                    part.dim));
    }
    if (size > values.size() - at) return DataLoss("the answer has fewer rows than ids");
    const auto rows = values.span().subspan(at, size);
    part.rows[index].assign(rows.begin(), rows.end());
    part.hits.fetch_add(answer.hits(), std::memory_order_relaxed);
    at += size;
  }
  return OkStatus();
}

Result<int64_t> ShardedTableClient::Lookup(std::span<const RowsWanted> batches,
                                           const Cancellation& cancellation) {
  const size_t shards = shards_.size();
  std::deque<Part> parts;
  std::vector<std::shared_ptr<v1::LookupRequest>> requests(shards);
  std::vector<std::vector<size_t>> batches_of(shards);
  for (size_t b = 0; b < batches.size(); ++b) {
    const RowsWanted& batch = batches[b];
    ASSIGN_OR_RETURN(const size_t dim, DimOf(batch.table, batch.ids.size(), batch.rows.size()));
    parts.emplace_back(batch, dim, shards);
    for (size_t s = 0; s < shards; ++s) {
      const std::vector<Fid>& ids = parts.back().split.ids[s];
      if (ids.empty()) continue;
      if (requests[s] == nullptr) {
        requests[s] = std::make_shared<v1::LookupRequest>();
        requests[s]->set_format(static_cast<v1::ValueFormat>(options_.format));
      }
      v1::IdBatch* part = requests[s]->add_parts();
      part->set_table(batch.table);
      embedding::AppendIds(ids, part->mutable_ids());
      batches_of[s].push_back(b);
    }
  }
  std::vector<size_t> used;
  for (size_t s = 0; s < shards; ++s) {
    if (requests[s] != nullptr) used.push_back(s);
  }
  RETURN_IF_ERROR(shard_calls_.OnShards(used, [&](size_t s) {
    return LookupShard(s, requests[s], batches_of[s], parts, cancellation);
  }));
  int64_t hits = 0;
  for (size_t b = 0; b < batches.size(); ++b) {
    const Part& part = parts[b];
    hits += part.hits.load();
    for (size_t i = 0; i < batches[b].ids.size(); ++i) {
      const uint32_t id = part.distinct.inverse[i];
      const float* from =
          part.rows[part.split.shard[id]].data() + size_t{part.split.at[id]} * part.dim;
      std::memcpy(batches[b].rows.data() + i * part.dim, from, part.dim * sizeof(float));
    }
  }
  return hits;
}

// --- apply ---

Result<std::vector<WriteReport>> ShardedTableClient::Apply(std::span<const TableGradients> batches,
                                                           const embedding::ApplyOptions& options,
                                                           const Cancellation& cancellation) {
  const size_t shards = shards_.size();
  std::vector<v1::ApplyRequest> requests(shards);
  std::vector<std::vector<size_t>> batches_of(shards);
  for (size_t b = 0; b < batches.size(); ++b) {
    const TableGradients& batch = batches[b];
    ASSIGN_OR_RETURN(const size_t dim,
                     DimOf(batch.table, batch.ids.size(), batch.gradients.size()));
    embedding::DedupedGradients unique;
    embedding::SumDuplicates(batch.ids, batch.gradients, {}, dim, unique);
    const Split split(unique.fids, shards);
    std::vector<std::vector<float>> gradients(shards);
    for (size_t i = 0; i < unique.fids.size(); ++i) {
      const auto from = unique.values.begin() + static_cast<std::ptrdiff_t>(i * dim);
      std::vector<float>& to = gradients[split.shard[i]];
      to.insert(to.end(), from, from + static_cast<std::ptrdiff_t>(dim));
    }
    for (size_t s = 0; s < shards; ++s) {
      if (split.ids[s].empty()) continue;
      v1::GradientBatch* part = requests[s].add_parts();
      part->set_table(batch.table);
      embedding::AppendIds(split.ids[s], part->mutable_ids());
      embedding::AppendValues(gradients[s], options_.format, part->mutable_gradients());
      part->mutable_learning_rates()->Add(batch.learning_rates.begin(), batch.learning_rates.end());
      batches_of[s].push_back(b);
    }
  }
  embedding::UpdateTicket own;
  embedding::UpdateTicket& ticket = options.ticket != nullptr ? *options.ticket : own;
  ticket.sequences.resize(shards);
  std::vector<size_t> used;
  for (size_t s = 0; s < shards; ++s) {
    if (batches_of[s].empty()) continue;
    used.push_back(s);
    if (ticket.sequences[s] == 0) ticket.sequences[s] = shards_[s]->next_sequence.fetch_add(1);
    requests[s].set_format(static_cast<v1::ValueFormat>(options_.format));
    requests[s].set_update_time(options.update_time);
    requests[s].set_global_step(options.global_step);
    requests[s].set_non_finite(PolicyOf(options.non_finite));
    requests[s].mutable_id()->set_client(options_.client_id);
    requests[s].mutable_id()->set_sequence(ticket.sequences[s]);
  }
  std::mutex mu;
  std::vector<WriteReport> reports(batches.size());  // guarded by mu
  RETURN_IF_ERROR(shard_calls_.OnShards(used, [&](size_t s) {
    return shard_calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      ASSIGN_OR_RETURN(const v1::ApplyResponse response,
                       shards_[s]->primary.apply(requests[s], call));
      if (response.already_applied()) return OkStatus();
      if (static_cast<size_t>(response.parts().size()) != batches_of[s].size()) {
        return DataLoss("the answer has another number of parts than the request");
      }
      const std::lock_guard<std::mutex> lock(mu);
      for (size_t i = 0; i < batches_of[s].size(); ++i) {
        reports[batches_of[s][i]] += ReportOf(response.parts(static_cast<int>(i)));
      }
      return OkStatus();
    });
  }));
  return reports;
}

// --- the rest ---

Status ShardedTableClient::CreateTable(const v1::CreateTableRequest& request,
                                       const Cancellation& cancellation) {
  return shard_calls_.OnAll(shards_.size(), [&](size_t s) {
    return shard_calls_.Retry(cancellation, [&](const rpc::CallOptions& call) {
      return shards_[s]->primary.create(request, call).status();
    });
  });
}

Result<std::vector<v1::StatsResponse>> ShardedTableClient::Stats(const Cancellation& cancellation) {
  std::vector<v1::StatsResponse> stats(shards_.size());
  RETURN_IF_ERROR(shard_calls_.OnAll(shards_.size(), [&](size_t s) {
    return shard_calls_.Retry(cancellation, [&](const rpc::CallOptions& call) -> Status {
      ASSIGN_OR_RETURN(stats[s], shards_[s]->primary.stats(v1::StatsRequest(), call));
      return OkStatus();
    });
  }));
  return stats;
}

}  // namespace megalith::stubs
