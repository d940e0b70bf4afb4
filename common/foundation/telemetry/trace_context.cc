#include "common/foundation/telemetry/trace_context.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

template <size_t n>
bool AllZero(const std::array<uint8_t, n>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

template <size_t n>
void Fill(std::array<uint8_t, n>& bytes, Rng& rng) {
  do {
    for (size_t i = 0; i < n; i += 8) {
      const uint64_t word = rng.Next();
      std::memcpy(bytes.data() + i, &word, 8);
    }
  } while (AllZero(bytes));
}

// Writes 2 * n characters.
template <size_t n>
void EncodeInto(const std::array<uint8_t, n>& bytes, char* out) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const uint8_t b : bytes) {
    *out++ = kHex[b >> 4];
    *out++ = kHex[b & 15];
  }
}

// Requires text.size() == 2 * n.
template <size_t n>
bool DecodeInto(std::string_view text, std::array<uint8_t, n>* out) {
  const auto value = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  for (size_t i = 0; i < n; ++i) {
    const int high = value(text[2 * i]);
    const int low = value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*out)[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

}  // namespace

bool TraceContext::valid() const { return !AllZero(trace_id); }

std::string TraceContext::TraceIdText() const { return HexEncode(trace_id); }

std::string TraceContext::ToHeader() const {
  std::string out("00-00000000000000000000000000000000-0000000000000000-00");
  EncodeInto(trace_id, out.data() + 3);
  EncodeInto(span_id, out.data() + 36);
  if (sampled) out.back() = '1';
  return out;
}

TraceContext TraceContext::Child(Rng& rng) const {
  TraceContext child = *this;
  Fill(child.span_id, rng);
  return child;
}

TraceContext TraceContext::Generate(Rng& rng) {
  TraceContext out;
  Fill(out.trace_id, rng);
  Fill(out.span_id, rng);
  return out;
}

std::optional<TraceContext> ParseTraceParent(std::string_view header) {
  // version(2) - trace id(32) - span id(16) - flags(2)
  constexpr size_t kLength = 55;
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-')
    return std::nullopt;
  std::array<uint8_t, 1> version{};
  std::array<uint8_t, 1> flags{};
  TraceContext out;
  if (!DecodeInto(header.substr(0, 2), &version) ||
      !DecodeInto(header.substr(3, 32), &out.trace_id) ||
      !DecodeInto(header.substr(36, 16), &out.span_id) ||
      !DecodeInto(header.substr(53, 2), &flags)) {
    return std::nullopt;
  }
  if (version[0] == 0xff || AllZero(out.trace_id) || AllZero(out.span_id)) return std::nullopt;
  if (header.size() > kLength && (version[0] == 0 || header[kLength] != '-')) return std::nullopt;
  out.sampled = (flags[0] & 1) != 0;
  return out;
}

}  // namespace megalith::telemetry
