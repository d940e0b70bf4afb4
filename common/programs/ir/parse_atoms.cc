// Operands, literals and outputs of jaxpr text.
#include "common/programs/ir/text_parser.h"

namespace megalith::ir::text {
namespace {

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

}  // namespace

Result<std::vector<Atom>> Parser::Operands(JaxprAssembler& assembler, Scope& scope) {
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

bool Parser::InIsOperand(const Scope& scope) const {
  if (!scope.names.Find("in")) return false;
  size_t p = pos_ + 2;
  while (p < text_.size() && IsBlank(text_[p])) ++p;
  const size_t close = text_.find(')', p);
  return close != std::string_view::npos && close > p && close + 1 < text_.size() &&
         text_[close - 1] == 'j' && text_[close + 1] == ':';
}

Result<Atom> Parser::Read(const Scope& scope, std::string_view name) {
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

bool Parser::AtLiteral() {
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

std::optional<size_t> Parser::Indent(size_t at) const {
  size_t p = at;
  while (p > 0 && (text_[p - 1] == ' ' || text_[p - 1] == '\t')) --p;
  if (p > 0 && text_[p - 1] != '\n') return std::nullopt;
  return at - p;
}

bool Parser::AtEquationStart() const {
  const std::optional<size_t> indent = Indent(pos_);
  if (indent) return !eqn_indent_ || *indent <= *eqn_indent_;
  size_t p = pos_;
  while (p > 0 && text_[p - 1] == ' ') --p;
  return p > 0 && text_[p - 1] == ';';
}

bool Parser::BinderListFollows() {
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

Result<Literal> Parser::ParseLiteral() {
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

Result<Literal> Parser::LiteralOf(size_t at, std::string_view value, DType dtype) {
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

Status Parser::Outputs(JaxprAssembler& assembler, Scope& scope, std::span<const Aval> hints) {
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
}  // namespace megalith::ir::text
