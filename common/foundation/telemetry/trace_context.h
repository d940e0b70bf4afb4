// Which request a piece of work belongs to: W3C Trace Context ids
// (https://www.w3.org/TR/trace-context/, version 00).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/foundation/base/rng.h"

namespace megalith::telemetry {

// 16 bytes that name the whole request, 8 that name one step of it. A value type.
struct TraceContext {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{};
  bool sampled = false;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;

  // False for the all-zero trace id, which W3C forbids.
  bool valid() const;
  // 32 lower-case hexadecimal digits.
  std::string TraceIdText() const;
  // "00-<trace id>-<span id>-<01 or 00>".
  std::string ToHeader() const;

  // The same request, a fresh step.
  TraceContext Child(Rng& rng) const;
  // A fresh request.
  static TraceContext Generate(Rng& rng);
};

// nullopt unless `header` is a well-formed traceparent: lower-case hexadecimal, ids not all zero,
// version not ff; versions above 00 may have more fields, which are ignored.
std::optional<TraceContext> ParseTraceParent(std::string_view header);

}  // namespace megalith::telemetry
