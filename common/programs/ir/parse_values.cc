// Parameters of equations: Python values, nested programs, and text that is kept as it is.
#include <algorithm>
#include <utility>

#include "common/programs/ir/compare.h"
#include "common/programs/ir/text_parser.h"

namespace megalith::ir::text {
namespace {

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

}  // namespace

Status Parser::ParseParams(Params& params, int depth, const std::vector<Aval>& results) {
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

Result<ParamValue> Parser::ParseValue(const ParamSpec& spec, int depth,
                                      std::span<const Aval> hints) {
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

ParamValue Parser::TakeNone() {
  pos_ += 4;
  return ParamValue::None();
}

Result<JaxprPtr> Parser::JaxprOrName(int depth, std::span<const Aval> hints) {
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

JaxprPtr Parser::SharedLike(JaxprPtr sub) {
  if (tuple_depth_ == 0 || defined_.empty() || sub->num_open() > 0) return sub;
  for (; indexed_ < defined_.size(); ++indexed_) {
    if (defined_[indexed_]->num_open() > 0) continue;
    defined_by_bytes_.emplace(CanonicalBytes(Closed(defined_[indexed_])), defined_[indexed_]);
  }
  const auto it = defined_by_bytes_.find(CanonicalBytes(Closed(sub)));
  return it == defined_by_bytes_.end() ? sub : it->second;
}

std::string_view Parser::RawValue() const {
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

Result<ParamValue> Parser::PythonValue(int value_depth, int depth) {
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

Result<ParamValue> Parser::Sequence(char open, int value_depth, int depth) {
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

Result<ParamValue> Parser::QuotedText() {
  const char quote = Peek();
  size_t end = pos_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) return Error("a string is not closed");
  const std::string_view raw = text_.substr(pos_, end + 1 - pos_);
  pos_ = end + 1;
  return ParamValue::Text(std::string(raw));
}

Result<ParamValue> Parser::AngleText() {
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

Result<ParamValue> Parser::Number() {
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

Result<ParamValue> Parser::Word(int value_depth, int depth) {
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
}  // namespace megalith::ir::text
