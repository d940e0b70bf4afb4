// Structured logging: an event name and fields, never a sentence with values inside.
//
//   Log(Level::info, "model_loaded", {{"model", name}, {"version", version}, {"load_ms",
//   load_ms}});
//
// Event names are rows of event_table.cc. Libraries need only this header; where lines go is
// decided once, in main(), by SetLogSink; until then they go to stderr as text.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/clock.h"

namespace megalith::telemetry {

// error: someone must act; warn: degraded but serving; info: state changed; debug: per request.
enum class Level : uint8_t { debug = 0, info = 1, warn = 2, error = 3 };
std::string_view LevelName(Level level);

// One field. Borrows text for the duration of the Log call.
class LogField {
 public:
  enum class Kind : uint8_t { kText, kInt, kUint, kDouble, kBool };

  LogField(std::string_view key, std::string_view v) : key_(key), kind_(Kind::kText), text_(v) {}
  LogField(std::string_view key, const char* v) : LogField(key, std::string_view(v)) {}
  LogField(std::string_view key, const std::string& v) : LogField(key, std::string_view(v)) {}
  LogField(std::string_view key, bool v) : key_(key), kind_(Kind::kBool), int_(v ? 1 : 0) {}
  LogField(std::string_view key, double v) : key_(key), kind_(Kind::kDouble), double_(v) {}
  template <std::signed_integral T>
  LogField(std::string_view key, T v) : key_(key), kind_(Kind::kInt), int_(v) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view key, T v)
      : key_(key), kind_(Kind::kUint), int_(static_cast<int64_t>(v)) {}

  std::string_view key() const { return key_; }
  // The value as JSON: quoted text, a number, true or false; "null" for a number that is not
  // finite.
  void AppendJson(std::string* out) const;
  // The value for people: text is quoted only if it holds blanks, quotes, '=' or control
  // characters.
  void AppendText(std::string* out) const;

 private:
  std::string_view key_;
  Kind kind_;
  std::string_view text_;
  int64_t int_ = 0;
  double double_ = 0;
};

struct LogEntry {
  int64_t unix_nanos = 0;
  Level level = Level::info;
  std::string_view event;
  std::span<const LogField> fields;
};

// One line without its newline:
// {"time":"2026-01-02T03:04:05.678Z","level":"info","event":"...",...}.
std::string FormatJson(const LogEntry& entry);
// One line without its newline: 2026-01-02T03:04:05.678Z info model_loaded model=m version=3.
std::string FormatText(const LogEntry& entry);

// Receives every entry at or above the level. Write may be called from any thread and must not log.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(const LogEntry& entry) = 0;
};

enum class LogFormat : uint8_t { kText = 0, kJson = 1 };

// One write(2) per line to stderr, so that lines of several threads do not mix.
std::shared_ptr<LogSink> MakeStderrSink(LogFormat format);

// Replaces the sink of the process; nullptr restores the default (text on stderr). Returns the
// previous one.
std::shared_ptr<LogSink> SetLogSink(std::shared_ptr<LogSink> sink);

namespace internal {
extern std::atomic<Level> min_level;
void Write(Level level, std::string_view event, std::span<const LogField> fields);
}  // namespace internal

// Entries below are dropped; the default is info.
inline void SetLogLevel(Level level) {
  internal::min_level.store(level, std::memory_order_relaxed);
}
inline bool LogEnabled(Level level) {
  return level >= internal::min_level.load(std::memory_order_relaxed);
}

// Thread-safe. Costs one relaxed load when the level is off.
inline void Log(Level level, std::string_view event, std::initializer_list<LogField> fields = {}) {
  if (LogEnabled(level)) internal::Write(level, event, {fields.begin(), fields.size()});
}

// Lets through at most `per_second` entries in each second of the clock; the first entry of a
// second reports how many were held back before. For lines written once per request. Thread-safe.
class LogSampler {
 public:
  explicit LogSampler(uint32_t per_second, const Clock& clock = RealClock())
      : per_second_(per_second), clock_(&clock) {}

  struct Verdict {
    bool admit = false;
    uint64_t suppressed = 0;  // entries held back since the last admitted one
  };
  Verdict Admit();

 private:
  const uint32_t per_second_;
  const Clock* const clock_;
  std::mutex mu_;
  int64_t second_ = -1;      // guarded by mu_
  uint32_t admitted_ = 0;    // guarded by mu_; in second_
  uint64_t suppressed_ = 0;  // guarded by mu_
};

// Keeps entries as JSON lines in memory; for tests. Thread-safe.
class MemorySink final : public LogSink {
 public:
  void Write(const LogEntry& entry) override;
  std::vector<std::string> Lines() const;

 private:
  mutable std::mutex mu_;
  std::vector<std::string> lines_;  // guarded by mu_
};

}  // namespace megalith::telemetry
