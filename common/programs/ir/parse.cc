#include "common/programs/ir/parse.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ir/name_table.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {
namespace {

// Every character of a text is asked several times for its class.
constexpr uint8_t kLetter = 1, kDigit = 2, kBlank = 4;
constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (char c = 'a'; c <= 'z'; ++c) classes[static_cast<uint8_t>(c)] = kLetter;
  for (char c = 'A'; c <= 'Z'; ++c) classes[static_cast<uint8_t>(c)] = kLetter;
  for (char c = '0'; c <= '9'; ++c) classes[static_cast<uint8_t>(c)] = kDigit;
  for (const char c : {' ', '\n', '\t', '\r'}) classes[static_cast<uint8_t>(c)] = kBlank;
  classes['_'] = kLetter;
  return classes;
}();
bool IsClass(char c, uint8_t classes) { return (kClasses[static_cast<uint8_t>(c)] & classes) != 0; }
bool IsLetter(char c) { return IsClass(c, kLetter); }
bool IsDigit(char c) { return IsClass(c, kDigit); }
bool IsWord(char c) { return IsClass(c, kLetter | kDigit); }
bool IsBlank(char c) { return IsClass(c, kBlank); }

// Names visible in one jaxpr.
struct Scope {
  NameTable names;
  std::vector<VarId> dropped;  // binders called `_`
};

// Finds what an output `_` means: binders called `_` of one type, each used once in their order.
class DroppedBinders {
 public:
  DroppedBinders(const Jaxpr& jaxpr, const std::vector<VarId>& dropped)
      : jaxpr_(jaxpr), dropped_(dropped) {}

  // The next one of that type (of any, if null) that was not given yet, or else the first one.
  std::optional<VarId> Take(const Aval* type) {
    Run& run = runs_[type == nullptr ? std::string() : type->Text()];
    if (given_.empty()) given_.resize(jaxpr_.num_vars());
    for (; run.next < dropped_.size(); ++run.next) {
      const VarId v = dropped_[run.next];
      if (type != nullptr && !jaxpr_.aval(v).SameType(*type)) continue;
      if (!run.first) run.first = v;
      if (given_[v]) continue;
      given_[v] = true;
      return v;
    }
    return run.first;
  }

 private:
  struct Run {
    size_t next = 0;
    std::optional<VarId> first;
  };
  const Jaxpr& jaxpr_;
  const std::vector<VarId>& dropped_;
  std::unordered_map<std::string, Run> runs_;  // by type
  std::vector<bool> given_;
};

// Counts what is open while it lives.
class Nesting {
 public:
  explicit Nesting(int* count) : count_(count) { ++*count_; }
  ~Nesting() { --*count_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  int* const count_;
};

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

  // ---- structure ----
  Status Definition() {
    RETURN_IF_ERROR(ExpectWord("let", "before a shared jaxpr"));
    SkipBlanks();
    // A shared name is a Python function name: anything up to " = ".
    const size_t end = text_.find(" = ", pos_);
    if (end == std::string_view::npos || end - pos_ > 1000)
      return Error("expected 'name = ' after 'let'");
    const std::string_view name = text_.substr(pos_, end - pos_);
    if (name.find('\n') != std::string_view::npos) return Error("expected 'name = ' after 'let'");
    pos_ = end + 3;
    ASSIGN_OR_RETURN(JaxprPtr jaxpr, ParseOne(0, {}));
    if (!shared_.emplace(name, jaxpr).second) {
      return ErrorAt(end, StrCat("shared jaxpr '", Printable(name), "' is defined twice"));
    }
    defined_.push_back(jaxpr);
    return ExpectWord("in", "after a shared jaxpr");
  }

  Result<JaxprPtr> ParseOne(int depth, std::span<const Aval> out_hints) {
    if (depth > limits_.max_depth) return TooDeep();
    RETURN_IF_ERROR(Expect('{', "at the start of a jaxpr"));
    const size_t start = pos_;
    const int beside = std::exchange(height_, 0);
    RETURN_IF_ERROR(ExpectWord("lambda", "after '{'"));
    JaxprAssembler assembler;
    Scope scope;
    while (!Accept(';')) {
      ASSIGN_OR_RETURN(const BinderText binder, Binder("a constant's binder or ';'"));
      RETURN_IF_ERROR(Bind(scope, binder, assembler.AddConst(binder.aval)));
    }
    while (!Accept('.')) {
      ASSIGN_OR_RETURN(const BinderText binder, Binder("an input's binder or '.'"));
      RETURN_IF_ERROR(Bind(scope, binder, assembler.AddInput(binder.aval)));
    }
    RETURN_IF_ERROR(ExpectWord("let", "after the inputs"));
    while (true) {
      SkipBlanks();
      if (AtOutputs()) break;
      RETURN_IF_ERROR(Equation(assembler, scope, depth));
      SkipBlanks();
      if (Peek() == ';') ++pos_;
    }
    RETURN_IF_ERROR(Outputs(assembler, scope, out_hints));
    RETURN_IF_ERROR(Expect('}', "at the end of a jaxpr"));
    // Shared jaxprs nest by name, at no depth of text.
    const int height = height_ + 1;
    if (height > limits_.max_depth + 1) return TooDeep();
    JaxprPtr jaxpr = Named(text_.substr(start, pos_ - start), assembler);
    heights_[jaxpr.get()] = height;
    height_ = std::max(beside, height);
    return jaxpr;
  }

  // Names are unique in a text, so a jaxpr written twice is one whose variables JAX shares.
  JaxprPtr Named(std::string_view text, JaxprAssembler& assembler) {
    constexpr size_t kMaxText = 4096;  // keeps deeply nested texts from being read once per level
    if (text.size() > kMaxText) return assembler.Finish();
    std::string words;
    words.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      while (end < text.size() && !IsBlank(text[end])) ++end;
      words += text.substr(at, end - at);
      at = end;
      while (at < text.size() && IsBlank(text[at])) ++at;
      if (at > end && !words.empty()) words += ' ';
    }
    JaxprPtr& first = namesakes_[std::move(words)];
    if (first != nullptr) {
      assembler.SetNamesake(first);
      return assembler.Finish();
    }
    first = assembler.Finish();
    return first;
  }

  // "in (" that closes the equations: not a binder called `in`.
  bool AtOutputs() {
    if (PeekWord() != "in") return false;
    size_t p = pos_ + 2;
    if (p < text_.size() && text_[p] == ':') return false;
    while (p < text_.size() && IsBlank(text_[p])) ++p;
    return p < text_.size() && text_[p] == '(';
  }

  struct BinderText {
    std::string_view name;
    Aval aval;
    size_t at = 0;
  };
  Result<BinderText> Binder(std::string_view what) {
    SkipBlanks();
    BinderText b;
    b.at = pos_;
    while (pos_ < text_.size() && IsWord(text_[pos_])) ++pos_;
    b.name = text_.substr(b.at, pos_ - b.at);
    if (b.name.empty() || IsDigit(b.name[0])) {
      pos_ = b.at;
      return Error(StrCat("expected ", what, ", found ", Found()));
    }
    if (Peek() != ':')
      return Error(StrCat("expected ':' and a type after '", Printable(b.name), "'"));
    ++pos_;
    ASSIGN_OR_RETURN(b.aval, ParseType());
    return b;
  }

  Status Bind(Scope& scope, const BinderText& binder, VarId id) {
    if (binder.name == "_") {
      scope.dropped.push_back(id);
      return OkStatus();
    }
    if (!scope.names.Add(binder.name, id)) {
      return ErrorAt(binder.at, StrCat("variable '", Printable(binder.name), "' is bound twice"));
    }
    return OkStatus();
  }

  Result<Aval> ParseType() {
    const size_t at = pos_;
    while (pos_ < text_.size() && (IsWord(text_[pos_]) || text_[pos_] == '<' || text_[pos_] == '>'))
      ++pos_;
    const std::string_view name = text_.substr(at, pos_ - at);
    const std::optional<DType> dtype = tensor::DTypeFromName(name);
    if (name.empty())
      return ErrorAt(at, StrCat("expected a type such as f32[2,3], found ", Found()));
    if (!dtype || Peek() != '[') {
      if (name == "Ref" || name.starts_with("Ref<") || name == "Tok" ||
          name.starts_with("Abstract") ||
          (name.find('<') != std::string_view::npos && !name.starts_with("key<"))) {
        return Unsupported(at, StrCat("values of type '", Printable(name), "' are not supported"));
      }
      return ErrorAt(at, StrCat("unknown type '", Printable(name), "'"));
    }
    ++pos_;
    Aval aval{*dtype, false, {}};
    if (Peek() == ']') {
      ++pos_;
    } else {
      while (true) {
        const size_t start = pos_;
        while (IsDigit(Peek())) ++pos_;
        const auto n = ParseInt(text_.substr(start, pos_ - start));
        if (!n)
          return ErrorAt(start,
                         StrCat("expected a dimension from 0 to 2^63-1, found ", FoundAt(start)));
        aval.shape.push_back(*n);
        if (aval.rank() > static_cast<size_t>(limits_.max_rank)) {
          return LimitError(
              StrCat("an array has more than ", limits_.max_rank, " dimensions (limit max_rank)"));
        }
        if (Peek() == '@')
          return Unsupported(pos_, "dimensions sharded over a mesh are not supported");
        if (Peek() == ']') {
          ++pos_;
          break;
        }
        if (Peek() != ',') return Error(StrCat("expected ',' or ']' in a type, found ", Found()));
        ++pos_;
      }
    }
    if (Peek() == '{') return Unsupported(pos_, "types that vary over mesh axes are not supported");
    return aval;
  }
  std::string FoundAt(size_t at) const {
    return at < text_.size() ? StrCat("'", Printable(text_.substr(at, 24)), "'")
                             : "the end of the text";
  }

  Status Equation(JaxprAssembler& assembler, Scope& scope, int depth) {
    if (++eqns_ > limits_.max_eqns) {
      return LimitError(StrCat("more than ", limits_.max_eqns, " equations (limit max_eqns)"));
    }
    const size_t start = pos_;
    std::vector<BinderText> binders;
    if (BinderFollows()) {
      while (!Accept('=')) {
        ASSIGN_OR_RETURN(BinderText b, Binder("a result's binder or '='"));
        binders.push_back(std::move(b));
      }
      SkipBlanks();
    }
    const size_t name_at = pos_;
    while (pos_ < text_.size() && (IsWord(text_[pos_]) || text_[pos_] == '-')) ++pos_;
    const std::string_view name = text_.substr(name_at, pos_ - name_at);
    if (name.empty() || !IsLetter(name[0])) {
      pos_ = name_at;
      return Error(StrCat("expected a primitive, found ", Found()));
    }
    const OpDef* op = ops_.Find(name);
    if (op == nullptr) {
      if (binders.empty()) {
        return ErrorAt(start, StrCat("expected an equation or 'in (', found ", FoundAt(start)));
      }
      return Status::WithClass(
          Code::kUnimplemented, "NotImplementedError",
          StrCat(Position(name_at), "primitive '", Printable(name), "' is not supported"));
    }
    std::vector<Aval> results;
    for (const BinderText& b : binders) results.push_back(b.aval);
    Params params(*op);
    if (Peek() == '[') {
      ++pos_;
      RETURN_IF_ERROR(ParseParams(params, depth, results).Annotate(op->name));
    }
    FillUnprinted(params, results);
    const Status valid = params.Validate();
    if (!valid.ok()) return ErrorAt(name_at, valid.message());
    eqn_indent_ = Indent(start);
    ASSIGN_OR_RETURN(const std::vector<Atom> operands, Operands(assembler, scope));
    if (op->arity >= 0 && operands.size() != static_cast<size_t>(op->arity)) {
      return ErrorAt(name_at,
                     StrCat(op->name, " takes ", op->arity, " operands, got ", operands.size()));
    }
    if (op->results >= 0 && results.size() != static_cast<size_t>(op->results)) {
      return ErrorAt(name_at, StrCat(op->name, " gives ", op->results, " results, got ",
                                     results.size(), " binders"));
    }
    const VarId first =
        assembler.AddEqn(op, std::make_shared<const Params>(std::move(params)), operands, results);
    for (size_t i = 0; i < binders.size(); ++i) {
      RETURN_IF_ERROR(Bind(scope, binders[i], first + static_cast<VarId>(i)));
    }
    return OkStatus();
  }

  // Parameters that the text never shows because the result's type says the same.
  static void FillUnprinted(Params& params, const std::vector<Aval>& results) {
    const OpDef& op = *params.op();
    for (size_t i = 0; i < op.params.size(); ++i) {
      if (op.params[i].show != ParamSpec::Show::kNever) continue;
      if (op.params[i].name == "shape" && !results.empty())
        params.Set("shape", ParamValue::Ints(results[0].shape));
      if (op.params[i].name == "out_avals") params.Set("out_avals", ParamValue::Avals(results));
    }
  }

  bool BinderFollows() const {
    size_t p = pos_;
    while (p < text_.size() && IsWord(text_[p])) ++p;
    return p > pos_ && p < text_.size() && text_[p] == ':';
  }

  // ---- atoms ----
  // Operands of one equation: names and literals up to ';', a binder, or the outputs. Lists break
  // over lines.
  Result<std::vector<Atom>> Operands(JaxprAssembler& assembler, Scope& scope) {
    std::vector<Atom> out;
    while (true) {
      SkipBlanks();
      const char c = Peek();
      if (c == ';' || c == '\0' || c == '}') return out;
      if (AtLiteral()) {
        ASSIGN_OR_RETURN(const Literal literal, ParseLiteral());
        out.push_back(assembler.AddLiteral(literal));
        continue;
      }
      if (!IsLetter(c) || BinderFollows()) return out;
      const std::string_view word = PeekWord();
      if (word == "in" && AtOutputs() && !InIsOperand(scope)) return out;
      // A statement without results (print, check) starts with a primitive, not with an operand.
      const char after = PeekAt(word.size());
      if (after == '[' || after == '-') return out;
      ASSIGN_OR_RETURN(const Atom atom, Read(scope, word));
      pos_ += word.size();
      out.push_back(atom);
    }
  }

  // With a variable called `in` in scope, "in (1+2j):c64[]" is that variable and a complex literal.
  bool InIsOperand(const Scope& scope) const {
    if (!scope.names.Find("in")) return false;
    size_t p = pos_ + 2;
    while (p < text_.size() && IsBlank(text_[p])) ++p;
    const size_t close = text_.find(')', p);
    return close != std::string_view::npos && close > p && close + 1 < text_.size() &&
           text_[close - 1] == 'j' && text_[close + 1] == ':';
  }

  Result<Atom> Read(const Scope& scope, std::string_view name) {
    if (name == "_") {
      if (scope.dropped.empty()) return Error("'_' is read but nothing was called '_'");
      if (scope.dropped.size() > 1 && !limits_.guess_dropped) {
        return Error(
            "AMBIGUOUS_DROPVAR: '_' may name more than one value here; send the proto form of the "
            "program");
      }
      return Atom::Var(scope.dropped.back());
    }
    const std::optional<VarId> id = scope.names.Find(name);
    if (!id) return Error(StrCat("variable '", Printable(name), "' is not defined here"));
    return Atom::Var(*id);
  }

  bool AtLiteral() {
    const char c = Peek();
    if (IsDigit(c) || c == '-' || c == '(') return true;
    if (c == '[') return true;  // "[...]:f32[3]", refused with its own message
    if (!IsLetter(c)) return false;
    size_t p = pos_;
    while (p < text_.size() && IsWord(text_[p])) ++p;
    if (p >= text_.size() || text_[p] != ':') return false;
    const std::string_view word = text_.substr(pos_, p - pos_);
    if (word != "nan" && word != "inf" && word != "True" && word != "False" && word != "nanj" &&
        word != "infj") {
      return false;
    }
    // No variable has a capital; `nan:f32[]` is a literal among operands and a binder before '=',
    // where an equation starts.
    return word[0] == 'T' || word[0] == 'F' || !AtEquationStart() || !BinderListFollows();
  }

  // Blanks before `at` if nothing else precedes it on its line.
  std::optional<size_t> Indent(size_t at) const {
    size_t p = at;
    while (p > 0 && (text_[p - 1] == ' ' || text_[p - 1] == '\t')) --p;
    if (p > 0 && text_[p - 1] != '\n') return std::nullopt;
    return at - p;
  }

  // True where the next equation may begin: after ';', or on a line that is not indented as the
  // rest of this one is.
  bool AtEquationStart() const {
    const std::optional<size_t> indent = Indent(pos_);
    if (indent) return !eqn_indent_ || *indent <= *eqn_indent_;
    size_t p = pos_;
    while (p > 0 && text_[p - 1] == ' ') --p;
    return p > 0 && text_[p - 1] == ';';
  }

  // True if what follows reads as "name:type name:type ... =".
  bool BinderListFollows() {
    // Lists are asked about again at each of their members; they end alike.
    if (pos_ >= list_.begin && pos_ < list_.end) return list_.binders;
    list_ = {pos_, pos_, false};
    size_t p = pos_;
    while (true) {
      while (p < text_.size() && IsBlank(text_[p])) ++p;
      list_.end = p;
      if (p < text_.size() && text_[p] == '=') {
        list_.binders = p > pos_;
        return list_.binders;
      }
      const size_t start = p;
      while (p < text_.size() && IsWord(text_[p])) ++p;
      if (p == start || p >= text_.size() || text_[p] != ':') return false;
      while (p < text_.size() && !IsBlank(text_[p]) && text_[p] != ';') ++p;
    }
  }

  // "1.5:f32[]", "(1+2j):c64[]", "(b'',):float0[]".
  Result<Literal> ParseLiteral() {
    const size_t at = pos_;
    if (Peek() == '[') {
      return Unsupported(
          at,
          "array-valued literals are not accepted; print the program with constants as constvars");
    }
    size_t end = pos_;
    if (Peek() == '(') {
      end = text_.find(')', pos_);
      if (end == std::string_view::npos) return Error("'(' without ')' in a literal");
      ++end;
    } else {
      while (end < text_.size() &&
             (IsWord(text_[end]) || text_[end] == '.' || text_[end] == '-' || text_[end] == '+')) {
        ++end;
      }
    }
    const std::string_view value = text_.substr(pos_, end - pos_);
    pos_ = end;
    if (Peek() != ':')
      return Error(StrCat("expected ':' and a type after the literal ", Printable(value)));
    ++pos_;
    ASSIGN_OR_RETURN(const Aval aval, ParseType());
    if (aval.rank() != 0) return ErrorAt(at, "a literal must have rank 0");
    return LiteralOf(at, value, aval.dtype);
  }

  Result<Literal> LiteralOf(size_t at, std::string_view value, DType dtype) {
    const auto bad = [&]() -> Status {
      return ErrorAt(at, StrCat("'", Printable(value), "' is not a literal of type ",
                                tensor::Name(dtype), "[]"));
    };
    if (dtype == DType::kFloat0) {
      if (value != "(b'',)") return bad();
      return Literal::Float0();
    }
    if (tensor::IsKey(dtype)) return bad();
    if (dtype == DType::kBool) {
      if (value != "True" && value != "False") return bad();
      return Literal::Int(dtype, value == "True", true);
    }
    if (tensor::IsInteger(dtype)) {
      if (dtype == DType::kU64) {
        if (const auto u = ParseUint(value))
          return Literal::Int(dtype, static_cast<int64_t>(*u), true);
        return bad();
      }
      const auto i = ParseInt(value);
      if (!i) return bad();
      const Literal literal = Literal::Int(dtype, *i, true);
      if (literal.AsInt() != *i) return bad();
      return literal;
    }
    if (tensor::IsComplex(dtype)) {
      const auto c = ParsePythonComplex(value);
      if (!c) return bad();
      return Literal::Complex(dtype, *c, true);
    }
    const auto d = ParsePythonFloat(value);
    if (!d) return bad();
    return Literal::Float(dtype, *d, true);
  }

  Status Outputs(JaxprAssembler& assembler, Scope& scope, std::span<const Aval> hints) {
    RETURN_IF_ERROR(ExpectWord("in", "after the equations"));
    RETURN_IF_ERROR(Expect('(', "before the outputs"));
    std::vector<Atom> outs;
    DroppedBinders dropped(assembler.current(), scope.dropped);
    while (!Accept(')')) {
      SkipBlanks();
      if (AtLiteral()) {
        ASSIGN_OR_RETURN(const Literal literal, ParseLiteral());
        outs.push_back(assembler.AddLiteral(literal));
      } else {
        const std::string_view name = PeekWord();
        if (name.empty()) return Error(StrCat("expected an output, found ", Found()));
        if (name == "_") {
          // The k-th `_` among the outputs is the k-th binder called `_` of the type the caller
          // expects, if known.
          const std::optional<VarId> v =
              dropped.Take(outs.size() < hints.size() ? &hints[outs.size()] : nullptr);
          if (!v) return Error("'_' is returned but no value of its type was called '_'");
          outs.push_back(Atom::Var(*v));
        } else {
          ASSIGN_OR_RETURN(const Atom atom, Read(scope, name));
          outs.push_back(atom);
        }
        pos_ += name.size();
      }
      SkipBlanks();
      if (Peek() == ',') {
        ++pos_;
      } else if (Peek() != ')') {
        return Error(StrCat("expected ',' or ')' after an output, found ", Found()));
      }
    }
    assembler.SetOuts(std::move(outs));
    SkipBlanks();
    if (Peek() == ':') return Unsupported(pos_, "effects after the outputs are not supported");
    return OkStatus();
  }

  // ---- parameters ----
  Status ParseParams(Params& params, int depth, const std::vector<Aval>& results) {
    std::vector<bool> seen(params.op()->params.size());
    while (!Accept(']')) {
      SkipBlanks();
      const size_t at = pos_;
      const std::string_view key = PeekWord();
      if (key.empty() || PeekAt(key.size()) != '=') {
        return Error(StrCat("expected 'name=value' or ']' among parameters, found ", Found()));
      }
      pos_ += key.size() + 1;
      const ParamSpec* spec = nullptr;
      for (size_t i = 0; i < params.op()->params.size(); ++i) {
        const ParamSpec& s = params.op()->params[i];
        if (s.name != key || s.type == ParamSpec::Type::kRule) continue;
        if (seen[i]) return ErrorAt(at, StrCat("parameter '", key, "' is given twice"));
        seen[i] = true;
        spec = &s;
      }
      if (spec == nullptr) return ErrorAt(at, StrCat("unknown parameter '", Printable(key), "'"));
      const std::span<const Aval> hints =
          params.op()->inherits_names ? std::span<const Aval>(results) : std::span<const Aval>();
      ASSIGN_OR_RETURN(ParamValue value, ParseValue(*spec, depth, hints));
      params.Set(spec->name, std::move(value));
    }
    for (size_t i = 0; i < seen.size(); ++i) {
      const ParamSpec& s = params.op()->params[i];
      if (!seen[i] && s.fallback.empty() && s.show == ParamSpec::Show::kAlways) {
        return Error(StrCat("parameter '", s.name, "' is missing"));
      }
    }
    return OkStatus();
  }

  Result<ParamValue> ParseValue(const ParamSpec& spec, int depth, std::span<const Aval> hints) {
    using Type = ParamSpec::Type;
    const size_t at = pos_;
    switch (spec.type) {
      case Type::kJaxpr: {
        if (spec.nullable && PeekWord() == "None") return TakeNone();
        ASSIGN_OR_RETURN(JaxprPtr sub, JaxprOrName(depth, hints));
        return ParamValue::SubJaxpr(std::move(sub));
      }
      case Type::kJaxprs: {
        RETURN_IF_ERROR(Expect('(', "before a tuple of jaxprs"));
        ParamValues subs;
        while (!Accept(')')) {
          ASSIGN_OR_RETURN(JaxprPtr sub, JaxprOrName(depth, {}));
          subs.push_back(ParamValue::SubJaxpr(std::move(sub)));
        }
        return ParamValue::Tuple(std::move(subs));
      }
      case Type::kText: {
        const std::string_view raw = RawValue();
        if (spec.nullable && raw == "None") return TakeNone();
        pos_ += raw.size();
        return ParamValue::Text(std::string(raw));
      }
      case Type::kDType: {
        const std::string_view raw = RawValue();
        if (raw == "None") return TakeNone();
        pos_ += raw.size();
        const auto dtype = tensor::DTypeFromNumpyName(raw);
        if (!dtype)
          return ErrorAt(
              at, StrCat("unknown dtype '", Printable(raw), "' in parameter '", spec.name, "'"));
        return ParamValue::Type(*dtype);
      }
      default:
        break;
    }
    if (Peek() == '{') {  // a jaxpr where any value may stand
      ASSIGN_OR_RETURN(JaxprPtr sub, ParseOne(depth + 1, {}));
      return ParamValue::SubJaxpr(std::move(sub));
    }
    Result<ParamValue> literal = PythonValue(0, depth);
    if (literal.ok() && AtValueEnd()) {
      // The large half of the u64 numbers stays text: as floats they would be others.
      const std::string_view read = text_.substr(at, pos_ - at);
      const bool is_text =
          spec.type == Type::kAny && literal->kind() == ParamValue::Kind::kFloat && ParseUint(read);
      return is_text ? ParamValue::Text(std::string(read)) : *std::move(literal);
    }
    if (!literal.ok() &&
        (spec.type != Type::kAny || literal.status().code() == Code::kResourceExhausted)) {
      return literal.status();
    }
    if (spec.type != Type::kAny)
      return Error(StrCat("unexpected text after parameter '", spec.name, "'"));
    pos_ = at;
    const std::string_view raw = RawValue();
    pos_ += raw.size();
    return ParamValue::Text(std::string(raw));
  }

  ParamValue TakeNone() {
    pos_ += 4;
    return ParamValue::None();
  }

  bool AtValueEnd() const { return Peek() == ']' || IsBlank(Peek()); }

  Result<JaxprPtr> JaxprOrName(int depth, std::span<const Aval> hints) {
    SkipBlanks();
    if (Peek() == '{') {
      ASSIGN_OR_RETURN(JaxprPtr sub, ParseOne(depth + 1, hints));
      return SharedLike(std::move(sub));
    }
    size_t end = pos_;
    while (end < text_.size() && !IsBlank(text_[end]) && text_[end] != ']' && text_[end] != ')')
      ++end;
    const std::string_view name = text_.substr(pos_, end - pos_);
    const auto it = shared_.find(name);
    if (it == shared_.end())
      return Error(StrCat("expected a jaxpr or the name of a shared one, found ", Found()));
    pos_ = end;
    height_ = std::max(height_, heights_.at(it->second.get()));
    return it->second;
  }

  // JAX writes the jaxprs of a named tuple, and those nested in them, out in full even if they are
  // shared, and defines them all the same. The definition that says the same is the object that is
  // meant.
  JaxprPtr SharedLike(JaxprPtr sub) {
    if (tuple_depth_ == 0 || defined_.empty() || sub->num_open() > 0) return sub;
    for (; indexed_ < defined_.size(); ++indexed_) {
      if (defined_[indexed_]->num_open() > 0) continue;
      defined_by_bytes_.emplace(CanonicalBytes(Closed(defined_[indexed_])), defined_[indexed_]);
    }
    const auto it = defined_by_bytes_.find(CanonicalBytes(Closed(sub)));
    return it == defined_by_bytes_.end() ? sub : it->second;
  }

  // What Python's str() gave: ends at bracket depth 0 before white space and `identifier=`, or
  // before ']'.
  std::string_view RawValue() const {
    int depth = 0;
    size_t p = pos_;
    while (p < text_.size()) {
      const char c = text_[p];
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == '}') --depth;
      if (c == ']' && depth-- == 0) break;
      if (depth <= 0 && IsBlank(c)) {
        size_t q = p;
        while (q < text_.size() && IsBlank(text_[q])) ++q;
        if (q < text_.size() && text_[q] == ']') break;
        const size_t word = q;
        while (q < text_.size() && IsWord(text_[q])) ++q;
        if (q > word && q < text_.size() && text_[q] == '=') break;
      }
      ++p;
    }
    return text_.substr(pos_, p - pos_);
  }

  // Python literals: numbers, None, booleans, strings, dotted names, tuples, lists, named tuples,
  // np.int64(1), jaxprs as members of named tuples.
  Result<ParamValue> PythonValue(int value_depth, int depth) {
    if (value_depth > limits_.max_value_depth) {
      return LimitError(StrCat("a parameter is nested deeper than ", limits_.max_value_depth,
                               " levels (limit max_value_depth)"));
    }
    // Programs within values within programs: each program may open two values, and one of them all
    // the rest.
    const int most_open = limits_.max_value_depth + 2 * limits_.max_depth;
    if (open_values_ >= most_open) {
      return LimitError(
          StrCat("more than ", most_open, " parameters are open at once (limit max_value_depth)"));
    }
    const Nesting open(&open_values_);
    const char c = Peek();
    if (c == '(' || c == '[') return Sequence(c, value_depth, depth);
    if (c == '{') {
      ASSIGN_OR_RETURN(JaxprPtr sub, ParseOne(depth + 1, {}));
      return ParamValue::SubJaxpr(SharedLike(std::move(sub)));
    }
    if (c == '\'' || c == '"') return QuotedText();
    if (c == '<') return AngleText();
    if (IsDigit(c) || c == '-') return Number();
    if (IsLetter(c)) return Word(value_depth, depth);
    return Error(StrCat("expected a value, found ", Found()));
  }

  Result<ParamValue> Sequence(char open, int value_depth, int depth) {
    const char close = open == '(' ? ')' : ']';
    ++pos_;
    ParamValues values;
    while (!Accept(close)) {
      ASSIGN_OR_RETURN(ParamValue v, PythonValue(value_depth + 1, depth));
      values.push_back(std::move(v));
      SkipBlanks();
      if (Peek() == ',') {
        ++pos_;
        SkipBlanks();
      } else if (Peek() != close) {
        return Error(StrCat("expected ',' or '", close, "' in a tuple, found ", Found()));
      }
    }
    return open == '(' ? ParamValue::Tuple(std::move(values)) : ParamValue::List(std::move(values));
  }

  Result<ParamValue> QuotedText() {
    const char quote = Peek();
    size_t end = pos_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return Error("a string is not closed");
    const std::string_view raw = text_.substr(pos_, end + 1 - pos_);
    pos_ = end + 1;
    return ParamValue::Text(std::string(raw));
  }

  Result<ParamValue> AngleText() {
    int level = 0;
    for (size_t p = pos_; p < text_.size(); ++p) {
      if (text_[p] == '<') ++level;
      if (text_[p] == '>' && --level == 0) {
        const std::string_view raw = text_.substr(pos_, p + 1 - pos_);
        pos_ = p + 1;
        return ParamValue::Text(std::string(raw));
      }
      if (text_[p] == '\n') break;
    }
    return Error("'<' without '>'");
  }

  Result<ParamValue> Number() {
    size_t end = pos_ + 1;
    while (end < text_.size() &&
           (IsWord(text_[end]) || text_[end] == '.' ||
            ((text_[end] == '-' || text_[end] == '+') && text_[end - 1] == 'e'))) {
      ++end;
    }
    const std::string_view raw = text_.substr(pos_, end - pos_);
    if (const auto i = ParseInt(raw)) {
      pos_ = end;
      return ParamValue::Int(*i);
    }
    if (const auto d = ParsePythonFloat(raw)) {
      pos_ = end;
      return ParamValue::Float(*d);
    }
    return Error(StrCat("'", Printable(raw), "' is not a number of at most 64 bits"));
  }

  Result<ParamValue> Word(int value_depth, int depth) {
    const size_t at = pos_;
    size_t end = pos_;
    while (end < text_.size() && (IsWord(text_[end]) || text_[end] == '.')) ++end;
    const std::string_view word = text_.substr(pos_, end - pos_);
    pos_ = end;
    if (Peek() != '(') {
      if (word == "None") return ParamValue::None();
      if (word == "True" || word == "False") return ParamValue::Bool(word == "True");
      if (word == "nan" || word == "inf") return ParamValue::Float(*ParsePythonFloat(word));
      if (const auto dtype = tensor::DTypeFromNumpyName(word)) return ParamValue::Type(*dtype);
      return ParamValue::Text(std::string(word));
    }
    ++pos_;
    if (word.starts_with("np.int") || word.starts_with("np.uint")) {
      ASSIGN_OR_RETURN(const ParamValue v, Number());
      RETURN_IF_ERROR(Expect(')', "after a NumPy integer"));
      return ParamValue::Int(v.AsInt(), true);
    }
    std::vector<std::string> fields;
    ParamValues values;
    while (!Accept(')')) {
      const std::string_view field = PeekWord();
      if (field.empty() || PeekAt(field.size()) != '=') {
        return ErrorAt(at, StrCat("'", Printable(word), "(' must hold field=value pairs"));
      }
      fields.emplace_back(field);
      pos_ += field.size() + 1;
      ++tuple_depth_;
      Result<ParamValue> read = PythonValue(value_depth + 1, depth);
      --tuple_depth_;
      ASSIGN_OR_RETURN(ParamValue v, std::move(read));
      values.push_back(std::move(v));
      SkipBlanks();
      if (Peek() == ',') ++pos_;
    }
    return ParamValue::NamedTuple(std::string(word), std::move(fields), std::move(values));
  }

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

}  // namespace

Result<JaxprPtr> ParseJaxpr(std::string_view text, const OpTable& ops, const ParseLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return ResourceExhausted(StrCat("the program text has ", text.size(), " bytes, more than ",
                                    limits.max_bytes, " (limit max_bytes)"));
  }
  if (const auto bad = FindInvalidUtf8(text)) {
    return InvalidArgument(StrCat("the program text is not UTF-8 at byte ", *bad));
  }
  return Parser(text, ops, limits).Program();
}

Result<Aval> ParseAval(std::string_view text, int max_rank) {
  static const OpTable empty({});
  ParseLimits limits;
  limits.max_rank = max_rank;
  return Parser(text, empty, limits).OnlyAval();
}

}  // namespace megalith::ir
