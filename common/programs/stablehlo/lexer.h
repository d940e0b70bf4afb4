// Tokens of MLIR text, with positions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::stablehlo {

enum class TokenKind : uint8_t {
  kEnd,
  kWord,     // module, stablehlo.add, tensor
  kValue,    // %0, %arg1 (text without '%'; a following #1 is a token of its own)
  kSymbol,   // @main, @"odd name" (text without '@', escapes still in place if quoted)
  kBlock,    // ^bb0
  kHash,     // #loc1, #stablehlo.gather (text without '#')
  kBang,     // !stablehlo.token (text without '!')
  kInteger,  // 12, 0x1F
  kFloat,    // 1.5e-3
  kString,   // "..." (text between the quotes, escapes still in place)
  kPunct,    // ( ) { } [ ] < > , : = - + * ? | / and ->
  kBad,      // a byte that starts no token, or an unterminated string
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  bool quoted = false;    // kSymbol only
  uint32_t line = 1;      // counted from 1
  size_t offset = 0;      // of the first byte, '%' and '"' included
  std::string_view text;  // borrowed from the input
};

// Reads tokens one at a time with one token of lookahead. Borrows the text. Comments (// to the end
// of the line) and blanks are skipped. Cost: linear, no allocation.
class Lexer {
 public:
  // Starts at byte `start`, which is on line `line`.
  explicit Lexer(std::string_view text, size_t start = 0, uint32_t line = 1);

  const Token& peek() const { return token_; }
  Token Take() {
    const Token t = token_;
    Advance();
    return t;
  }

  void Drop() { Advance(); }

  // Character-level access for dimension lists ("4x5xf32"), which are not tokens: the rest of the
  // text from the current token on, and a jump to `offset` bytes after the start of the current
  // token.
  std::string_view rest() const { return text_.substr(token_.offset); }
  void Skip(size_t offset);

  std::string_view text() const { return text_; }
  // kInvalidArgument "line 3, column 7: message" for the byte at `offset`.
  Status ErrorAt(size_t offset, std::string_view message) const;

 private:
  void Advance();
  void SkipBlanks();
  // Reads the number at `at_` into the token; gives its end.
  size_t Number();

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  Token token_;
};

// The bytes a quoted token stands for: \" \\ \n \t and \XX are replaced. Unknown escapes stay as
// they are.
std::string Unescape(std::string_view quoted);

}  // namespace megalith::stablehlo
