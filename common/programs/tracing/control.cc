#include "common/programs/tracing/control.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/control.h"
#include "common/programs/staging/jaxpr_ops.h"
#include "common/programs/tracing/lax.h"
#include "common/programs/tracing/promotion.h"
#include "common/programs/tracing/trace.h"

namespace megalith::tracing {
namespace {

using ir::JaxprPtr;
using Bits = std::vector<bool>;

Avals TypesOf(const Values& values) {
  Avals out;
  for (const Value& v : values) out.push_back(v.aval());
  return out;
}

template <typename T>
std::vector<T> Joined(std::vector<T> a, const std::vector<T>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Runs `body` (Trace&) -> Result<Values> as one operation of many results.
template <typename Body>
Outputs Run(const Place& where, Body body) {
  return Outputs(Operations(where,
                            [&](Trace& t, Builder& b) {
                              const Result<Values> outs = body(t, b);
                              if (outs.ok()) return *outs;
                              if (t.ok() && b.ok()) b.Fail(outs.status());
                              return Values();
                            }),
                 where);
}

Result<pipeline::Callee> TraceBody(Trace& t, const Function& f, const Avals& inputs) {
  std::optional<pipeline::Callee> callee = t.TraceFunction(f, inputs, Trace::Constants::kOutside);
  if (!callee) return t.status();
  callee->jaxpr = staging::ConstsToInputs(callee->jaxpr);
  return *std::move(callee);
}

// Weakly typed initial values whose type the body does not keep become strong. True if one did.
bool PromoteWeak(Trace& t, const Avals& outs, Values* init) {
  bool changed = false;
  for (size_t i = 0; i < init->size() && i < outs.size(); ++i) {
    Value& v = (*init)[i];
    if (!v.aval().weak_type || v.aval().SameType(outs[i])) continue;
    const Result<PromotedType> type = ResultType(Avals{v.aval(), outs[i]}, t.x64());
    if (!type.ok()) continue;  // the check of the carry words the error
    v = ConvertTo(t.builder(), v, {type->dtype, false});
    changed = true;
  }
  return changed;
}

std::string TypeText(const Aval& a) {
  return StrCat(tensor::NumpyName(a.dtype), "[", tensor::DimsText(a.shape), "]");
}

Status CheckCarry(std::string_view name, const Avals& in, std::span<const Aval> out) {
  if (in.size() != out.size()) {
    return TypeError(
        StrCat(name,
               " function carry input and carry output must have the same pytree structure, but "
               "they differ: the input has ",
               in.size(), " arrays, the output ", out.size()));
  }
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].SameType(out[i])) continue;
    const bool shapes = !(in[i].shape == out[i].shape);
    const bool dtypes = in[i].dtype != out[i].dtype;
    return TypeError(StrCat(
        name, " function carry input and carry output must have equal types, but they differ:\n\n",
        "The input carry component ", i, " has type ", TypeText(in[i]),
        " but the corresponding output carry component has type ", TypeText(out[i]), ", so the ",
        shapes && dtypes ? "dtypes and shapes"
        : shapes         ? "shapes"
                         : "dtypes",
        " do not match.\n\nRevise the function so that all output types match the corresponding "
        "input types."));
  }
  return OkStatus();
}

// Splits `values` into those whose bit is set and the others.
void Partition(const Bits& bits, const Values& values, Values* set, Values* others) {
  for (size_t i = 0; i < values.size(); ++i)
    (i < bits.size() && bits[i] ? set : others)->push_back(values[i]);
}

// Inputs in the order: those whose bit is set, then the others.
JaxprPtr BindersToFront(ir::Session& session, const JaxprPtr& jaxpr, const Bits& to_front) {
  std::vector<size_t> order;
  for (size_t i = 0; i < to_front.size(); ++i) {
    if (to_front[i]) order.push_back(i);
  }
  for (size_t i = 0; i < to_front.size(); ++i) {
    if (!to_front[i]) order.push_back(i);
  }
  return staging::Reorder(session, jaxpr, order);
}

// ---- scan ----

Result<int64_t> ScanLength(const Avals& xs, const ScanOptions& options) {
  std::vector<int64_t> lengths;
  for (const Aval& x : xs) {
    if (x.rank() == 0) {
      return ValueError(
          StrCat("scan got value with no leading axis to scan over: ", x.Text(), "."));
    }
    lengths.push_back(x.shape[0]);
  }
  if (options.length) {
    for (const int64_t n : lengths) {
      if (n == *options.length) continue;
      return ValueError(StrCat("scan got `length` argument of ", *options.length,
                               " which disagrees with leading axis sizes [", Join(lengths, ", "),
                               "]."));
    }
    if (*options.length < 0) return ValueError("scan got a negative `length`");
    return *options.length;
  }
  if (lengths.empty())
    return ValueError("scan got no values to scan over and `length` not provided.");
  for (const int64_t n : lengths) {
    if (n != lengths[0]) {
      return ValueError(
          StrCat("scan got values with different leading axis sizes: ", Join(lengths, ", "), "."));
    }
  }
  return lengths[0];
}

Result<Values> EmitScan(Trace& t, Builder& b, const Function& body, Values init, const Values& xs,
                        const ScanOptions& options) {
  ASSIGN_OR_RETURN(const int64_t length, ScanLength(TypesOf(xs), options));
  if (options.unroll < 0) return ValueError("`unroll` must be a `bool` or a non-negative `int`.");
  Avals elements;
  for (const Value& x : xs) elements.push_back(ops::Unstacked(x.aval()));
  ASSIGN_OR_RETURN(pipeline::Callee callee, TraceBody(t, body, Joined(TypesOf(init), elements)));
  if (PromoteWeak(t, callee.jaxpr->OutAvals(), &init)) {
    ASSIGN_OR_RETURN(callee, TraceBody(t, body, Joined(TypesOf(init), elements)));
  }
  const Avals outs = callee.jaxpr->OutAvals();
  const size_t num_carry = init.size();
  RETURN_IF_ERROR(CheckCarry("scan body", TypesOf(init),
                             std::span(outs).first(std::min(num_carry, outs.size()))));
  const size_t num_ys = outs.size() - num_carry;
  const size_t num_consts = callee.captured.size();
  // A carry that the body passes on unchanged is a constant of the loop; a y that is an x needs no
  // copy.
  const std::vector<int> forwarded = staging::ForwardedInputs(*callee.jaxpr);
  Bits constant(num_carry);
  Bits keep(outs.size(), true);
  Bits to_front(num_consts, false);
  for (size_t i = 0; i < num_carry; ++i) {
    constant[i] = forwarded[i] == static_cast<int>(num_consts + i);
    keep[i] = !constant[i];
    to_front.push_back(constant[i]);
  }
  to_front.resize(num_consts + num_carry + xs.size(), false);
  std::vector<int64_t> y_from(num_ys, -1);
  for (size_t i = 0; i < num_ys; ++i) {
    const int64_t from = forwarded[num_carry + i] - static_cast<int64_t>(num_consts + num_carry);
    if (from < 0) continue;
    y_from[i] = from;
    keep[num_carry + i] = false;
  }
  JaxprPtr jaxpr = callee.jaxpr;
  if (ops::Count(keep) != keep.size()) jaxpr = staging::PruneOutputs(t.session(), jaxpr, keep);
  if (ops::Any(constant)) jaxpr = BindersToFront(t.session(), jaxpr, to_front);
  Values consts;
  Values carry;
  Partition(constant, init, &consts, &carry);
  const size_t moved = consts.size();
  Values operands = Joined(Joined(Joined(consts, callee.captured), carry), xs);
  ir::ParamValues linear(operands.size(), ParamValue::Bool(false));
  const Values results =
      b.EmitN("scan", operands,
              {{"jaxpr", ParamValue::SubJaxpr(jaxpr)},
               {"length", ParamValue::Int(length)},
               {"reverse", ParamValue::Bool(options.reverse)},
               {"linear", ParamValue::Tuple(std::move(linear))},
               {"num_consts", ParamValue::Int(static_cast<int64_t>(num_consts + moved))},
               {"num_carry", ParamValue::Int(static_cast<int64_t>(carry.size()))},
               {"unroll", ParamValue::Int(options.unroll)},
               {"_split_transpose", ParamValue::Bool(false)}});
  RETURN_IF_ERROR(b.status());
  Values out;
  size_t next = 0;
  for (size_t i = 0; i < num_carry; ++i) out.push_back(constant[i] ? init[i] : results[next++]);
  for (size_t i = 0; i < num_ys; ++i) {
    out.push_back(y_from[i] >= 0 ? xs[static_cast<size_t>(y_from[i])] : results[next++]);
  }
  return out;
}

// ---- while ----

Status CheckPredicate(const Avals& outs) {
  if (outs.size() == 1 && outs[0].rank() == 0 && tensor::IsBool(outs[0].dtype)) return OkStatus();
  std::vector<std::string> texts;
  for (const Aval& a : outs) texts.push_back(StrCat("ShapedArray(", TypeText(a), ")"));
  return TypeError(StrCat("cond_fun must return a boolean scalar, but got output type(s) [",
                          Join(texts, ", "), "]."));
}

Result<Values> EmitWhile(Trace& t, Builder& b, const Function& cond, const Function& body,
                         Values init) {
  pipeline::Callee test;
  pipeline::Callee step;
  const auto trace = [&]() -> Status {
    ASSIGN_OR_RETURN(test, TraceBody(t, cond, TypesOf(init)));
    ASSIGN_OR_RETURN(step, TraceBody(t, body, TypesOf(init)));
    return CheckPredicate(test.jaxpr->OutAvals());
  };
  RETURN_IF_ERROR(trace());
  if (PromoteWeak(t, step.jaxpr->OutAvals(), &init)) RETURN_IF_ERROR(trace());
  RETURN_IF_ERROR(CheckCarry("while_loop body", TypesOf(init), step.jaxpr->OutAvals()));
  // A carry that the body passes on unchanged and the condition does not read is a constant of the
  // body.
  const std::vector<int> forwarded = staging::ForwardedInputs(*step.jaxpr);
  const size_t num_consts = step.captured.size();
  Bits keep_inputs(test.captured.size(), true);
  for (size_t i = 0; i < init.size(); ++i)
    keep_inputs.push_back(forwarded[i] != static_cast<int>(num_consts + i));
  ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                   staging::Dce(t.session(), test.jaxpr, {true}, keep_inputs));
  Bits constant(init.size());
  Bits keep(init.size());
  Bits to_front(num_consts, false);
  for (size_t i = 0; i < init.size(); ++i) {
    const size_t at = test.captured.size() + i;
    constant[i] = !keep_inputs[at] && !dce.used_inputs[at];
    keep[i] = !constant[i];
    to_front.push_back(constant[i]);
  }
  Values consts;
  Values carry;
  Partition(constant, init, &consts, &carry);
  if (!consts.empty()) {
    test.jaxpr = dce.jaxpr;
    step.jaxpr = staging::PruneOutputs(t.session(), step.jaxpr, keep);
    step.jaxpr = BindersToFront(t.session(), step.jaxpr, to_front);
  }
  const size_t moved = consts.size();
  const Values operands = Joined(Joined(Joined(test.captured, consts), step.captured), carry);
  const Values results =
      b.EmitN("while", operands,
              {{"cond_jaxpr", ParamValue::SubJaxpr(test.jaxpr)},
               {"cond_nconsts", ParamValue::Int(static_cast<int64_t>(test.captured.size()))},
               {"body_jaxpr", ParamValue::SubJaxpr(step.jaxpr)},
               {"body_nconsts", ParamValue::Int(static_cast<int64_t>(num_consts + moved))}});
  RETURN_IF_ERROR(b.status());
  Values out;
  size_t next = 0;
  for (size_t i = 0; i < init.size(); ++i) out.push_back(constant[i] ? init[i] : results[next++]);
  return out;
}

// ---- cond ----

// The branches as programs of the same inputs: all captured values once, then the operands.
std::vector<JaxprPtr> WithCommonInputs(ir::Session& session,
                                       const std::vector<pipeline::Callee>& branches,
                                       size_t num_operands, Values* captured) {
  for (const pipeline::Callee& f : branches) {
    for (const Value& v : f.captured) {
      if (std::find(captured->begin(), captured->end(), v) == captured->end())
        captured->push_back(v);
    }
  }
  std::vector<JaxprPtr> out;
  for (const pipeline::Callee& f : branches) {
    const size_t own = f.captured.size();
    std::vector<size_t> order;
    Avals missing;
    for (const Value& v : *captured) {
      const auto it = std::find(f.captured.begin(), f.captured.end(), v);
      if (it != f.captured.end()) {
        order.push_back(static_cast<size_t>(it - f.captured.begin()));
      } else {
        order.push_back(own + num_operands + missing.size());
        missing.push_back(v.aval());
      }
    }
    for (size_t i = 0; i < num_operands; ++i) order.push_back(own + i);
    JaxprPtr jaxpr = f.jaxpr;
    if (!missing.empty()) jaxpr = staging::WithUnusedInputs(session, jaxpr, missing);
    out.push_back(staging::Reorder(session, jaxpr, order));
  }
  return out;
}

Status CheckBranches(std::string_view api, std::string_view first,
                     const std::vector<pipeline::Callee>& branches,
                     const std::vector<std::string>& names) {
  const Avals want = branches[0].jaxpr->OutAvals();
  for (size_t i = 1; i < branches.size(); ++i) {
    const Avals got = branches[i].jaxpr->OutAvals();
    if (got.size() != want.size()) {
      return TypeError(StrCat(
          api, " branch outputs must have the same pytree structure, but they differ: ", first,
          " gives ", want.size(), " arrays, ", names[i], " ", got.size()));
    }
    for (size_t k = 0; k < got.size(); ++k) {
      if (want[k].SameType(got[k])) continue;
      return TypeError(
          StrCat(api, " branches must have equal output types but they differ.\n\nThe output of ",
                 first, " has type ", TypeText(want[k]), " but the corresponding output of ",
                 names[i], " has type ", TypeText(got[k])));
    }
  }
  return OkStatus();
}

// `branches` in the order of their numbers. Results that every branch takes from the same input are
// that input.
Result<Values> EmitBranches(Trace& t, Builder& b, Value index,
                            const std::vector<pipeline::Callee>& branches, const Values& captured,
                            const std::vector<JaxprPtr>& jaxprs, const Values& operands) {
  const size_t num_outs = branches[0].jaxpr->outs().size();
  std::vector<int> from = staging::ForwardedInputs(*jaxprs[0]);
  for (const JaxprPtr& j : jaxprs) {
    const std::vector<int> own = staging::ForwardedInputs(*j);
    for (size_t i = 0; i < num_outs; ++i) {
      if (own[i] != from[i]) from[i] = -1;
    }
  }
  Bits keep;
  for (const int f : from) keep.push_back(f < 0);
  std::vector<JaxprPtr> pruned;
  for (const JaxprPtr& j : jaxprs) {
    pruned.push_back(ops::Count(keep) == num_outs ? j
                                                  : staging::PruneOutputs(t.session(), j, keep));
  }
  const Values inputs = Joined(captured, operands);
  const Values results =
      b.EmitN("cond", Joined(Values{index}, inputs), {{"branches", ParamValue::SubJaxprs(pruned)}});
  RETURN_IF_ERROR(b.status());
  Values out;
  size_t next = 0;
  for (size_t i = 0; i < num_outs; ++i) {
    out.push_back(keep[i] ? results[next++] : inputs[static_cast<size_t>(from[i])]);
  }
  return out;
}

Result<Values> EmitCond(Trace& t, Builder& b, const Operand& pred, const Function& true_fn,
                        const Function& false_fn, const Values& operands) {
  Value p = t.Use(pred.array, pred.where);
  if (p.rank() != 0) {
    return TypeError(StrCat("Pred must be a scalar, got ", p.aval().Text(), " of shape ",
                            tensor::TupleText(p.shape()), "."));
  }
  if (!tensor::IsBool(p.dtype())) {
    if (!tensor::IsInteger(p.dtype()) && !tensor::IsFloat(p.dtype())) {
      return TypeError(StrCat("Pred type must be either boolean or number, got ",
                              tensor::NumpyName(p.dtype()), "."));
    }
    p = b.Emit1("ne", {p, b.Lit(ir::Literal::Float(p.dtype(), 0))});
  }
  std::vector<pipeline::Callee> callees;
  for (const Function* f : {&true_fn, &false_fn}) {
    ASSIGN_OR_RETURN(pipeline::Callee callee, TraceBody(t, *f, TypesOf(operands)));
    callees.push_back(std::move(callee));
  }
  RETURN_IF_ERROR(CheckBranches("cond", "true_fun", callees, {"true_fun", "false_fun"}));
  Values captured;
  std::vector<JaxprPtr> jaxprs = WithCommonInputs(t.session(), callees, operands.size(), &captured);
  std::reverse(jaxprs.begin(), jaxprs.end());
  const Value index = ir::ConvertElementType(b, p, DType::kI32);
  return EmitBranches(t, b, index, callees, captured, jaxprs, operands);
}

Result<Values> EmitSwitch(Trace& t, Builder& b, const Operand& index,
                          const std::vector<Function>& branches, const Values& operands) {
  Value i = t.Use(index.array, index.where);
  if (i.rank() != 0) {
    return TypeError(StrCat("Branch index must be scalar, got ", i.aval().Text(), " of shape ",
                            tensor::TupleText(i.shape()), "."));
  }
  if (!tensor::IsInteger(i.dtype())) {
    return TypeError(StrCat("Index type must be an integer, got ", i.aval().Text(), " as ",
                            tensor::NumpyName(i.dtype())));
  }
  if (branches.empty()) return ValueError("Empty branch sequence");
  if (branches.size() == 1) return t.UseAll(branches[0].Call(t.WrapAll(operands)).arrays());
  i = ir::ConvertElementType(b, i, DType::kI32);
  const Value first = b.Lit(ir::Literal::Int(DType::kI32, 0));
  const Value last =
      b.Lit(ir::Literal::Int(DType::kI32, static_cast<int64_t>(branches.size()) - 1));
  i = b.Emit1("clamp", {first, i, last});
  std::vector<pipeline::Callee> callees;
  std::vector<std::string> names;
  for (const Function& f : branches) {
    ASSIGN_OR_RETURN(pipeline::Callee callee, TraceBody(t, f, TypesOf(operands)));
    callees.push_back(std::move(callee));
    names.push_back(StrCat("branch ", names.size()));
  }
  RETURN_IF_ERROR(CheckBranches("switch", "branch 0", callees, names));
  Values captured;
  const std::vector<JaxprPtr> jaxprs =
      WithCommonInputs(t.session(), callees, operands.size(), &captured);
  return EmitBranches(t, b, i, callees, captured, jaxprs, operands);
}

// A body of loop variables that are passed on by themselves: `count` values in front of the user's
// carry.
Function Counting(const Function& body, size_t count) {
  internal::FunctionImpl impl;
  impl.name = body.name();
  impl.call = [body, count](std::span<const Array> args) {
    Arrays out = {args[0] + 1};
    for (size_t i = 1; i < count; ++i) out.push_back(args[i]);
    Arrays inner = {args[0]};
    inner.insert(inner.end(), args.begin() + static_cast<int64_t>(count), args.end());
    const Outputs carry = body.Call(inner);
    out.insert(out.end(), carry.arrays().begin(), carry.arrays().end());
    return out;
  };
  return Function(std::move(impl));
}

Result<Values> EmitFori(Trace& t, Builder& b, const Operand& lower, const Operand& upper,
                        const Function& body, const Values& init) {
  Value low = t.Use(lower.array, lower.where);
  Value high = t.Use(upper.array, upper.where);
  const auto& first = lower.array.number();
  const auto& last = upper.array.number();
  const auto is_signed = [](const Value& v) { return tensor::IsSigned(v.dtype()); };
  const bool weak_matters =
      is_signed(low) && is_signed(high) && low.aval().weak_type != high.aval().weak_type;
  if (low.dtype() != high.dtype() && !weak_matters) {
    return TypeError(StrCat("lower and upper arguments to fori_loop must have equal types, got ",
                            tensor::NumpyName(low.dtype()), " and ",
                            tensor::NumpyName(high.dtype())));
  }
  if (first && last) {
    if (!is_signed(low)) return TypeError("the bounds of fori_loop must be integers");
    ScanOptions options;
    options.length = std::max<int64_t>(0, last->integer - first->integer);
    ASSIGN_OR_RETURN(Values outs,
                     EmitScan(t, b, Counting(body, 1), Joined(Values{low}, init), {}, options));
    outs.erase(outs.begin());
    return outs;
  }
  const DType dtype = low.aval().weak_type ? high.dtype() : low.dtype();
  if (low.dtype() != dtype) low = ir::ConvertElementType(b, low, dtype);
  if (high.dtype() != dtype) high = ir::ConvertElementType(b, high, dtype);
  internal::FunctionImpl below;
  below.call = [](std::span<const Array> args) { return Arrays{lax::Lt(args[0], args[1])}; };
  ASSIGN_OR_RETURN(Values outs, EmitWhile(t, b, Function(std::move(below)), Counting(body, 2),
                                          Joined(Values{low, high}, init)));
  outs.erase(outs.begin(), outs.begin() + 2);
  return outs;
}

}  // namespace

Outputs Scan(const Function& body, const Leaves& init, const Leaves& xs, ScanOptions options,
             Place where) {
  return Run(where, [&](Trace& t, Builder& b) -> Result<Values> {
    const Values carry = t.UseAll(init.arrays());
    const Values elements = t.UseAll(xs.arrays());
    if (!t.ok()) return t.status();
    return EmitScan(t, b, body, carry, elements, options);
  });
}

Outputs WhileLoop(const Function& cond, const Function& body, const Leaves& init, Place where) {
  return Run(where, [&](Trace& t, Builder& b) -> Result<Values> {
    const Values carry = t.UseAll(init.arrays());
    if (!t.ok()) return t.status();
    return EmitWhile(t, b, cond, body, carry);
  });
}

Outputs ForiLoop(Operand lower, Operand upper, const Function& body, const Leaves& init) {
  return Run(lower.where, [&](Trace& t, Builder& b) -> Result<Values> {
    const Values carry = t.UseAll(init.arrays());
    if (!t.ok()) return t.status();
    return EmitFori(t, b, lower, upper, body, carry);
  });
}

Outputs Cond(Operand pred, const Function& true_fn, const Function& false_fn,
             const Leaves& operands) {
  return Run(pred.where, [&](Trace& t, Builder& b) -> Result<Values> {
    const Values values = t.UseAll(operands.arrays());
    if (!t.ok()) return t.status();
    return EmitCond(t, b, pred, true_fn, false_fn, values);
  });
}

Outputs Switch(Operand index, const std::vector<Function>& branches, const Leaves& operands) {
  return Run(index.where, [&](Trace& t, Builder& b) -> Result<Values> {
    const Values values = t.UseAll(operands.arrays());
    if (!t.ok()) return t.status();
    return EmitSwitch(t, b, index, branches, values);
  });
}

Outputs Map(const Function& f, const Leaves& xs, Place where) { return Scan(f, {}, xs, {}, where); }

}  // namespace megalith::tracing
