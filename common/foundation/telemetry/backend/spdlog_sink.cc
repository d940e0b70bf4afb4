#include "common/foundation/telemetry/backend/spdlog_sink.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <exception>

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

class SpdlogSink final : public LogSink {
 public:
  SpdlogSink(LogFormat format, std::shared_ptr<spdlog::logger> logger)
      : format_(format), logger_(std::move(logger)) {
    logger_->set_pattern("%v");
    logger_->set_level(spdlog::level::trace);
    logger_->flush_on(spdlog::level::trace);
  }

  void Write(const LogEntry& entry) override {
    const std::string line = format_ == LogFormat::kJson ? FormatJson(entry) : FormatText(entry);
    logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  const LogFormat format_;
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace

Result<std::shared_ptr<LogSink>> MakeSpdlogSink(const SpdlogOptions& options) {
  try {
    spdlog::sink_ptr sink;
    if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
          options.file, options.max_file_bytes, options.max_files);
    }
    return std::shared_ptr<LogSink>(std::make_shared<SpdlogSink>(
        options.format, std::make_shared<spdlog::logger>("", std::move(sink))));
  } catch (const std::exception& e) {
    return Unavailable(StrCat("log file '", options.file, "': ", e.what()));
  }
}

}  // namespace megalith::telemetry
