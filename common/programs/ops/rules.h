// Rule parts that many primitives share: type rules, unbroadcasting, parameter shorthands.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/programs/ir/builder.h"
#include "common/programs/ir/emit.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ops {

using ir::Accepts;
using ir::Aval;
using ir::BatchArgs;
using ir::BatchResult;
using ir::Builder;
using ir::Dims;
using ir::DType;
using ir::JvpArgs;
using ir::JvpResult;
using ir::kUnmapped;
using ir::LinearOperand;
using ir::Literal;
using ir::OpDef;
using ir::Params;
using ir::ParamSpec;
using ir::ParamValue;
using ir::Sample;
using ir::Shape;
using ir::TransposeArgs;
using ir::TypeArgs;
using ir::Value;

using Types = Result<std::vector<Aval>>;

// ---- type rules ----

// Elementwise on one operand: the operand's type, after the dtype class check of the record.
Types SameAsOperand(const TypeArgs& a);
// n-ary elementwise: equal dtypes, shapes equal, 1, or rank 0; the common shape.
Types NaryType(const TypeArgs& a);
// The same with results of type bool.
Types ComparisonType(const TypeArgs& a);
// One operand, results of type bool of the same shape.
Types PredicateType(const TypeArgs& a);

// TypeError "NAME does not accept dtype D. Accepted dtypes are subtypes of ..." unless the record
// accepts operand i.
Status CheckAccepts(const TypeArgs& a, size_t i);
// TypeError "lax.NAME requires arguments to have the same dtypes, got ..."
Status CheckSameDTypes(std::string_view name, std::span<const Aval> operands);
// The common shape of n-ary operands or JAX's TypeError.
Result<Shape> BroadcastShapes(std::string_view name, std::span<const Aval> operands);
bool AllWeak(std::span<const Aval> operands);
// Refuses equations whose sharding parameter is not None.
Status CheckUnsharded(const TypeArgs& a, std::string_view param);

// ---- derivatives ----

// Sums a cotangent down to the type of the operand it belongs to: undoes implicit broadcasting.
Value Unbroadcast(Builder& b, const Aval& operand, Value ct);
// A tangent brought to the result's shape where the operand was broadcast implicitly.
Value MaybeBroadcast(Builder& b, const Shape& shape, Value t);

// An elementwise primitive with NumPy's promotion of weak operands, as JAX's operators on arrays
// have it: a weak operand beside a strong one is made strong by an equation of its own.
Value NumpyBinary(Builder& b, std::string_view op, Value x, Value y);

// True unless operand i is linear, which is an error: the primitive is linear in others only while
// this one is known.
bool CheckKnown(Builder& b, const TransposeArgs& a, size_t i);

// Transposes of unary linear primitives that are their own transpose (neg, copy, ...).
std::vector<Value> TransposeSame(Builder& b, const TransposeArgs& a);

// ---- calls ----

// A jit equation around what `body` emits, as functions appear in text that JAX jits itself. Calls
// in one session with equal names, keys and operand types share one jaxpr; `key` spells out what
// else the body depends on.
using JittedBody = std::function<std::vector<Value>(Builder&, std::span<const Value>)>;
std::vector<Value> EmitJit(Builder& b, std::string_view name, std::string_view key,
                           std::span<const Value> operands, const JittedBody& body);

// "bfloat16" -> as JAX's messages name dtypes.
std::string DTypeText(DType d);

}  // namespace megalith::ops
