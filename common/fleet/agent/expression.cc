#include "common/fleet/agent/expression.h"

#include <cmath>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr size_t kMaxNodes = 500;  // also bounds the recursion
constexpr int kMaxDepth = 64;
constexpr double kMaxNumber = 9007199254740992.0;  // 2^53: above it not every integer is a double

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

Number Integer(int64_t value) { return {.is_integer = true, .integer = value, .real = 0}; }
Number Real(double value) { return {.is_integer = false, .integer = 0, .real = value}; }
Status TooLarge() { return InvalidArgument("a number is beyond 64 bits"); }

}  // namespace

class Expression::Parser {
 public:
  Parser(std::string_view text, std::span<const std::string> names, std::vector<Node>* nodes)
      : text_(text), names_(names), nodes_(nodes) {}

  Result<size_t> All() {
    const size_t root = Or(0);
    Blanks();
    if (error_.ok() && at_ != text_.size()) Fail("expects an operator or the end");
    if (!error_.ok()) return error_;
    return root;
  }

 private:
  void Fail(std::string_view why) {
    if (error_.ok()) {
      error_ =
          InvalidArgument(StrCat("expression '", Printable(text_), "', offset ", at_, ": ", why));
    }
  }
  void Blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool Take(std::string_view token) {
    Blanks();
    if (!error_.ok() || !text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view Word() const {
    size_t end = at_;
    while (end < text_.size() && (IsNameStart(text_[end]) || IsDigit(text_[end]))) ++end;
    return text_.substr(at_, end - at_);
  }
  bool TakeWord(std::string_view word) {
    Blanks();
    if (!error_.ok() || Word() != word) return false;
    at_ += word.size();
    return true;
  }
  size_t Add(Node node) {
    if (nodes_->size() >= kMaxNodes) Fail("is too long");
    if (error_.ok()) nodes_->push_back(node);
    return nodes_->empty() ? 0 : nodes_->size() - 1;
  }
  size_t Binary(Op op, size_t left, size_t right) {
    return Add({.op = op, .left = left, .right = right, .number = {}});
  }

  size_t Or(int depth) {
    size_t left = And(depth);
    while (TakeWord("or")) left = Binary(Op::kOr, left, And(depth));
    return left;
  }
  size_t And(int depth) {
    size_t left = Not(depth);
    while (TakeWord("and")) left = Binary(Op::kAnd, left, Not(depth));
    return left;
  }
  size_t Not(int depth) {
    if (depth > kMaxDepth) Fail("is nested too deeply");
    if (!error_.ok()) return 0;
    if (TakeWord("not")) return Binary(Op::kNot, Not(depth + 1), 0);
    return Comparison(depth);
  }
  size_t Comparison(int depth) {
    constexpr std::pair<std::string_view, Op> kTokens[] = {
        {"<=", Op::kLessEqual}, {">=", Op::kGreaterEqual}, {"==", Op::kEqual},
        {"!=", Op::kNotEqual},  {"<", Op::kLess},          {">", Op::kGreater}};
    size_t left = Sum(depth);
    std::optional<size_t> chain;
    while (error_.ok()) {
      const auto* token = std::begin(kTokens);
      while (token != std::end(kTokens) && !Take(token->first)) ++token;
      if (token == std::end(kTokens)) break;
      const size_t right = Sum(depth);
      const size_t link = Binary(token->second, left, right);
      chain = chain ? Binary(Op::kAnd, *chain, link) : link;
      left = right;
    }
    return chain.value_or(left);
  }
  size_t Sum(int depth) {
    size_t left = Product(depth);
    while (error_.ok()) {
      if (Take("+")) {
        left = Binary(Op::kAdd, left, Product(depth));
      } else if (Take("-")) {
        left = Binary(Op::kSubtract, left, Product(depth));
      } else {
        break;
      }
    }
    return left;
  }
  size_t Product(int depth) {
    size_t left = Factor(depth);
    while (error_.ok()) {
      if (Take("//")) {
        left = Binary(Op::kFloorDivide, left, Factor(depth));
      } else if (Take("*")) {
        left = Binary(Op::kMultiply, left, Factor(depth));
      } else if (Take("/")) {
        left = Binary(Op::kDivide, left, Factor(depth));
      } else if (Take("%")) {
        left = Binary(Op::kModulo, left, Factor(depth));
      } else {
        break;
      }
    }
    return left;
  }
  size_t Factor(int depth) {
    if (depth > kMaxDepth) Fail("is nested too deeply");
    if (!error_.ok()) return 0;
    if (Take("-")) return Binary(Op::kNegate, Factor(depth + 1), 0);
    if (Take("+")) return Factor(depth + 1);
    if (Take("(")) {
      const size_t inner = Or(depth + 1);
      if (!Take(")")) Fail("expects ')'");
      return inner;
    }
    Blanks();
    return at_ < text_.size() && IsNameStart(text_[at_]) ? Name() : Literal();
  }
  size_t Name() {
    const std::string_view word = Word();
    if (word == "True" || word == "False") {
      at_ += word.size();
      return Add({.op = Op::kNumber, .number = Integer(word == "True")});
    }
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] != word) continue;
      at_ += word.size();
      return Add({.op = Op::kName, .left = i, .number = {}});
    }
    Fail(StrCat("'", Printable(word), "' is no name that is known here"));
    return 0;
  }
  size_t Literal() {
    size_t end = at_;
    while (end < text_.size() && (IsDigit(text_[end]) || text_[end] == '.')) ++end;
    const std::string_view digits = text_.substr(at_, end - at_);
    Node node;
    if (const auto integer = ParseInt(digits)) {
      node.number = Integer(*integer);
    } else if (const auto real = ParseDouble(digits); real && digits.find('.') != digits.npos) {
      node.number = Real(*real);
    } else {
      Fail("expects a number of at most 64 bits, a name or '('");
    }
    at_ = end;
    return Add(node);
  }

  const std::string_view text_;
  const std::span<const std::string> names_;
  std::vector<Node>* const nodes_;
  size_t at_ = 0;
  Status error_;
};

Result<Expression> Expression::Parse(std::string_view text, std::span<const std::string> names) {
  Expression out;
  ASSIGN_OR_RETURN(out.root_, Parser(text, names, &out.nodes_).All());
  return out;
}

namespace {

// Python's // and %: the remainder has the sign of the divisor.
Result<Number> FloorDivide(const Number& a, const Number& b, bool remainder) {
  if (!b.truth()) return InvalidArgument("division by zero");
  if (!a.is_integer || !b.is_integer) {
    const double quotient = std::floor(a.AsReal() / b.AsReal());
    return Real(remainder ? a.AsReal() - quotient * b.AsReal() : quotient);
  }
  if (b.integer == -1) {  // the one case in which / and % overflow
    if (remainder) return Integer(0);
    if (a.integer == INT64_MIN) return TooLarge();
    return Integer(-a.integer);
  }
  int64_t quotient = a.integer / b.integer;
  int64_t rest = a.integer % b.integer;
  if (rest != 0 && (rest < 0) != (b.integer < 0)) {
    rest += b.integer;
    --quotient;
  }
  return Integer(remainder ? rest : quotient);
}

}  // namespace

Result<Number> Expression::EvaluateNode(size_t at, std::span<const int64_t> values) const {
  const Node& node = nodes_[at];
  if (node.op == Op::kNumber) return node.number;
  if (node.op == Op::kName) return Integer(node.left < values.size() ? values[node.left] : 0);
  ASSIGN_OR_RETURN(const Number a, EvaluateNode(node.left, values));
  if (node.op == Op::kNot) return Integer(!a.truth());
  // As in Python their value is that of an operand, and the second one may never be looked at.
  if (node.op == Op::kAnd) return a.truth() ? EvaluateNode(node.right, values) : a;
  if (node.op == Op::kOr) return a.truth() ? a : EvaluateNode(node.right, values);
  Number b = Integer(0);
  if (node.op != Op::kNegate) {
    ASSIGN_OR_RETURN(b, EvaluateNode(node.right, values));
  }
  const bool integers = a.is_integer && b.is_integer;
  const double x = a.AsReal();
  const double y = b.AsReal();
  const int order =
      integers ? (a.integer > b.integer) - (a.integer < b.integer) : (x > y) - (x < y);
  int64_t out = 0;
  switch (node.op) {
    case Op::kAdd:
      if (!integers) return Real(x + y);
      return __builtin_add_overflow(a.integer, b.integer, &out) ? Result<Number>(TooLarge())
                                                                : Integer(out);
    case Op::kSubtract:
      if (!integers) return Real(x - y);
      return __builtin_sub_overflow(a.integer, b.integer, &out) ? Result<Number>(TooLarge())
                                                                : Integer(out);
    case Op::kMultiply:
      if (!integers) return Real(x * y);
      return __builtin_mul_overflow(a.integer, b.integer, &out) ? Result<Number>(TooLarge())
                                                                : Integer(out);
    case Op::kNegate:
      if (!integers) return Real(-x);
      return a.integer == INT64_MIN ? Result<Number>(TooLarge()) : Integer(-a.integer);
    case Op::kDivide:
      if (y == 0) return InvalidArgument("division by zero");
      return Real(x / y);
    case Op::kFloorDivide:
    case Op::kModulo:
      return FloorDivide(a, b, node.op == Op::kModulo);
    case Op::kLess:
      return Integer(order < 0);
    case Op::kLessEqual:
      return Integer(order <= 0);
    case Op::kGreater:
      return Integer(order > 0);
    case Op::kGreaterEqual:
      return Integer(order >= 0);
    case Op::kEqual:
      return Integer(order == 0);
    default:
      return Integer(order != 0);
  }
}

Result<Number> Expression::Evaluate(std::span<const int64_t> values) const {
  return EvaluateNode(root_, values);
}

std::optional<double> EvaluateNumber(std::string_view text) {
  const Result<Expression> expression = Expression::Parse(text);
  if (!expression.ok()) return std::nullopt;
  const Result<Number> number = expression->Evaluate();
  if (!number.ok() || !(std::abs(number->AsReal()) <= kMaxNumber)) return std::nullopt;
  return number->AsReal();
}

}  // namespace megalith::agent
