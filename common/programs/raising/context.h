// What a raising rule sees and does; one rule per StableHLO operation.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/ir/builder.h"
#include "common/programs/ir/emit.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::raising {

using ir::Builder;
using ir::Dims;
using ir::DType;
using ir::ParamValue;
using ir::Shape;
using ir::Value;
using stablehlo::Attr;
using stablehlo::ValueId;
using Values = std::vector<Value>;

class Raiser;

// One operation on its way to equations. Valid during the call of its rule.
class RaiseContext {
 public:
  RaiseContext(Raiser& raiser, Builder& b, const stablehlo::Op& op);

  Builder& b() const { return *b_; }
  const stablehlo::Op& op() const { return *op_; }
  const stablehlo::Func& func() const;
  size_t num_operands() const { return op_->operands.size(); }
  const Value& in(size_t i) const { return ins_[i]; }
  std::span<const Value> ins() const { return ins_; }
  const stablehlo::TensorType& in_type(size_t i) const { return func().type(op_->operands[i]); }
  const stablehlo::TensorType& out_type(uint32_t i = 0) const {
    return func().type(op_->result(i));
  }
  // The operation reads this result, or the program gives it.
  bool used(uint32_t result) const;
  // With defaults filled in.
  Attr attr(std::string_view name) const { return op_->attr_or_default(name, func()); }
  Dims ints(std::string_view name) const;
  bool flag(std::string_view name) const { return attr(name).AsBool(); }

  void Out(Value v) { outs_.push_back(v); }
  void Out(Values v) { outs_.insert(outs_.end(), v.begin(), v.end()); }
  const Values& outs() const { return outs_; }

  // Emits the operations of a region into `b`, for arguments that stand for the region's, and gives
  // what it returns. Values from around the operation are captured.
  Values Inline(Builder& b, const stablehlo::Region& region, std::span<const Value> args) const;
  // The region as a closed program of its own for scalars or carries like its arguments. Errors:
  // kUnimplemented  it uses values from around it.
  Result<ir::JaxprPtr> Closed(const stablehlo::Region& region) const;
  // Values from around the operation that its regions use, in order of first use.
  std::vector<ValueId> Captures() const;
  const Value& ValueOf(ValueId v) const;
  // Emits a region whose captures `ids` stand for `captured`, values of `b`.
  Values InlineOver(Builder& b, const stablehlo::Region& region, std::span<const Value> args,
                    std::span<const ValueId> ids, std::span<const Value> captured) const;

  // The operation that makes a value; null for arguments.
  const stablehlo::Op* Definition(ValueId v) const;

  // The error of an operation without a primitive. `why` follows its name.
  Status Refuse(std::string_view why = "has no primitive") const;

 private:
  Raiser* raiser_;
  Builder* b_;
  const stablehlo::Op* op_;
  Values ins_;
  Values outs_;
};

using RaiseRule = Status (*)(RaiseContext&);

// One row of a family's table.
struct RaiseDef {
  std::string_view op;
  RaiseRule rule;
};

// The families.
std::span<const RaiseDef> ElementwiseRules();
std::span<const RaiseDef> ShapeRules();
std::span<const RaiseDef> IndexRules();
std::span<const RaiseDef> ReductionRules();
std::span<const RaiseDef> ControlRules();
std::span<const RaiseDef> LinalgRules();

// The name of a primitive as a template argument.
template <size_t N>
struct PrimitiveName {
  char text[N] = {};
  consteval PrimitiveName(const char (&s)[N]) { std::copy_n(s, N, text); }  // NOLINT: implicit
  constexpr std::string_view view() const { return {text, N - 1}; }
};

// One primitive on the operands in order.
template <PrimitiveName Name>
Status RaiseTo(RaiseContext& c) {
  c.Out(c.b().Emit1(Name.view(), c.ins()));
  return OkStatus();
}

// ---- bodies ----

// The operation of a body that is one binary operation on `x` and `y`, in either order; null for
// other bodies.
const stablehlo::Op* BinaryBody(const stablehlo::Region& region, ValueId x, ValueId y);
// True for a body that returns one value, this one.
bool Returns(const stablehlo::Region& region, ValueId v);

// True if `op`'s regions, and operands that are constants or counters, are those of the only
// operation of its kind in `other`, which stands for the same computation on its arguments. Both
// come from canonical programs.
bool SameComputation(const stablehlo::Func& func, const stablehlo::Op& op,
                     const stablehlo::Module& other);

}  // namespace megalith::raising
