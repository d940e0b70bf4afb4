#include "common/foundation/telemetry/log.h"

#include <unistd.h>

#include <cmath>
#include <ctime>

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

// RFC 3339, UTC, milliseconds.
std::string TimeText(int64_t unix_nanos) {
  const std::time_t seconds = static_cast<std::time_t>(unix_nanos / 1'000'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[40];
  const size_t n = std::strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string millis = StrCat(unix_nanos / 1'000'000 % 1000);
  return StrCat(std::string_view(buffer, n), ".", std::string(3 - millis.size(), '0'), millis, "Z");
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\x7f') return true;
  }
  return FindInvalidUtf8(text).has_value();
}

class StderrSink final : public LogSink {
 public:
  explicit StderrSink(LogFormat format) : format_(format) {}
  void Write(const LogEntry& entry) override {
    std::string line = format_ == LogFormat::kJson ? FormatJson(entry) : FormatText(entry);
    line += '\n';
    // A log line that cannot be written has nowhere else to go.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  }

 private:
  const LogFormat format_;
};

struct SinkSlot {
  std::mutex mu;
  std::shared_ptr<LogSink> sink = MakeStderrSink(LogFormat::kText);  // guarded by mu
};

SinkSlot& Slot() {
  // Never destroyed: threads may log while the process exits.
  static SinkSlot& slot = *new SinkSlot;
  return slot;
}

}  // namespace

std::string_view LevelName(Level level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  return kNames[static_cast<size_t>(level)];
}

void LogField::AppendJson(std::string* out) const {
  switch (kind_) {
    case Kind::kText:
      *out += JsonQuote(text_);
      return;
    case Kind::kInt:
      StrAppend(out, int_);
      return;
    case Kind::kUint:
      StrAppend(out, static_cast<uint64_t>(int_));
      return;
    case Kind::kDouble:
      if (std::isfinite(double_)) {
        StrAppend(out, double_);
      } else {
        *out += "null";
      }
      return;
    case Kind::kBool:
      *out += int_ != 0 ? "true" : "false";
      return;
  }
}

void LogField::AppendText(std::string* out) const {
  if (kind_ == Kind::kText && !NeedsQuotes(text_)) {
    *out += text_;
  } else {
    AppendJson(out);
  }
}

std::string FormatJson(const LogEntry& entry) {
  std::string out = StrCat("{\"time\":\"", TimeText(entry.unix_nanos), "\",\"level\":\"",
                           LevelName(entry.level), "\",\"event\":", JsonQuote(entry.event));
  for (const LogField& f : entry.fields) {
    StrAppend(&out, ",", JsonQuote(f.key()), ":");
    f.AppendJson(&out);
  }
  return out + "}";
}

std::string FormatText(const LogEntry& entry) {
  std::string out =
      StrCat(TimeText(entry.unix_nanos), " ", LevelName(entry.level), " ", entry.event);
  for (const LogField& f : entry.fields) {
    StrAppend(&out, " ", f.key(), "=");
    f.AppendText(&out);
  }
  return out;
}

std::shared_ptr<LogSink> MakeStderrSink(LogFormat format) {
  return std::make_shared<StderrSink>(format);
}

std::shared_ptr<LogSink> SetLogSink(std::shared_ptr<LogSink> sink) {
  if (sink == nullptr) sink = MakeStderrSink(LogFormat::kText);
  SinkSlot& slot = Slot();
  const std::lock_guard<std::mutex> lock(slot.mu);
  std::swap(slot.sink, sink);
  return sink;
}

namespace internal {

std::atomic<Level> min_level{Level::info};

void Write(Level level, std::string_view event, std::span<const LogField> fields) {
  std::shared_ptr<LogSink> sink;
  {
    SinkSlot& slot = Slot();
    const std::lock_guard<std::mutex> lock(slot.mu);
    sink = slot.sink;
  }
  sink->Write(
      {.unix_nanos = RealClock().UnixNanos(), .level = level, .event = event, .fields = fields});
}

}  // namespace internal

LogSampler::Verdict LogSampler::Admit() {
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(clock_->Monotonic()).count();
  const std::lock_guard<std::mutex> lock(mu_);
  if (now != second_) {
    second_ = now;
    admitted_ = 0;
  }
  if (admitted_ >= per_second_) {
    ++suppressed_;
    return {};
  }
  ++admitted_;
  const Verdict verdict{.admit = true, .suppressed = suppressed_};
  suppressed_ = 0;
  return verdict;
}

void MemorySink::Write(const LogEntry& entry) {
  std::string line = FormatJson(entry);
  const std::lock_guard<std::mutex> lock(mu_);
  lines_.push_back(std::move(line));
}

std::vector<std::string> MemorySink::Lines() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return lines_;
}

}  // namespace megalith::telemetry
