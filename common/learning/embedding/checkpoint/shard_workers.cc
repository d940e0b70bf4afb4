#include "common/learning/embedding/checkpoint/shard_workers.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

// Batches that wait for a worker: enough to keep it busy, few enough to keep memory small.
constexpr size_t kMaxWaiting = 8;

}  // namespace

void AppendEntry(const RowLayout& layout, const Table::RowView& row, std::string& out) {
  if (layout.kind() == EntryKind::kTraining) {
    layout.AppendEntryDump(&row.fid, row.timestamp, row.payload, out);
    return;
  }
  std::vector<float> values(static_cast<size_t>(layout.dim()));
  layout.Read(row.payload, values.data());
  records::WireWriter writer(&out);
  writer.Fixed64(1, static_cast<uint64_t>(row.fid));
  writer.UnpackedFloats(2, values);
  writer.Varint(4, row.timestamp);
}

// Rows of one table for one shard; without rows, the beginning of a table.
struct ShardWorkers::Batch {
  size_t shard = 0;
  std::string begin;  // name of the table that begins
  const Table* table = nullptr;
  std::optional<int64_t> expired_at;
  std::vector<Fid> fids;
  std::vector<uint32_t> timestamps;
  std::vector<std::byte> payloads;
};

struct ShardWorkers::Worker {
  ShardWorkers* owner = nullptr;
  TableLayout layout = TableLayout::kNative;
  std::mutex mu;
  std::condition_variable wake;
  std::deque<Batch> waiting;  // guarded by mu
  bool ended = false;         // guarded by mu
  Status failed;              // guarded by mu
  Counts counts;              // of the thread, then of who joined it
  std::map<std::string, uint64_t> rows_of_table;
  std::vector<int64_t> slots = std::vector<int64_t>(kSlotsV2);
  std::string table;
  std::thread thread;

  void Run() {
    SetThreadName("save-shard");
    std::unique_lock lock(mu);
    while (true) {
      wake.wait(lock, [&] { return ended || !waiting.empty(); });
      if (waiting.empty()) return;
      Batch batch = std::move(waiting.front());
      waiting.pop_front();
      const bool skip = !failed.ok();
      lock.unlock();
      wake.notify_all();
      const Status done = skip ? OkStatus() : Write(batch);
      lock.lock();
      if (!done.ok() && failed.ok()) failed = done;
    }
  }

  Status Write(const Batch& batch) {
    EntryShardWriter& writer = *owner->shards_[batch.shard];
    if (!batch.begin.empty()) {
      table = batch.begin;
      return layout == TableLayout::kNative ? writer.BeginTable(batch.begin) : OkStatus();
    }
    const RowLayout& rows = batch.table->layout();
    std::string entry;
    for (size_t i = 0; i < batch.fids.size(); ++i) {
      const Table::RowView row{.fid = batch.fids[i],
                               .timestamp = batch.timestamps[i],
                               .payload = batch.payloads.data() + i * rows.payload_bytes()};
      if (batch.expired_at && batch.table->Expired(row.fid, row.timestamp, *batch.expired_at)) {
        ++counts.expired;
        continue;
      }
      entry.clear();
      AppendEntry(rows, row, entry);
      RETURN_IF_ERROR(writer.Write(entry));
      ++counts.rows;
      ++rows_of_table[table];
      ++slots[static_cast<size_t>(SlotV2(row.fid))];
    }
    return OkStatus();
  }

  // Without a thread of its own the caller writes.
  Status Hand(Batch batch) {
    if (!thread.joinable()) {
      if (failed.ok()) failed = Write(batch);
      return failed;
    }
    std::unique_lock lock(mu);
    wake.wait(lock, [&] { return waiting.size() < kMaxWaiting || !failed.ok(); });
    RETURN_IF_ERROR(failed);
    waiting.push_back(std::move(batch));
    lock.unlock();
    wake.notify_all();
    return OkStatus();
  }
};

Result<std::unique_ptr<ShardWorkers>> ShardWorkers::Start(FileSystem& files,
                                                          const std::string& directory,
                                                          const std::string& base, uint32_t shards,
                                                          TableLayout layout, uint32_t threads,
                                                          Rng& rng) {
  std::unique_ptr<ShardWorkers> out(new ShardWorkers);
  out->layout_ = layout;
  for (uint32_t shard = 0; shard < shards; ++shard) {
    ASSIGN_OR_RETURN(
        out->shards_.emplace_back(),
        EntryShardWriter::Create(files, directory, base, {shard, shards}, layout, rng));
  }
  const uint32_t count = std::clamp<uint32_t>(threads, 1, shards);
  for (uint32_t i = 0; i < count; ++i) {
    Worker& worker = *out->workers_.emplace_back(std::make_unique<Worker>());
    worker.owner = out.get();
    worker.layout = layout;
  }
  if (threads == 0) return out;
  // Once nothing moves any more.
  for (const auto& worker : out->workers_)
    worker->thread = std::thread([w = worker.get()] { w->Run(); });
  return out;
}

ShardWorkers::~ShardWorkers() { Stop(); }

void ShardWorkers::Stop() {
  for (const auto& worker : workers_) {
    {
      const std::lock_guard lock(worker->mu);
      worker->ended = true;
    }
    worker->wake.notify_all();
  }
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

void ShardWorkers::BeginTable(const std::string& name, const Table& table,
                              std::optional<int64_t> expired_at) {
  name_ = name;
  table_ = &table;
  expired_at_ = expired_at;
  for (size_t shard = 0; shard < shards_.size(); ++shard) {
    Batch batch;
    batch.shard = shard;
    batch.begin = name;
    // An error comes back from Add or Publish.
    (void)workers_[shard % workers_.size()]->Hand(std::move(batch));
  }
}

Status ShardWorkers::Add(std::span<const Table::RowView> rows) {
  const size_t bytes = table_->layout().payload_bytes();
  Batch batch;
  batch.shard = next_shard_++ % shards_.size();
  batch.table = table_;
  batch.expired_at = expired_at_;
  batch.fids.reserve(rows.size());
  batch.timestamps.reserve(rows.size());
  batch.payloads.resize(rows.size() * bytes);
  for (size_t i = 0; i < rows.size(); ++i) {
    batch.fids.push_back(rows[i].fid);
    batch.timestamps.push_back(rows[i].timestamp);
    std::memcpy(batch.payloads.data() + i * bytes, rows[i].payload, bytes);
  }
  return workers_[batch.shard % workers_.size()]->Hand(std::move(batch));
}

Result<ShardWorkers::Counts> ShardWorkers::Publish() {
  Stop();
  Counts total;
  for (const auto& worker : workers_) {
    RETURN_IF_ERROR(worker->failed);
    total.rows += worker->counts.rows;
    total.expired += worker->counts.expired;
    for (size_t slot = 0; slot < worker->slots.size(); ++slot) {
      if (worker->slots[slot] != 0)
        total.rows_of_slot[static_cast<int32_t>(slot)] += worker->slots[slot];
    }
  }
  for (const auto& shard : shards_) RETURN_IF_ERROR(shard->Publish());
  return total;
}

uint64_t ShardWorkers::rows(const std::string& table) const {
  uint64_t rows = 0;
  for (const auto& worker : workers_) {
    const auto found = worker->rows_of_table.find(table);
    if (found != worker->rows_of_table.end()) rows += found->second;
  }
  return rows;
}

}  // namespace megalith::embedding
