// Values while a program is being traced: literals, or variables of some builder.
#pragma once

#include <cstdint>
#include <deque>

#include "common/programs/ir/aval.h"
#include "common/programs/ir/literal.h"

namespace megalith::ir {

class Builder;

namespace internal {
// Lives in a Session until the session ends.
struct ValueNode {
  Aval aval;
  const Builder* owner = nullptr;  // null for literals
  uint32_t index = 0;              // variable of the owner
  bool is_literal = false;
  Literal literal;
};
}  // namespace internal

// A handle, as cheap as a pointer. The empty Value stands for a symbolic zero where a rule's
// contract says so. Valid as long as its Session.
class Value {
 public:
  Value() = default;
  explicit Value(const internal::ValueNode* node) : node_(node) {}
  explicit operator bool() const { return node_ != nullptr; }

  // Of the empty Value: an invalid type of rank 0.
  const Aval& aval() const { return node_ ? node_->aval : Invalid(); }
  DType dtype() const { return aval().dtype; }
  const Shape& shape() const { return aval().shape; }
  size_t rank() const { return aval().shape.size(); }
  bool is_literal() const { return node_ != nullptr && node_->is_literal; }
  const Literal& literal() const { return node_->literal; }
  const Builder* owner() const { return node_ ? node_->owner : nullptr; }
  uint32_t index() const { return node_->index; }
  // Identity, for maps.
  const void* id() const { return node_; }

  // The same variable; two equal literals are not the same value.
  friend bool operator==(const Value& a, const Value& b) { return a.node_ == b.node_; }

 private:
  static const Aval& Invalid();
  const internal::ValueNode* node_ = nullptr;
};

}  // namespace megalith::ir
