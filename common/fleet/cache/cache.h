// A content-addressed store with a memory tier and a disk tier.
//
// Disk format: docs/formats/cache-entry.md. One directory belongs to one process at a time.
//
// Entries may have sidecars (docs/formats/raptorq-sidecar.md), from which a damaged entry is
// restored bit for bit. What cannot be restored is put aside and counts as absent.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/fleet/cache/key.h"
#include "common/fleet/cache/repair.h"
#include "common/fleet/cache/single_flight.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_lock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::cache {

struct CacheOptions {
  std::string directory;                     // empty: memory tier only
  uint64_t max_disk_bytes = 4ull << 30;      // of entry files and their sidecars
  uint64_t max_memory_bytes = 256ull << 20;  // of values
  // Share of an entry that may be damaged and is restored; 0: no sidecars are written. At most 4.
  double sidecar_overhead = 0;
};

using Value = std::shared_ptr<const std::string>;

struct Entry {
  Key key;
  int64_t created_unix_nanos = 0;
  Value value;
  bool from_memory = false;
  std::shared_ptr<const Repair> repair;  // set if it was damaged and has just been restored
};

// What is known about an entry without reading its value.
struct EntryInfo {
  Key key;
  int64_t created_unix_nanos = 0;
  uint64_t value_bytes = 0;
  bool in_memory = false;
};

struct Stats {
  uint64_t entries = 0;
  uint64_t disk_bytes = 0;     // of entries and their sidecars
  uint64_t sidecar_bytes = 0;  // of those, sidecars
  uint64_t memory_entries = 0;
  uint64_t memory_bytes = 0;
  uint64_t memory_hits = 0;
  uint64_t disk_hits = 0;
  uint64_t misses = 0;
  uint64_t corrupt = 0;  // damaged and put aside
  uint64_t repaired = 0;
  uint64_t evictions = 0;
};

// How GetOrCompute came to its value.
enum class Source : uint8_t { kMemory, kDisk, kComputed, kShared, kRepaired };
std::string_view SourceName(Source source);

struct Computed {
  Value value;
  Source source = Source::kComputed;
  Status store_error;  // not OK: computed, but could not be stored
};

// What a check of one entry came to.
enum class ScrubOutcome : uint8_t {
  kGood,            // entry and sidecar are whole, or it needs no sidecar
  kRepaired,        // the entry was damaged and is whole again
  kQuarantined,     // the entry was damaged beyond repair and has been put aside
  kSidecarWritten,  // the entry is whole; its sidecar was missing or damaged and is new
  kUnreadable,      // the disk would not give or take it; nothing was changed
  kGone,            // there is no such entry any more
};
inline constexpr int kNumScrubOutcomes = 6;
std::string_view ScrubOutcomeName(ScrubOutcome outcome);

struct Scrubbed {
  ScrubOutcome outcome = ScrubOutcome::kGood;
  uint64_t bytes = 0;                    // that were read
  std::shared_ptr<const Repair> repair;  // of kRepaired and kQuarantined
  Status error;                          // of kUnreadable
};

struct Evicted {
  uint64_t removed = 0;
  uint64_t freed_bytes = 0;
};

// Thread-safe. Values are shared, never copied; files are read and written outside of locks. Least
// recently used entries go first when a tier is over its budget; recency is that of this process,
// and file times after a restart.
class Cache {
 public:
  // Scans the disk tier: leftovers of interrupted writes, files too short to be entries, and
  // sidecars without entries are removed. Values are checked when they are read, not here.
  // `metrics`, `files` and `clock` must outlive the cache. Errors: kFailedPrecondition  another
  // process uses the directory; those of the file system.
  static Result<std::unique_ptr<Cache>> Open(const CacheOptions& options,
                                             telemetry::MetricRegistry& metrics,
                                             FileSystem& files = RealFileSystem(),
                                             const Clock& clock = RealClock());

  // A damaged entry is restored from its sidecar before it is returned. Errors: kNotFound;
  // kDataLoss the entry failed its checks, could not be restored and has been put aside;
  // kUnavailable  the disk.
  Result<Entry> Get(const Sha256Digest& key);
  // The entry if it is in the memory tier; never waits for the disk. Counts as a lookup only if it
  // is found.
  std::optional<Entry> GetFromMemory(const Sha256Digest& key);

  // Stores a value; all of it becomes visible at once and survives a crash afterwards. An entry
  // that is there already is kept. Returns true if it was. Errors: kInvalidArgument  the components
  // do not hash to the key; kResourceExhausted  larger than the disk budget,
  //   or the disk is full; kUnavailable, kPermissionDenied  the disk.
  Result<bool> Put(const Key& key, std::string value);

  // The entry's value, or that of `compute`, which runs once however many callers ask at the same
  // time (SingleFlight) and whose value is then stored. A value that cannot be stored is returned
  // all the same, with the reason.
  Result<Computed> GetOrCompute(
      const Key& key, const Cancellation& cancellation,
      const std::function<Result<std::string>(const Cancellation&)>& compute);

  bool Contains(const Sha256Digest& key);
  // Errors: as Get.
  Result<EntryInfo> Describe(const Sha256Digest& key);
  Evicted Remove(const std::vector<Sha256Digest>& keys);
  // Removes least recently used entries until the disk tier has at most `bytes`.
  Evicted EvictTo(uint64_t bytes);

  // Reads an entry and its sidecar from the disk and checks every byte of both; restores or puts
  // aside a damaged entry, writes a sidecar that is missing or damaged. One entry at a time;
  // callers wait for each other.
  Scrubbed Scrub(const Sha256Digest& key);
  // Keys of all entries on disk, sorted; or only of those that should have a sidecar and have none.
  std::vector<Sha256Digest> Keys(bool without_sidecar = false);
  // Who writes sidecars of new entries: called with the key after Put made the entry visible, from
  // Put's thread. False: Put writes the sidecar itself, as without a writer. nullptr: no writer.
  void SetSidecarWriter(std::function<bool(const Sha256Digest&)> writer);

  Stats GetStats();
  const CacheOptions& options() const { return options_; }

 private:
  struct DigestHash {
    size_t operator()(const Sha256Digest& d) const;
  };
  struct Slot {
    uint64_t file_bytes = 0;
    uint64_t sidecar_bytes = 0;                        // 0: no sidecar
    Value value;                                       // set while in the memory tier
    std::shared_ptr<const Key> key;                    // set with value
    int64_t created_unix_nanos = 0;                    // set with value
    std::list<Sha256Digest>::iterator recency;         // in recency_
    std::list<Sha256Digest>::iterator memory_recency;  // in memory_recency_, if value is set
  };
  using Slots = std::unordered_map<Sha256Digest, Slot, DigestHash>;

  Cache(const CacheOptions& options, telemetry::MetricRegistry& metrics, FileSystem& files,
        const Clock& clock);
  Status Scan();
  Status ScanFolder(const std::string& folder,
                    std::vector<std::pair<int64_t, Sha256Digest>>* found);
  Status ScanSidecars();
  std::string PathOf(const Sha256Digest& key) const;
  std::string SidecarPathOf(const Sha256Digest& key) const;
  Result<Entry> ReadFromDisk(const Sha256Digest& key);
  Result<Entry> Parse(const Sha256Digest& key, std::string file) const;
  Result<Entry> GetDamaged(const Sha256Digest& key);

  // Of cache_repair.cc; all require repair_mu_.
  struct Mended {
    std::string file;  // empty: put aside
    std::shared_ptr<const Repair> repair;
  };
  Mended Mend(const Sha256Digest& key, std::string_view damaged, const Status& damage);
  std::string Restore(const Sha256Digest& key, std::string_view damaged, Repair* repair);
  std::string FromMemory(const Sha256Digest& key);
  void PutAside(const Sha256Digest& key, Repair* repair);
  void WriteProof(Repair* repair);
  Status WriteSidecar(const Sha256Digest& key, std::string_view file);
  bool SidecarIsGood(const Sha256Digest& key, std::string_view file, uint64_t* bytes_read);
  bool WantsSidecar(uint64_t file_bytes) const;
  void TrimFolder(const std::string& folder, size_t max_files, uint64_t max_bytes);
  void Touch(Slots::iterator slot);  // requires mu_
  void Insert(const Key& key, uint64_t file_bytes, const Value& value,
              int64_t created);  // requires mu_
  void IntoMemory(Slots::iterator slot, const Key& key, const Value& value,
                  int64_t created);                                            // requires mu_
  void OutOfMemory(Slots::iterator slot);                                      // requires mu_
  void Erase(Slots::iterator slot);                                            // requires mu_
  std::vector<std::string> Shrink(uint64_t max_disk_bytes, Evicted* evicted);  // requires mu_
  void RemoveFiles(const std::vector<std::string>& paths);
  void UpdateGauges();  // requires mu_

  const CacheOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  std::unique_ptr<DirectoryLock> lock_;
  SingleFlight<std::shared_ptr<const Computed>> flights_;

  telemetry::Counter& memory_hits_;
  telemetry::Counter& disk_hits_;
  telemetry::Counter& misses_;
  telemetry::Counter& corrupt_;
  telemetry::Counter& memory_evictions_;
  telemetry::Counter& disk_evictions_;
  telemetry::Counter& shared_;
  telemetry::Counter& repaired_;
  telemetry::Counter& quarantined_;
  telemetry::Counter& sidecars_written_;
  telemetry::Counter& sidecars_failed_;
  telemetry::Gauge& disk_bytes_gauge_;
  telemetry::Gauge& memory_bytes_gauge_;
  telemetry::Gauge& sidecar_bytes_gauge_;
  telemetry::Gauge& disk_entries_gauge_;
  telemetry::Gauge& memory_entries_gauge_;

  std::mutex repair_mu_;  // before mu_; serialises whatever repairs or writes sidecars

  std::mutex mu_;
  std::function<bool(const Sha256Digest&)> sidecar_writer_;  // guarded by mu_
  Slots slots_;                                              // guarded by mu_
  std::list<Sha256Digest> recency_;                          // guarded by mu_; most recent first
  std::list<Sha256Digest> memory_recency_;                   // guarded by mu_
  uint64_t disk_bytes_ = 0;                                  // guarded by mu_; entries and sidecars
  uint64_t sidecar_bytes_ = 0;                               // guarded by mu_
  uint64_t memory_bytes_ = 0;                                // guarded by mu_
  uint64_t evictions_ = 0;                                   // guarded by mu_
};

}  // namespace megalith::cache
