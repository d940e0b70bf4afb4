// scan: a loop over leading axes with carried values.
//
// Source: spec/transforms.md section 6. Operands: constants, initial carry, sequences; the body
// takes constants, carry and one element of each sequence and gives the next carry and one element
// of each result sequence.
#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/scan_loop.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {

std::string AvalsText(std::span<const Aval> avals) {
  std::vector<std::string> texts;
  for (const Aval& a : avals) texts.push_back(a.Text());
  return Join(texts, ",");
}

ParamValue BoolTuple(const Bits& bits) { return ParamValue::Bools(bits); }

namespace {

Params ScanParams(const Params& base, JaxprPtr body, size_t num_consts, size_t num_carry,
                  const Bits& linear) {
  Params p = base;
  p.Set("jaxpr", ParamValue::SubJaxpr(std::move(body)));
  p.Set("num_consts", ParamValue::Int(static_cast<int64_t>(num_consts)));
  p.Set("num_carry", ParamValue::Int(static_cast<int64_t>(num_carry)));
  p.Set("linear", BoolTuple(linear));
  return p;
}

Status CheckCounts(const TypeArgs& a) {
  const JaxprPtr& body = a.params.Sub("jaxpr");
  const int64_t consts = a.params.Int("num_consts");
  const int64_t carry = a.params.Int("num_carry");
  const auto ins = static_cast<int64_t>(body->invars().size());
  if (consts < 0 || carry < 0 || consts > ins || carry > ins - consts ||
      carry > static_cast<int64_t>(body->outs().size()) ||
      ins != static_cast<int64_t>(a.operands.size())) {
    return ValueError(StrCat(
        "scan number of arguments doesn't match the number of jaxpr arguments: ", a.operands.size(),
        " vs ", ins, " (num_consts=", consts, ", num_carry=", carry, ")"));
  }
  if (a.params.Int("length") < 0) return ValueError("scan length must not be negative");
  if (a.params.Int("unroll") < 0) return ValueError("`unroll` must be a non-negative integer");
  if (a.params["linear"].elements().size() != a.operands.size()) {
    return TypeError(StrCat("scan param linear has length ", a.params["linear"].elements().size(),
                            " for ", a.operands.size(), " operands"));
  }
  return OkStatus();
}

Types ScanType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckCounts(a));
  const Scan s(a.params);
  for (size_t i = 0; i < s.num_in(); ++i) {
    const Aval& want = s.body->aval(s.body->invars()[i]);
    Aval got = a.operands[i];
    if (i >= s.first_x()) {
      if (got.rank() == 0) return ValueError("scan got value with no leading axis to scan over");
      if (got.shape[0] != s.length) {
        return ValueError(StrCat("scan got values with different leading axis sizes: ",
                                 got.shape[0], " for operand ", i, ", length is ", s.length));
      }
      got = Unstacked(got);
    }
    if (!want.SameType(got)) {
      return TypeError(StrCat("scan jaxpr takes input ", i, " of type ", want.Text(),
                              ", called with ", got.Text()));
    }
  }
  std::vector<Aval> out;
  for (size_t i = 0; i < s.num_carry; ++i) {
    const Aval& in = s.body->aval(s.body->invars()[s.num_consts + i]);
    const Aval& result = s.body->aval(s.body->outs()[i]);
    if (!in.SameType(result)) {
      return TypeError(
          StrCat("scan body function carry input and carry output must have equal types, but they "
                 "differ: carry component ",
                 i, " has type ", in.Text(),
                 " but the corresponding output carry component has type ", result.Text()));
    }
    out.push_back(result);
  }
  for (size_t i = 0; i < s.num_ys; ++i)
    out.push_back(Stacked(s.body->aval(s.body->outs()[s.num_carry + i]), s.length));
  return out;
}

// Weakness flows in with the operands; a carry is weak only if it stays so around the loop.
Result<Params> RetypeScan(ir::TypeChecker& checker, const TypeArgs& a) {
  RETURN_IF_ERROR(CheckCounts(a));
  const Scan s(a.params);
  std::vector<Aval> inputs(a.operands.begin(), a.operands.end());
  for (size_t i = s.first_x(); i < inputs.size(); ++i) {
    if (inputs[i].rank() == 0)
      return ValueError("scan got value with no leading axis to scan over");
    inputs[i] = Unstacked(inputs[i]);
  }
  JaxprPtr body;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    ASSIGN_OR_RETURN(body, checker.Check(s.body, inputs));
    bool changed = false;
    for (size_t i = 0; i < s.num_carry; ++i) {
      Aval& in = inputs[s.num_consts + i];
      const bool weak = in.weak_type && body->aval(body->outs()[i]).weak_type;
      changed = changed || weak != in.weak_type;
      in.weak_type = weak;
    }
    if (!changed) break;
  }
  Params out = a.params;
  out.Set("jaxpr", ParamValue::SubJaxpr(std::move(body)));
  return out;
}

// ---- forward mode ----

JvpResult JvpScan(Builder& b, const JvpArgs& a) {
  const Scan s(a.params);
  const Bits nonzeros = autodiff::Nonzeros(a.tangents);
  const Bits const_nz = Slice(nonzeros, 0, s.num_consts);
  Bits carry_nz = Slice(nonzeros, s.num_consts, s.first_x());
  const Bits xs_nz = Slice(nonzeros, s.first_x(), s.num_in());
  autodiff::JvpJaxprResult jvp;
  Bits all_nz;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    all_nz = Concat({const_nz, carry_nz, xs_nz});
    const auto result =
        autodiff::JvpJaxpr(b.session(), s.body, all_nz, Concat({carry_nz, Bits(s.num_ys, false)}));
    if (!result.ok()) {
      b.Fail(result.status());
      return {};
    }
    jvp = *result;
    const Bits carry_out = Slice(jvp.nonzero_out, 0, s.num_carry);
    if (carry_out == carry_nz) break;
    carry_nz = Or(carry_nz, carry_out);
  }
  std::vector<Value> tangents(a.tangents.begin(), a.tangents.end());
  for (size_t i = 0; i < tangents.size(); ++i) {
    if (all_nz[i]) tangents[i] = ir::InstantiateZeros(b, tangents[i], a.primals[i].aval());
  }
  const size_t nc = Count(const_nz);
  const size_t ncarry = Count(carry_nz);
  const size_t nx = Count(xs_nz);
  const size_t ny = Count(jvp.nonzero_out) - ncarry;
  // The jvp body takes primals, then tangents; the scan wants each group beside its tangents.
  const size_t t0 = s.num_in();
  std::vector<size_t> in_order = Positions(0, s.num_consts);
  Append(&in_order, Positions(t0, t0 + nc));
  Append(&in_order, Positions(s.num_consts, s.first_x()));
  Append(&in_order, Positions(t0 + nc, t0 + nc + ncarry));
  Append(&in_order, Positions(s.first_x(), s.num_in()));
  Append(&in_order, Positions(t0 + nc + ncarry, t0 + nc + ncarry + nx));
  const size_t o0 = s.num_carry + s.num_ys;
  std::vector<size_t> out_order = Positions(0, s.num_carry);
  Append(&out_order, Positions(o0, o0 + ncarry));
  Append(&out_order, Positions(s.num_carry, o0));
  Append(&out_order, Positions(o0 + ncarry, o0 + ncarry + ny));
  const JaxprPtr body = staging::Reorder(b.session(), jvp.jaxpr, in_order, out_order);

  std::vector<Value> operands;
  Bits linear;
  const auto group = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      operands.push_back(a.primals[i]);
      linear.push_back(s.linear[i]);
    }
    for (size_t i = begin; i < end; ++i) {
      if (!all_nz[i]) continue;
      operands.push_back(tangents[i]);
      linear.push_back(true);
    }
  };
  group(0, s.num_consts);
  group(s.num_consts, s.first_x());
  group(s.first_x(), s.num_in());
  const std::vector<Value> results = b.Emit(
      a.op, ScanParams(a.params, body, s.num_consts + nc, s.num_carry + ncarry, linear), operands);
  JvpResult out;
  if (!b.ok()) return out;
  out.primals = Slice(results, 0, s.num_carry);
  std::vector<Value> dots = Slice(results, s.num_carry, s.num_carry + ncarry);
  Append(&out.primals, Slice(results, s.num_carry + ncarry, s.num_carry + ncarry + s.num_ys));
  Append(&dots, Slice(results, s.num_carry + ncarry + s.num_ys, results.size()));
  out.tangents = Spread(jvp.nonzero_out, dots);
  return out;
}

// ---- hoisting ----

// A body of which what depends on constants alone has been computed outside the loop.
struct Hoisted {
  JaxprPtr
      body;  // new constants, then the other inputs -> outputs, then residuals still in the loop
  std::vector<Value> consts;   // of the outer builder
  Bits which_hoisted;          // one per residual
  std::vector<Value> hoisted;  // values of the hoisted residuals
};

// `body` gives its last `num_res` outputs as residuals. Equations that only need constants move to
// `outer`.
Result<Hoisted> HoistKnown(Builder& outer, const JaxprPtr& body, std::span<const Value> consts,
                           size_t num_res) {
  Builder loop(outer.session());
  staging::SplitBuilder split(outer, loop);
  std::vector<Value> inputs(consts.begin(), consts.end());
  for (size_t i = consts.size(); i < body->invars().size(); ++i) {
    inputs.push_back(loop.Input(body->aval(body->invars()[i])));
  }
  const std::vector<Value> outs = split.Inline(*body, {}, inputs);
  RETURN_IF_ERROR(split.status());
  Hoisted out;
  const size_t num_outs = outs.size() - num_res;
  std::vector<Value> loop_outs = Slice(outs, 0, num_outs);
  for (size_t i = num_outs; i < outs.size(); ++i) {
    const bool hoisted = !loop.Owns(outs[i]);
    out.which_hoisted.push_back(hoisted);
    (hoisted ? out.hoisted : loop_outs).push_back(outs[i]);
  }
  ASSIGN_OR_RETURN(const JaxprPtr open, loop.Finish(loop_outs, &out.consts, /*remove_dead=*/true,
                                                    Builder::CaptureOrder::kSearch));
  out.body = staging::ConstsToInputs(open);
  return out;
}

// Residuals in the order of the inner tangent (or unknown) program, completed from forwards, loop
// outputs and hoisted values, and which of them are scanned over.
struct ScanResiduals {
  std::vector<Value> invariant;
  std::vector<Value> stacked;
  Bits is_stacked;
};

ScanResiduals CollectResiduals(Builder& b, const std::vector<staging::Residual>& residuals,
                               std::span<const Value> inputs, size_t first_stacked_input,
                               const Bits& which_hoisted, const std::vector<Value>& hoisted,
                               const std::vector<Value>& from_loop) {
  ScanResiduals out;
  size_t own = 0;
  size_t h = 0;
  size_t l = 0;
  for (const staging::Residual& r : residuals) {
    bool stacked = false;
    Value v;
    if (r.constant) {
      v = b.Const(*r.constant);
    } else if (!r.own()) {
      v = inputs[static_cast<size_t>(r.input)];
      stacked = static_cast<size_t>(r.input) >= first_stacked_input;
    } else {
      stacked = !which_hoisted[own++];
      v = stacked ? from_loop[l++] : hoisted[h++];
    }
    out.is_stacked.push_back(stacked);
    (stacked ? out.stacked : out.invariant).push_back(v);
  }
  return out;
}

// Moves the inputs that are stacked residuals behind everything else: [residuals, rest] ->
// [invariant, rest, stacked].
JaxprPtr StackedToBack(ir::Session& session, const JaxprPtr& jaxpr, const Bits& is_stacked) {
  std::vector<size_t> order;
  for (size_t i = 0; i < jaxpr->invars().size(); ++i) {
    if (i >= is_stacked.size() || !is_stacked[i]) order.push_back(i);
  }
  for (size_t i = 0; i < is_stacked.size(); ++i) {
    if (is_stacked[i]) order.push_back(i);
  }
  return staging::Reorder(session, jaxpr, order);
}

// ---- linearisation ----

JvpResult LinearizeScan(Builder& outer, Builder& linear, const ir::LinearizeArgs& a) {
  const Scan s(a.params);
  const Bits nonzeros = autodiff::Nonzeros(a.tangents);
  const Bits const_nz = Slice(nonzeros, 0, s.num_consts);
  Bits carry_nz = Slice(nonzeros, s.num_consts, s.first_x());
  const Bits xs_nz = Slice(nonzeros, s.first_x(), s.num_in());
  // Carries change from step to step, so they cannot be residuals by reference; literals neither,
  // as in JAX.
  Bits allow(s.num_in(), true);
  for (size_t i = 0; i < s.num_in(); ++i) {
    allow[i] = (i < s.num_consts || i >= s.first_x()) && !a.primals[i].is_literal();
  }
  autodiff::LinearizedJaxpr lin;
  Bits all_nz;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    all_nz = Concat({const_nz, carry_nz, xs_nz});
    const auto result = autodiff::LinearizeJaxpr(outer.session(), s.body, all_nz,
                                                 Concat({carry_nz, Bits(s.num_ys, false)}), allow);
    if (!result.ok()) {
      outer.Fail(result.status());
      return {};
    }
    lin = *result;
    const Bits carry_out = Slice(lin.nonzero_out, 0, s.num_carry);
    if (carry_out == carry_nz) break;
    carry_nz = Or(carry_nz, carry_out);
  }
  const size_t num_outs = lin.primal->outs().size() - lin.num_residuals_out;
  const auto hoisted =
      HoistKnown(outer, lin.primal, a.primals.subspan(0, s.num_consts), lin.num_residuals_out);
  if (!hoisted.ok()) {
    outer.Fail(hoisted.status());
    return {};
  }
  std::vector<Value> operands = hoisted->consts;
  Append(&operands, Slice(a.primals, s.num_consts, s.num_in()));
  std::vector<Value> results;
  if (!hoisted->body->outs().empty()) {
    results = outer.Emit(a.op,
                         ScanParams(a.params, hoisted->body, hoisted->consts.size(), s.num_carry,
                                    Bits(operands.size(), false)),
                         operands);
  }
  if (!outer.ok()) return {};
  const ScanResiduals res =
      CollectResiduals(outer, lin.residuals, a.primals, s.first_x(), hoisted->which_hoisted,
                       hoisted->hoisted, Slice(results, num_outs, results.size()));
  const JaxprPtr tangent = StackedToBack(outer.session(), lin.tangent, res.is_stacked);
  std::vector<Value> tangent_operands = res.invariant;
  for (size_t i = 0; i < s.num_in(); ++i) {
    if (!all_nz[i]) continue;
    tangent_operands.push_back(a.tangents[i] ? a.tangents[i]
                                             : ir::Zeros(linear, a.primals[i].aval().Tangent()));
  }
  Append(&tangent_operands, res.stacked);
  const Bits tangent_linear = Concat({Bits(res.invariant.size(), false), Bits(Count(all_nz), true),
                                      Bits(res.stacked.size(), false)});
  const std::vector<Value> tangents =
      linear.Emit(a.op,
                  ScanParams(a.params, tangent, res.invariant.size() + Count(const_nz),
                             Count(carry_nz), tangent_linear),
                  tangent_operands);
  outer.Fail(linear.status());
  if (!outer.ok()) return {};
  JvpResult out;
  out.primals = Slice(results, 0, num_outs);
  out.tangents = Spread(lin.nonzero_out, tangents);
  return out;
}

std::vector<Value> PartialEvalScan(Builder& known, Builder& unknown, const ir::PartialEvalArgs& a) {
  const Scan s(a.params);
  Bits unknowns;
  Bits forward;
  for (size_t i = 0; i < s.num_in(); ++i) {
    unknowns.push_back(unknown.Owns(a.operands[i]));
    forward.push_back((i < s.num_consts || i >= s.first_x()) && !a.operands[i].is_literal());
  }
  const Bits const_uk = Slice(unknowns, 0, s.num_consts);
  Bits carry_uk = Slice(unknowns, s.num_consts, s.first_x());
  const Bits xs_uk = Slice(unknowns, s.first_x(), s.num_in());
  staging::KnownUnknown parts;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    unknowns = Concat({const_uk, carry_uk, xs_uk});
    const auto result = staging::PartialEval(known.session(), s.body, unknowns, forward,
                                             Concat({carry_uk, Bits(s.num_ys, false)}));
    if (!result.ok()) {
      known.Fail(result.status());
      return {};
    }
    parts = *result;
    const Bits carry_out = Slice(parts.unknown_outs, 0, s.num_carry);
    if (carry_out == carry_uk) break;
    carry_uk = Or(carry_uk, carry_out);
  }
  const std::vector<Value> known_ins = Where(a.operands, Not(unknowns));
  const size_t known_consts = s.num_consts - Count(const_uk);
  const size_t known_carry = s.num_carry - Count(carry_uk);
  size_t own_residuals = 0;
  for (const staging::Residual& r : parts.residuals) own_residuals += r.own() ? 1 : 0;
  const size_t num_outs = parts.known->outs().size() - own_residuals;
  const auto hoisted =
      HoistKnown(known, parts.known, std::span<const Value>(known_ins).subspan(0, known_consts),
                 own_residuals);
  if (!hoisted.ok()) {
    known.Fail(hoisted.status());
    return {};
  }
  std::vector<Value> operands = hoisted->consts;
  Append(&operands, Slice(known_ins, known_consts, known_ins.size()));
  std::vector<Value> results;
  if (!hoisted->body->outs().empty()) {
    results = known.Emit(a.op,
                         ScanParams(a.params, hoisted->body, hoisted->consts.size(), known_carry,
                                    Bits(operands.size(), false)),
                         operands);
  }
  if (!known.ok()) return {};
  const ScanResiduals res = CollectResiduals(
      known, parts.residuals, known_ins, known_consts + known_carry, hoisted->which_hoisted,
      hoisted->hoisted, Slice(results, num_outs, results.size()));
  const JaxprPtr body = StackedToBack(known.session(), parts.unknown, res.is_stacked);
  std::vector<Value> unknown_operands = res.invariant;
  Append(&unknown_operands, Where(a.operands, unknowns));
  Append(&unknown_operands, res.stacked);
  Bits lin = Bits(res.invariant.size(), false);
  for (size_t i = 0; i < s.num_in(); ++i) {
    if (unknowns[i]) lin.push_back(s.linear[i]);
  }
  lin.insert(lin.end(), res.stacked.size(), false);
  const std::vector<Value> unknown_results = unknown.Emit(
      a.op,
      ScanParams(a.params, body, res.invariant.size() + Count(const_uk), Count(carry_uk), lin),
      unknown_operands);
  if (!unknown.ok()) return {};
  std::vector<Value> out;
  size_t k = 0;
  size_t u = 0;
  for (const bool uk : parts.unknown_outs) out.push_back(uk ? unknown_results[u++] : results[k++]);
  return out;
}

// ---- rematerialisation ----

// Known side: one closed_call that computes what does not change over the loop, then the loop.
// Staged side: the whole scan again, with residuals in front (invariant) and behind (stacked).
std::vector<ir::SplitValue> SplitScan(Builder& known, Builder& staged, const ir::SplitArgs& a) {
  const Scan s(a.params);
  ir::Session& session = known.session();
  const auto fail = [&](const Status& status) {
    known.Fail(status);
    return std::vector<ir::SplitValue>();
  };
  Bits unknowns;
  for (const ir::SplitValue& v : a.operands) unknowns.push_back(v.unknown);
  const Bits const_uk = Slice(unknowns, 0, s.num_consts);
  Bits carry_uk = Slice(unknowns, s.num_consts, s.first_x());
  const Bits xs_uk = Slice(unknowns, s.first_x(), s.num_in());
  const size_t num_outs = s.num_carry + s.num_ys;
  staging::SplitJaxprs parts;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    unknowns = Concat({const_uk, carry_uk, xs_uk});
    const auto result = staging::SplitByPolicy(session, s.body, unknowns, Bits(s.num_in(), true),
                                               Concat({carry_uk, Bits(s.num_ys, false)}),
                                               Bits(num_outs, true), a.policy);
    if (!result.ok()) return fail(result.status());
    parts = *result;
    const Bits carry_out = Slice(parts.unknown_outs, 0, s.num_carry);
    if (carry_out == carry_uk) break;
    carry_uk = Or(carry_uk, carry_out);
  }
  const size_t known_consts = s.num_consts - Count(const_uk);
  const size_t known_carry = s.num_carry - Count(carry_uk);
  const size_t known_outs = num_outs - Count(parts.unknown_outs);
  std::vector<Value> known_ins;
  std::vector<Value> staged_ins;
  for (size_t i = 0; i < s.num_in(); ++i) {
    if (!unknowns[i]) known_ins.push_back(a.operands[i].known);
    staged_ins.push_back(a.operands[i].instantiated ? a.operands[i].staged : a.operands[i].known);
  }
  // The closed call: hoisted part and loop, traced as one nested program.
  Builder inner(session);
  std::vector<Value> inner_ins;
  for (const Value& v : known_ins) inner_ins.push_back(inner.Input(v.aval()));
  const auto hoisted =
      HoistKnown(inner, parts.known, std::span<const Value>(inner_ins).subspan(0, known_consts),
                 parts.num_res);
  if (!hoisted.ok()) return fail(hoisted.status());
  std::vector<Value> loop_operands = hoisted->consts;
  Append(&loop_operands, Slice(inner_ins, known_consts, inner_ins.size()));
  const std::vector<Value> loop =
      inner.Emit(a.op,
                 ScanParams(a.params, hoisted->body, hoisted->consts.size(), known_carry,
                            Bits(loop_operands.size(), false)),
                 loop_operands);
  std::vector<Value> call_outs = hoisted->hoisted;
  Append(&call_outs, loop);
  const auto callee = inner.Finish(call_outs);
  if (!callee.ok()) return fail(callee.status());
  const std::vector<Value> called =
      known.EmitN("closed_call", known_ins, {{"call_jaxpr", ParamValue::SubJaxpr(*callee)}});
  if (!known.ok()) return {};
  const size_t num_invariant = hoisted->hoisted.size();
  const std::vector<Value> invariant = Slice(called, 0, num_invariant);
  const std::vector<Value> results = Slice(called, num_invariant, num_invariant + known_outs);
  const std::vector<Value> stacked = Slice(called, num_invariant + known_outs, called.size());
  const JaxprPtr body = StackedToBack(session, parts.staged, Not(hoisted->which_hoisted));
  std::vector<Value> operands = invariant;
  Append(&operands, staged_ins);
  Append(&operands, stacked);
  const Bits lin = Concat({Bits(invariant.size(), false), s.linear, Bits(stacked.size(), false)});
  const std::vector<Value> again = staged.Emit(
      a.op, ScanParams(a.params, body, invariant.size() + s.num_consts, s.num_carry, lin),
      operands);
  if (!staged.ok()) return {};
  std::vector<ir::SplitValue> out;
  size_t k = 0;
  for (size_t i = 0; i < num_outs; ++i) {
    ir::SplitValue v{parts.unknown_outs[i], true, {}, again[i]};
    if (!v.unknown) v.known = results[k++];
    out.push_back(v);
  }
  return out;
}

// ---- reverse mode ----

// The transposed body: [ires, CT consts, CT carry, CT ys, eres] -> [CT consts, CT carry, CT xs].
Result<JaxprPtr> TransposeBody(ir::Session& session, const Scan& s, size_t num_ires,
                               size_t num_xs_dot, const Bits& ys_nonzero) {
  const std::string key = StrCat("scan transpose ", num_ires, " ", num_xs_dot, " ", s.num_consts,
                                 " ", s.num_carry, " ", staging::BitsKey(ys_nonzero));
  if (const auto* done = session.Find<JaxprPtr>(s.body, key)) return *done;
  Builder b(session);
  const auto aval = [&](size_t i) { return s.body->aval(s.body->invars()[i]); };
  std::vector<LinearOperand> inputs;
  for (size_t i = 0; i < num_ires; ++i) inputs.push_back({b.Input(aval(i)), aval(i), false});
  // Cotangents of constants add up over the steps, in the carry.
  for (size_t i = num_ires; i < s.num_consts; ++i)
    inputs.push_back({b.Input(aval(i).Tangent()), aval(i), true});
  std::vector<Value> cts;
  for (size_t i = 0; i < s.num_carry; ++i) {
    cts.push_back(b.Input(aval(s.num_consts + i).Tangent()));
    inputs.push_back({Value(), aval(s.num_consts + i), true});
  }
  for (size_t i = 0; i < s.num_ys; ++i) {
    cts.push_back(ys_nonzero[i] ? b.Input(s.body->aval(s.body->outs()[s.num_carry + i]).Tangent())
                                : Value());
  }
  for (size_t i = 0; i < num_xs_dot; ++i) inputs.push_back({Value(), aval(s.first_x() + i), true});
  for (size_t i = s.first_x() + num_xs_dot; i < s.num_in(); ++i)
    inputs.push_back({b.Input(aval(i)), aval(i), false});
  const std::vector<Value> in_cts = autodiff::BackwardPass(b, *s.body, {}, inputs, cts);
  RETURN_IF_ERROR(b.status());
  std::vector<Value> outs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].linear) outs.push_back(ir::InstantiateZeros(b, in_cts[i], inputs[i].aval));
  }
  ASSIGN_OR_RETURN(JaxprPtr body, b.Finish(outs));
  return session.Remember(s.body, key, std::move(body));
}

std::vector<Value> TransposeScan(Builder& b, const TransposeArgs& a) {
  const Scan s(a.params);
  const size_t num_ires = s.num_consts - Count(Slice(s.linear, 0, s.num_consts));
  const size_t num_xs_dot = Count(Slice(s.linear, s.first_x(), s.num_in()));
  for (size_t i = 0; i < s.num_in(); ++i) {
    const bool expected = (i >= num_ires && i < s.first_x() + num_xs_dot);
    if (a.operands[i].linear && !expected) {
      b.Fail(NotImplementedError("transpose of a scan that is not linear in leading operands"));
      return {};
    }
  }
  Bits ys_nonzero;
  std::vector<Value> operands;
  for (size_t i = 0; i < num_ires; ++i) operands.push_back(a.operands[i].value);
  std::vector<Value> ct_carry;
  for (size_t i = 0; i < s.num_carry; ++i) {
    ct_carry.push_back(ir::InstantiateZeros(b, a.cotangents[i], a.results[i]));
  }
  for (size_t i = num_ires; i < s.num_consts; ++i)
    operands.push_back(ir::Zeros(b, a.operands[i].aval.Tangent()));
  Append(&operands, ct_carry);
  for (size_t i = 0; i < s.num_ys; ++i) {
    const Value& ct = a.cotangents[s.num_carry + i];
    ys_nonzero.push_back(bool(ct));
    if (ct) operands.push_back(ct);
  }
  const size_t num_eres = s.num_xs - num_xs_dot;
  for (size_t i = s.num_in() - num_eres; i < s.num_in(); ++i)
    operands.push_back(a.operands[i].value);
  const auto body = TransposeBody(b.session(), s, num_ires, num_xs_dot, ys_nonzero);
  if (!body.ok()) {
    b.Fail(body.status());
    return {};
  }
  const size_t num_consts_dot = s.num_consts - num_ires;
  const Bits linear =
      Concat({Bits(num_ires, false), Bits(num_consts_dot + s.num_carry + Count(ys_nonzero), true),
              Bits(num_eres, false)});
  Params params = ScanParams(a.params, *body, num_ires, num_consts_dot + s.num_carry, linear);
  params.Set("reverse", ParamValue::Bool(!a.params.Bool("reverse")));
  params.Set("_split_transpose", ParamValue::Bool(false));
  const std::vector<Value> results = b.Emit(a.op, std::move(params), operands);
  std::vector<Value> out(s.num_in());
  if (!b.ok()) return out;
  for (size_t i = 0; i < results.size(); ++i) {
    if (a.operands[num_ires + i].linear) out[num_ires + i] = results[i];
  }
  return out;
}

// ---- batching ----

BatchResult BatchScan(Builder& b, const BatchArgs& a) {
  const Scan s(a.params);
  Bits batched;
  for (const int d : a.dims) batched.push_back(d != kUnmapped);
  const Bits const_b = Slice(batched, 0, s.num_consts);
  const Bits init_b = Slice(batched, s.num_consts, s.first_x());
  Bits carry_b = init_b;
  const Bits xs_b = Slice(batched, s.first_x(), s.num_in());
  batching::BatchedJaxpr body;
  Bits out_b;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    std::vector<int> in_dims;
    for (const bool mapped : Concat({const_b, carry_b, xs_b}))
      in_dims.push_back(mapped ? 0 : kUnmapped);
    std::vector<batching::OutDim> dests(s.num_carry + s.num_ys);
    for (size_t i = 0; i < s.num_carry; ++i) {
      if (carry_b[i]) dests[i] = {batching::OutDim::Kind::kAt, 0};
    }
    const auto result = batching::BatchJaxprTo(b.session(), s.body, in_dims, a.axis, dests);
    if (!result.ok()) {
      b.Fail(result.status());
      return {};
    }
    body = *result;
    out_b.clear();
    for (const int d : body.out_dims) out_b.push_back(d != kUnmapped);
    const Bits carry_out = Slice(out_b, 0, s.num_carry);
    if (carry_out == carry_b) break;
    carry_b = Or(carry_b, carry_out);
  }
  std::vector<Value> operands;
  for (size_t i = 0; i < s.num_in(); ++i) {
    Value v = a.values[i];
    const int dim = a.dims[i];
    if (i < s.num_consts) {
      if (dim != kUnmapped) v = ir::MoveAxis(b, v, dim, 0);
    } else if (i < s.first_x()) {
      if (carry_b[i - s.num_consts]) v = ir::BatchAtFront(b, v, dim, a.axis.size);
    } else if (dim != kUnmapped) {
      v = ir::MoveAxis(b, v, dim, 1);
    }
    operands.push_back(v);
  }
  Params params = a.params;
  params.Set("jaxpr", ParamValue::SubJaxpr(body.jaxpr));
  BatchResult out;
  out.values = b.Emit(a.op, std::move(params), operands);
  for (size_t i = 0; i < s.num_carry + s.num_ys; ++i) {
    out.dims.push_back(!out_b[i] ? kUnmapped : i < s.num_carry ? 0 : 1);
  }
  return out;
}

// ---- dead code ----

Result<ir::DceResult> DceScan(ir::Session& session, const ir::Jaxpr&, const ir::Eqn& eqn,
                              const Bits& used_results) {
  const Scan s(*eqn.params);
  Bits carry = Slice(used_results, 0, s.num_carry);
  const Bits ys = Slice(used_results, s.num_carry, used_results.size());
  staging::DceOutcome dce;
  for (size_t round = 0; round <= s.num_carry; ++round) {
    ASSIGN_OR_RETURN(
        dce, staging::Dce(session, s.body, Concat({carry, ys}),
                          Concat({Bits(s.num_consts, false), carry, Bits(s.num_xs, false)})));
    const Bits carry_in = Slice(dce.used_inputs, s.num_consts, s.first_x());
    if (carry_in == carry) break;
    carry = Or(carry, carry_in);
  }
  ir::DceResult out;
  out.used_operands = dce.used_inputs;
  out.kept_results = Concat({carry, ys});
  Bits linear;
  for (size_t i = 0; i < s.num_in(); ++i) {
    if (dce.used_inputs[i]) linear.push_back(s.linear[i]);
  }
  out.params = std::make_shared<const Params>(
      ScanParams(*eqn.params, dce.jaxpr, Count(Slice(dce.used_inputs, 0, s.num_consts)),
                 Count(carry), linear));
  return out;
}

// ---- lowering ----

Status LowerScan(lowering::LowerContext& c) {
  const DType index = c.x64() ? DType::kI64 : DType::kI32;
  c.Out(c.Traced(c.ins(), c.in_avals(), [&](Builder& b, std::span<const Value> operands) {
    return EmitScanLoop(b, c.params(), index, operands);
  }));
  return OkStatus();
}

using Type = ParamSpec::Type;

constexpr ParamSpec kScanParams[] = {
    {"_split_transpose", Type::kBool}, {"jaxpr", Type::kJaxpr},   {"length", Type::kInt},
    {"linear", Type::kTuple},          {"num_carry", Type::kInt}, {"num_consts", Type::kInt},
    {"reverse", Type::kBool},          {"unroll", Type::kInt},
};

constexpr OpDef kOps[] = {
    {.name = "scan",
     .results = -1,
     .params = kScanParams,
     .type_rule = ScanType,
     .retype = RetypeScan,
     .jvp = ir::JvpFull(JvpScan),
     .linearize = LinearizeScan,
     .partial_eval = PartialEvalScan,
     .split = SplitScan,
     .transpose = TransposeScan,
     .batch = ir::BatchFull(BatchScan),
     .dce = DceScan,
     .lower = LowerScan,
     .spec = "primitives.md#scan"},
};

}  // namespace

std::span<const OpDef> ScanOps() { return kOps; }

}  // namespace megalith::ops
