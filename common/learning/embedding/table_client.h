// Tables that live elsewhere, as training and serving see them: rows by id, gradients by id. Who
// holds which id, and how often a call was tried, is the implementation's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/table.h"

namespace megalith::embedding {

// Rows wanted of one table.
struct RowsWanted {
  std::string table;
  std::span<const Fid> ids;  // may repeat
  std::span<float> rows;     // ids.size() * dim; zeros where an id has no row
};

// Gradients for one table.
struct TableGradients {
  std::string table;
  std::span<const Fid> ids;               // may repeat: gradients of equal ids are summed
  std::span<const float> gradients;       // ids.size() * dim
  std::span<const float> learning_rates;  // one per segment; empty: as configured
};

// What an update is, so that it can be sent again as the same one. Made by the first Apply that is
// given it; belongs to one batch of gradients and to one client.
struct UpdateTicket {
  std::vector<uint64_t> sequences;  // by shard
};

// When gradients were computed, and how they are taken.
struct ApplyOptions {
  int64_t update_time = 0;  // unix seconds of the sample
  int64_t global_step = 0;
  NonFinite non_finite = NonFinite::kReject;
  // Null: an update of its own. Otherwise a call that failed may be made again with the same
  // gradients and the same ticket: shards that have applied it do not apply it again.
  UpdateTicket* ticket = nullptr;
};

// Threads: every method may be called concurrently.
class TableClient {
 public:
  virtual ~TableClient() = default;

  // Fills the rows of all batches. Returns how many distinct ids had a row.
  // Errors: kInvalidArgument  sizes do not fit; kNotFound  a table; kUnavailable,
  //         kDeadlineExceeded, kCancelled  naming the shard.
  virtual Result<int64_t> Lookup(std::span<const RowsWanted> batches,
                                 const Cancellation& cancellation) = 0;

  // One step for each distinct id. Every shard applies its part as a whole and once, however often
  // it is sent; after an error some shards may have applied theirs (ApplyOptions::ticket).
  // Returns one report for each batch.
  // Errors: as Lookup, and those of Table::Optimize.
  virtual Result<std::vector<WriteReport>> Apply(std::span<const TableGradients> batches,
                                                 const ApplyOptions& options,
                                                 const Cancellation& cancellation) = 0;
};

}  // namespace megalith::embedding
