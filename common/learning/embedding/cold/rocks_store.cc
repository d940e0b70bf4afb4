#include "common/learning/embedding/cold/rocks_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// A key is ColdKey in eight bytes, most significant first, so that RocksDB's order is ours; a value
// is the timestamp in four bytes, least significant first, then the payload.
constexpr size_t kKeyBytes = 8;
constexpr size_t kTimeBytes = 4;
constexpr size_t kReadBatch = 256;  // keys of one MultiGet: what its arrays on the stack hold
constexpr uint64_t kMinCacheBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxWriteBufferBytes = uint64_t{64} << 20;
constexpr std::string_view kOwnerFile = "TABLE";
constexpr std::string_view kOwnerHead = "megalith cold rows of table ";
constexpr std::string_view kStorePrefix = "rows-";
constexpr uint64_t kMaxOwnerBytes = 4096;
constexpr int kMaxStores = 1 << 16;

using KeyBytes = std::array<char, kKeyBytes>;

void PutKey(uint64_t key, char* out) {
  for (size_t i = 0; i < kKeyBytes; ++i) out[i] = static_cast<char>(key >> (56 - 8 * i));
}

uint64_t GetKey(const rocksdb::Slice& bytes) {
  uint64_t key = 0;
  for (size_t i = 0; i < kKeyBytes; ++i) key = key << 8 | static_cast<uint8_t>(bytes[i]);
  return key;
}

uint32_t GetTime(const char* bytes) {
  uint32_t time = 0;
  for (size_t i = kTimeBytes; i-- > 0;) time = time << 8 | static_cast<uint8_t>(bytes[i]);
  return time;
}

Status FromRocks(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return OkStatus();
  const std::string text = StrCat(doing, ": ", status.ToString());
  if (status.IsCorruption()) {
    return DataLoss(StrCat(text,
                           "; the disk of the cold rows is damaged: restore the newest "
                           "checkpoint with cold_dir on another disk"));
  }
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) {
    return ResourceExhausted(
        StrCat(text, "; free space on the disk of the cold rows, or raise max_disk_bytes"));
  }
  return Unavailable(text);
}

class RocksStore : public ColdStore {
 public:
  static Result<std::unique_ptr<ColdStore>> Open(const ColdTierConfig& config, size_t payload_bytes,
                                                 std::string path);
  ~RocksStore() override {
    db_.reset();
    (void)rocksdb::DestroyDB(path_, rocksdb::Options());
  }

  Status Read(std::span<const Fid> fids, const OnRow& on_row) const override;
  Status Write(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
               const std::byte* payloads, size_t stride) override;
  Status Erase(std::span<const Fid> fids) override;
  Status Clear() override;
  std::unique_ptr<View> Take() const override;
  Stats GetStats() const override;

  Status Walk(const rocksdb::Snapshot* snapshot, uint64_t key, const View::Visit& visit) const;
  rocksdb::DB& db() const { return *db_; }

 private:
  RocksStore(std::string path, size_t payload_bytes)
      : path_(std::move(path)), payload_bytes_(payload_bytes) {
    // Rows need not survive the process: durable are checkpoint and log.
    write_.disableWAL = true;
  }
  // After an error of the device RocksDB refuses writes until it is told to try again.
  void Resume(const rocksdb::Status& failed) {
    if (failed.severity() > rocksdb::Status::kNoError) (void)db_->Resume();
  }
  Status CheckValue(const rocksdb::Slice& value) const {
    if (value.size() == kTimeBytes + payload_bytes_) return OkStatus();
    return DataLoss(
        StrCat("a cold row has ", value.size(), " bytes, wanted ", kTimeBytes + payload_bytes_));
  }

  const std::string path_;
  const size_t payload_bytes_;
  rocksdb::WriteOptions write_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<rocksdb::SstFileManager> sst_files_;
  std::unique_ptr<rocksdb::DB> db_;
};

class RocksView : public ColdStore::View {
 public:
  explicit RocksView(const RocksStore& store)
      : store_(store), snapshot_(store.db().GetSnapshot()) {}
  ~RocksView() override { store_.db().ReleaseSnapshot(snapshot_); }
  Status Walk(uint64_t key, const Visit& visit) const override {
    return store_.Walk(snapshot_, key, visit);
  }

 private:
  const RocksStore& store_;
  const rocksdb::Snapshot* const snapshot_;
};

Result<std::unique_ptr<ColdStore>> RocksStore::Open(const ColdTierConfig& config,
                                                    size_t payload_bytes, std::string path) {
  std::unique_ptr<RocksStore> store(new RocksStore(std::move(path), payload_bytes));
  const uint64_t cache_bytes = std::max(config.cache_bytes, kMinCacheBytes);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.info_log_level = rocksdb::ERROR_LEVEL;
  options.keep_log_file_num = 1;
  options.max_open_files = 512;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kNoCompression;  // floats do not shrink
  options.level_compaction_dynamic_level_bytes = true;
  options.write_buffer_size = std::clamp(cache_bytes / 4, kMinCacheBytes / 4, kMaxWriteBufferBytes);
  store->cache_ = rocksdb::NewLRUCache(cache_bytes);
  // Rows on their way to files, filters and indexes of files all count against the cache.
  options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(cache_bytes / 2, store->cache_);
  store->sst_files_.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
  if (config.max_disk_bytes != UINT64_MAX) {
    store->sst_files_->SetMaxAllowedSpaceUsage(config.max_disk_bytes);
  }
  options.sst_file_manager = store->sst_files_;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = store->cache_;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* db = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::DB::Open(options, store->path_, &db),
                            StrCat("opening cold rows in '", store->path_, "'")));
  store->db_.reset(db);
  return std::unique_ptr<ColdStore>(std::move(store));
}

Status RocksStore::Read(std::span<const Fid> fids, const OnRow& on_row) const {
  // In order of keys: neighbours share blocks.
  std::vector<std::pair<uint64_t, size_t>> order;
  order.reserve(fids.size());
  for (size_t i = 0; i < fids.size(); ++i) order.emplace_back(ColdKey(fids[i]), i);
  std::sort(order.begin(), order.end());
  std::array<KeyBytes, kReadBatch> bytes;
  std::array<rocksdb::Slice, kReadBatch> keys;
  std::array<rocksdb::PinnableSlice, kReadBatch> values;
  std::array<rocksdb::Status, kReadBatch> statuses;
  Status status;
  for (size_t base = 0; base < order.size(); base += kReadBatch) {
    const size_t count = std::min(kReadBatch, order.size() - base);
    for (size_t k = 0; k < count; ++k) {
      PutKey(order[base + k].first, bytes[k].data());
      keys[k] = rocksdb::Slice(bytes[k].data(), kKeyBytes);
      values[k].Reset();
    }
    db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), count, keys.data(),
                  values.data(), statuses.data(), true);
    for (size_t k = 0; k < count; ++k) {
      if (statuses[k].IsNotFound()) continue;
      Status read = FromRocks(statuses[k], "reading a cold row");
      if (read.ok()) read = CheckValue(values[k]);
      if (!read.ok()) {
        status = std::move(read);
        continue;
      }
      on_row(order[base + k].second, GetTime(values[k].data()),
             reinterpret_cast<const std::byte*>(values[k].data()) + kTimeBytes);
    }
  }
  return status;
}

Status RocksStore::Write(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
                         const std::byte* payloads, size_t stride) {
  rocksdb::WriteBatch batch((kKeyBytes + kTimeBytes + payload_bytes_ + 8) * fids.size() + 64);
  for (size_t i = 0; i < fids.size(); ++i) {
    KeyBytes key;
    PutKey(ColdKey(fids[i]), key.data());
    std::array<char, kTimeBytes> time;
    for (size_t k = 0; k < kTimeBytes; ++k) time[k] = static_cast<char>(timestamps[i] >> (8 * k));
    const rocksdb::Slice key_slice(key.data(), key.size());
    const std::array<rocksdb::Slice, 2> value = {
        rocksdb::Slice(time.data(), time.size()),
        rocksdb::Slice(reinterpret_cast<const char*>(payloads) + i * stride, payload_bytes_)};
    const rocksdb::Status put = batch.Put(rocksdb::SliceParts(&key_slice, 1),
                                          rocksdb::SliceParts(value.data(), value.size()));
    if (!put.ok()) return FromRocks(put, "writing cold rows");
  }
  const rocksdb::Status written = db_->Write(write_, &batch);
  Resume(written);
  return FromRocks(written, "writing cold rows");
}

Status RocksStore::Erase(std::span<const Fid> fids) {
  rocksdb::WriteBatch batch;
  for (const Fid fid : fids) {
    KeyBytes key;
    PutKey(ColdKey(fid), key.data());
    const rocksdb::Status put = batch.Delete(rocksdb::Slice(key.data(), key.size()));
    if (!put.ok()) return FromRocks(put, "erasing cold rows");
  }
  const rocksdb::Status written = db_->Write(write_, &batch);
  Resume(written);
  return FromRocks(written, "erasing cold rows");
}

Status RocksStore::Clear() {
  // Every key lies below nine bytes of ones.
  const std::string end(kKeyBytes + 1, '\xff');
  const rocksdb::Status cleared =
      db_->DeleteRange(write_, db_->DefaultColumnFamily(), rocksdb::Slice(), end);
  Resume(cleared);
  return FromRocks(cleared, "clearing cold rows");
}

std::unique_ptr<ColdStore::View> RocksStore::Take() const {
  return std::make_unique<RocksView>(*this);
}

Status RocksStore::Walk(const rocksdb::Snapshot* snapshot, uint64_t key,
                        const View::Visit& visit) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.fill_cache = false;
  options.readahead_size = size_t{1} << 20;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
  KeyBytes from;
  PutKey(key, from.data());
  for (at->Seek(rocksdb::Slice(from.data(), from.size())); at->Valid(); at->Next()) {
    if (at->key().size() != kKeyBytes) return DataLoss("a key of the cold rows is not eight bytes");
    RETURN_IF_ERROR(CheckValue(at->value()));
    if (!visit(GetKey(at->key()), GetTime(at->value().data()),
               reinterpret_cast<const std::byte*>(at->value().data()) + kTimeBytes)) {
      return OkStatus();
    }
  }
  return FromRocks(at->status(), "walking over the cold rows");
}

ColdStore::Stats RocksStore::GetStats() const {
  return {.disk_bytes = sst_files_->GetTotalSize(), .memory_bytes = cache_->GetUsage()};
}

// --- directories ---

Status CheckDirectoryName(const std::string& name) {
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = std::string_view(name).substr(at, end - at);
    const bool plain = std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("_-.:").find(c) != std::string_view::npos;
    });
    if (part.empty() || part == "." || part == ".." || !plain) {
      return InvalidArgument(StrCat("the cold tier's directory is '", Printable(name),
                                    "', wanted parts of letters, digits and _ - . : between '/', "
                                    "none of them '.' or '..'"));
    }
    at = end + 1;
  }
  return OkStatus();
}

// Makes the table's directory, or checks that it is its own.
Status Claim(const std::string& path, const std::string& table, FileSystem& files) {
  RETURN_IF_ERROR(files.MakeDirectory(path));
  ASSIGN_OR_RETURN(const std::vector<FileInfo> inside, files.List(path));
  const std::string owner = JoinPath(path, kOwnerFile);
  const std::string text = StrCat(kOwnerHead, table, "\n");
  if (inside.empty()) return files.WriteAtomically(owner, text);
  const Result<std::string> found = files.Read(owner, kMaxOwnerBytes);
  if (!found.ok()) {
    return FailedPrecondition(StrCat("'", path, "' is not empty and has no file ", kOwnerFile,
                                     ", so it is no directory of cold rows; name another"));
  }
  if (*found == text) return OkStatus();
  return FailedPrecondition(StrCat("'", path, "' belongs to: ", Printable(Trim(*found)),
                                   "; give table '", table, "' another directory"));
}

// Removes the stores that nobody has open, and returns a name that none has.
Result<std::string> FreshStore(const std::string& path, FileSystem& files) {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> inside, files.List(path));
  for (const FileInfo& file : inside) {
    if (!file.is_directory || !file.name.starts_with(kStorePrefix)) continue;
    // Fails if a process has it open: RocksDB locks what it opens.
    const std::string store = JoinPath(path, file.name);
    if (rocksdb::DestroyDB(store, rocksdb::Options()).ok()) (void)files.RemoveTree(store);
  }
  for (int number = 0; number < kMaxStores; ++number) {
    std::string store = JoinPath(path, StrCat(kStorePrefix, number));
    if (files.Stat(store).status().code() == Code::kNotFound) return store;
  }
  return ResourceExhausted(StrCat("'", path, "' holds ", kMaxStores, " stores; remove old ones"));
}

}  // namespace

OpenColdStoreOf RocksStores(std::string directory, FileSystem& files) {
  auto opening = std::make_shared<std::mutex>();
  return [directory = std::move(directory), opening, &files](
             const std::string& table, const ColdTierConfig& config,
             size_t payload_bytes) -> Result<std::unique_ptr<ColdStore>> {
    RETURN_IF_ERROR(CheckDirectoryName(config.directory));
    const std::lock_guard lock(*opening);
    const std::string path = JoinPath(directory, config.directory);
    RETURN_IF_ERROR(Claim(path, table, files));
    ASSIGN_OR_RETURN(std::string store, FreshStore(path, files));
    return RocksStore::Open(config, payload_bytes, std::move(store));
  };
}

}  // namespace megalith::embedding
