// What a primitive's lowering rule sees: one equation, its operands as StableHLO values, and a
// builder.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_def.h"
#include "common/programs/stablehlo/builder.h"

namespace megalith::lowering {

using stablehlo::FuncBuilder;
using stablehlo::TensorType;
using stablehlo::ValueId;
using stablehlo::Values;

class ModuleLowering;

// The StableHLO type that carries values of a jaxpr type: keys become arrays of ui32 words with one
// more dimension, float0 becomes i1.
TensorType PhysicalType(const ir::Aval& aval);
// Number of trailing dimensions the physical form adds (1 for keys).
int64_t PhysicalRank(const ir::Aval& aval);

// Handed to OpDef::lower. A rule reads operands and parameters, emits through b() and stores one
// value per result with Out(). Errors of the builder stick; a rule returns an error of its own only
// for what it refuses.
class LowerContext {
 public:
  LowerContext(ModuleLowering& module, FuncBuilder& builder, const ir::OpDef& op,
               const ir::Params& params, std::vector<ir::Aval> in_avals, Values ins,
               std::vector<ir::Aval> out_avals)
      : module_(module),
        builder_(builder),
        op_(op),
        params_(params),
        in_avals_(std::move(in_avals)),
        ins_(std::move(ins)),
        out_avals_(std::move(out_avals)) {}

  FuncBuilder& b() { return builder_; }
  const ir::OpDef& op() const { return op_; }
  const ir::Params& params() const { return params_; }

  size_t num_operands() const { return ins_.size(); }
  ValueId in(size_t i) const { return ins_[i]; }
  const Values& ins() const { return ins_; }
  const ir::Aval& in_aval(size_t i) const { return in_avals_[i]; }
  const std::vector<ir::Aval>& in_avals() const { return in_avals_; }
  const ir::Aval& out_aval(size_t i = 0) const { return out_avals_[i]; }
  const std::vector<ir::Aval>& out_avals() const { return out_avals_; }
  TensorType out_type(size_t i = 0) const { return PhysicalType(out_avals_[i]); }

  void Out(ValueId v) { outs_.push_back(v); }
  void Out(const Values& vs) { outs_.insert(outs_.end(), vs.begin(), vs.end()); }
  const Values& outs() const { return outs_; }

  // JAX's 64-bit mode: what Python integers become.
  bool x64() const;

  // ---- helpers for rules ----
  // Operands of an n-ary elementwise primitive, broadcast to the result's shape where they are
  // smaller.
  Values BroadcastOperands();
  // A splat of the given type.
  ValueId Full(const TensorType& type, double value) { return builder_.Splat(type, value); }
  // `x` broadcast to `shape` by jaxpr rules: rank 0, or equal rank with sizes 1.
  ValueId BroadcastTo(ValueId x, const ir::Shape& shape);

  // ---- nested programs ----
  // Emits the equations of a nested program here.
  Values Inline(const ir::JaxprPtr& jaxpr, std::span<const ValueId> inputs);
  // Calls the nested program as a private function, shared between equal calls.
  Values Call(std::string_view name, const ir::JaxprPtr& jaxpr, std::span<const ValueId> inputs);
  // Emits this equation as a call of a private function that `body` fills, made once per primitive,
  // parameters and types. The parameters must not hold nested programs.
  Status Outlined(const std::function<Status(LowerContext&)>& body);
  // Emits one equation of another primitive here, as if the program contained it; for rules that
  // are written in terms of primitives.
  Values Emit(std::string_view op, std::span<const ValueId> operands,
              const std::vector<ir::Aval>& operand_avals,
              std::initializer_list<std::pair<std::string_view, ir::ParamValue>> params = {});
  // Traces `body` with ir::Builder on values of the given types and emits the result inline:
  // lowering by composition of primitives.
  Values Traced(
      std::span<const ValueId> operands, const std::vector<ir::Aval>& operand_avals,
      const std::function<std::vector<ir::Value>(ir::Builder&, std::span<const ir::Value>)>& body);

 private:
  ModuleLowering& module_;
  FuncBuilder& builder_;
  const ir::OpDef& op_;
  const ir::Params& params_;
  std::vector<ir::Aval> in_avals_;
  Values ins_;
  std::vector<ir::Aval> out_avals_;
  Values outs_;
};

}  // namespace megalith::lowering
