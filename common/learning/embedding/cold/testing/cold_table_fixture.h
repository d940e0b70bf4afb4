// Tables with a cold tier for tests, over a store in memory and over RocksDB.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/learning/embedding/cold/testing/memory_cold_store.h"
#include "common/learning/embedding/table.h"
#ifdef MEGALITH_ROCKSDB
#include "common/learning/embedding/cold/rocks_store.h"
#endif

namespace megalith::embedding {

enum class ColdStoreKind { kMemory, kRocks };

inline std::vector<ColdStoreKind> ColdStoreKinds() {
#ifdef MEGALITH_ROCKSDB
  return {ColdStoreKind::kMemory, ColdStoreKind::kRocks};
#else
  return {ColdStoreKind::kMemory};
#endif
}

inline std::string ColdStoreName(ColdStoreKind kind) {
  return kind == ColdStoreKind::kMemory ? "Memory" : "Rocks";
}

// What the stores of one test share; outlives its tables.
class ColdStores {
 public:
  explicit ColdStores(ColdStoreKind kind) : kind_(kind) {}

  OpenColdStore Opener() {
#ifdef MEGALITH_ROCKSDB
    if (kind_ == ColdStoreKind::kRocks) {
      return [open = RocksStores(directory_.path(), RealFileSystem())](
                 const ColdTierConfig& config, size_t bytes) { return open("t", config, bytes); };
    }
#endif
    return MemoryColdStore::Opener(control);
  }

  MemoryColdStore::Control control;

 private:
  const ColdStoreKind kind_;
  TempDirectory directory_;
};

// Rows of three weights with Adagrad and random initial values; slots below 2^48 expire after 30
// days.
inline std::unique_ptr<Table> MakeTestTable(std::optional<uint64_t> memory_budget_bytes,
                                            Table::Options options) {
  TableConfig config;
  config.segments = {{.dim = 3}};
  config.segments[0].initializer = {.name = "random_uniform", .fields = {}, .base = {}};
  config.segments[0].optimizer = {.name = "adagrad", .fields = {}, .base = {}};
  config.expire.days_of_slot[0] = 30;
  if (memory_budget_bytes) {
    config.cold_tier = {
        .directory = "t", .memory_budget_bytes = *memory_budget_bytes, .cache_bytes = 8 << 20};
  }
  auto table = Table::Make(std::move(config), std::move(options));
  if (!table.ok()) std::abort();
  return *std::move(table);
}

}  // namespace megalith::embedding
