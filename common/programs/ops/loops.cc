#include "common/programs/ops/loops.h"

#include "common/programs/ops/control.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::ops {

Result<ir::JaxprPtr> TraceNested(ir::Session& session, std::span<const Value> like,
                                 const LoopFn& fn, std::vector<Value>* consts) {
  Builder b(session);
  std::vector<Value> inputs;
  for (const Value& v : like) inputs.push_back(b.Input(v.aval()));
  const std::vector<Value> outs = fn(b, inputs);
  std::vector<Value> captured;
  ASSIGN_OR_RETURN(const ir::JaxprPtr jaxpr, b.Finish(outs, &captured));
  consts->insert(consts->end(), captured.begin(), captured.end());
  return staging::ConstsToInputs(jaxpr);
}

std::vector<Value> WhileLoop(Builder& b, const std::vector<Value>& init, const LoopFn& cond,
                             const LoopFn& body) {
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
  std::vector<Value> out =
      b.EmitN("while", operands,
              {{"body_jaxpr", ParamValue::SubJaxpr(*body_jaxpr)},
               {"body_nconsts", ParamValue::Int(static_cast<int64_t>(body_consts))},
               {"cond_jaxpr", ParamValue::SubJaxpr(*cond_jaxpr)},
               {"cond_nconsts", ParamValue::Int(static_cast<int64_t>(cond_consts))}});
  if (!b.ok()) return init;
  return out;
}

std::vector<Value> EmitScan(Builder& b, int64_t length, const std::vector<Value>& init,
                            const std::vector<Value>& xs, bool reverse, int64_t unroll,
                            const LoopFn& body) {
  if (!b.ok()) return init;
  std::vector<Value> consts;
  Builder inner(b.session());
  std::vector<Value> inputs;
  for (const Value& v : init) inputs.push_back(inner.Input(v.aval()));
  for (const Value& v : xs) inputs.push_back(inner.Input(Unstacked(v.aval())));
  const std::vector<Value> outs = body(inner, inputs);
  const Result<ir::JaxprPtr> jaxpr = inner.Finish(outs, &consts);
  b.Fail(jaxpr.status());
  if (!b.ok()) return init;
  std::vector<Value> operands = consts;
  Append(&operands, init);
  Append(&operands, xs);
  std::vector<Value> out =
      b.EmitN("scan", operands,
              {{"_split_transpose", ParamValue::Bool(false)},
               {"jaxpr", ParamValue::SubJaxpr(staging::ConstsToInputs(*jaxpr))},
               {"length", ParamValue::Int(length)},
               {"linear", BoolTuple(Bits(operands.size(), false))},
               {"num_carry", ParamValue::Int(static_cast<int64_t>(init.size()))},
               {"num_consts", ParamValue::Int(static_cast<int64_t>(consts.size()))},
               {"reverse", ParamValue::Bool(reverse)},
               {"unroll", ParamValue::Int(unroll)}});
  if (!b.ok()) return init;
  return out;
}

std::vector<Value> CountedLoop(Builder& b, int64_t trips, const std::vector<Value>& init,
                               const CountedFn& body) {
  if (!b.ok()) return init;
  const DType counter = b.session().x64() ? DType::kI64 : DType::kI32;
  std::vector<Value> state = {ir::ScalarOf(b, counter, 0, /*weak=*/true)};
  Append(&state, init);
  std::vector<Value> out =
      EmitScan(b, trips, state, {}, false, 1, [&](Builder& inner, std::span<const Value> carry) {
        std::vector<Value> next = {
            ir::Add(inner, carry[0], ir::ScalarOf(inner, counter, 1, /*weak=*/true))};
        Append(&next, body(inner, carry[0], carry.subspan(1)));
        return next;
      });
  out.erase(out.begin());
  return out;
}

}  // namespace megalith::ops
