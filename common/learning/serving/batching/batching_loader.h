// Model versions whose programs run in batches.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "common/learning/serving/batching/batch_scheduler.h"
#include "common/learning/serving/folder_loader.h"

namespace megalith::serving {

// In the folder of a version (persistent: owned by TensorFlow Serving).
inline constexpr std::string_view kBatchingFile = "batching_params.pbtxt";

using BatchingParser = std::function<Result<BatchingParameters>(std::string_view text)>;

// Loads with `inner`; programs that take any number of rows in all their arguments are run through
// `scheduler`. With a `parser` each version has its options in kBatchingFile, and one without the
// file is not batched; else all have `options`. `files` outlives the loader.
// Errors of Load: those of `inner` and of the file.
std::unique_ptr<Loader> MakeBatchingLoader(std::unique_ptr<Loader> inner,
                                           std::shared_ptr<BatchScheduler> scheduler,
                                           BatchingOptions options, BatchingParser parser,
                                           FileSystem& files);

}  // namespace megalith::serving
