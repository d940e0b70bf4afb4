// Log lines through spdlog: to stderr, or to a file that rotates.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::telemetry {

struct SpdlogOptions {
  LogFormat format = LogFormat::kJson;
  std::string file;                       // empty: stderr
  uint64_t max_file_bytes = 64ull << 20;  // then file.1, file.2, ...
  uint32_t max_files = 5;
};

// Errors: kUnavailable  the file cannot be opened.
Result<std::shared_ptr<LogSink>> MakeSpdlogSink(const SpdlogOptions& options);

}  // namespace megalith::telemetry
