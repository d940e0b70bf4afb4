// The expressions of agent.conf: numbers such as "60 * 1000", and the conditions of layout filters
// such as "i % 2 == ${shard_id}". Both are Python's (spec agent-service.md, sections 6 and 9.1).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::agent {

// A number of Python; integers beyond 64 bits are errors where they arise.
struct Number {
  bool is_integer = true;
  int64_t integer = 0;
  double real = 0;  // unless is_integer
  double AsReal() const { return is_integer ? static_cast<double>(integer) : real; }
  bool truth() const { return AsReal() != 0; }
};

// Numbers, names, True, False, + - * / // %, comparisons in chains, and, or, not, parentheses, as
// Python evaluates them. Immutable.
class Expression {
 public:
  // `names` may appear in the text. Errors: kInvalidArgument  with the offset; more than 500
  // operators and operands.
  static Result<Expression> Parse(std::string_view text, std::span<const std::string> names = {});
  // `values` are those of the names, in order. Errors: kInvalidArgument  division by zero, an
  // integer beyond 64 bits.
  Result<Number> Evaluate(std::span<const int64_t> values = {}) const;

 private:
  enum class Op : uint8_t {
    kNumber,
    kName,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kFloorDivide,
    kModulo,
    kNegate,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAnd,
    kOr,
    kNot,
  };
  struct Node {
    Op op = Op::kNumber;
    size_t left = 0, right = 0;  // nodes; of a name `left` is its index
    Number number;
  };
  class Parser;
  Result<Number> EvaluateNode(size_t at, std::span<const int64_t> values) const;

  std::vector<Node> nodes_;
  size_t root_ = 0;
};

// Numbers as agent.conf writes them: an expression over + - * / and parentheses, "60 * 1000 *
// 1000". nullopt for anything else, division by zero, and values beyond 2^53.
std::optional<double> EvaluateNumber(std::string_view text);

}  // namespace megalith::agent
