// Small text helpers that the standard library of g++ 12 lacks: concatenation, numbers, splitting,
// UTF-8, hex, base64.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace megalith {

namespace internal {
inline void AppendPiece(std::string& out, std::string_view piece) { out += piece; }
inline void AppendPiece(std::string& out, const char* piece) { out += piece; }
inline void AppendPiece(std::string& out, char piece) { out += piece; }
inline void AppendPiece(std::string& out, bool piece) { out += piece ? "true" : "false"; }
template <std::integral T>
  requires(!std::same_as<T, char> && !std::same_as<T, bool>)
void AppendPiece(std::string& out, T value) {
  char buffer[24];
  const auto r = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out.append(buffer, r.ptr);
}
template <std::floating_point T>
void AppendPiece(std::string& out, T value) {
  char buffer[40];
  const auto r = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out.append(buffer, r.ptr);
}
}  // namespace internal

// The pieces (text, characters, numbers) one after the other.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  std::string out;
  (internal::AppendPiece(out, pieces), ...);
  return out;
}

template <typename... Pieces>
void StrAppend(std::string* out, const Pieces&... pieces) {
  (internal::AppendPiece(*out, pieces), ...);
}

// Elements of `range` (text or numbers) with `separator` between them.
template <typename Range>
std::string Join(const Range& range, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& element : range) {
    if (!first) out += separator;
    first = false;
    internal::AppendPiece(out, element);
  }
  return out;
}

// Parts between separators; "" gives one empty part.
std::vector<std::string_view> Split(std::string_view text, char separator);
// Without blanks, tabs and line ends on either side.
std::string_view Trim(std::string_view text);
std::string AsciiLower(std::string_view text);

// The whole of `text` as a decimal number; nullopt if it is anything else or does not fit.
std::optional<int64_t> ParseInt(std::string_view text);
std::optional<uint64_t> ParseUint(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);

// A double as Python's repr prints it: the shortest decimal that round-trips, `1e-05`, `1e+16`,
// `2.0`, `nan`, `inf`.
std::string PythonFloat(double value);

// Byte offset of the first byte that is not well-formed UTF-8 (overlong forms, surrogates and
// values above U+10FFFF are malformed); nullopt if all is well.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

// A copy for messages: at most `max_bytes` of it, control characters and broken UTF-8 as \xNN, with
// "..." if cut.
std::string Printable(std::string_view text, size_t max_bytes = 80);

// JSON string with quotes; bytes that are not UTF-8 become U+FFFD.
std::string JsonQuote(std::string_view text);

std::string HexEncode(std::span<const uint8_t> bytes);
std::optional<std::vector<uint8_t>> HexDecode(std::string_view text);
std::string Base64Encode(std::span<const uint8_t> bytes);
// RFC 4648 alphabet with padding; nullopt on any other character or length.
std::optional<std::vector<uint8_t>> Base64Decode(std::string_view text);

}  // namespace megalith
