#include "common/fleet/stubs/cache_client.h"

#include "common/fleet/cache/cache_proto.h"

namespace megalith::stubs {

namespace v1 = cache::v1;

namespace {

constexpr char kService[] = "megalith.cache.v1.CacheService";

v1::PutRequest PutHeader(const cache::Key& key) {
  v1::PutRequest request;
  request.set_key(key.Hex());
  request.set_kind(key.kind);
  for (const cache::Component& c : key.components)
    *request.add_components() = cache::ComponentToProto(c);
  return request;
}

Result<cache::Entry> EntryFrom(const v1::EntryInfo& proto, std::string value) {
  ASSIGN_OR_RETURN(cache::EntryInfo info, cache::InfoFromProto(proto));
  return cache::Entry{.key = std::move(info.key),
                      .created_unix_nanos = info.created_unix_nanos,
                      .value = std::make_shared<const std::string>(std::move(value)),
                      .from_memory = info.in_memory};
}

ScrubReport::Proof ProofFrom(const v1::Repair& proto) {
  return {.key = proto.key(),
          .unix_nanos = proto.unix_nanos(),
          .repaired = proto.repaired(),
          .reason = proto.reason(),
          .source = proto.source(),
          .failure = proto.failure(),
          .sha256_before = proto.sha256_before(),
          .sha256_after = proto.sha256_after(),
          .bytes_before = proto.bytes_before(),
          .bytes_after = proto.bytes_after(),
          .symbol_bytes = proto.symbol_bytes(),
          .source_symbols = proto.source_symbols(),
          .damaged_symbols = proto.damaged_symbols(),
          .unverifiable_symbols = proto.unverifiable_symbols(),
          .used_repair_symbols = proto.used_repair_symbols(),
          .damaged_repair_symbols = proto.damaged_repair_symbols(),
          .proof_file = proto.proof_file(),
          .quarantine_file = proto.quarantine_file()};
}

ScrubReport ReportFrom(const v1::ScrubStatus& proto) {
  ScrubReport report{.state = proto.state() == v1::ScrubStatus::STATE_RUNNING  ? "running"
                              : proto.state() == v1::ScrubStatus::STATE_PAUSED ? "paused"
                                                                               : "idle",
                     .pass = proto.pass(),
                     .stopped = proto.stopped(),
                     .entries_total = proto.entries_total(),
                     .entries_done = proto.entries_done(),
                     .bytes_done = proto.bytes_done(),
                     .good = proto.good(),
                     .repaired = proto.repaired(),
                     .quarantined = proto.quarantined(),
                     .sidecars_written = proto.sidecars_written(),
                     .unreadable = proto.unreadable(),
                     .gone = proto.gone(),
                     .started_unix_nanos = proto.started_unix_nanos(),
                     .ended_unix_nanos = proto.ended_unix_nanos()};
  for (const v1::Repair& repair : proto.repairs()) report.proofs.push_back(ProofFrom(repair));
  return report;
}

}  // namespace

struct CacheClient::Methods {
  explicit Methods(const std::shared_ptr<rpc::Channel>& c)
      : get(c, kService, "Get"),
        get_stream(c, kService, "GetStream"),
        put(c, kService, "Put"),
        put_stream(c, kService, "PutStream"),
        find_missing(c, kService, "FindMissing"),
        stat(c, kService, "Stat"),
        evict(c, kService, "Evict"),
        explain(c, kService, "Explain"),
        scrub(c, kService, "Scrub"),
        control_scrub(c, kService, "ControlScrub") {}
  rpc::UnaryMethod<v1::GetRequest, v1::GetResponse> get;
  rpc::StreamMethod<v1::GetRequest, v1::GetChunk> get_stream;
  rpc::UnaryMethod<v1::PutRequest, v1::PutResponse> put;
  rpc::StreamMethod<v1::PutChunk, v1::PutResponse> put_stream;
  rpc::UnaryMethod<v1::FindMissingRequest, v1::FindMissingResponse> find_missing;
  rpc::UnaryMethod<v1::StatRequest, v1::StatResponse> stat;
  rpc::UnaryMethod<v1::EvictRequest, v1::EvictResponse> evict;
  rpc::UnaryMethod<v1::ExplainRequest, v1::ExplainResponse> explain;
  rpc::StreamMethod<v1::ScrubRequest, v1::ScrubStatus> scrub;
  rpc::UnaryMethod<v1::ControlScrubRequest, v1::ScrubStatus> control_scrub;
};

CacheClient::CacheClient(std::shared_ptr<rpc::Channel> channel)
    : methods_(std::make_unique<const Methods>(channel)) {}
CacheClient::~CacheClient() = default;

Result<cache::Entry> CacheClient::Get(const std::string& key,
                                      const rpc::CallOptions& options) const {
  v1::GetRequest request;
  request.set_key(key);
  Result<v1::GetResponse> response = methods_->get(request, options);
  if (response.ok()) return EntryFrom(response->info(), std::move(*response->mutable_value()));
  if (response.status().code() == Code::kResourceExhausted) return GetInChunks(key, options);
  return response.status();
}

Result<cache::Entry> CacheClient::GetInChunks(const std::string& key,
                                              const rpc::CallOptions& options) const {
  v1::GetRequest request;
  request.set_key(key);
  ASSIGN_OR_RETURN(auto stream, methods_->get_stream.Start(request, options));
  v1::EntryInfo info;
  std::string value;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::GetChunk> chunk, stream.Read());
    if (!chunk) break;
    if (chunk->has_info()) info = chunk->info();
    value += chunk->data();
  }
  if (value.size() != info.value_bytes())
    return DataLoss("the stream ended before the value was whole");
  return EntryFrom(info, std::move(value));
}

Result<bool> CacheClient::Put(const cache::Key& key, const std::string& value,
                              const rpc::CallOptions& options) const {
  if (value.size() > kChunkBytes) return PutInChunks(key, value, options);
  v1::PutRequest request = PutHeader(key);
  request.set_value(value);
  ASSIGN_OR_RETURN(const v1::PutResponse response, methods_->put(request, options));
  return response.already_present();
}

Result<bool> CacheClient::PutInChunks(const cache::Key& key, const std::string& value,
                                      const rpc::CallOptions& options) const {
  auto stream = methods_->put_stream.Open(options);
  for (size_t at = 0; at < value.size(); at += kChunkBytes) {
    v1::PutChunk chunk;
    if (at == 0) {
      *chunk.mutable_first() = PutHeader(key);
      chunk.set_total_bytes(value.size());
    }
    chunk.set_data(value.substr(at, kChunkBytes));
    RETURN_IF_ERROR(stream.Write(chunk));
  }
  ASSIGN_OR_RETURN(const v1::PutResponse response, stream.Close());
  return response.already_present();
}

Result<std::vector<std::string>> CacheClient::FindMissing(const std::vector<std::string>& keys,
                                                          const rpc::CallOptions& options) const {
  v1::FindMissingRequest request;
  for (const std::string& key : keys) request.add_keys(key);
  ASSIGN_OR_RETURN(const v1::FindMissingResponse response,
                   methods_->find_missing(request, options));
  return std::vector<std::string>(response.missing().begin(), response.missing().end());
}

Result<CacheStatus> CacheClient::Stat(const std::vector<std::string>& keys,
                                      const rpc::CallOptions& options) const {
  v1::StatRequest request;
  for (const std::string& key : keys) request.add_keys(key);
  ASSIGN_OR_RETURN(const v1::StatResponse r, methods_->stat(request, options));
  CacheStatus status;
  status.stats = {.entries = r.entries(),
                  .disk_bytes = r.disk_bytes(),
                  .sidecar_bytes = r.sidecar_bytes(),
                  .memory_entries = r.memory_entries(),
                  .memory_bytes = r.memory_bytes(),
                  .memory_hits = r.memory_hits(),
                  .disk_hits = r.disk_hits(),
                  .misses = r.misses(),
                  .corrupt = r.corrupt(),
                  .repaired = r.repaired(),
                  .evictions = r.evictions()};
  status.options = {.directory = "",
                    .max_disk_bytes = r.max_disk_bytes(),
                    .max_memory_bytes = r.max_memory_bytes()};
  for (const v1::EntryInfo& info : r.found()) {
    ASSIGN_OR_RETURN(cache::EntryInfo parsed, cache::InfoFromProto(info));
    status.found.push_back(std::move(parsed));
  }
  return status;
}

Result<cache::Evicted> CacheClient::Evict(const std::vector<std::string>& keys,
                                          std::optional<uint64_t> down_to_bytes,
                                          const rpc::CallOptions& options) const {
  v1::EvictRequest request;
  for (const std::string& key : keys) request.add_keys(key);
  if (down_to_bytes) request.set_down_to_bytes(*down_to_bytes);
  ASSIGN_OR_RETURN(const v1::EvictResponse response, methods_->evict(request, options));
  return cache::Evicted{.removed = response.removed(), .freed_bytes = response.freed_bytes()};
}

Result<CacheExplanation> CacheClient::Explain(const std::string& left, const std::string& right,
                                              const rpc::CallOptions& options) const {
  v1::ExplainRequest request;
  request.set_left(left);
  request.set_right(right);
  ASSIGN_OR_RETURN(const v1::ExplainResponse response, methods_->explain(request, options));
  CacheExplanation out;
  ASSIGN_OR_RETURN(out.left, cache::InfoFromProto(response.left()));
  ASSIGN_OR_RETURN(out.right, cache::InfoFromProto(response.right()));
  for (const v1::ComponentDifference& d : response.differences()) {
    ASSIGN_OR_RETURN(cache::Difference difference, cache::DifferenceFromProto(d));
    out.differences.push_back(std::move(difference));
  }
  return out;
}

Result<ScrubReport> CacheClient::Scrub(uint64_t bytes_per_second,
                                       const std::function<void(const ScrubReport&)>& on_progress,
                                       const rpc::CallOptions& options) const {
  v1::ScrubRequest request;
  request.set_bytes_per_second(bytes_per_second);
  ASSIGN_OR_RETURN(auto stream, methods_->scrub.Start(request, options));
  ScrubReport report;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::ScrubStatus> status, stream.Read());
    if (!status) break;
    report = ReportFrom(*status);
    if (on_progress) on_progress(report);
  }
  return report;
}

Result<ScrubReport> CacheClient::ControlScrub(ScrubAction action, uint64_t bytes_per_second,
                                              const rpc::CallOptions& options) const {
  v1::ControlScrubRequest request;
  request.set_action(static_cast<v1::ControlScrubRequest::Action>(action));
  request.set_bytes_per_second(bytes_per_second);
  ASSIGN_OR_RETURN(const v1::ScrubStatus status, methods_->control_scrub(request, options));
  return ReportFrom(status);
}

}  // namespace megalith::stubs
