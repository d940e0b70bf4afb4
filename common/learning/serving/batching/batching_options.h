// Settings of request batching (tf-serving.md section 5.1; names are those of BatchingParameters).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::serving {

// Of the queue of one program.
struct BatchingOptions {
  int64_t max_batch_size = 1000;               // rows of one batch, and of one request
  std::chrono::microseconds batch_timeout{0};  // that a batch which is not full waits for more rows
  int64_t max_enqueued_batches = 10;           // that wait; requests beyond them are refused
  // Rows that are run: batches are filled up to the next of these. Increasing; empty: any number.
  std::vector<int64_t> allowed_batch_sizes;
  // Dimensions but the first may differ between requests: they are filled up to the largest with
  // the first element of the tensor.
  bool pad_variable_length_inputs = false;
  // A request may have more rows than one batch: it is divided.
  bool split_large_batches = false;
  int64_t max_execution_batch_size = 0;  // rows of one batch then; 0: max_batch_size

  // Rows of one batch.
  int64_t limit() const {
    return split_large_batches && max_execution_batch_size > 0 ? max_execution_batch_size
                                                               : max_batch_size;
  }
};

// What a file of batching parameters says.
struct BatchingParameters {
  BatchingOptions options;
  std::optional<int64_t> threads;  // of all models together
  std::string pool_name;           // of these threads; empty if the file names none
};

// Errors: kInvalidArgument  sizes below 1, allowed sizes that do not increase or do not end with
//         the rows of a batch.
Status CheckBatchingOptions(const BatchingOptions& options);

}  // namespace megalith::serving
