#include "clients/cli/table_server.h"

#include <bit>
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
        erase(c, kService, "Erase") {}
  rpc::CallOptions options;
  rpc::UnaryMethod<v1::ListTablesRequest, v1::ListTablesResponse> list;
  rpc::UnaryMethod<v1::StatsRequest, v1::StatsResponse> stats;
  rpc::UnaryMethod<v1::LookupEntriesRequest, v1::LookupEntriesResponse> entries;
  rpc::UnaryMethod<v1::AssignRequest, v1::AssignResponse> assign;
  rpc::UnaryMethod<v1::EvictRequest, v1::EvictResponse> evict;
  rpc::UnaryMethod<v1::EraseRequest, v1::EraseResponse> erase;
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
                   .max_update_time = table.max_update_time()});
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

}  // namespace megalith::cli
