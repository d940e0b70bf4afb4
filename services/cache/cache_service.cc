#include "services/cache/cache_service.h"

#include <algorithm>

#include "common/fleet/cache/cache_proto.h"
#include "common/foundation/base/strings.h"

namespace megalith::services {

namespace v1 = cache::v1;

namespace {

constexpr size_t kChunkBytes = 1 << 20;
// Room for key and components beside a value.
constexpr uint64_t kHeaderRoomBytes = 64 << 10;
// How often callers of Scrub are told, and how soon they notice that they are cancelled.
constexpr std::chrono::milliseconds kScrubReportInterval{200};
constexpr std::chrono::milliseconds kPollInterval{40};

cache::EntryInfo InfoOf(const cache::Entry& entry) {
  return {.key = entry.key,
          .created_unix_nanos = entry.created_unix_nanos,
          .value_bytes = entry.value->size(),
          .in_memory = entry.from_memory};
}

Result<std::vector<Sha256Digest>> ParseKeys(
    const google::protobuf::RepeatedPtrField<std::string>& keys) {
  std::vector<Sha256Digest> out;
  for (const std::string& hex : keys) {
    ASSIGN_OR_RETURN(const Sha256Digest key, cache::ParseKey(hex));
    out.push_back(key);
  }
  return out;
}

v1::GetResponse ResponseOf(const cache::Entry& entry) {
  v1::GetResponse response;
  *response.mutable_info() = cache::InfoToProto(InfoOf(entry));
  response.set_value(*entry.value);
  return response;
}

}  // namespace

Result<std::unique_ptr<CacheService>> CacheService::Make(const CacheServiceConfig& config,
                                                         ServiceContext& context) {
  const cache::CacheOptions options{
      .directory = JoinPath(context.data_directory, "cache"),
      .max_disk_bytes = static_cast<uint64_t>(config.max_disk_bytes),
      .max_memory_bytes = static_cast<uint64_t>(config.max_memory_bytes),
      .sidecar_overhead = static_cast<double>(config.sidecar_overhead_percent) / 100};
  ASSIGN_OR_RETURN(auto cache,
                   cache::Cache::Open(options, context.process.metrics(), context.process.files(),
                                      context.process.clock()));
  return std::unique_ptr<CacheService>(new CacheService(config, std::move(cache), context));
}

CacheService::CacheService(const CacheServiceConfig& config, std::unique_ptr<cache::Cache> cache,
                           ServiceContext& context)
    : Service("megalith.cache.v1.CacheService", context.process.threads()),
      config_(config),
      max_response_bytes_(static_cast<uint64_t>(context.process.config().max_response_bytes)),
      cache_(std::move(cache)),
      recorder_(context.ledger, "cache"),
      scrubber_(std::make_unique<cache::Scrubber>(
          *cache_,
          cache::ScrubOptions{
              .bytes_per_second = static_cast<uint64_t>(config.scrub_bytes_per_second),
              .interval = config.scrub_interval},
          context.process.metrics(),
          [this](const cache::Repair& repair) { RecordRepair(repair, rpc::Call()); },
          context.process.clock())) {
  Unary("Get", this, &CacheService::Get, &CacheService::QuickGet);
  ServerStream("GetStream", this, &CacheService::GetStream);
  Unary("Put", this, &CacheService::Put);
  ClientStream("PutStream", this, &CacheService::PutStream);
  Unary("FindMissing", this, &CacheService::FindMissing);
  Unary("Stat", this, &CacheService::Stat);
  Unary("Evict", this, &CacheService::Evict);
  Unary("Explain", this, &CacheService::Explain);
  ServerStream("Scrub", this, &CacheService::Scrub);
  Unary("ControlScrub", this, &CacheService::ControlScrub);
}

// The proof, as far as the ledger takes it; the whole is in the proof file.
void CacheService::RecordRepair(const cache::Repair& repair, const rpc::Call& call) const {
  const durability::DecodeProof& p = repair.proof;
  ledger::Entry evidence;
  evidence.kind = ledger::Kind::kRepair;
  evidence.policy = "damaged_entry";
  evidence.alternatives = {"serve it", "drop it"};
  evidence.decision = repair.repaired ? "repair entry" : "quarantine entry";
  evidence.outcome = repair.repaired ? "restored bit for bit" : "caller recomputes";
  evidence.inputs = {{"before", p.digest_before}};
  if (repair.repaired) evidence.inputs.emplace_back("after", p.digest_after);
  evidence.evidence = {{"reason", repair.reason},
                       {"source", repair.source},
                       {"failure", repair.failure},
                       {"symbol_bytes", StrCat(p.symbol_bytes)},
                       {"source_symbols", StrCat(p.source_symbols)},
                       {"damaged_symbols", durability::RangesText(p.damaged)},
                       {"unverifiable_symbols", durability::RangesText(p.unverifiable)},
                       {"used_repair_symbols", durability::RangesText(p.used_repair)},
                       {"damaged_repair_symbols", durability::RangesText(p.damaged_repair)},
                       {"proof_file", repair.proof_file},
                       {"quarantine_file", repair.quarantine_file}};
  evidence.key = repair.key.Hex();
  recorder_.Record(call, std::move(evidence));
}

// A damaged entry leaves evidence, whoever finds it.
Result<cache::Entry> CacheService::Find(const std::string& hex, const rpc::Call& call) {
  ASSIGN_OR_RETURN(const Sha256Digest key, cache::ParseKey(hex));
  Result<cache::Entry> entry = cache_->Get(key);
  if (entry.status().code() == Code::kDataLoss) {
    ledger::Entry evidence;
    evidence.kind = ledger::Kind::kRepair;
    evidence.policy = "damaged_entry";
    evidence.alternatives = {"serve it", "drop it"};
    evidence.decision = "quarantine entry";
    evidence.outcome = "caller recomputes";
    evidence.evidence = {{"reason", entry.status().message()}};
    evidence.key = hex;
    recorder_.Record(call, std::move(evidence));
  } else if (entry.ok() && entry->repair != nullptr) {
    RecordRepair(*entry->repair, call);
  }
  return entry;
}

Result<v1::GetResponse> CacheService::Get(const v1::GetRequest& request, const rpc::Call& call) {
  ASSIGN_OR_RETURN(const cache::Entry entry, Find(request.key(), call));
  if (entry.value->size() + kHeaderRoomBytes > max_response_bytes_) {
    return ResourceExhausted(StrCat("value has ", entry.value->size(),
                                    " bytes, above max_response_bytes (", max_response_bytes_,
                                    "); use GetStream"));
  }
  return ResponseOf(entry);
}

Result<std::optional<v1::GetResponse>> CacheService::QuickGet(const v1::GetRequest& request,
                                                              const rpc::Call&) {
  ASSIGN_OR_RETURN(const Sha256Digest key, cache::ParseKey(request.key()));
  const std::optional<cache::Entry> entry = cache_->GetFromMemory(key);
  if (!entry || entry->value->size() > kMaxQuickBytes) return std::optional<v1::GetResponse>();
  return std::optional<v1::GetResponse>(ResponseOf(*entry));
}

Status CacheService::GetStream(const v1::GetRequest& request, rpc::Writer<v1::GetChunk>& writer,
                               const rpc::Call& call) {
  ASSIGN_OR_RETURN(const cache::Entry entry, Find(request.key(), call));
  size_t at = 0;
  do {
    v1::GetChunk chunk;
    if (at == 0) *chunk.mutable_info() = cache::InfoToProto(InfoOf(entry));
    chunk.set_data(entry.value->substr(at, kChunkBytes));
    at += chunk.data().size();
    RETURN_IF_ERROR(writer.Write(chunk));
  } while (at < entry.value->size());
  return OkStatus();
}

Result<v1::PutResponse> CacheService::Store(const v1::PutRequest& header, std::string value,
                                            const rpc::Call& call) {
  if (value.size() > static_cast<uint64_t>(config_.max_value_bytes)) {
    return ResourceExhausted(StrCat("value has ", value.size(),
                                    " bytes, the limit max_value_bytes is ",
                                    config_.max_value_bytes));
  }
  ASSIGN_OR_RETURN(const cache::Key key,
                   cache::KeyFromProto(header.key(), header.kind(), header.components()));
  const uint64_t bytes = value.size();
  const Result<bool> present = cache_->Put(key, std::move(value));
  if (present.ok() && *present) {
    v1::PutResponse response;
    response.set_already_present(true);
    return response;
  }
  ledger::Entry evidence;
  evidence.kind = ledger::Kind::kCache;
  for (const cache::Component& c : key.components) evidence.inputs.emplace_back(c.name, c.digest);
  evidence.policy = "least recently used";
  evidence.decision = "store";
  evidence.outcome = present.ok() ? "ok" : present.status().ToString();
  evidence.evidence = {{"kind", key.kind}, {"value_bytes", StrCat(bytes)}};
  evidence.key = key.Hex();
  recorder_.Record(call, std::move(evidence));
  if (!present.ok()) return present.status();
  return v1::PutResponse();
}

Result<v1::PutResponse> CacheService::Put(const v1::PutRequest& request, const rpc::Call& call) {
  return Store(request, request.value(), call);
}

Result<v1::PutResponse> CacheService::PutStream(rpc::Reader<v1::PutChunk>& reader,
                                                const rpc::Call& call) {
  ASSIGN_OR_RETURN(const std::optional<v1::PutChunk> head, reader.Read());
  if (!head || !head->has_first()) return InvalidArgument("the first chunk carries no key");
  const uint64_t total = head->total_bytes();
  if (total > static_cast<uint64_t>(config_.max_value_bytes)) {
    return ResourceExhausted(StrCat("value has ", total, " bytes, the limit max_value_bytes is ",
                                    config_.max_value_bytes));
  }
  std::string value = head->first().value() + head->data();
  while (value.size() <= total) {
    ASSIGN_OR_RETURN(const std::optional<v1::PutChunk> chunk, reader.Read());
    if (!chunk) break;
    if (chunk->has_first()) return InvalidArgument("a chunk after the first one carries a key");
    value += chunk->data();
  }
  if (value.size() != total) {
    return InvalidArgument(
        StrCat("the stream carried ", value.size(), " bytes, announced were ", total));
  }
  RETURN_IF_ERROR(call.Check());
  return Store(head->first(), std::move(value), call);
}

Result<v1::FindMissingResponse> CacheService::FindMissing(const v1::FindMissingRequest& request,
                                                          const rpc::Call&) {
  ASSIGN_OR_RETURN(const auto keys, ParseKeys(request.keys()));
  v1::FindMissingResponse response;
  for (const Sha256Digest& key : keys) {
    if (!cache_->Contains(key)) response.add_missing(key.Hex());
  }
  return response;
}

Result<v1::StatResponse> CacheService::Stat(const v1::StatRequest& request, const rpc::Call& call) {
  ASSIGN_OR_RETURN(const auto keys, ParseKeys(request.keys()));
  v1::StatResponse response;
  for (const Sha256Digest& key : keys) {
    RETURN_IF_ERROR(call.Check());
    const Result<cache::EntryInfo> info = cache_->Describe(key);
    if (info.ok()) *response.add_found() = cache::InfoToProto(*info);
  }
  const cache::Stats stats = cache_->GetStats();
  response.set_entries(stats.entries);
  response.set_disk_bytes(stats.disk_bytes);
  response.set_memory_entries(stats.memory_entries);
  response.set_memory_bytes(stats.memory_bytes);
  response.set_max_disk_bytes(cache_->options().max_disk_bytes);
  response.set_max_memory_bytes(cache_->options().max_memory_bytes);
  response.set_memory_hits(stats.memory_hits);
  response.set_disk_hits(stats.disk_hits);
  response.set_misses(stats.misses);
  response.set_corrupt(stats.corrupt);
  response.set_evictions(stats.evictions);
  response.set_sidecar_bytes(stats.sidecar_bytes);
  response.set_repaired(stats.repaired);
  return response;
}

Result<v1::EvictResponse> CacheService::Evict(const v1::EvictRequest& request,
                                              const rpc::Call& call) {
  ASSIGN_OR_RETURN(const auto keys, ParseKeys(request.keys()));
  cache::Evicted evicted = cache_->Remove(keys);
  if (request.has_down_to_bytes()) {
    const cache::Evicted more = cache_->EvictTo(request.down_to_bytes());
    evicted.removed += more.removed;
    evicted.freed_bytes += more.freed_bytes;
  }
  ledger::Entry evidence;
  evidence.kind = ledger::Kind::kCache;
  evidence.policy = "operator";
  evidence.decision = "evict";
  evidence.outcome = "ok";
  evidence.evidence = {{"removed", StrCat(evicted.removed)},
                       {"freed_bytes", StrCat(evicted.freed_bytes)}};
  if (request.keys_size() == 1) evidence.key = request.keys(0);
  recorder_.Record(call, std::move(evidence));
  v1::EvictResponse response;
  response.set_removed(evicted.removed);
  response.set_freed_bytes(evicted.freed_bytes);
  return response;
}

Result<v1::ExplainResponse> CacheService::Explain(const v1::ExplainRequest& request,
                                                  const rpc::Call& call) {
  ASSIGN_OR_RETURN(const cache::Entry left, Find(request.left(), call));
  ASSIGN_OR_RETURN(const cache::Entry right, Find(request.right(), call));
  v1::ExplainResponse response;
  *response.mutable_left() = cache::InfoToProto(InfoOf(left));
  *response.mutable_right() = cache::InfoToProto(InfoOf(right));
  for (const cache::Difference& d : cache::Explain(left.key, right.key)) {
    *response.add_differences() = cache::DifferenceToProto(d);
  }
  return response;
}

Status CacheService::Scrub(const v1::ScrubRequest& request, rpc::Writer<v1::ScrubStatus>& writer,
                           const rpc::Call& call) {
  if (request.bytes_per_second() > 0) scrubber_->SetRate(request.bytes_per_second());
  const uint64_t pass = scrubber_->Start();
  cache::ScrubStatus status = scrubber_->Progress();
  std::chrono::nanoseconds reported{0};
  while (status.pass == pass && status.state != cache::ScrubStatus::State::kIdle) {
    RETURN_IF_ERROR(call.Check());
    const std::chrono::nanoseconds now = RealClock().Monotonic();
    if (now - reported >= kScrubReportInterval) {
      RETURN_IF_ERROR(writer.Write(cache::ScrubStatusToProto(status)));
      reported = now;
    }
    status = scrubber_->WaitForChange(status.version, kPollInterval);
  }
  return writer.Write(cache::ScrubStatusToProto(status));
}

Result<v1::ScrubStatus> CacheService::ControlScrub(const v1::ControlScrubRequest& request,
                                                   const rpc::Call&) {
  if (request.bytes_per_second() > 0) scrubber_->SetRate(request.bytes_per_second());
  switch (request.action()) {
    case v1::ControlScrubRequest::ACTION_UNSPECIFIED:
      break;
    case v1::ControlScrubRequest::ACTION_PAUSE:
      scrubber_->Pause();
      break;
    case v1::ControlScrubRequest::ACTION_RESUME:
      scrubber_->Resume();
      break;
    case v1::ControlScrubRequest::ACTION_STOP:
      scrubber_->Stop();
      break;
    default:
      return InvalidArgument(
          StrCat("action ", static_cast<int>(request.action()), " is none of ControlScrubRequest"));
  }
  return cache::ScrubStatusToProto(scrubber_->Progress());
}

ServiceSpec CacheSpec() {
  const auto config = std::make_shared<CacheServiceConfig>();
  return {.name = "cache",
          .description = "Stores compiled programs and other results by content key.",
          .add_fields =
              [config](config::Loader& loader) {
                loader.Add<CacheServiceConfig>(kCacheServiceFields, config.get());
              },
          .make = [config](ServiceContext& context) -> Result<ServiceList> {
            ASSIGN_OR_RETURN(auto service, CacheService::Make(*config, context));
            ServiceList list;
            list.push_back(std::move(service));
            return list;
          },
          .on_started = nullptr};
}

}  // namespace megalith::services
