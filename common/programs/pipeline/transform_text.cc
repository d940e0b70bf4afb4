#include "common/programs/pipeline/transform_text.h"

#include <algorithm>
#include <span>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/strings.h"

namespace megalith::pipeline {
namespace {

// A field's value: its items and how they were written.
struct FieldValue {
  std::vector<std::string_view> items;
  std::vector<size_t> columns;
  bool is_list = false;  // brackets, or more than one item
};

Status At(size_t column, std::string_view what) {
  return InvalidArgument(StrCat("column ", column + 1, ": ", what));
}

Result<std::string_view> One(const FieldValue& v, std::string_view wanted) {
  if (v.is_list)
    return At(v.columns.empty() ? 0 : v.columns[0], StrCat("expects ", wanted, ", not a list"));
  return v.items[0];
}

Result<int64_t> IntAt(const FieldValue& v, size_t i) {
  const auto number = ParseInt(v.items[i]);
  if (!number)
    return At(v.columns[i], StrCat("expects a whole number, got '", Printable(v.items[i]), "'"));
  return *number;
}

Status SetArgnums(const FieldValue& v, Transform* t) {
  t->argnums.clear();
  t->argnums_is_list = v.is_list;
  for (size_t i = 0; i < v.items.size(); ++i) {
    ASSIGN_OR_RETURN(const int64_t n, IntAt(v, i));
    t->argnums.push_back(n);
  }
  return OkStatus();
}

Result<bool> BoolOf(const FieldValue& v) {
  ASSIGN_OR_RETURN(const std::string_view word, One(v, "true or false"));
  const std::string lower = AsciiLower(word);
  if (lower == "true" || lower == "1") return true;
  if (lower == "false" || lower == "0") return false;
  return At(v.columns[0], StrCat("expects true or false, got '", Printable(word), "'"));
}

bool IsNone(std::string_view word) { return AsciiLower(word) == "none"; }

Result<Axes> AxesOf(const FieldValue& v) {
  Axes axes;
  for (size_t i = 0; i < v.items.size(); ++i) {
    if (IsNone(v.items[i])) {
      axes.push_back(std::nullopt);
      continue;
    }
    if (!ParseInt(v.items[i])) {
      return At(v.columns[i], StrCat("expects an axis or None, got '", Printable(v.items[i]), "'"));
    }
    axes.push_back(*ParseInt(v.items[i]));
  }
  return axes;
}

Status SetHasAux(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(t->has_aux, BoolOf(v));
  return OkStatus();
}

Status SetInAxes(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(t->in_axes, AxesOf(v));
  t->in_axes_is_list = v.is_list;
  return OkStatus();
}

Status SetOutAxes(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(t->out_axes, AxesOf(v));
  t->out_axes_is_list = v.is_list;
  return OkStatus();
}

Status SetAxisSize(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(const std::string_view word, One(v, "a size"));
  if (IsNone(word)) return OkStatus();
  ASSIGN_OR_RETURN(const int64_t size, IntAt(v, 0));
  if (size < 0) return At(v.columns[0], StrCat("expects a size, got ", size));
  t->axis_size = size;
  return OkStatus();
}

Status SetAxisName(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(std::string_view word, One(v, "a name"));
  if (word.size() >= 2 && (word.front() == '\'' || word.front() == '"') &&
      word.back() == word.front()) {
    word = word.substr(1, word.size() - 2);
  }
  t->axis_name = std::string(word);
  return OkStatus();
}

Status SetNumPrimals(const FieldValue& v, Transform* t) {
  RETURN_IF_ERROR(One(v, "a whole number"));
  ASSIGN_OR_RETURN(const int64_t n, IntAt(v, 0));
  if (n < 0 || n > UINT32_MAX)
    return At(v.columns[0], StrCat("expects a number of arguments, got ", n));
  t->num_primals = n;
  return OkStatus();
}

Status SetPolicy(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(const std::string_view word, One(v, "a policy's name"));
  t->policy = IsNone(word) ? "" : std::string(word);
  return OkStatus();
}

Status SetPreventCse(const FieldValue& v, Transform* t) {
  ASSIGN_OR_RETURN(t->prevent_cse, BoolOf(v));
  return OkStatus();
}

struct FieldDef {
  std::string_view name;
  Status (*set)(const FieldValue&, Transform*);
  bool is_flag = false;  // may stand without a value
};

constexpr FieldDef kGradFields[] = {{"argnums", SetArgnums}, {"has_aux", SetHasAux, true}};
constexpr FieldDef kJacobianFields[] = {{"argnums", SetArgnums}};
constexpr FieldDef kVmapFields[] = {{"in_axes", SetInAxes},
                                    {"out_axes", SetOutAxes},
                                    {"axis_size", SetAxisSize},
                                    {"axis_name", SetAxisName}};
constexpr FieldDef kPrimalsFields[] = {{"num_primals", SetNumPrimals}};
constexpr FieldDef kCheckpointFields[] = {{"policy", SetPolicy},
                                          {"prevent_cse", SetPreventCse, true}};

struct GrammarRow {
  std::string_view name;
  std::span<const FieldDef> fields;
  std::string_view required = "";  // a field without a default
};

constexpr GrammarRow kGrammar[] = {
    {"jit", {}},
    {"grad", kGradFields},
    {"value_and_grad", kGradFields},
    {"vmap", kVmapFields},
    {"jvp", {}},
    {"linearize", {}},
    {"vjp", kPrimalsFields, "num_primals"},
    {"linear_transpose", kPrimalsFields, "num_primals"},
    {"jacfwd", kJacobianFields},
    {"jacrev", kJacobianFields},
    {"hessian", kJacobianFields},
    {"checkpoint", kCheckpointFields},
};

// "; did you mean 'x'?" for the row whose name is nearest, if one is near; otherwise all names.
template <typename Row>
std::string Suggestion(std::string_view word, std::span<const Row> rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  const std::string_view nearest = NearestName(word, names);
  if (!nearest.empty()) return StrCat("; did you mean '", nearest, "'?");
  return names.empty() ? "; it has none" : StrCat("; there are ", Join(names, ", "));
}

class Parser {
 public:
  explicit Parser(std::string_view text)
      : text_(text.substr(0, kMaxBytes)), cut_(text.size() > kMaxBytes) {}

  Result<Transform> Parse() {
    if (cut_) return InvalidArgument(StrCat("a transform has at most ", kMaxBytes, " bytes"));
    SkipBlanks();
    const size_t start = at_;
    const std::string_view name = Word();
    row_ = FindRow(name);
    if (name.empty()) return At(start, "expects the name of a transform");
    if (row_ == nullptr) {
      return At(start, StrCat("unknown transform '", Printable(name), "'",
                              Suggestion(name, std::span<const GrammarRow>(kGrammar))));
    }
    transform_.name = std::string(name);
    SkipBlanks();
    RETURN_IF_ERROR(Fields());
    SkipBlanks();
    if (at_ != text_.size())
      return At(at_, StrCat("unexpected '", Printable(text_.substr(at_), 20), "'"));
    if (!row_->required.empty() &&
        std::find(seen_.begin(), seen_.end(), row_->required) == seen_.end()) {
      return At(text_.size(), StrCat(name, " needs ", row_->required, ", as in '", name, ":",
                                     row_->required, "=1'"));
    }
    return std::move(transform_);
  }

 private:
  static constexpr size_t kMaxBytes = 4096;

  static const GrammarRow* FindRow(std::string_view name) {
    for (const GrammarRow& row : kGrammar) {
      if (row.name == name) return &row;
    }
    return nullptr;
  }
  const FieldDef* FindField(std::string_view name) const {
    for (const FieldDef& f : row_->fields) {
      if (f.name == name) return &f;
    }
    return nullptr;
  }

  void SkipBlanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool Peek(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool Take(char c) {
    if (!Peek(c)) return false;
    ++at_;
    SkipBlanks();
    return true;
  }
  // Everything up to a blank or a character with a meaning.
  std::string_view Word() {
    const size_t start = at_;
    while (at_ < text_.size() &&
           std::string_view(" ,;:=[]()").find(text_[at_]) == std::string_view::npos)
      ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    SkipBlanks();
    return word;
  }

  Status Fields() {
    const bool in_parentheses = Take('(');
    if (in_parentheses && Take(')')) return OkStatus();
    if (!in_parentheses && !Take(':')) return OkStatus();
    do {
      RETURN_IF_ERROR(Field());
    } while (Take(',') || Take(';'));
    if (in_parentheses && !Take(')')) return At(at_, "expects ')'");
    return OkStatus();
  }

  Status Field() {
    const size_t start = at_;
    const std::string_view name = Word();
    const FieldDef* field = FindField(name);
    if (name.empty()) return At(start, StrCat("expects a field of ", row_->name));
    if (field == nullptr) {
      return At(start, StrCat(row_->name, " has no field '", Printable(name), "'",
                              Suggestion(name, row_->fields)));
    }
    if (std::find(seen_.begin(), seen_.end(), name) != seen_.end())
      return At(start, StrCat(name, " is given twice"));
    seen_.push_back(field->name);
    FieldValue value;
    if (!Take('=')) {
      if (!field->is_flag) return At(at_, StrCat("expects '=' and a value of ", name));
      value = {.items = {"true"}, .columns = {start}, .is_list = false};
    } else {
      RETURN_IF_ERROR(Value(&value));
    }
    return field->set(value, &transform_);
  }

  Status Value(FieldValue* value) {
    for (const auto& [open, close] : {std::pair{'[', ']'}, std::pair{'(', ')'}}) {
      if (!Take(open)) continue;
      value->is_list = true;
      while (!Take(close)) {
        RETURN_IF_ERROR(Item(value));
        if (!Take(',') && !Peek(close)) return At(at_, StrCat("expects ',' or '", close, "'"));
      }
      return OkStatus();
    }
    RETURN_IF_ERROR(Item(value));
    while (Peek(',') && !FieldFollows()) {
      Take(',');
      RETURN_IF_ERROR(Item(value));
      value->is_list = true;
    }
    return OkStatus();
  }

  // A word, or anything between quotes.
  Status Item(FieldValue* value) {
    const size_t start = at_;
    std::string_view word;
    if (Peek('"') || Peek('\'')) {
      const size_t close = text_.find(text_[at_], at_ + 1);
      if (close == std::string_view::npos) return At(start, "the quote is not closed");
      word = text_.substr(start, close + 1 - start);
      at_ = close + 1;
      SkipBlanks();
    } else {
      word = Word();
    }
    if (word.empty()) return At(start, "expects a value");
    value->items.push_back(word);
    value->columns.push_back(start);
    return OkStatus();
  }

  // After the comma at at_: the name of a field, or whatever is followed by '='.
  bool FieldFollows() {
    const size_t comma = at_;
    Take(',');
    const std::string_view word = Word();
    const bool follows = FindField(word) != nullptr || Peek('=');
    at_ = comma;
    return follows;
  }

  const std::string_view text_;
  const bool cut_;
  size_t at_ = 0;
  const GrammarRow* row_ = nullptr;
  std::vector<std::string_view> seen_;
  Transform transform_;
};

}  // namespace

Result<Transform> ParseTransform(std::string_view text) { return Parser(text).Parse(); }

}  // namespace megalith::pipeline
