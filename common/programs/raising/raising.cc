#include "common/programs/raising/raising.h"

#include <set>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/check.h"
#include "common/programs/ops/registry.h"
#include "common/programs/raising/raiser.h"
#include "common/programs/stablehlo/canonical.h"

namespace megalith::raising {

using stablehlo::Func;
using stablehlo::Op;
using stablehlo::Region;

// ---- context ----

RaiseContext::RaiseContext(Raiser& raiser, Builder& b, const Op& op)
    : raiser_(&raiser), b_(&b), op_(&op) {
  for (const ValueId v : op.operands) ins_.push_back(raiser.ValueOf(v));
}

const Func& RaiseContext::func() const { return raiser_->func(); }
bool RaiseContext::used(uint32_t result) const { return raiser_->used(op_->result(result)); }
const Value& RaiseContext::ValueOf(ValueId v) const { return raiser_->ValueOf(v); }
const Op* RaiseContext::Definition(ValueId v) const { return raiser_->Definition(v); }

Dims RaiseContext::ints(std::string_view name) const {
  const Attr a = attr(name);
  const std::span<const int64_t> v = a.AsInts();
  Dims out;
  for (const int64_t d : v) out.push_back(d);
  return out;
}

Values RaiseContext::Inline(Builder& b, const Region& region, std::span<const Value> args) const {
  return raiser_->Emit(b, region, args);
}

Values RaiseContext::InlineOver(Builder& b, const Region& region, std::span<const Value> args,
                                std::span<const ValueId> ids,
                                std::span<const Value> captured) const {
  return raiser_->EmitOver(b, region, args, ids, captured);
}

Result<ir::JaxprPtr> RaiseContext::Closed(const Region& region) const {
  Builder inner(raiser_->session());
  Values args;
  for (const ValueId v : region.args)
    args.push_back(inner.Input({func().type(v).dtype, false, func().type(v).shape}));
  const Values outs = Inline(inner, region, args);
  RETURN_IF_ERROR(inner.status());
  std::vector<Value> captured;
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, inner.Finish(outs, &captured));
  if (!captured.empty()) return Refuse("uses an array of the program in its body");
  return jaxpr;
}

std::vector<ValueId> RaiseContext::Captures() const {
  std::set<ValueId> own;
  std::vector<ValueId> out;
  std::set<ValueId> seen;
  const auto visit = [&](const auto& self, const Region& region) -> void {
    own.insert(region.args.begin(), region.args.end());
    for (const Op& op : region.ops) {
      for (const ValueId v : op.operands) {
        if (!own.contains(v) && seen.insert(v).second) out.push_back(v);
      }
      for (const Region& inner : op.regions) self(self, inner);
      for (uint32_t i = 0; i < op.num_results; ++i) own.insert(op.result(i));
    }
  };
  for (const Region& region : op_->regions) visit(visit, region);
  return out;
}

Status RaiseContext::Refuse(std::string_view why) const {
  return Unimplemented(StrCat(
      op_->name(), " ", why,
      ", so this StableHLO program cannot be transformed or written as a jaxpr; transform the "
      "function in JAX and export the result, or send the function's jaxpr"));
}

// ---- raiser ----

Raiser::Raiser(const Func& func, ir::Session& session) : func_(&func), session_(&session) {
  for (const auto& family : {ElementwiseRules(), ShapeRules(), IndexRules(), ReductionRules(),
                             ControlRules(), LinalgRules()}) {
    for (const RaiseDef& def : family) rules_.emplace(def.op, def.rule);
  }
  env_.resize(func.types.size());
  used_.resize(func.types.size(), false);
  definitions_.resize(func.types.size(), nullptr);
  Index(func.body);
}

void Raiser::Index(const Region& region) {
  stablehlo::ForEachOp(region, [&](const Op& op) {
    for (const ValueId v : op.operands) used_[v] = true;
    for (uint32_t i = 0; i < op.num_results; ++i) definitions_[op.result(i)] = &op;
  });
}

Status Raiser::EmitOp(Builder& b, const Op& op) {
  RaiseContext context(*this, b, op);
  const auto rule = rules_.find(op.name());
  if (rule == rules_.end()) return context.Refuse();
  Status status = rule->second(context);
  if (status.ok()) status = b.status();
  // A valid operation whose types or parameters the primitive does not take.
  if (status.code() == Code::kInvalidArgument)
    return context.Refuse(StrCat("has no primitive for this use (", status.message(), ")"));
  RETURN_IF_ERROR(status);
  if (context.outs().size() != op.num_results)
    return Internal(StrCat(op.name(), " raised to ", context.outs().size(), " values"));
  for (uint32_t i = 0; i < op.num_results; ++i) {
    const Value& v = context.outs()[i];
    const stablehlo::TensorType& type = func_->type(op.result(i));
    if (v && (v.dtype() != type.dtype || !(v.shape() == type.shape)))
      return context.Refuse(StrCat("has no primitive that gives ", type.Text()));
    env_[op.result(i)] = v;
  }
  return OkStatus();
}

Values Raiser::Emit(Builder& b, const Region& region, std::span<const Value> args) {
  for (size_t i = 0; i < region.args.size(); ++i) env_[region.args[i]] = args[i];
  for (const Op& op : region.ops) {
    if ((op.def->traits & stablehlo::kTerminator) != 0) {
      Values out;
      for (const ValueId v : op.operands) out.push_back(env_[v]);
      return out;
    }
    const Status status = EmitOp(b, op);
    if (status.ok()) continue;
    if (status_.ok()) status_ = status;
    b.Fail(status);
    break;
  }
  return {};
}

Values Raiser::EmitOver(Builder& b, const Region& region, std::span<const Value> args,
                        std::span<const ValueId> ids, std::span<const Value> values) {
  Values kept;
  for (size_t i = 0; i < ids.size(); ++i) {
    kept.push_back(env_[ids[i]]);
    env_[ids[i]] = values[i];
  }
  Values out = Emit(b, region, args);
  for (size_t i = 0; i < ids.size(); ++i) env_[ids[i]] = kept[i];
  return out;
}

// ---- programs ----

bool Uses64Bits(const stablehlo::Module& module) {
  for (const Func& f : module.funcs()) {
    for (const stablehlo::TensorType& t : f.types) {
      if (t.is_token) continue;
      const int bits = tensor::BitWidth(t.dtype);
      if (bits == 128 || (bits == 64 && !tensor::IsComplex(t.dtype))) return true;
    }
  }
  return false;
}

Result<ir::Program> Raise(const stablehlo::Module& module, const RaiseOptions& options) {
  ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
  ASSIGN_OR_RETURN(const Func* entry, canonical.Entry());
  ir::Session session(ops::AllOps(), options.limits, options.cancel);
  session.set_x64(options.x64);
  Builder b(session);
  Values args;
  for (const stablehlo::TensorType& t : entry->input_types()) {
    if (t.is_token) {
      return Unimplemented(
          "@main takes a token, and jaxprs have none; remove the side effect from the function");
    }
    args.push_back(b.Input({t.dtype, false, t.shape}));
  }
  Raiser raiser(*entry, session);
  const Values outs = raiser.Emit(b, entry->body, args);
  RETURN_IF_ERROR(raiser.status());
  RETURN_IF_ERROR(b.status());
  ir::Program out;
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, b.Finish(outs));
  out.closed = ir::Closed(std::move(jaxpr));
  out.fun_name = options.fun_name;
  return out;
}

}  // namespace megalith::raising
