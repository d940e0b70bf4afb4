#include "common/programs/ir/parse.h"

#include <algorithm>
#include <utility>

#include "common/programs/ir/text_parser.h"

namespace megalith::ir {
namespace text {

Status Parser::Definition() {
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

Result<JaxprPtr> Parser::ParseOne(int depth, std::span<const Aval> out_hints) {
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

JaxprPtr Parser::Named(std::string_view text, JaxprAssembler& assembler) {
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

bool Parser::AtOutputs() {
  if (PeekWord() != "in") return false;
  size_t p = pos_ + 2;
  if (p < text_.size() && text_[p] == ':') return false;
  while (p < text_.size() && IsBlank(text_[p])) ++p;
  return p < text_.size() && text_[p] == '(';
}

Result<Parser::BinderText> Parser::Binder(std::string_view what) {
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

Status Parser::Bind(Scope& scope, const BinderText& binder, VarId id) {
  if (binder.name == "_") {
    scope.dropped.push_back(id);
    return OkStatus();
  }
  if (!scope.names.Add(binder.name, id)) {
    return ErrorAt(binder.at, StrCat("variable '", Printable(binder.name), "' is bound twice"));
  }
  return OkStatus();
}

Result<Aval> Parser::ParseType() {
  const size_t at = pos_;
  while (pos_ < text_.size() && (IsWord(text_[pos_]) || text_[pos_] == '<' || text_[pos_] == '>'))
    ++pos_;
  const std::string_view name = text_.substr(at, pos_ - at);
  const std::optional<DType> dtype = tensor::DTypeFromName(name);
  if (name.empty()) return ErrorAt(at, StrCat("expected a type such as f32[2,3], found ", Found()));
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

std::string Parser::FoundAt(size_t at) const {
  return at < text_.size() ? StrCat("'", Printable(text_.substr(at, 24)), "'")
                           : "the end of the text";
}

Status Parser::Equation(JaxprAssembler& assembler, Scope& scope, int depth) {
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

void Parser::FillUnprinted(Params& params, const std::vector<Aval>& results) {
  const OpDef& op = *params.op();
  for (size_t i = 0; i < op.params.size(); ++i) {
    if (op.params[i].show != ParamSpec::Show::kNever) continue;
    if (op.params[i].name == "shape" && !results.empty())
      params.Set("shape", ParamValue::Ints(results[0].shape));
    if (op.params[i].name == "out_avals") params.Set("out_avals", ParamValue::Avals(results));
  }
}

bool Parser::BinderFollows() const {
  size_t p = pos_;
  while (p < text_.size() && IsWord(text_[p])) ++p;
  return p > pos_ && p < text_.size() && text_[p] == ':';
}
}  // namespace text

Result<JaxprPtr> ParseJaxpr(std::string_view text, const OpTable& ops, const ParseLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return ResourceExhausted(StrCat("the program text has ", text.size(), " bytes, more than ",
                                    limits.max_bytes, " (limit max_bytes)"));
  }
  if (const auto bad = FindInvalidUtf8(text)) {
    return InvalidArgument(StrCat("the program text is not UTF-8 at byte ", *bad));
  }
  return text::Parser(text, ops, limits).Program();
}

Result<Aval> ParseAval(std::string_view text, int max_rank) {
  static const OpTable empty({});
  ParseLimits limits;
  limits.max_rank = max_rank;
  return text::Parser(text, empty, limits).OnlyAval();
}

}  // namespace megalith::ir
