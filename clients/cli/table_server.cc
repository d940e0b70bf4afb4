#include "clients/cli/table_server.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::cli {

namespace v1 = table::v1;

namespace {

constexpr char kService[] = "megalith.table.v1.TableService";

static_assert(std::endian::native == std::endian::little, "ids and values are little-endian");

std::string Bytes(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

std::string BytesAt(std::span<const embedding::Fid> fids, std::span<const size_t> places) {
  std::string out;
  for (const size_t at : places)
    out.append(reinterpret_cast<const char*>(&fids[at]), sizeof(fids[at]));
  return out;
}

std::vector<ServerTable> Listed(std::map<std::string, ServerTable> tables) {
  std::vector<ServerTable> out;
  for (auto& [name, table] : tables) out.push_back(std::move(table));
  return out;
}

const stubs::ShardCalls::Options kCalls{
    .retry = {.max_attempts = 6, .initial_backoff = std::chrono::milliseconds(100)},
    .threads = 16,
    .seed = 1};

void AddCold(const v1::ColdTierStats& tier, ServerTable& sum) {
  if (!sum.cold) sum.cold.emplace();
  sum.cold->hot_rows += tier.hot_rows();
  sum.cold->cold_rows += tier.cold_rows();
  sum.cold->hot_bytes += tier.hot_bytes();
  sum.cold->disk_bytes += tier.disk_bytes();
  sum.cold->cache_bytes += tier.cache_bytes();
  sum.cold->lookups += tier.cold_lookups();
  sum.cold->hits += tier.cold_hits();
  sum.cold->promotions += tier.promotions();
  sum.cold->demotions += tier.demotions();
  sum.cold->read_errors += tier.read_errors();
  sum.cold->write_errors += tier.write_errors();
}

}  // namespace

struct TableServer::Methods {
  Methods(const std::shared_ptr<rpc::Channel>& c, rpc::CallOptions call_options)
      : options(std::move(call_options)),
        list(c, kService, "ListTables"),
        stats(c, kService, "Stats"),
        entries(c, kService, "LookupEntries"),
        scan(c, kService, "ScanIds"),
        assign(c, kService, "Assign"),
        evict(c, kService, "Evict"),
        erase(c, kService, "Erase"),
        create(c, kService, "CreateTable"),
        save(c, kService, "Save"),
        restore(c, kService, "Restore") {}
  rpc::CallOptions options;
  rpc::UnaryMethod<v1::ListTablesRequest, v1::ListTablesResponse> list;
  rpc::UnaryMethod<v1::StatsRequest, v1::StatsResponse> stats;
  rpc::UnaryMethod<v1::LookupEntriesRequest, v1::LookupEntriesResponse> entries;
  rpc::UnaryMethod<v1::ScanIdsRequest, v1::ScanIdsResponse> scan;
  rpc::UnaryMethod<v1::AssignRequest, v1::AssignResponse> assign;
  rpc::UnaryMethod<v1::EvictRequest, v1::EvictResponse> evict;
  rpc::UnaryMethod<v1::EraseRequest, v1::EraseResponse> erase;
  rpc::UnaryMethod<v1::CreateTableRequest, v1::CreateTableResponse> create;
  rpc::UnaryMethod<v1::SaveRequest, v1::SaveResponse> save;
  rpc::UnaryMethod<v1::RestoreRequest, v1::RestoreResponse> restore;
};

TableServer::TableServer() : calls_(std::make_unique<stubs::ShardCalls>(kCalls)) {}
TableServer::~TableServer() = default;
TableServer::TableServer(TableServer&&) noexcept = default;

Result<TableServer> TableServer::Of(Session& session) {
  ASSIGN_OR_RETURN(const auto channels, session.Servers());
  ASSIGN_OR_RETURN(const rpc::CallOptions options, session.CallOptions());
  TableServer out;
  for (const std::shared_ptr<rpc::Channel>& channel : channels)
    out.shards_.push_back(std::make_unique<Methods>(channel, options));
  return out;
}

Status TableServer::OnAll(const std::function<Status(size_t shard)>& call) const {
  // A connection that could not be made at once is no reason to leave servers apart; all calls may
  // be made again.
  const Cancellation forever;
  const auto again = [&](size_t s) {
    const Cancellation* const cancellation = shards_[s]->options.cancellation;
    return calls_->Retry(cancellation == nullptr ? forever : *cancellation,
                         [&](const rpc::CallOptions&) { return call(s); });
  };
  // The only one needs no number in errors.
  return shards_.size() == 1 ? call(0) : calls_->OnAll(shards_.size(), again);
}

std::vector<std::vector<size_t>> TableServer::Divide(std::span<const embedding::Fid> fids) const {
  std::vector<std::vector<size_t>> out(shards_.size());
  for (size_t i = 0; i < fids.size(); ++i) {
    const int shard = embedding::ShardOf(fids[i], static_cast<int>(shards_.size()));
    out[static_cast<size_t>(shard)].push_back(i);
  }
  return out;
}

Result<std::vector<ServerTable>> TableServer::List() const {
  std::vector<v1::ListTablesResponse> responses(shards_.size());
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    ASSIGN_OR_RETURN(responses[s], shards_[s]->list({}, shards_[s]->options));
    return OkStatus();
  }));
  std::map<std::string, ServerTable> tables;
  for (size_t s = 0; s < responses.size(); ++s) {
    for (const v1::TableInfo& table : responses[s].tables()) {
      ServerTable& sum = tables[table.name()];
      if (!sum.name.empty() && sum.dim != table.dim()) {
        return FailedPrecondition(StrCat("table '", table.name(), "' has rows of dim ", sum.dim,
                                         ", on shard ", s, " of dim ", table.dim()));
      }
      sum.name = table.name();
      sum.dim = table.dim();
      sum.rows += table.rows();
    }
  }
  return Listed(std::move(tables));
}

Result<std::vector<ServerTable>> TableServer::Stats() const {
  std::vector<v1::StatsResponse> responses(shards_.size());
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    ASSIGN_OR_RETURN(responses[s], shards_[s]->stats({}, shards_[s]->options));
    return OkStatus();
  }));
  std::map<std::string, ServerTable> tables;
  for (const v1::StatsResponse& response : responses) {
    for (const v1::TableStats& table : response.tables()) {
      ServerTable& sum = tables[table.name()];
      sum.name = table.name();
      sum.rows += table.rows();
      sum.bytes += table.bytes();
      sum.lookups += table.lookups();
      sum.hits += table.hits();
      sum.evicted += table.evicted();
      sum.updates += table.writes().applied();
      sum.max_update_time = std::max(sum.max_update_time, table.max_update_time());
      if (table.has_cold()) AddCold(table.cold(), sum);
    }
  }
  return Listed(std::move(tables));
}

Result<std::vector<std::string>> TableServer::Entries(const std::string& table,
                                                      std::span<const embedding::Fid> fids) const {
  const std::vector<std::vector<size_t>> places = Divide(fids);
  std::vector<std::string> out(fids.size());
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    if (places[s].empty()) return OkStatus();
    v1::LookupEntriesRequest request;
    request.mutable_ids()->set_table(table);
    request.mutable_ids()->set_ids(BytesAt(fids, places[s]));
    ASSIGN_OR_RETURN(v1::LookupEntriesResponse response,
                     shards_[s]->entries(request, shards_[s]->options));
    if (static_cast<size_t>(response.entries_size()) != places[s].size()) {
      return Status(Code::kInternal, StrCat("the server answered ", response.entries_size(),
                                            " rows for ", places[s].size(), " ids"));
    }
    for (size_t i = 0; i < places[s].size(); ++i)
      out[places[s][i]] = std::move(*response.mutable_entries(static_cast<int>(i)));
    return OkStatus();
  }));
  return out;
}

Result<std::vector<embedding::Fid>> TableServer::Ids(const std::string& table) const {
  std::mutex mu;
  std::vector<embedding::Fid> out;  // guarded by mu
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    v1::ScanIdsRequest request;
    request.set_table(table);
    while (true) {
      ASSIGN_OR_RETURN(const v1::ScanIdsResponse response,
                       shards_[s]->scan(request, shards_[s]->options));
      if (response.ids().size() % sizeof(embedding::Fid) != 0) {
        return DataLoss("the server's ids are no whole words");
      }
      const std::lock_guard<std::mutex> lock(mu);
      const size_t before = out.size();
      out.resize(before + response.ids().size() / sizeof(embedding::Fid));
      if (!response.ids().empty())
        std::memcpy(out.data() + before, response.ids().data(), response.ids().size());
      if (response.done()) return OkStatus();
      request.set_cursor(response.cursor());
    }
  }));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<int64_t> TableServer::Assign(const std::string& table, std::span<const embedding::Fid> fids,
                                    std::span<const float> values, int64_t update_time) const {
  if (fids.empty() || values.size() % fids.size() != 0) {
    return InvalidArgument(
        StrCat(values.size(), " values are no whole rows of ", fids.size(), " ids"));
  }
  const size_t dim = values.size() / fids.size();
  const std::vector<std::vector<size_t>> places = Divide(fids);
  std::atomic<int64_t> written{0};
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    if (places[s].empty()) return OkStatus();
    v1::AssignRequest request;
    v1::ValueBatch& part = *request.add_parts();
    part.set_table(table);
    part.set_ids(BytesAt(fids, places[s]));
    for (const size_t at : places[s])
      *part.mutable_values() += Bytes(values.subspan(at * dim, dim));
    request.set_format(v1::VALUE_FORMAT_FP32);
    request.set_update_time(update_time);
    ASSIGN_OR_RETURN(const v1::AssignResponse response,
                     shards_[s]->assign(request, shards_[s]->options));
    for (const v1::WriteReport& report : response.parts()) written += report.applied();
    return OkStatus();
  }));
  return written.load();
}

Result<int64_t> TableServer::Evict(const std::string& table, std::optional<int64_t> now) const {
  v1::EvictRequest request;
  request.set_table(table);
  if (now) request.set_now(*now);
  std::atomic<int64_t> evicted{0};
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    ASSIGN_OR_RETURN(const v1::EvictResponse response,
                     shards_[s]->evict(request, shards_[s]->options));
    evicted += response.evicted();
    return OkStatus();
  }));
  return evicted.load();
}

Result<int64_t> TableServer::Erase(const std::string& table,
                                   std::span<const embedding::Fid> fids) const {
  const std::vector<std::vector<size_t>> places = Divide(fids);
  std::atomic<int64_t> erased{0};
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    if (places[s].empty()) return OkStatus();
    v1::EraseRequest request;
    v1::IdBatch& part = *request.add_parts();
    part.set_table(table);
    part.set_ids(BytesAt(fids, places[s]));
    ASSIGN_OR_RETURN(const v1::EraseResponse response,
                     shards_[s]->erase(request, shards_[s]->options));
    erased += response.erased();
    return OkStatus();
  }));
  return erased.load();
}

namespace {

// "optimizer=adagrad" or "optimizer.beta=1" into the rule that it names.
Status SetRule(std::string_view item, v1::Segment& segment) {
  const size_t equals = item.find('=');
  const std::string_view key = item.substr(0, equals);
  const size_t dot = key.find('.');
  const std::string_view kind = key.substr(0, dot);
  v1::Rule* rule = kind == "optimizer"     ? segment.mutable_optimizer()
                   : kind == "initializer" ? segment.mutable_initializer()
                   : kind == "compressor"  ? segment.mutable_compressor()
                                           : nullptr;
  if (rule == nullptr || equals == std::string_view::npos) {
    return InvalidArgument(StrCat("'", item,
                                  "' in a segment: wanted optimizer=NAME, optimizer.FIELD=NUMBER, "
                                  "or the same of initializer or compressor"));
  }
  const std::string value(item.substr(equals + 1));
  if (dot == std::string_view::npos) {
    rule->set_name(value);
    return OkStatus();
  }
  const std::optional<double> number = ParseDouble(value);
  if (!number.has_value()) {
    return InvalidArgument(StrCat("'", item, "' in a segment: '", value, "' is no number"));
  }
  (*rule->mutable_fields())[std::string(key.substr(dot + 1))] = *number;
  return OkStatus();
}

Status ParseSegment(std::string_view text, v1::Segment& segment) {
  const std::vector<std::string_view> items = Split(text, ',');
  const std::optional<int64_t> dim = ParseInt(items[0]);
  if (dim.value_or(0) < 1) {
    return InvalidArgument(StrCat(
        "segment '", text, "' begins with its number of values, such as 16,optimizer=adagrad"));
  }
  segment.set_dim(*dim);
  for (size_t i = 1; i < items.size(); ++i) RETURN_IF_ERROR(SetRule(items[i], segment));
  return OkStatus();
}

}  // namespace

Status TableServer::Create(const std::string& table, const std::vector<std::string>& segments,
                           bool serving, std::optional<int64_t> memory_budget) const {
  v1::CreateTableRequest request;
  request.set_name(table);
  v1::TableConfig& config = *request.mutable_config();
  for (const std::string& segment : segments) {
    RETURN_IF_ERROR(ParseSegment(segment, *config.add_segments()));
  }
  if (serving) config.set_kind(v1::TableConfig::KIND_SERVING);
  if (memory_budget) {
    config.mutable_cold_tier()->set_memory_budget_bytes(static_cast<uint64_t>(*memory_budget));
  }
  return OnAll([&](size_t s) { return shards_[s]->create(request, shards_[s]->options).status(); });
}

Result<SavedTables> TableServer::Save(int64_t step, int64_t sidecar_percent, bool delta) const {
  v1::SaveRequest request;
  request.set_step(step);
  request.set_sidecar_percent(static_cast<uint32_t>(sidecar_percent));
  request.set_mode(delta ? v1::SAVE_MODE_DELTA : v1::SAVE_MODE_WHOLE);
  std::vector<v1::SaveResponse> responses(shards_.size());
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    ASSIGN_OR_RETURN(responses[s], shards_[s]->save(request, shards_[s]->options));
    return OkStatus();
  }));
  SavedTables out;
  for (const v1::SaveResponse& response : responses) {
    out.prefix = response.prefix();
    out.published = out.published || response.published();  // by whoever came last
    out.rows += response.rows();
    out.erased_rows += response.erased();
    out.expired_rows += response.expired_rows();
    out.bytes += response.bytes();
  }
  return out;
}

Result<RestoredTables> TableServer::Restore(std::optional<int64_t> step, bool merge,
                                            const std::vector<std::string>& tables) const {
  v1::RestoreRequest request;
  request.set_step(step.value_or(0));
  request.set_merge(merge);
  for (const std::string& table : tables) request.add_tables(table);
  std::vector<v1::RestoreResponse> responses(shards_.size());
  RETURN_IF_ERROR(OnAll([&](size_t s) -> Status {
    ASSIGN_OR_RETURN(responses[s], shards_[s]->restore(request, shards_[s]->options));
    return OkStatus();
  }));
  RestoredTables out;
  std::set<std::string> names;
  for (size_t s = 0; s < responses.size(); ++s) {
    const v1::RestoreResponse& response = responses[s];
    if (!response.found()) continue;
    if (out.found && (response.prefix() != out.prefix || response.step() != out.step)) {
      return Status(Code::kAborted, StrCat("shard ", s, " restored step ", response.step(), " of '",
                                           response.prefix(), "', those before it step ", out.step,
                                           " of '", out.prefix, "'; restore all with --step"));
    }
    out.found = true;
    out.prefix = response.prefix();
    out.step = response.step();
    out.rows += response.rows();
    names.insert(response.tables().begin(), response.tables().end());
    for (const std::string& note : response.notes())
      out.notes.push_back(shards_.size() == 1 ? note : StrCat("shard ", s, ": ", note));
  }
  out.tables.assign(names.begin(), names.end());
  return out;
}

}  // namespace megalith::cli
