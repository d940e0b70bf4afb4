// The parser of jaxpr text, for the files that implement it: programs (parse.cc), operands and
// literals (parse_atoms.cc), values of parameters (parse_values.cc).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/name_table.h"
#include "common/programs/ir/op_def.h"
#include "common/programs/ir/parse.h"

namespace megalith::ir::text {

// Every character of a text is asked several times for its class.
inline constexpr uint8_t kLetter = 1, kDigit = 2, kBlank = 4;
inline constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (char c = 'a'; c <= 'z'; ++c) classes[static_cast<uint8_t>(c)] = kLetter;
  for (char c = 'A'; c <= 'Z'; ++c) classes[static_cast<uint8_t>(c)] = kLetter;
  for (char c = '0'; c <= '9'; ++c) classes[static_cast<uint8_t>(c)] = kDigit;
  for (const char c : {' ', '\n', '\t', '\r'}) classes[static_cast<uint8_t>(c)] = kBlank;
  classes['_'] = kLetter;
  return classes;
}();
inline bool IsClass(char c, uint8_t classes) {
  return (kClasses[static_cast<uint8_t>(c)] & classes) != 0;
}
inline bool IsLetter(char c) { return IsClass(c, kLetter); }
inline bool IsDigit(char c) { return IsClass(c, kDigit); }
inline bool IsWord(char c) { return IsClass(c, kLetter | kDigit); }
inline bool IsBlank(char c) { return IsClass(c, kBlank); }

// Names visible in one jaxpr.
struct Scope {
  NameTable names;
  std::vector<VarId> dropped;  // binders called `_`
};

// One text. Reads it once, from the first character to the last.
class Parser {
 public:
  Parser(std::string_view text, const OpTable& ops, const ParseLimits& limits)
      : text_(text), ops_(ops), limits_(limits) {}

  Result<JaxprPtr> Program() {
    while (PeekWord() == "let") {
      RETURN_IF_ERROR(Definition());
    }
    ASSIGN_OR_RETURN(JaxprPtr main, ParseOne(0, {}));
    SkipBlanks();
    if (pos_ != text_.size()) return Error("text after the end of the program");
    return main;
  }

  Result<Aval> OnlyAval() {
    ASSIGN_OR_RETURN(Aval aval, ParseType());
    if (pos_ != text_.size()) return Error("text after the type");
    return aval;
  }

 private:
  // ---- characters ----
  char Peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  char PeekAt(size_t offset) const {
    return pos_ + offset < text_.size() ? text_[pos_ + offset] : '\0';
  }
  void SkipBlanks() {
    while (pos_ < text_.size() && IsBlank(text_[pos_])) ++pos_;
  }
  bool Accept(char c) {
    SkipBlanks();
    if (Peek() != c || pos_ >= text_.size()) return false;
    ++pos_;
    return true;
  }
  Status Expect(char c, std::string_view where) {
    if (Accept(c)) return OkStatus();
    return Error(StrCat("expected '", c, "' ", where, ", found ", Found()));
  }
  std::string_view PeekWord() {
    SkipBlanks();
    size_t end = pos_;
    while (end < text_.size() && IsWord(text_[end])) ++end;
    return text_.substr(pos_, end - pos_);
  }
  Status ExpectWord(std::string_view word, std::string_view where) {
    if (PeekWord() != word)
      return Error(StrCat("expected '", word, "' ", where, ", found ", Found()));
    pos_ += word.size();
    return OkStatus();
  }
  std::string Found() const {
    if (pos_ >= text_.size()) return "the end of the text";
    size_t end = pos_ + 1;
    while (end < text_.size() && end - pos_ < 20 && !IsBlank(text_[end])) ++end;
    return StrCat("'", Printable(text_.substr(pos_, end - pos_)), "'");
  }

  std::string Position(size_t at) const {
    size_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < at && i < text_.size(); ++i) {
      if (text_[i] == '\n') {
        ++line;
        start = i + 1;
      }
    }
    return StrCat("line ", line, ", column ", at - start + 1, ": ");
  }
  Status ErrorAt(size_t at, std::string_view message) const {
    return InvalidArgument(StrCat(Position(at), message));
  }
  Status Error(std::string_view message) const { return ErrorAt(pos_, message); }
  Status LimitError(std::string_view message) const {
    return ResourceExhausted(StrCat(Position(pos_), message));
  }
  Status Unsupported(size_t at, std::string_view message) const {
    return Unimplemented(StrCat(Position(at), message));
  }

  Status TooDeep() const {
    return LimitError(
        StrCat("jaxprs are nested deeper than ", limits_.max_depth, " levels (limit max_depth)"));
  }

  // ---- structure: parse.cc ----
  Status Definition();
  Result<JaxprPtr> ParseOne(int depth, std::span<const Aval> out_hints);
  // Names are unique in a text, so a jaxpr written twice is one whose variables JAX shares.
  JaxprPtr Named(std::string_view text, JaxprAssembler& assembler);
  // "in (" that closes the equations: not a binder called `in`.
  bool AtOutputs();
  struct BinderText {
    std::string_view name;
    Aval aval;
    size_t at = 0;
  };

  Result<BinderText> Binder(std::string_view what);
  Status Bind(Scope& scope, const BinderText& binder, VarId id);
  Result<Aval> ParseType();
  std::string FoundAt(size_t at) const;
  Status Equation(JaxprAssembler& assembler, Scope& scope, int depth);
  // Parameters that the text never shows because the result's type says the same.
  static void FillUnprinted(Params& params, const std::vector<Aval>& results);
  bool BinderFollows() const;

  // ---- atoms: parse_atoms.cc ----
  // Operands of one equation: names and literals up to ';', a binder, or the outputs. Lists break
  // over lines.
  Result<std::vector<Atom>> Operands(JaxprAssembler& assembler, Scope& scope);
  // With a variable called `in` in scope, "in (1+2j):c64[]" is that variable and a complex literal.
  bool InIsOperand(const Scope& scope) const;
  Result<Atom> Read(const Scope& scope, std::string_view name);
  bool AtLiteral();
  // Blanks before `at` if nothing else precedes it on its line.
  std::optional<size_t> Indent(size_t at) const;
  // True where the next equation may begin: after ';', or on a line that is not indented as the
  // rest of this one is.
  bool AtEquationStart() const;
  // True if what follows reads as "name:type name:type ... =".
  bool BinderListFollows();
  // "1.5:f32[]", "(1+2j):c64[]", "(b'',):float0[]".
  Result<Literal> ParseLiteral();
  Result<Literal> LiteralOf(size_t at, std::string_view value, DType dtype);
  Status Outputs(JaxprAssembler& assembler, Scope& scope, std::span<const Aval> hints);

  // ---- parameters: parse_values.cc ----
  Status ParseParams(Params& params, int depth, const std::vector<Aval>& results);
  Result<ParamValue> ParseValue(const ParamSpec& spec, int depth, std::span<const Aval> hints);
  ParamValue TakeNone();
  bool AtValueEnd() const { return Peek() == ']' || IsBlank(Peek()); }
  Result<JaxprPtr> JaxprOrName(int depth, std::span<const Aval> hints);
  // JAX writes the jaxprs of a named tuple, and those nested in them, out in full even if they are
  // shared, and defines them all the same. The definition that says the same is the object that is
  // meant.
  JaxprPtr SharedLike(JaxprPtr sub);
  // What Python's str() gave: ends at bracket depth 0 before white space and `identifier=`, or
  // before ']'.
  std::string_view RawValue() const;
  // Python literals: numbers, None, booleans, strings, dotted names, tuples, lists, named tuples,
  // np.int64(1), jaxprs as members of named tuples.
  Result<ParamValue> PythonValue(int value_depth, int depth);
  Result<ParamValue> Sequence(char open, int value_depth, int depth);
  Result<ParamValue> QuotedText();
  Result<ParamValue> AngleText();
  Result<ParamValue> Number();
  Result<ParamValue> Word(int value_depth, int depth);

  std::string_view text_;
  const OpTable& ops_;
  const ParseLimits& limits_;
  size_t pos_ = 0;
  uint64_t eqns_ = 0;
  std::unordered_map<std::string_view, JaxprPtr> shared_;
  std::vector<JaxprPtr> defined_;  // in order; the first `indexed_` are in the map
  size_t indexed_ = 0;
  std::unordered_map<std::string, JaxprPtr> defined_by_bytes_;
  int open_values_ = 0;               // calls of PythonValue on the stack
  int tuple_depth_ = 0;               // named tuples around what is being read
  std::optional<size_t> eqn_indent_;  // of the equation whose operands are being read
  // The last stretch of text that was asked whether it is a list of binders.
  struct {
    size_t begin = 0;
    size_t end = 0;
    bool binders = false;
  } list_;
  std::unordered_map<std::string, JaxprPtr> namesakes_;  // by text
  std::unordered_map<const Jaxpr*, int> heights_;        // 1 without nested jaxprs
  int height_ = 0;  // of the tallest one so far inside the one being read
};

}  // namespace megalith::ir::text
