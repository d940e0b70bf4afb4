// How one row of a table lies in memory and what every operation does to it.
//
// A row's payload is `payload_bytes()` bytes, aligned to four: in a training table `dim()` float32
// weights in segment order, then each segment's optimizer state; in a serving table each segment's
// compressed values. A RowLayout knows nothing of maps, locks or fids' placement.
//
// Threads: immutable after Make except for the shared scale of `one_bit` segments (atomic), so all
// methods may be called from any thread; the caller guards the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

// What a gradient step needs beside the row.
struct StepInput {
  std::span<const float> gradient;        // dim()
  std::span<const float> learning_rates;  // slices(), one per segment
  int64_t global_step = 0;                // of the trainer, before it is incremented; >= 0
  // The weights the gradient was computed from (dim()), for delay compensation; empty: unknown.
  std::span<const float> snapshot;
};

// What a gradient step did.
struct StepOutcome {
  // Some element took no step: learning rate or denominator zero, or the result not finite.
  bool guarded = false;
  bool snapshot_missing = false;  // a dc segment had no snapshot and used the plain gradient
};

// One segment's optimizer state by the names of its dump message, for people and for files.
struct NamedState {
  std::string_view optimizer;
  struct Array {
    std::string_view name;
    std::vector<double> values;
  };
  std::vector<Array> arrays;
};

class RowLayout {
 public:
  // Errors: kInvalidArgument  no segment, a dim below 1 or a total above kMaxDim, an unknown record
  //                           or field name, a value outside the record's limits;
  //         kUnimplemented    dynamic_wd_adagrad with enable_dynamic_wd (no formula survives).
  static Result<std::unique_ptr<RowLayout>> Make(const TableConfig& config);
  virtual ~RowLayout() = default;

  static constexpr int64_t kMaxDim = 1 << 16;

  int64_t dim() const { return dim_; }
  int64_t slices() const { return slices_; }
  size_t payload_bytes() const { return payload_bytes_; }
  // Leading bytes of the payload that Read looks at.
  size_t read_bytes() const { return read_bytes_; }
  // Read copies those bytes and does no more.
  bool reads_plainly() const { return reads_plainly_; }
  EntryKind kind() const { return kind_; }

  // A new row: initial values, fresh optimizer state. The values of a random initializer depend
  // on the fid and the table's seed alone, so a retried insert gives the same row.
  virtual void Init(Fid fid, std::byte* payload) const = 0;

  // The values as readers see them: dequantised, decompressed, or as stored. `out` has dim().
  virtual void Read(const std::byte* payload, float* out) const = 0;

  // Overwrites the values, keeps optimizer state.
  virtual void Assign(const float* values, std::byte* payload) const = 0;

  // Adds to the values (serving: decode, add, encode).
  virtual void AssignAdd(const float* values, std::byte* payload) const = 0;

  // One optimizer step. Training only (a serving layout never gets this call).
  virtual StepOutcome Step(const StepInput& input, std::byte* payload) const = 0;

  // Each segment's configured learning rate at `global_step`: the warm-up of section 3 applied.
  virtual std::vector<float> DefaultLearningRates(int64_t global_step) const = 0;

  // Stored weights without the read path, then each segment's optimizer state. Training only.
  virtual std::vector<float> Weights(const std::byte* payload) const = 0;
  virtual std::vector<NamedState> State(const std::byte* payload) const = 0;

  // Appends the row as Monolith's EntryDump message, byte for byte as the original writes it
  // (checkpoint-format.md section 4); without `fid` the id field is left out (lookup_entry).
  // Training only.
  virtual void AppendEntryDump(const Fid* fid, uint32_t timestamp, const std::byte* payload,
                               std::string& out) const = 0;

  struct ParsedEntry {
    Fid fid = 0;
    int64_t timestamp = 0;
  };
  // Reads an EntryDump into `payload`: initialised, then overwritten with what the message holds.
  // A serving layout compresses the values and drops optimizer state and timestamp.
  // Errors: kDataLoss            the bytes are not a message;
  //         kInvalidArgument     no id, more values than dim(), or state that is not the
  //                              configured optimizer's (names segment and id).
  virtual Result<ParsedEntry> ParseEntryDump(std::string_view dump, std::byte* payload) const = 0;

 protected:
  int64_t dim_ = 0;
  int64_t slices_ = 0;
  size_t payload_bytes_ = 0;
  size_t read_bytes_ = 0;
  bool reads_plainly_ = false;
  EntryKind kind_ = EntryKind::kTraining;
};

}  // namespace megalith::embedding
