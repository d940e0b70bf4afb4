#include "common/fleet/cache/cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/fleet/cache/entry_file.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::cache {
namespace {

using telemetry::Level;
using telemetry::Log;

}  // namespace

std::string_view SourceName(Source source) {
  constexpr std::string_view kNames[] = {"memory", "disk", "computed", "shared", "repaired"};
  return kNames[static_cast<size_t>(source)];
}

size_t Cache::DigestHash::operator()(const Sha256Digest& d) const {
  size_t h = 0;
  std::memcpy(&h, d.bytes.data(), sizeof(h));
  return h;
}

Cache::Cache(const CacheOptions& options, telemetry::MetricRegistry& metrics, FileSystem& files,
             const Clock& clock)
    : options_(options),
      files_(files),
      clock_(clock),
      memory_hits_(metrics.GetCounter(telemetry::kCacheLookups, {"memory_hit"})),
      disk_hits_(metrics.GetCounter(telemetry::kCacheLookups, {"disk_hit"})),
      misses_(metrics.GetCounter(telemetry::kCacheLookups, {"miss"})),
      corrupt_(metrics.GetCounter(telemetry::kCacheLookups, {"corrupt"})),
      memory_evictions_(metrics.GetCounter(telemetry::kCacheEvictions, {"memory"})),
      disk_evictions_(metrics.GetCounter(telemetry::kCacheEvictions, {"disk"})),
      shared_(metrics.GetCounter(telemetry::kCacheSingleFlight)),
      repaired_(metrics.GetCounter(telemetry::kCacheRepairs, {"repaired"})),
      quarantined_(metrics.GetCounter(telemetry::kCacheRepairs, {"quarantined"})),
      sidecars_written_(metrics.GetCounter(telemetry::kCacheSidecars, {"written"})),
      sidecars_failed_(metrics.GetCounter(telemetry::kCacheSidecars, {"failed"})),
      disk_bytes_gauge_(metrics.GetGauge(telemetry::kCacheBytes, {"disk"})),
      memory_bytes_gauge_(metrics.GetGauge(telemetry::kCacheBytes, {"memory"})),
      sidecar_bytes_gauge_(metrics.GetGauge(telemetry::kCacheSidecarBytes)),
      disk_entries_gauge_(metrics.GetGauge(telemetry::kCacheEntries, {"disk"})),
      memory_entries_gauge_(metrics.GetGauge(telemetry::kCacheEntries, {"memory"})) {}

Result<std::unique_ptr<Cache>> Cache::Open(const CacheOptions& options,
                                           telemetry::MetricRegistry& metrics, FileSystem& files,
                                           const Clock& clock) {
  std::unique_ptr<Cache> cache(new Cache(options, metrics, files, clock));
  if (options.directory.empty()) return cache;
  RETURN_IF_ERROR(files.MakeDirectory(JoinPath(options.directory, "objects")));
  ASSIGN_OR_RETURN(cache->lock_, DirectoryLock::Acquire(options.directory));
  RETURN_IF_ERROR(cache->Scan().Annotate(StrCat("cache '", options.directory, "'")));
  return cache;
}

std::string Cache::PathOf(const Sha256Digest& key) const {
  const std::string hex = key.Hex();
  return StrCat(options_.directory, "/objects/", std::string_view(hex).substr(0, 2), "/", hex);
}

std::string Cache::SidecarPathOf(const Sha256Digest& key) const {
  const std::string hex = key.Hex();
  return StrCat(options_.directory, "/sidecars/", std::string_view(hex).substr(0, 2), "/", hex);
}

Status Cache::Scan() {
  const Stopwatch stopwatch(clock_);
  std::vector<std::pair<int64_t, Sha256Digest>> found;  // by time
  const std::string objects = JoinPath(options_.directory, "objects");
  ASSIGN_OR_RETURN(const std::vector<FileInfo> folders, files_.List(objects));
  for (const FileInfo& folder : folders) {
    if (folder.is_directory) RETURN_IF_ERROR(ScanFolder(JoinPath(objects, folder.name), &found));
  }
  RETURN_IF_ERROR(ScanSidecars());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second.bytes) < std::pair(b.first, b.second.bytes);
  });
  std::vector<std::string> paths;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const auto& [time, key] : found) {
      recency_.push_front(key);
      slots_[key].recency = recency_.begin();
    }
    paths = Shrink(options_.max_disk_bytes, nullptr);
    UpdateGauges();
    Log(Level::info, "cache_opened",
        {{"directory", options_.directory},
         {"entries", slots_.size()},
         {"bytes", disk_bytes_},
         {"seconds", stopwatch.Seconds()}});
  }
  RemoveFiles(paths);
  return OkStatus();
}

Status Cache::ScanFolder(const std::string& folder,
                         std::vector<std::pair<int64_t, Sha256Digest>>* found) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files_.List(folder));
  const std::lock_guard<std::mutex> lock(mu_);
  for (const FileInfo& file : listing) {
    const Result<Sha256Digest> key = ParseKey(file.name);
    // A name that is no key is left over from a write that a crash cut short; an entry that was cut
    // off may be restored from its sidecar.
    if (!key.ok() || (file.size < kEntryPrefixBytes && !files_.Stat(SidecarPathOf(*key)).ok())) {
      RETURN_IF_ERROR(files_.Remove(JoinPath(folder, file.name)));
      Log(Level::info, "cache_leftover_removed", {{"file", file.name}, {"bytes", file.size}});
      continue;
    }
    slots_[*key].file_bytes = file.size;
    disk_bytes_ += file.size;
    found->emplace_back(file.modified_unix_nanos, *key);
  }
  return OkStatus();
}

Status Cache::ScanSidecars() {
  const std::string sidecars = JoinPath(options_.directory, "sidecars");
  RETURN_IF_ERROR(files_.MakeDirectory(sidecars));
  ASSIGN_OR_RETURN(const std::vector<FileInfo> folders, files_.List(sidecars));
  for (const FileInfo& folder : folders) {
    if (!folder.is_directory) continue;
    const std::string path = JoinPath(sidecars, folder.name);
    ASSIGN_OR_RETURN(const std::vector<FileInfo> listing, files_.List(path));
    const std::lock_guard<std::mutex> lock(mu_);
    for (const FileInfo& file : listing) {
      const Result<Sha256Digest> key = ParseKey(file.name);
      const auto at = key.ok() ? slots_.find(*key) : slots_.end();
      // Without its entry: a crash came between the removal of the two.
      if (at == slots_.end()) {
        RETURN_IF_ERROR(files_.Remove(JoinPath(path, file.name)));
        Log(Level::info, "cache_leftover_removed", {{"file", file.name}, {"bytes", file.size}});
        continue;
      }
      at->second.sidecar_bytes = file.size;
      sidecar_bytes_ += file.size;
      disk_bytes_ += file.size;
    }
  }
  return OkStatus();
}

std::optional<Entry> Cache::GetFromMemory(const Sha256Digest& key) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = slots_.find(key);
  if (at == slots_.end() || at->second.value == nullptr) return std::nullopt;
  Touch(at);
  memory_hits_.Add();
  return Entry{.key = *at->second.key,
               .created_unix_nanos = at->second.created_unix_nanos,
               .value = at->second.value,
               .from_memory = true};
}

Result<Entry> Cache::Get(const Sha256Digest& key) {
  if (std::optional<Entry> entry = GetFromMemory(key)) return *std::move(entry);
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = slots_.find(key);
    if (at == slots_.end()) {
      misses_.Add();
      return NotFound(StrCat("no cache entry ", key.Hex()));
    }
    Touch(at);
  }
  Result<Entry> entry = ReadFromDisk(key);
  if (entry.status().code() == Code::kDataLoss) entry = GetDamaged(key);
  if (entry.ok()) {
    disk_hits_.Add();
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = slots_.find(key);
    if (at != slots_.end()) IntoMemory(at, entry->key, entry->value, entry->created_unix_nanos);
    UpdateGauges();
  } else if (entry.status().code() == Code::kNotFound) {
    // Evicted since the look into the index, or removed by somebody else's hand.
    misses_.Add();
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = slots_.find(key);
    if (at != slots_.end() && at->second.value == nullptr) Erase(at);
  }
  return entry;
}

Result<Entry> Cache::ReadFromDisk(const Sha256Digest& key) {
  ASSIGN_OR_RETURN(std::string file, files_.Read(PathOf(key)));
  return Parse(key, std::move(file));
}

Result<Entry> Cache::Parse(const Sha256Digest& key, std::string file) const {
  const Result<DecodedEntry> decoded = DecodeEntry(file);
  if (!decoded.ok()) return decoded.status().Annotate(StrCat("cache entry ", key.Hex()));
  if (decoded->header.key.digest != key)
    return DataLoss(StrCat("cache entry ", key.Hex(), " holds another key"));
  Entry entry{.key = decoded->header.key,
              .created_unix_nanos = decoded->header.created_unix_nanos,
              .value = nullptr};
  const size_t begin = file.size() - decoded->value.size();
  file.erase(0, begin);
  entry.value = std::make_shared<const std::string>(std::move(file));
  return entry;
}

Result<bool> Cache::Put(const Key& key, std::string value) {
  ASSIGN_OR_RETURN(const Sha256Digest digest, DigestOf(key.kind, key.components));
  if (digest != key.digest) {
    return InvalidArgument(
        StrCat("components hash to ", digest.Hex(), ", the key given is ", key.Hex()));
  }
  if (Contains(key.digest)) return true;
  const int64_t created = clock_.UnixNanos();
  uint64_t file_bytes = 0;
  if (!options_.directory.empty()) {
    const std::string file = EncodeEntry(key, created, value);
    file_bytes = file.size();
    if (file_bytes > options_.max_disk_bytes) {
      return ResourceExhausted(StrCat("entry has ", file_bytes,
                                      " bytes, the limit max_disk_bytes is ",
                                      options_.max_disk_bytes));
    }
    const std::string path = PathOf(key.digest);
    RETURN_IF_ERROR(files_.MakeDirectory(path.substr(0, path.rfind('/'))));
    RETURN_IF_ERROR(files_.WriteAtomically(path, file));
  } else if (value.size() > options_.max_memory_bytes) {
    return ResourceExhausted(StrCat("value has ", value.size(),
                                    " bytes, the limit max_memory_bytes is ",
                                    options_.max_memory_bytes));
  }
  const Value shared = std::make_shared<const std::string>(std::move(value));
  std::vector<std::string> paths;
  std::function<bool(const Sha256Digest&)> sidecar_writer;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    Insert(key, file_bytes, shared, created);
    paths = Shrink(options_.max_disk_bytes, nullptr);
    UpdateGauges();
    sidecar_writer = sidecar_writer_;
  }
  RemoveFiles(paths);
  if (WantsSidecar(file_bytes) && !(sidecar_writer && sidecar_writer(key.digest))) {
    const std::lock_guard<std::mutex> lock(repair_mu_);
    // The entry is there without it; the next scrub tries again.
    (void)WriteSidecar(key.digest, EncodeEntry(key, created, *shared));
  }
  return false;
}

Result<Computed> Cache::GetOrCompute(
    const Key& key, const Cancellation& cancellation,
    const std::function<Result<std::string>(const Cancellation&)>& compute) {
  using Shared = std::shared_ptr<const Computed>;
  const auto look_up_or_compute = [&](const Cancellation& all_gone) -> Result<Shared> {
    Computed out;
    Result<Entry> entry = Get(key.digest);
    if (entry.ok()) {
      out.value = entry->value;
      out.source = entry->from_memory ? Source::kMemory : Source::kDisk;
      return std::make_shared<const Computed>(std::move(out));
    }
    const bool damaged = entry.status().code() == Code::kDataLoss;
    out.source = damaged ? Source::kRepaired : Source::kComputed;
    ASSIGN_OR_RETURN(std::string value, compute(all_gone));
    out.value = std::make_shared<const std::string>(value);
    const Result<bool> stored = Put(key, std::move(value));
    if (!stored.ok()) {
      out.store_error = stored.status();
      Log(Level::warn, "cache_write_failed",
          {{"key", key.Hex()}, {"error", stored.status().ToString()}});
    }
    return std::make_shared<const Computed>(std::move(out));
  };
  ASSIGN_OR_RETURN(const auto outcome, flights_.Do(key.Hex(), cancellation, look_up_or_compute));
  Computed computed = *outcome.value;
  if (outcome.shared) {
    shared_.Add();
    computed.source = Source::kShared;
  }
  return computed;
}

bool Cache::Contains(const Sha256Digest& key) {
  const std::lock_guard<std::mutex> lock(mu_);
  return slots_.contains(key);
}

Result<EntryInfo> Cache::Describe(const Sha256Digest& key) {
  ASSIGN_OR_RETURN(const Entry entry, Get(key));
  return EntryInfo{.key = entry.key,
                   .created_unix_nanos = entry.created_unix_nanos,
                   .value_bytes = entry.value->size(),
                   .in_memory = entry.from_memory};
}

Evicted Cache::Remove(const std::vector<Sha256Digest>& keys) {
  Evicted evicted;
  std::vector<std::string> paths;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const Sha256Digest& key : keys) {
      const auto at = slots_.find(key);
      if (at == slots_.end()) continue;
      ++evicted.removed;
      evicted.freed_bytes += std::max<uint64_t>(at->second.file_bytes + at->second.sidecar_bytes,
                                                at->second.value ? at->second.value->size() : 0);
      paths.push_back(PathOf(key));
      if (at->second.sidecar_bytes > 0) paths.push_back(SidecarPathOf(key));
      Erase(at);
    }
    UpdateGauges();
  }
  RemoveFiles(paths);
  return evicted;
}

Evicted Cache::EvictTo(uint64_t bytes) {
  Evicted evicted;
  std::vector<std::string> paths;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    paths = Shrink(bytes, &evicted);
    UpdateGauges();
  }
  RemoveFiles(paths);
  return evicted;
}

Stats Cache::GetStats() {
  const std::lock_guard<std::mutex> lock(mu_);
  return {.entries = slots_.size(),
          .disk_bytes = disk_bytes_,
          .sidecar_bytes = sidecar_bytes_,
          .memory_entries = memory_recency_.size(),
          .memory_bytes = memory_bytes_,
          .memory_hits = memory_hits_.value(),
          .disk_hits = disk_hits_.value(),
          .misses = misses_.value(),
          .corrupt = quarantined_.value(),
          .repaired = repaired_.value(),
          .evictions = evictions_};
}

void Cache::Touch(Slots::iterator slot) {
  recency_.splice(recency_.begin(), recency_, slot->second.recency);
  if (slot->second.value != nullptr) {
    memory_recency_.splice(memory_recency_.begin(), memory_recency_, slot->second.memory_recency);
  }
}

void Cache::Insert(const Key& key, uint64_t file_bytes, const Value& value, int64_t created) {
  const auto [at, fresh] = slots_.try_emplace(key.digest);
  if (fresh) {
    recency_.push_front(key.digest);
    at->second.recency = recency_.begin();
    at->second.file_bytes = file_bytes;
    disk_bytes_ += file_bytes;
  }
  IntoMemory(at, key, value, created);
}

void Cache::IntoMemory(Slots::iterator slot, const Key& key, const Value& value, int64_t created) {
  Slot& s = slot->second;
  if (s.value != nullptr || value->size() > options_.max_memory_bytes) return;
  s.value = value;
  s.key = std::make_shared<const Key>(key);
  s.created_unix_nanos = created;
  memory_recency_.push_front(slot->first);
  s.memory_recency = memory_recency_.begin();
  memory_bytes_ += value->size();
  while (memory_bytes_ > options_.max_memory_bytes) {
    const auto oldest = slots_.find(memory_recency_.back());
    memory_evictions_.Add();
    if (options_.directory.empty()) {
      ++evictions_;
      Erase(oldest);
    } else {
      OutOfMemory(oldest);
    }
  }
}

void Cache::OutOfMemory(Slots::iterator slot) {
  Slot& s = slot->second;
  if (s.value == nullptr) return;
  memory_bytes_ -= s.value->size();
  memory_recency_.erase(s.memory_recency);
  s.value = nullptr;
  s.key = nullptr;
}

void Cache::Erase(Slots::iterator slot) {
  OutOfMemory(slot);
  disk_bytes_ -= slot->second.file_bytes + slot->second.sidecar_bytes;
  sidecar_bytes_ -= slot->second.sidecar_bytes;
  recency_.erase(slot->second.recency);
  slots_.erase(slot);
}

std::vector<std::string> Cache::Shrink(uint64_t max_disk_bytes, Evicted* evicted) {
  std::vector<std::string> paths;
  while (disk_bytes_ > max_disk_bytes && !recency_.empty()) {
    const auto oldest = slots_.find(recency_.back());
    if (evicted != nullptr) {
      ++evicted->removed;
      evicted->freed_bytes += oldest->second.file_bytes + oldest->second.sidecar_bytes;
    }
    ++evictions_;
    disk_evictions_.Add();
    paths.push_back(PathOf(oldest->first));
    if (oldest->second.sidecar_bytes > 0) paths.push_back(SidecarPathOf(oldest->first));
    Erase(oldest);
  }
  return paths;
}

void Cache::RemoveFiles(const std::vector<std::string>& paths) {
  if (options_.directory.empty()) return;
  for (const std::string& path : paths) {
    const Status removed = files_.Remove(path);
    // The file is found again by the next start's scan.
    if (!removed.ok())
      Log(Level::warn, "cache_write_failed", {{"key", path}, {"error", removed.ToString()}});
  }
}

void Cache::UpdateGauges() {
  disk_bytes_gauge_.Set(static_cast<double>(disk_bytes_));
  memory_bytes_gauge_.Set(static_cast<double>(memory_bytes_));
  sidecar_bytes_gauge_.Set(static_cast<double>(sidecar_bytes_));
  disk_entries_gauge_.Set(static_cast<double>(options_.directory.empty() ? 0 : slots_.size()));
  memory_entries_gauge_.Set(static_cast<double>(memory_recency_.size()));
}

}  // namespace megalith::cache
