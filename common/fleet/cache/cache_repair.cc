// The part of Cache that checks, repairs and puts aside what the disk has damaged.
#include <algorithm>
#include <utility>

#include "common/fleet/cache/cache.h"
#include "common/fleet/cache/entry_file.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::cache {
namespace {

using telemetry::Level;
using telemetry::Log;

// Evidence and damaged entries are kept for people, the newest ones.
constexpr size_t kMaxProofFiles = 256;
constexpr uint64_t kMaxProofBytes = 16 << 20;
constexpr size_t kMaxQuarantineFiles = 64;
constexpr uint64_t kMaxQuarantineBytes = 256 << 20;

// Sorts by time in names of one key.
std::string NameOf(const Sha256Digest& key, int64_t unix_nanos) {
  return StrCat(key.Hex(), ".", unix_nanos);
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

std::string_view ScrubOutcomeName(ScrubOutcome outcome) {
  constexpr std::string_view kNames[] = {"good",       "repaired", "quarantined", "sidecar_written",
                                         "unreadable", "gone"};
  return kNames[static_cast<size_t>(outcome)];
}

// Somebody else may have repaired it, or put it aside, since it was read.
Result<Entry> Cache::GetDamaged(const Sha256Digest& key) {
  const std::lock_guard<std::mutex> lock(repair_mu_);
  ASSIGN_OR_RETURN(std::string file, files_.Read(PathOf(key)));
  const std::string damaged = file;
  Result<Entry> entry = Parse(key, std::move(file));
  if (entry.status().code() != Code::kDataLoss) return entry;
  Mended mended = Mend(key, damaged, entry.status());
  if (mended.file.empty()) {
    corrupt_.Add();
    return entry.status();
  }
  ASSIGN_OR_RETURN(Entry repaired, Parse(key, std::move(mended.file)));
  repaired.repair = std::move(mended.repair);
  return repaired;
}

Cache::Mended Cache::Mend(const Sha256Digest& key, std::string_view damaged, const Status& damage) {
  Repair repair{.key = key, .unix_nanos = clock_.UnixNanos(), .reason = damage.message()};
  repair.proof.bytes_before = damaged.size();
  repair.proof.digest_before = Sha256::Of(damaged);
  std::string file = Restore(key, damaged, &repair);
  repair.repaired = !file.empty();
  if (repair.repaired) {
    const Status written = files_.WriteAtomically(PathOf(key), file);
    // The damaged file stays and is repaired again by the next reader.
    if (!written.ok())
      Log(Level::warn, "cache_write_failed", {{"key", key.Hex()}, {"error", written.ToString()}});
    bool evicted = false;
    {
      const std::lock_guard<std::mutex> lock(mu_);
      const auto at = slots_.find(key);
      evicted = at == slots_.end();
      if (!evicted) {
        disk_bytes_ += file.size() - at->second.file_bytes;
        at->second.file_bytes = file.size();
        UpdateGauges();
      }
    }
    if (evicted) RemoveFiles({PathOf(key)});
    repaired_.Add();
    WriteProof(&repair);
    Log(Level::warn, "cache_entry_repaired",
        {{"key", key.Hex()},
         {"reason", repair.reason},
         {"source", repair.source},
         {"damaged", repair.proof.damaged.size()},
         {"used", repair.proof.used_repair.size()},
         {"before", repair.proof.digest_before.Hex()},
         {"after", repair.proof.digest_after.Hex()},
         {"proof", repair.proof_file}});
  } else {
    PutAside(key, &repair);
    quarantined_.Add();
    WriteProof(&repair);
    Log(Level::warn, "cache_entry_quarantined",
        {{"key", key.Hex()},
         {"reason", StrCat(repair.reason, "; ", repair.failure)},
         {"file", repair.quarantine_file}});
  }
  return {.file = std::move(file), .repair = std::make_shared<const Repair>(std::move(repair))};
}

// The bytes of the entry's file as they were; empty if nothing gives them back.
std::string Cache::Restore(const Sha256Digest& key, std::string_view damaged, Repair* repair) {
  Result<std::string> sidecar = files_.Read(SidecarPathOf(key));
  if (sidecar.ok()) {
    Result<durability::Restored> restored = durability::RestoreObject(damaged, *sidecar);
    if (restored.ok() && Parse(key, restored->object).ok()) {
      repair->proof = std::move(restored->proof);
      repair->source = "sidecar";
      return std::move(restored->object);
    }
    repair->failure =
        restored.ok() ? "the sidecar is that of another entry" : restored.status().message();
  } else {
    repair->failure = sidecar.status().code() == Code::kNotFound ? "there is no sidecar"
                                                                 : sidecar.status().message();
  }
  std::string file = FromMemory(key);
  if (file.empty()) return file;
  repair->proof.bytes_after = file.size();
  repair->proof.digest_after = Sha256::Of(file);
  repair->source = "memory";
  repair->failure.clear();
  return file;
}

std::string Cache::FromMemory(const Sha256Digest& key) {
  Value value;
  std::shared_ptr<const Key> full_key;
  int64_t created = 0;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = slots_.find(key);
    if (at == slots_.end() || at->second.value == nullptr) return "";
    value = at->second.value;
    full_key = at->second.key;
    created = at->second.created_unix_nanos;
  }
  return EncodeEntry(*full_key, created, *value);
}

// The file goes before the slot: as long as the slot is there no Put writes a new file, which would
// go as well.
void Cache::PutAside(const Sha256Digest& key, Repair* repair) {
  const std::string folder = JoinPath(options_.directory, "quarantine");
  const std::string to = JoinPath(folder, NameOf(key, repair->unix_nanos));
  Status moved = files_.MakeDirectory(folder);
  if (moved.ok()) moved = files_.Rename(PathOf(key), to);
  if (moved.ok()) {
    repair->quarantine_file = to;
    // Of use to nobody without its entry, but to people who look into the damage.
    if (!files_.Rename(SidecarPathOf(key), to + ".sidecar").ok()) RemoveFiles({SidecarPathOf(key)});
    TrimFolder(folder, kMaxQuarantineFiles, kMaxQuarantineBytes);
  } else {
    RemoveFiles({PathOf(key), SidecarPathOf(key)});
  }
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = slots_.find(key);
  if (at != slots_.end()) Erase(at);
  UpdateGauges();
}

void Cache::WriteProof(Repair* repair) {
  const std::string folder = JoinPath(options_.directory, "proofs");
  const std::string path =
      JoinPath(folder, StrCat(NameOf(repair->key, repair->unix_nanos), ".json"));
  Status written = files_.MakeDirectory(folder);
  if (written.ok()) written = files_.WriteAtomically(path, RepairJson(*repair));
  if (!written.ok()) {
    Log(Level::warn, "cache_write_failed", {{"key", path}, {"error", written.ToString()}});
    return;
  }
  repair->proof_file = path;
  TrimFolder(folder, kMaxProofFiles, kMaxProofBytes);
}

// Removes the oldest files until both limits are kept.
void Cache::TrimFolder(const std::string& folder, size_t max_files, uint64_t max_bytes) {
  Result<std::vector<FileInfo>> listing = files_.List(folder);
  if (!listing.ok()) return;
  std::stable_sort(listing->begin(), listing->end(), [](const FileInfo& a, const FileInfo& b) {
    return a.modified_unix_nanos > b.modified_unix_nanos;
  });
  uint64_t bytes = 0;
  std::vector<std::string> surplus;
  for (size_t i = 0; i < listing->size(); ++i) {
    const FileInfo& file = (*listing)[i];
    bytes += file.size;
    if (i >= max_files || bytes > max_bytes) surplus.push_back(JoinPath(folder, file.name));
  }
  RemoveFiles(surplus);
}

// An entry is never evicted for its own sidecar.
bool Cache::WantsSidecar(uint64_t file_bytes) const {
  if (options_.directory.empty() || options_.sidecar_overhead <= 0) return false;
  const uint64_t bytes =
      durability::SidecarBytes(file_bytes, {.overhead = options_.sidecar_overhead});
  return bytes > 0 && file_bytes + bytes <= options_.max_disk_bytes;
}

Status Cache::WriteSidecar(const Sha256Digest& key, std::string_view file) {
  const std::string path = SidecarPathOf(key);
  Result<std::string> sidecar =
      durability::MakeSidecar(file, {.overhead = options_.sidecar_overhead});
  Status written = sidecar.status();
  if (written.ok()) written = files_.MakeDirectory(FolderOf(path));
  if (written.ok()) written = files_.WriteAtomically(path, *sidecar);
  if (!written.ok()) {
    sidecars_failed_.Add();
    Log(Level::warn, "cache_sidecar_failed", {{"key", key.Hex()}, {"error", written.ToString()}});
    return written;
  }
  sidecars_written_.Add();
  std::vector<std::string> paths;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto at = slots_.find(key);
    if (at == slots_.end()) {
      paths.push_back(path);  // evicted meanwhile
    } else {
      disk_bytes_ += sidecar->size() - at->second.sidecar_bytes;
      sidecar_bytes_ += sidecar->size() - at->second.sidecar_bytes;
      at->second.sidecar_bytes = sidecar->size();
      paths = Shrink(options_.max_disk_bytes, nullptr);
    }
    UpdateGauges();
  }
  RemoveFiles(paths);
  return OkStatus();
}

bool Cache::SidecarIsGood(const Sha256Digest& key, std::string_view file, uint64_t* bytes_read) {
  const Result<std::string> sidecar = files_.Read(SidecarPathOf(key));
  if (!sidecar.ok()) return false;
  *bytes_read += sidecar->size();
  const Result<durability::SidecarReport> report = durability::CheckSidecar(*sidecar);
  // One that was written for another overhead is replaced as well.
  return report.ok() && report->intact && report->header.object_bytes == file.size() &&
         sidecar->size() ==
             durability::SidecarBytes(file.size(), {.overhead = options_.sidecar_overhead}) &&
         report->header.object_digest == Sha256::Of(file);
}

Scrubbed Cache::Scrub(const Sha256Digest& key) {
  const std::lock_guard<std::mutex> lock(repair_mu_);
  Scrubbed out;
  if (options_.directory.empty() || !Contains(key)) {
    out.outcome = ScrubOutcome::kGone;
    return out;
  }
  Result<std::string> read = files_.Read(PathOf(key));
  if (!read.ok()) {
    const bool gone = read.status().code() == Code::kNotFound;
    out.outcome = gone ? ScrubOutcome::kGone : ScrubOutcome::kUnreadable;
    out.error = read.status();
    return out;
  }
  std::string file = *std::move(read);
  out.bytes = file.size();
  const Status state = Parse(key, file).status();
  if (!state.ok()) {
    Mended mended = Mend(key, file, state);
    out.repair = mended.repair;
    out.outcome = mended.file.empty() ? ScrubOutcome::kQuarantined : ScrubOutcome::kRepaired;
    if (mended.file.empty()) return out;
    file = std::move(mended.file);
  }
  if (!WantsSidecar(file.size()) || SidecarIsGood(key, file, &out.bytes)) return out;
  out.error = WriteSidecar(key, file);
  if (out.outcome != ScrubOutcome::kGood) return out;
  out.outcome = out.error.ok() ? ScrubOutcome::kSidecarWritten : ScrubOutcome::kUnreadable;
  return out;
}

std::vector<Sha256Digest> Cache::Keys(bool without_sidecar) {
  std::vector<Sha256Digest> keys;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const auto& [key, slot] : slots_) {
      if (without_sidecar && (slot.sidecar_bytes > 0 || !WantsSidecar(slot.file_bytes))) continue;
      keys.push_back(key);
    }
  }
  std::sort(keys.begin(), keys.end(),
            [](const Sha256Digest& a, const Sha256Digest& b) { return a.bytes < b.bytes; });
  return keys;
}

void Cache::SetSidecarWriter(std::function<bool(const Sha256Digest&)> writer) {
  const std::lock_guard<std::mutex> lock(mu_);
  sidecar_writer_ = std::move(writer);
}

}  // namespace megalith::cache
