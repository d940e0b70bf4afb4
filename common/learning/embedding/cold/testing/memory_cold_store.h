// A ColdStore in memory that fails when a test says so.
#pragma once

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "common/learning/embedding/cold/cold_store.h"

namespace megalith::embedding {

class MemoryColdStore : public ColdStore {
 public:
  struct Row {
    uint32_t timestamp = 0;
    std::vector<std::byte> payload;
  };
  using Rows = std::map<uint64_t, Row>;  // by ColdKey

  // What a test sees and decides; outlives the store.
  struct Control {
    std::atomic<bool> full{false};     // writes and erasures fail
    std::atomic<bool> damaged{false};  // reads and walks fail
    std::mutex mu;
    std::set<Fid> damaged_fids;  // guarded by mu; reads of these fail
    Rows rows;                   // guarded by mu
    std::atomic<uint64_t> writes{0}, reads{0};
  };

  MemoryColdStore(Control& control, size_t payload_bytes)
      : control_(control), payload_bytes_(payload_bytes) {}

  Status Read(std::span<const Fid> fids, const OnRow& on_row) const override {
    for (size_t i = 0; i < fids.size(); ++i) {
      Row row;
      {
        const std::lock_guard lock(control_.mu);
        ++control_.reads;
        if (control_.damaged || control_.damaged_fids.contains(fids[i])) {
          return DataLoss("a row is damaged");
        }
        const auto found = control_.rows.find(ColdKey(fids[i]));
        if (found == control_.rows.end()) continue;
        row = found->second;
      }
      on_row(i, row.timestamp, row.payload.data());
    }
    return OkStatus();
  }

  Status Write(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
               const std::byte* payloads, size_t stride) override {
    const std::lock_guard lock(control_.mu);
    if (control_.full) return ResourceExhausted("the disk is full");
    control_.writes += fids.size();
    for (size_t i = 0; i < fids.size(); ++i) {
      const std::byte* payload = payloads + i * stride;
      control_.rows[ColdKey(fids[i])] = {.timestamp = timestamps[i],
                                         .payload = {payload, payload + payload_bytes_}};
    }
    return OkStatus();
  }

  Status Erase(std::span<const Fid> fids) override {
    const std::lock_guard lock(control_.mu);
    if (control_.full) return ResourceExhausted("the disk is full");
    for (const Fid fid : fids) control_.rows.erase(ColdKey(fid));
    return OkStatus();
  }

  Status Clear() override {
    const std::lock_guard lock(control_.mu);
    if (control_.full) return ResourceExhausted("the disk is full");
    control_.rows.clear();
    return OkStatus();
  }

  std::unique_ptr<View> Take() const override {
    const std::lock_guard lock(control_.mu);
    return std::make_unique<Copy>(control_.rows, control_.damaged);
  }

  Stats GetStats() const override {
    const std::lock_guard lock(control_.mu);
    return {.disk_bytes = control_.rows.size() * (payload_bytes_ + 12), .memory_bytes = 0};
  }

  // For Table::Options. `control` outlives the tables.
  static OpenColdStore Opener(Control& control) {
    return [&control](const ColdTierConfig&,
                      size_t payload_bytes) -> Result<std::unique_ptr<ColdStore>> {
      return std::unique_ptr<ColdStore>(std::make_unique<MemoryColdStore>(control, payload_bytes));
    };
  }

 private:
  class Copy : public View {
   public:
    Copy(Rows rows, bool damaged) : rows_(std::move(rows)), damaged_(damaged) {}
    Status Walk(uint64_t key, const Visit& visit) const override {
      if (damaged_) return DataLoss("a row is damaged");
      for (auto it = rows_.lower_bound(key); it != rows_.end(); ++it) {
        if (!visit(it->first, it->second.timestamp, it->second.payload.data())) break;
      }
      return OkStatus();
    }

   private:
    const Rows rows_;
    const bool damaged_;
  };

  Control& control_;
  const size_t payload_bytes_;
};

}  // namespace megalith::embedding
