#include "common/programs/stablehlo/lexer.h"

#include <algorithm>
#include <array>

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo {
namespace {

// What a byte may be part of, or-ed together.
enum CharClass : uint8_t { kLetter = 1, kDigit = 2, kHexLetter = 4, kWordMark = 8, kDash = 16 };
constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 'a' + 'A'] = kLetter;
  for (int c = '0'; c <= '9'; ++c) classes[c] = kDigit;
  for (const char c : {'a', 'b', 'c', 'd', 'e', 'f'}) {
    classes[c] = classes[c - 'a' + 'A'] = kLetter | kHexLetter;
  }
  for (const char c : {'_', '$', '.'}) classes[c] = kWordMark;
  classes['-'] = kDash;
  return classes;
}();
bool Is(char c, uint8_t classes) { return (kClasses[static_cast<uint8_t>(c)] & classes) != 0; }
bool IsLetter(char c) { return Is(c, kLetter); }
bool IsDigit(char c) { return Is(c, kDigit); }
bool IsHex(char c) { return Is(c, kDigit | kHexLetter); }
bool IsWordChar(char c) { return Is(c, kLetter | kDigit | kWordMark); }
bool IsSuffixChar(char c) { return Is(c, kLetter | kDigit | kWordMark | kDash); }

// First offset at or after `at` where `keep` fails.
template <typename Keep>
size_t EndOf(std::string_view text, size_t at, const Keep& keep) {
  while (at < text.size() && keep(text[at])) ++at;
  return at;
}

// Offset after the closing quote of the string whose opening quote is at `at`; 0 if it does not end
// on its line.
size_t StringEnd(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\n') return 0;
    if (text[i] == '\\') ++i;
  }
  return 0;
}

}  // namespace

Lexer::Lexer(std::string_view text, size_t start, uint32_t line)
    : text_(text), at_(start), line_(line) {
  Advance();
}

void Lexer::SkipBlanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
      ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else {
      return;
    }
  }
}

size_t Lexer::Number() {
  token_.kind = TokenKind::kInteger;
  size_t end = at_;
  if (text_[at_] == '0' && at_ + 2 < text_.size() && text_[at_ + 1] == 'x' &&
      IsHex(text_[at_ + 2])) {
    end = EndOf(text_, at_ + 2, IsHex);
  } else {
    end = EndOf(text_, at_, IsDigit);
    if (end < text_.size() && text_[end] == '.') {
      token_.kind = TokenKind::kFloat;
      end = EndOf(text_, end + 1, IsDigit);
      if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
        size_t digits = end + 1;
        if (digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-')) ++digits;
        if (digits < text_.size() && IsDigit(text_[digits])) end = EndOf(text_, digits, IsDigit);
      }
    }
  }
  token_.text = text_.substr(at_, end - at_);
  return end;
}

void Lexer::Advance() {
  SkipBlanks();
  const size_t start = at_;
  // Written in place: a token built aside and copied would wait for its own narrow stores.
  token_.quoted = false;
  token_.line = line_;
  token_.offset = start;
  const auto take = [&](TokenKind kind, size_t skip, size_t end) {
    token_.kind = kind;
    token_.text = {text_.data() + start + skip, end - start - skip};
  };
  size_t end = start;
  if (start >= text_.size()) {
    token_.kind = TokenKind::kEnd;
    token_.text = {};
  } else {
    const char c = text_[start];
    const char next = start + 1 < text_.size() ? text_[start + 1] : '\0';
    if (IsLetter(c) || c == '_') {
      end = EndOf(text_, start, IsWordChar);
      take(TokenKind::kWord, 0, end);
    } else if (IsDigit(c)) {
      end = Number();
    } else if ((c == '%' || c == '^' || c == '#' || c == '!') && IsSuffixChar(next)) {
      // A number suffix ends at the first non-digit ("%0#1", "%12:2").
      end =
          IsDigit(next) ? EndOf(text_, start + 1, IsDigit) : EndOf(text_, start + 1, IsSuffixChar);
      const TokenKind kind = c == '%'   ? TokenKind::kValue
                             : c == '^' ? TokenKind::kBlock
                             : c == '#' ? TokenKind::kHash
                                        : TokenKind::kBang;
      take(kind, 1, end);
    } else if (c == '@' && next == '"') {
      end = StringEnd(text_, start + 1);
      if (end == 0) {
        end = start + 1;
        take(TokenKind::kBad, 0, end);
      } else {
        take(TokenKind::kSymbol, 2, end - 1);
        token_.quoted = true;
      }
    } else if (c == '@' && IsSuffixChar(next)) {
      end = EndOf(text_, start + 1, IsSuffixChar);
      take(TokenKind::kSymbol, 1, end);
    } else if (c == '"') {
      end = StringEnd(text_, start);
      if (end == 0) {
        end = start + 1;
        take(TokenKind::kBad, 0, end);
      } else {
        take(TokenKind::kString, 1, end - 1);
      }
    } else if (c == '-' && next == '>') {
      end = start + 2;
      take(TokenKind::kPunct, 0, end);
    } else {
      end = start + 1;
      constexpr std::string_view kPuncts = "(){}[]<>,:=-+*?|/";
      take(kPuncts.find(c) != std::string_view::npos ? TokenKind::kPunct : TokenKind::kBad, 0, end);
    }
  }
  at_ = end;
}

void Lexer::Skip(size_t offset) {
  const std::string_view skipped = text_.substr(token_.offset, offset);
  line_ = token_.line + static_cast<uint32_t>(std::count(skipped.begin(), skipped.end(), '\n'));
  at_ = token_.offset + skipped.size();
  Advance();
}

Status Lexer::ErrorAt(size_t offset, std::string_view message) const {
  offset = std::min(offset, text_.size());
  const std::string_view before = text_.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = offset - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return InvalidArgument(StrCat("line ", line, ", column ", column, ": ", message));
}

std::string Unescape(std::string_view quoted) {
  std::string out;
  out.reserve(quoted.size());
  for (size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] != '\\' || i + 1 >= quoted.size()) {
      out += quoted[i];
      continue;
    }
    const char c = quoted[i + 1];
    if (c == '"' || c == '\\') {
      out += c;
    } else if (c == 'n') {
      out += '\n';
    } else if (c == 't') {
      out += '\t';
    } else if (i + 2 < quoted.size() && IsHex(c) && IsHex(quoted[i + 2])) {
      const auto byte = HexDecode(quoted.substr(i + 1, 2));
      out += static_cast<char>(byte->front());
      ++i;
    } else {
      out += '\\';
      out += c;
    }
    ++i;
  }
  return out;
}

}  // namespace megalith::stablehlo
