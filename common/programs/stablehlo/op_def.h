// The record of one operation: everything this library knows about it, in one row.
//
// Rows live in ops_*.cc, one file per family, and are listed in op_table.cc. The parser, printer,
// verifier, builder, canonicaliser, evaluator and cost estimate find rules through the row an Op
// points to; none of them knows a name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

class OpParser;     // text.h
class OpPrinter;    // text.h
class Planner;      // kernel.h
struct Kernel;      // kernel.h
struct SpanKernel;  // kernel.h
struct OpCost;      // cost.h

// What a rule sees of an operation whose result types are wanted.
struct TypeQuery {
  const Op& op;
  const Func& func;
  const Module* module = nullptr;  // null while a function is being built: callees are then unknown
  std::span<const TensorType> declared;  // result types as written; empty if none were

  size_t num_operands() const { return op.operands.size(); }
  const TensorType& operand(size_t i) const { return func.types[op.operands[i]]; }
  // With defaults filled in.
  Attr attr(std::string_view name) const { return op.attr_or_default(name, func); }
};

// Checks operands, attributes and regions of an op whose arity and attribute kinds are already
// right, and gives its result types. Ops whose result type is free (reshape, iota) check `declared`
// and return it.
using TypeRule = Status (*)(const TypeQuery& query, std::vector<TensorType>* results);

// One parameter of an op.
struct AttrSpec {
  std::string_view name;
  AttrKind kind;
  // A missing required attribute is an error; a missing optional one has `fallback`, or stays
  // absent.
  bool required = false;
  Attr (*fallback)(const Op& op, const Func& func) = nullptr;
  // For kEnum, and for lists of enumeration values.
  EnumId enum_id = EnumId::kPrecision;
  // True for attributes that change no result; the canonical form drops them.
  bool meaningless = false;
  // True if the pretty form leaves the attribute out when it has its fallback value.
  bool elided = false;
};

// Traits, or-ed together.
enum OpTrait : uint32_t {
  kPure = 1,  // no effect but its results: may be removed, merged and moved
  kElementwise =
      2,  // has a span rule; result i depends on operand elements i (or on a scalar operand)
  kTerminator = 4,
  kConstantLike = 8,     // stablehlo.constant
  kUpdatesInPlace = 16,  // overwrites operand 0 if nobody else needs it
  kCallsFunction = 32,   // names a function of the module
  kIdentity = 64,        // results are the operands
  kCommutative = 128,
  kIndeterminate = 256,  // pure, but two occurrences may differ (stablehlo.rng): never merged
  kTranscendental = 512,
  kRunsRegionsOnce = 1024,  // each region runs at most once per execution (branches)
  kWidensProducts = 2048,   // may give its sums of products in a wider type than the operands'
};

// Custom text of the few ops whose form a format string cannot say.
struct CustomText {
  Status (*parse)(OpParser& parser, Op* op, std::vector<TensorType>* result_types);
  void (*print)(OpPrinter& printer, const Op& op);
};

// An operand of an op that stands for another one: an operand of the original, or a constant.
struct RespelledOperand {
  size_t operand = 0;
  Attr constant;  // kDense if present
};
// The op that the canonical form writes in place of another.
struct Respelling {
  std::string_view op;
  std::vector<RespelledOperand> (*operands)(const Op& op, const Func& func);
};

struct OpDef {
  std::string_view name;  // "stablehlo.add"
  int operands = 0;       // exact count, or the least if more_operands
  bool more_operands = false;
  int regions = 0;  // exact count, or the least if more_regions
  bool more_regions = false;
  std::span<const AttrSpec> attrs = {};
  uint32_t traits = 0;
  TypeRule type_rule = nullptr;
  // Form after the name; the language is described in text_format.h. Empty: generic form only.
  std::string_view format = {};
  const CustomText* text = nullptr;
  // Names the printer gives to results, comma-separated: "values,indices".
  std::string_view result_names = {};
  // Name of region arguments where it is not arg0, arg1, ...
  std::string_view region_arg_name = {};
  // Elementwise ops: the loop for these dtypes.
  Result<SpanKernel> (*span)(const Op& op, std::span<const DType> operands, DType result) = nullptr;
  // Other ops: the kernel of this occurrence. Null with a null span: the op is refused, see
  // `refusal`.
  Result<Kernel> (*prepare)(Planner& planner, const Op& op) = nullptr;
  // Work beyond one operation per result element.
  void (*cost)(const Op& op, const Func& func, OpCost* cost) = nullptr;
  // For ops that may do nothing: true if the result is operand 0, given that it has that operand's
  // type.
  bool (*no_op)(const Op& op, const Func& func) = nullptr;
  const Respelling* respelling = nullptr;
  // Why the op is known but not executed; the message of kUnimplemented.
  std::string_view refusal = {};

  bool has(OpTrait trait) const { return (traits & trait) != 0; }
  const AttrSpec* FindAttr(std::string_view attr_name) const;
};

// nullptr if no row has this name.
const OpDef* FindOp(std::string_view name);
// All rows, in the order of the families.
std::span<const OpDef* const> AllOps();

inline std::string_view Op::name() const { return def->name; }

}  // namespace megalith::stablehlo
