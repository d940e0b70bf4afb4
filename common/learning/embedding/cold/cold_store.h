// Where the cold rows of a table lie: a store of rows by fid on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

// The order of rows in a store: by a bijection of the fid that spreads what clients choose evenly
// over all words, so that a walk can be cut anywhere (persistent while a directory is in use).
inline uint64_t ColdKey(Fid fid) {
  // The finaliser of MurmurHash3 (public domain).
  auto h = static_cast<uint64_t>(fid);
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}
inline Fid FidOfColdKey(uint64_t key) {
  constexpr uint64_t kInverses[2] = {0x9cb4b2f8129337dbULL, 0x4f74430c22a54005ULL};
  static_assert(kInverses[0] * 0xc4ceb9fe1a85ec53ULL == 1);
  static_assert(kInverses[1] * 0xff51afd7ed558ccdULL == 1);
  uint64_t h = (key ^ (key >> 33)) * kInverses[0];
  h = (h ^ (h >> 33)) * kInverses[1];
  return static_cast<Fid>(h ^ (h >> 33));
}

// Rows with payloads of one size. What it holds is of this process only: a store is empty when it
// is opened, and what it keeps need not survive the process.
//
// Threads: every method may be called concurrently. Errors of all methods: kDataLoss  what was read
// does not have its checksum; kResourceExhausted  the device or the store's limit is full;
// kUnavailable  the device failed. A failed write has written nothing that a read sees later.
class ColdStore {
 public:
  virtual ~ColdStore() = default;

  using OnRow = std::function<void(size_t i, uint32_t timestamp, const std::byte* payload)>;

  // Calls on_row(i, ...) for each fid that has a row; payloads live until it returns and may lie at
  // any address. Any of them may be called before an error comes back.
  virtual Status Read(std::span<const Fid> fids, const OnRow& on_row) const = 0;

  // Writes rows over what was there, all or none; fids are distinct, payload i starts at
  // payloads[i * stride]. They are read from then on.
  virtual Status Write(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
                       const std::byte* payloads, size_t stride) = 0;

  // Erases rows, all or none. A fid without a row is no error.
  virtual Status Erase(std::span<const Fid> fids) = 0;
  virtual Status Clear() = 0;

  // The rows at one moment, whatever is written later. To be destroyed before its store.
  class View {
   public:
    virtual ~View() = default;
    // Rows in ascending order of ColdKey from `key` on, until `visit` answers false.
    using Visit = std::function<bool(uint64_t key, uint32_t timestamp, const std::byte* payload)>;
    virtual Status Walk(uint64_t key, const Visit& visit) const = 0;
  };
  virtual std::unique_ptr<View> Take() const = 0;

  struct Stats {
    uint64_t disk_bytes = 0;    // of files
    uint64_t memory_bytes = 0;  // of cache and rows on their way to files
  };
  virtual Stats GetStats() const = 0;
};

// Opens an empty store for rows of `payload_bytes` as a table's configuration says. Errors: those
// above; kFailedPrecondition  the directory is somebody else's.
using OpenColdStore = std::function<Result<std::unique_ptr<ColdStore>>(const ColdTierConfig& config,
                                                                       size_t payload_bytes)>;
// The same for the tables of a set, by name. The configuration's directory is not empty.
using OpenColdStoreOf = std::function<Result<std::unique_ptr<ColdStore>>(
    const std::string& table, const ColdTierConfig& config, size_t payload_bytes)>;

}  // namespace megalith::embedding
