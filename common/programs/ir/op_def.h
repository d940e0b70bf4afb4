// The record type of primitives: everything Megalith knows about one primitive, in one row.
//
// Engines (autodiff, batching, staging, lowering) call rules through the OpDef of each equation and
// know no primitive. A rule left out is a statement: asking for it gives kUnimplemented naming the
// primitive and the rule. Records are constants in programs/ops; this header only says what they
// look like.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/value.h"

namespace megalith::lowering {
class LowerContext;
}

namespace megalith::ir {

class Builder;
class Session;
class TypeChecker;

// ---- types
// ----------------------------------------------------------------------------------------------------------

struct TypeArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Aval> operands;
};
// Computes result types (with weakness) or says why the equation is ill-typed, in JAX's words where
// a user may know them.
using TypeFn = Result<std::vector<Aval>> (*)(const TypeArgs&);

// Rewrites nested jaxprs for the given operand types: parsed text lacks weak types, which flow in
// from outside.
using RetypeFn = Result<Params> (*)(TypeChecker&, const TypeArgs&);

// ---- forward mode
// ---------------------------------------------------------------------------------------------------

struct JvpArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Value> primals;
  std::span<const Value> tangents;  // an empty Value is a symbolic zero
};
struct JvpResult {
  std::vector<Value> primals;
  std::vector<Value> tangents;  // an empty Value is a symbolic zero
};
// Contribution of operand i's tangent `t` (never a symbolic zero) to the result's tangent; `y` is
// the result.
using JvpTermFn = Value (*)(Builder&, Value t, Value y, std::span<const Value> x, const Params&);
using JvpFn = JvpResult (*)(Builder&, const JvpArgs&);

struct JvpRule {
  enum class Kind : uint8_t {
    kMissing,
    kZero,    // the result does not depend differentiably on any operand
    kLinear,  // tangents go through the same primitive, missing ones instantiated
    kTerms,   // sum over operands, added with add_any in operand order
    kFull,
  };
  Kind kind = Kind::kMissing;
  std::span<const JvpTermFn> terms;  // one per operand; null: no contribution
  JvpFn full = nullptr;
};

// ---- linearisation and partial evaluation
// ---------------------------------------------------------------------------

struct LinearizeArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Value> primals;   // of the outer builder
  std::span<const Value> tangents;  // of the linear builder; empty Value = symbolic zero
};
// Own linearisation rule: emits primal equations into `outer` and the linear ones into `linear`,
// which may use values of `outer` as residuals. Primitives without one are linearised through their
// JVP rule.
using LinearizeFn = JvpResult (*)(Builder& outer, Builder& linear, const LinearizeArgs&);

struct PartialEvalArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Value> operands;
};
// Splits an equation of which some operands are known (values of `known`); the others are values of
// `unknown`, and there may be none. Without a rule an equation goes to one builder as a whole.
using PartialEvalFn = std::vector<Value> (*)(Builder& known, Builder& unknown,
                                             const PartialEvalArgs&);

// ---- rematerialisation
// -------------------------------------------------------------------------------------------------

// Says of a primitive whether its results may be kept for the backward pass (true) or must be
// computed again.
using SavePolicy = bool (*)(const OpDef&, const Params&);

// A value while a program is split into a part that runs forward (known) and a part that runs later
// (staged).
struct SplitValue {
  bool unknown = false;       // depends on what is only known later
  bool instantiated = false;  // computed in the staged part
  Value known;                // of the known builder; empty if unknown
  Value staged;               // of the staged builder; empty unless instantiated
};
struct SplitArgs {
  const OpDef& op;
  const Params& params;
  std::span<const SplitValue> operands;
  SavePolicy policy;
};
// Splits an equation with a nested program by policy. Without a rule the equation goes to one side
// or both whole.
using SplitFn = std::vector<SplitValue> (*)(Builder& known, Builder& staged, const SplitArgs&);

// ---- reverse mode
// ---------------------------------------------------------------------------------------------------

struct LinearOperand {
  Value value;  // of a linear one: the cotangent collected before, or empty
  Aval aval;
  bool linear = false;
};
struct TransposeArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Value>
      cotangents;  // of the results; empty Value = symbolic zero, but not all of them
  std::span<const Aval> results;
  std::span<const LinearOperand> operands;
};
// One cotangent per operand; empty for operands that are not linear and for zero cotangents.
using TransposeFn = std::vector<Value> (*)(Builder&, const TransposeArgs&);

// ---- batching
// -------------------------------------------------------------------------------------------------------

inline constexpr int kUnmapped = -1;
struct AxisData {
  std::string_view name;  // empty if the axis has no name
  int64_t size = 0;
};
struct BatchArgs {
  const OpDef& op;
  const Params& params;
  std::span<const Value> values;
  std::span<const int> dims;  // batch dimension of each value, or kUnmapped
  const AxisData& axis;
};
struct BatchResult {
  std::vector<Value> values;
  std::vector<int> dims;
};
using BatchFn = BatchResult (*)(Builder&, const BatchArgs&);

struct BatchRule {
  enum class Kind : uint8_t {
    kMissing,
    kElementwise,   // all operands share one batch dimension, any position
    kBroadcasting,  // n-ary elementwise with implicit rank-0 broadcasting
    kReducer,       // parameter `axes` shifts past the batch dimension
    kFull,          // called even when no operand is batched if `always`
  };
  Kind kind = Kind::kMissing;
  BatchFn full = nullptr;
  bool always = false;
};

// ---- dead code, folding
// ---------------------------------------------------------------------------------------------

struct DceResult {
  bool removed = false;             // nothing of the equation is needed
  std::vector<bool> used_operands;  // one per operand
  // Set when the equation shrinks: new parameters, and which results stay.
  std::shared_ptr<const Params> params;
  std::vector<bool> kept_results;
};
// For primitives whose bodies shrink with their results; without one an equation stays whole or
// goes whole.
using DceFn = Result<DceResult> (*)(Session&, const Jaxpr&, const Eqn&,
                                    const std::vector<bool>& used_results);

// The operand that the single result equals, or -1: tracing then emits no equation.
using ForwardFn = int (*)(const TypeArgs&);
// The literal the equation amounts to when every operand is a literal; nullptr-like (kInvalid
// dtype) if not folded.
using FoldFn = Literal (*)(std::span<const Literal> operands, const Params&);

// ---- lowering
// -------------------------------------------------------------------------------------------------------

// Emits StableHLO for one equation through the context (programs/lowering/context.h).
using LowerFn = Status (*)(lowering::LowerContext&);

// ---- samples
// --------------------------------------------------------------------------------------------------------

// From where tests draw operand values, so that a function is smooth and defined there.
enum class Domain : uint8_t { kReal, kPositive, kUnit, kAboveOne, kNonZero, kSmallInt, kIndex };

// A one-equation program as text; f32 in it stands for every dtype the primitive accepts.
struct Sample {
  std::string_view program;
  Domain domain = Domain::kReal;
  // False if the derivative is on purpose not the slope of the function: stop_gradient, samples of
  // a distribution.
  bool has_slope = true;
};

// Bit set of dtype classes a primitive accepts, for messages and tests.
enum Accepts : uint16_t {
  kAcceptsBool = 1,
  kAcceptsSigned = 2,
  kAcceptsUnsigned = 64,
  kAcceptsInt = kAcceptsSigned | kAcceptsUnsigned,
  kAcceptsFloat = 4,
  kAcceptsComplex = 8,
  kAcceptsKey = 16,
  kAcceptsFloat0 = 32,
  kAcceptsNumber = kAcceptsInt | kAcceptsFloat | kAcceptsComplex,
  kAcceptsReal = kAcceptsInt | kAcceptsFloat,
  kAcceptsInexact = kAcceptsFloat | kAcceptsComplex,
  kAcceptsOrdered = kAcceptsBool | kAcceptsInt | kAcceptsFloat,
  kAcceptsAny = 127,
};

// One primitive. Aggregate, made with designated initializers.
struct OpDef {
  std::string_view name;
  int arity = -1;   // number of operands; -1: any
  int results = 1;  // number of results; -1: any
  std::span<const ParamSpec>
      params;  // in the order they print (sorted by name but for jit and custom calls)
  uint16_t accepts = kAcceptsAny;
  int tier = 1;  // of spec/primitives.md
  TypeFn type_rule = nullptr;
  RetypeFn retype = nullptr;
  JvpRule jvp;
  LinearizeFn linearize = nullptr;
  PartialEvalFn partial_eval = nullptr;
  SplitFn split = nullptr;
  TransposeFn transpose = nullptr;
  BatchRule batch;
  DceFn dce = nullptr;
  ForwardFn forward = nullptr;
  FoldFn fold = nullptr;
  LowerFn lower = nullptr;
  // The nested program is the callee of a plain call (jit, closed_call): names and sharing follow
  // it in text.
  bool inherits_names = false;
  // Rematerialisation policies ask whether a primitive is a matrix product or a convolution.
  enum class Product : uint8_t { kNo, kDot, kConvolution } product = Product::kNo;
  std::string_view spec;
  std::span<const Sample> samples;
};

// ---- shorthands for rows
// --------------------------------------------------------------------------------------------

inline constexpr JvpRule JvpZero() { return {.kind = JvpRule::Kind::kZero}; }
inline constexpr JvpRule JvpLinear() { return {.kind = JvpRule::Kind::kLinear}; }
inline constexpr JvpRule JvpFull(JvpFn f) { return {.kind = JvpRule::Kind::kFull, .full = f}; }
// JvpTerms<F0, F1>(): term functions by operand, nullptr for operands without derivative.
template <JvpTermFn... Terms>
inline constexpr JvpTermFn kTermTable[] = {Terms...};
template <JvpTermFn... Terms>
constexpr JvpRule JvpTerms() {
  return {.kind = JvpRule::Kind::kTerms, .terms = kTermTable<Terms...>};
}
inline constexpr BatchRule BatchElementwise() { return {.kind = BatchRule::Kind::kElementwise}; }
inline constexpr BatchRule BatchBroadcasting() { return {.kind = BatchRule::Kind::kBroadcasting}; }
inline constexpr BatchRule BatchReducer() { return {.kind = BatchRule::Kind::kReducer}; }
inline constexpr BatchRule BatchFull(BatchFn f) {
  return {.kind = BatchRule::Kind::kFull, .full = f};
}
inline constexpr BatchRule BatchAlways(BatchFn f) {
  return {.kind = BatchRule::Kind::kFull, .full = f, .always = true};
}

}  // namespace megalith::ir
