#include "clients/cli/table_server.h"

#include <bit>
#include <optional>
#include <utility>

#include "common/foundation/base/strings.h"
#include "megalith/table/v1/table.pb.h"

namespace megalith::cli {

namespace v1 = table::v1;

namespace {

constexpr char kService[] = "megalith.table.v1.TableService";

static_assert(std::endian::native == std::endian::little, "ids and values are little-endian");

template <typename T>
std::string Bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

struct TableServer::Methods {
  Methods(const std::shared_ptr<rpc::Channel>& c, rpc::CallOptions call_options)
      : options(std::move(call_options)),
        list(c, kService, "ListTables"),
        stats(c, kService, "Stats"),
        entries(c, kService, "LookupEntries"),
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
  rpc::UnaryMethod<v1::AssignRequest, v1::AssignResponse> assign;
  rpc::UnaryMethod<v1::EvictRequest, v1::EvictResponse> evict;
  rpc::UnaryMethod<v1::EraseRequest, v1::EraseResponse> erase;
  rpc::UnaryMethod<v1::CreateTableRequest, v1::CreateTableResponse> create;
  rpc::UnaryMethod<v1::SaveRequest, v1::SaveResponse> save;
  rpc::UnaryMethod<v1::RestoreRequest, v1::RestoreResponse> restore;
};

TableServer::TableServer() = default;
TableServer::~TableServer() = default;
TableServer::TableServer(TableServer&&) noexcept = default;

Result<TableServer> TableServer::Of(Session& session) {
  ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session.Fleet());
  ASSIGN_OR_RETURN(rpc::CallOptions options, session.CallOptions());
  TableServer out;
  out.methods_ = std::make_unique<Methods>(channel, std::move(options));
  return out;
}

Result<std::vector<ServerTable>> TableServer::List() const {
  ASSIGN_OR_RETURN(const v1::ListTablesResponse response, methods_->list({}, methods_->options));
  std::vector<ServerTable> out;
  for (const v1::TableInfo& table : response.tables())
    out.push_back({.name = table.name(), .rows = table.rows(), .dim = table.dim()});
  return out;
}

Result<std::vector<ServerTable>> TableServer::Stats() const {
  ASSIGN_OR_RETURN(const v1::StatsResponse response, methods_->stats({}, methods_->options));
  std::vector<ServerTable> out;
  for (const v1::TableStats& table : response.tables()) {
    out.push_back({.name = table.name(),
                   .rows = table.rows(),
                   .dim = 0,
                   .bytes = table.bytes(),
                   .lookups = table.lookups(),
                   .hits = table.hits(),
                   .evicted = table.evicted(),
                   .updates = table.writes().applied(),
                   .max_update_time = table.max_update_time(),
                   .cold = {}});
    if (!table.has_cold()) continue;
    const v1::ColdTierStats& cold = table.cold();
    out.back().cold = {.hot_rows = cold.hot_rows(),
                       .cold_rows = cold.cold_rows(),
                       .hot_bytes = cold.hot_bytes(),
                       .disk_bytes = cold.disk_bytes(),
                       .cache_bytes = cold.cache_bytes(),
                       .lookups = cold.cold_lookups(),
                       .hits = cold.cold_hits(),
                       .promotions = cold.promotions(),
                       .demotions = cold.demotions(),
                       .read_errors = cold.read_errors(),
                       .write_errors = cold.write_errors()};
  }
  return out;
}

Result<std::vector<std::string>> TableServer::Entries(const std::string& table,
                                                      std::span<const embedding::Fid> fids) const {
  v1::LookupEntriesRequest request;
  request.mutable_ids()->set_table(table);
  request.mutable_ids()->set_ids(Bytes(fids));
  ASSIGN_OR_RETURN(const v1::LookupEntriesResponse response,
                   methods_->entries(request, methods_->options));
  if (static_cast<size_t>(response.entries_size()) != fids.size()) {
    return Status(Code::kInternal, StrCat("the server answered ", response.entries_size(),
                                          " rows for ", fids.size(), " ids"));
  }
  return std::vector<std::string>(response.entries().begin(), response.entries().end());
}

Result<int64_t> TableServer::Assign(const std::string& table, std::span<const embedding::Fid> fids,
                                    std::span<const float> values, int64_t update_time) const {
  v1::AssignRequest request;
  v1::ValueBatch& part = *request.add_parts();
  part.set_table(table);
  part.set_ids(Bytes(fids));
  part.set_values(Bytes(values));
  request.set_format(v1::VALUE_FORMAT_FP32);
  request.set_update_time(update_time);
  ASSIGN_OR_RETURN(const v1::AssignResponse response, methods_->assign(request, methods_->options));
  int64_t written = 0;
  for (const v1::WriteReport& report : response.parts()) written += report.applied();
  return written;
}

Result<int64_t> TableServer::Evict(const std::string& table, std::optional<int64_t> now) const {
  v1::EvictRequest request;
  request.set_table(table);
  if (now) request.set_now(*now);
  ASSIGN_OR_RETURN(const v1::EvictResponse response, methods_->evict(request, methods_->options));
  return response.evicted();
}

Result<int64_t> TableServer::Erase(const std::string& table,
                                   std::span<const embedding::Fid> fids) const {
  v1::EraseRequest request;
  v1::IdBatch& part = *request.add_parts();
  part.set_table(table);
  part.set_ids(Bytes(fids));
  ASSIGN_OR_RETURN(const v1::EraseResponse response, methods_->erase(request, methods_->options));
  return response.erased();
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
  return methods_->create(request, methods_->options).status();
}

Result<SavedTables> TableServer::Save(int64_t step, int64_t sidecar_percent) const {
  v1::SaveRequest request;
  request.set_step(step);
  request.set_sidecar_percent(static_cast<uint32_t>(sidecar_percent));
  ASSIGN_OR_RETURN(const v1::SaveResponse response, methods_->save(request, methods_->options));
  return SavedTables{.prefix = response.prefix(),
                     .published = response.published(),
                     .rows = response.rows(),
                     .expired_rows = response.expired_rows(),
                     .bytes = response.bytes()};
}

Result<RestoredTables> TableServer::Restore(std::optional<int64_t> step, bool merge,
                                            const std::vector<std::string>& tables) const {
  v1::RestoreRequest request;
  request.set_step(step.value_or(0));
  request.set_merge(merge);
  for (const std::string& table : tables) request.add_tables(table);
  ASSIGN_OR_RETURN(const v1::RestoreResponse response,
                   methods_->restore(request, methods_->options));
  return RestoredTables{.found = response.found(),
                        .prefix = response.prefix(),
                        .rows = response.rows(),
                        .tables = {response.tables().begin(), response.tables().end()},
                        .notes = {response.notes().begin(), response.notes().end()}};
}

}  // namespace megalith::cli
