// Requests that a version answers before it becomes available, so that the first ones from outside
// find it warm (tf-serving.md section 6).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/learning/serving/folder_loader.h"
#include "common/learning/serving/inference.h"

namespace megalith::serving {

// Records that one file may hold, and where it is in a version folder (persistent: owned by
// TensorFlow Serving).
inline constexpr uint64_t kMaxWarmupRecords = 1000;
inline constexpr std::string_view kWarmupFile = "assets.extra/tf_serving_warmup_requests";

// One request, without the model it was sent to.
struct WarmupRequest {
  Method method = Method::kPredict;
  std::string signature;
  Inputs inputs;                      // kPredict
  std::vector<std::string> filter;    // kPredict
  std::vector<std::string> examples;  // the others
};

// The requests in one record (a serialized PredictionLog); none if it holds no log. Errors:
// kInvalidArgument  no such message; kUnimplemented  a log of another kind.
using WarmupParser = std::function<Result<std::vector<WarmupRequest>>(std::string_view record)>;

struct WarmupOptions {
  uint32_t iterations = 1;  // of each request
  InferenceOptions inference;
  // May be empty. Told once for each version that has such a file: its folder, what came of it, and
  // how many records were read in how many seconds. Called on the threads that load.
  std::function<void(const std::string& path, Code code, uint64_t records, double seconds)>
      observer;
};

// Runs the requests of the file at `path`, and counts the records that it read in `records`. A file
// that does not exist is no error.
// Errors: those of the requests and of the parser; kInvalidArgument  more than kMaxWarmupRecords;
// kDataLoss  the file is no TFRecord file.
Status RunWarmup(const Servable& servable, const std::string& path, const WarmupParser& parser,
                 const WarmupOptions& options, FileSystem& files, const Cancellation& cancellation,
                 uint64_t* records);

// Loads with `inner`, then warms up; an error of either fails the load. `files` outlives it.
std::unique_ptr<Loader> MakeWarmupLoader(std::unique_ptr<Loader> inner, WarmupParser parser,
                                         WarmupOptions options, FileSystem& files);

}  // namespace megalith::serving
