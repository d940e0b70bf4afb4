#include "common/programs/ops/loops.h"

#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::ops {

Result<ir::JaxprPtr> TraceNested(ir::Session& session, std::span<const Value> like, const LoopFn& fn,
                                 std::vector<Value>* consts) {
  Builder b(session);
  std::vector<Value> inputs;
  for (const Value& v : like) inputs.push_back(b.Input(v.aval()));
  const std::vector<Value> outs = fn(b, inputs);
  std::vector<Value> captured;
  ASSIGN_OR_RETURN(const ir::JaxprPtr jaxpr, b.Finish(outs, &captured));
  consts->insert(consts->end(), captured.begin(), captured.end());
  return staging::ConstsToInputs(jaxpr);
}

std::vector<Value> WhileLoop(Builder& b, const std::vector<Value>& init, const LoopFn& cond, const LoopFn& body) {
  if (!b.ok()) return init;
  std::vector<Value> operands;
  const Result<ir::JaxprPtr> cond_jaxpr = TraceNested(b.session(), init, cond, &operands);
  const size_t cond_consts = operands.size();
  const Result<ir::JaxprPtr> body_jaxpr = TraceNested(b.session(), init, body, &operands);
  const size_t body_consts = operands.size() - cond_consts;
  b.Fail(cond_jaxpr.status());
  b.Fail(body_jaxpr.status());
  if (!b.ok()) return init;
  operands.insert(operands.end(), init.begin(), init.end());
  std::vector<Value> out = b.EmitN("while", operands,
                                   {{"body_jaxpr", ParamValue::SubJaxpr(*body_jaxpr)},
                                    {"body_nconsts", ParamValue::Int(static_cast<int64_t>(body_consts))},
                                    {"cond_jaxpr", ParamValue::SubJaxpr(*cond_jaxpr)},
                                    {"cond_nconsts", ParamValue::Int(static_cast<int64_t>(cond_consts))}});
  if (!b.ok()) return init;
  return out;
}

}  // namespace megalith::ops
