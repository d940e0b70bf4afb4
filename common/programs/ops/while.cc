// while: a loop with a condition.
//
// Source: spec/transforms.md section 6. Operands: constants of the condition, constants of the
// body, initial carry.
#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {
namespace {

// A while's parameters, unpacked.
struct While {
  JaxprPtr cond;
  JaxprPtr body;
  size_t cond_consts = 0;
  size_t body_consts = 0;
  size_t num_carry = 0;

  explicit While(const Params& p)
      : cond(p.Sub("cond_jaxpr")),
        body(p.Sub("body_jaxpr")),
        cond_consts(static_cast<size_t>(p.Int("cond_nconsts"))),
        body_consts(static_cast<size_t>(p.Int("body_nconsts"))),
        num_carry(body->outs().size()) {}
  size_t first_carry() const { return cond_consts + body_consts; }
  size_t num_in() const { return first_carry() + num_carry; }
};

Params WhileParams(const Params& base, JaxprPtr cond, size_t cond_consts, JaxprPtr body,
                   size_t body_consts) {
  Params p = base;
  p.Set("cond_jaxpr", ParamValue::SubJaxpr(std::move(cond)));
  p.Set("cond_nconsts", ParamValue::Int(static_cast<int64_t>(cond_consts)));
  p.Set("body_jaxpr", ParamValue::SubJaxpr(std::move(body)));
  p.Set("body_nconsts", ParamValue::Int(static_cast<int64_t>(body_consts)));
  return p;
}

Status CheckCounts(const TypeArgs& a) {
  const int64_t cn = a.params.Int("cond_nconsts");
  const int64_t bn = a.params.Int("body_nconsts");
  const auto carry = static_cast<int64_t>(a.params.Sub("body_jaxpr")->outs().size());
  const auto operands = static_cast<int64_t>(a.operands.size());
  if (cn < 0 || bn < 0 || cn > operands || bn > operands || cn + bn + carry != operands ||
      static_cast<int64_t>(a.params.Sub("cond_jaxpr")->invars().size()) != cn + carry ||
      static_cast<int64_t>(a.params.Sub("body_jaxpr")->invars().size()) != bn + carry) {
    return TypeError(StrCat("while_loop of ", operands, " operands does not fit cond_nconsts=", cn,
                            ", body_nconsts=", bn, " and a carry of ", carry));
  }
  return OkStatus();
}

Types WhileType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckCounts(a));
  const While w(a.params);
  if (w.cond->outs().size() != 1 || w.cond->aval(w.cond->outs()[0]).dtype != DType::kBool) {
    return TypeError(StrCat("cond_fun must return a boolean scalar, but got output type(s) ",
                            AvalsText(w.cond->OutAvals())));
  }
  const auto operand = [&](bool in_cond, size_t i) -> const Aval& {
    const size_t consts = in_cond ? w.cond_consts : w.body_consts;
    if (i < consts) return a.operands[in_cond ? i : w.cond_consts + i];
    return a.operands[w.first_carry() + i - consts];
  };
  for (const bool in_cond : {true, false}) {
    const ir::Jaxpr& jaxpr = in_cond ? *w.cond : *w.body;
    for (size_t i = 0; i < jaxpr.invars().size(); ++i) {
      const Aval& want = jaxpr.aval(jaxpr.invars()[i]);
      if (!want.SameType(operand(in_cond, i))) {
        return TypeError(StrCat("while_loop ", in_cond ? "cond" : "body", " function takes input ",
                                i, " of type ", want.Text(), ", called with ",
                                operand(in_cond, i).Text()));
      }
    }
  }
  for (size_t i = 0; i < w.num_carry; ++i) {
    const Aval& in = a.operands[w.first_carry() + i];
    const Aval& out = w.body->aval(w.body->outs()[i]);
    if (!in.SameType(out)) {
      return TypeError(StrCat(
          "while_loop body function carry input and carry output must have equal types, but they "
          "differ: carry component ",
          i, " has type ", in.Text(), " but the corresponding output carry component has type ",
          out.Text()));
    }
  }
  const Shape& pred = w.cond->aval(w.cond->outs()[0]).shape;
  for (size_t i = 0; i < w.num_carry && !pred.empty(); ++i) {
    const Aval& in = a.operands[w.first_carry() + i];
    for (size_t d = 0; d < pred.size(); ++d) {
      if (d >= in.rank() || in.shape[d] != pred[d]) {
        return TypeError(StrCat("cond_fun must return a boolean scalar, but got output type(s) ",
                                w.cond->aval(w.cond->outs()[0]).Text(),
                                ", which is no prefix of carry component ", i, " of type ",
                                in.Text()));
      }
    }
  }
  return w.body->OutAvals();
}

Result<Params> RetypeWhile(ir::TypeChecker& checker, const TypeArgs& a) {
  RETURN_IF_ERROR(CheckCounts(a));
  const While w(a.params);
  std::vector<Aval> carry(a.operands.begin() + static_cast<int64_t>(w.first_carry()),
                          a.operands.end());
  JaxprPtr body;
  for (size_t round = 0; round <= w.num_carry; ++round) {
    std::vector<Aval> inputs = Slice(a.operands, w.cond_consts, w.first_carry());
    Append(&inputs, carry);
    ASSIGN_OR_RETURN(body, checker.Check(w.body, inputs));
    bool changed = false;
    for (size_t i = 0; i < w.num_carry; ++i) {
      const bool weak = carry[i].weak_type && body->aval(body->outs()[i]).weak_type;
      changed = changed || weak != carry[i].weak_type;
      carry[i].weak_type = weak;
    }
    if (!changed) break;
  }
  std::vector<Aval> inputs = Slice(a.operands, 0, w.cond_consts);
  Append(&inputs, carry);
  ASSIGN_OR_RETURN(JaxprPtr cond, checker.Check(w.cond, inputs));
  return WhileParams(a.params, std::move(cond), w.cond_consts, std::move(body), w.body_consts);
}

// ---- forward mode ----

JvpResult JvpWhile(Builder& b, const JvpArgs& a) {
  const While w(a.params);
  const Bits nonzeros = autodiff::Nonzeros(a.tangents);
  const Bits const_nz = Slice(nonzeros, w.cond_consts, w.first_carry());
  Bits carry_nz = Slice(nonzeros, w.first_carry(), w.num_in());
  autodiff::JvpJaxprResult jvp;
  for (size_t round = 0; round <= w.num_carry; ++round) {
    const auto result =
        autodiff::JvpJaxpr(b.session(), w.body, Concat({const_nz, carry_nz}), carry_nz);
    if (!result.ok()) {
      b.Fail(result.status());
      return {};
    }
    jvp = *result;
    if (jvp.nonzero_out == carry_nz) break;
    carry_nz = Or(carry_nz, jvp.nonzero_out);
  }
  std::vector<Value> const_dot;
  std::vector<Value> init_dot;
  std::vector<Aval> dot_avals;
  for (size_t i = 0; i < w.body_consts; ++i) {
    if (const_nz[i]) const_dot.push_back(a.tangents[w.cond_consts + i]);
  }
  for (size_t i = 0; i < w.num_carry; ++i) {
    if (!carry_nz[i]) continue;
    const size_t k = w.first_carry() + i;
    init_dot.push_back(ir::InstantiateZeros(b, a.tangents[k], a.primals[k].aval()));
    dot_avals.push_back(init_dot.back().aval());
  }
  const size_t n = w.body_consts;
  const size_t t0 = n + w.num_carry;
  std::vector<size_t> order = Positions(0, n);
  Append(&order, Positions(t0, t0 + const_dot.size()));
  Append(&order, Positions(n, t0));
  Append(&order, Positions(t0 + const_dot.size(), t0 + const_dot.size() + init_dot.size()));
  const JaxprPtr body = staging::Reorder(b.session(), jvp.jaxpr, order);
  const JaxprPtr cond = staging::WithUnusedInputs(b.session(), w.cond, dot_avals);
  std::vector<Value> operands = Slice(a.primals, 0, w.first_carry());
  Append(&operands, const_dot);
  Append(&operands, Slice(a.primals, w.first_carry(), w.num_in()));
  Append(&operands, init_dot);
  const std::vector<Value> results = b.Emit(
      a.op, WhileParams(a.params, cond, w.cond_consts, body, n + const_dot.size()), operands);
  JvpResult out;
  if (!b.ok()) return out;
  out.primals = Slice(results, 0, w.num_carry);
  out.tangents = Spread(carry_nz, Slice(results, w.num_carry, results.size()));
  return out;
}

// ---- partial evaluation ----

// The known part of the loop runs at once; the unknown outputs come from running the whole loop
// later.
std::vector<Value> PartialEvalWhile(Builder& known, Builder& unknown,
                                    const ir::PartialEvalArgs& a) {
  const While w(a.params);
  const auto fail = [&](const Status& s) {
    known.Fail(s);
    return std::vector<Value>();
  };
  Bits uk;
  for (const Value& v : a.operands) uk.push_back(unknown.Owns(v));
  const Bits cond_uk = Slice(uk, 0, w.cond_consts);
  const Bits body_uk = Slice(uk, w.cond_consts, w.first_carry());
  Bits carry_uk = Slice(uk, w.first_carry(), w.num_in());
  staging::KnownUnknown body;
  for (size_t round = 0; round <= w.num_carry; ++round) {
    const auto result =
        staging::PartialEval(known.session(), w.body, Concat({body_uk, carry_uk}), {}, carry_uk);
    if (!result.ok()) return fail(result.status());
    body = *result;
    if (body.unknown_outs == carry_uk) break;
    carry_uk = Or(carry_uk, body.unknown_outs);
  }
  const auto cond = staging::PartialEval(known.session(), w.cond, Concat({cond_uk, carry_uk}));
  if (!cond.ok()) return fail(cond.status());
  if (cond->unknown_outs[0]) return unknown.Emit(a.op, a.params, a.operands);
  const size_t known_outs = w.num_carry - Count(carry_uk);
  Bits keep(body.known->outs().size(), false);
  for (size_t i = 0; i < known_outs; ++i) keep[i] = true;
  const JaxprPtr known_body = staging::PruneOutputs(known.session(), body.known, keep);
  const std::vector<Value> known_results =
      known.Emit(a.op,
                 WhileParams(a.params, cond->known, w.cond_consts - Count(cond_uk), known_body,
                             w.body_consts - Count(body_uk)),
                 Where(a.operands, Not(Concat({cond_uk, body_uk, carry_uk}))));
  const std::vector<Value> all = unknown.Emit(a.op, a.params, a.operands);
  if (!known.ok() || !unknown.ok()) return {};
  std::vector<Value> out;
  size_t k = 0;
  for (size_t i = 0; i < w.num_carry; ++i) out.push_back(carry_uk[i] ? all[i] : known_results[k++]);
  return out;
}

bool SaveNothing(const OpDef&, const Params&) { return false; }

std::vector<ir::SplitValue> SplitWhile(Builder& known, Builder& staged, const ir::SplitArgs& a) {
  const While w(a.params);
  const auto fail = [&](const Status& s) {
    known.Fail(s);
    return std::vector<ir::SplitValue>();
  };
  Bits uk;
  std::vector<Value> staged_ins;
  for (const ir::SplitValue& v : a.operands) {
    uk.push_back(v.unknown);
    staged_ins.push_back(v.instantiated ? v.staged : v.known);
  }
  const Bits cond_uk = Slice(uk, 0, w.cond_consts);
  const Bits body_uk = Slice(uk, w.cond_consts, w.first_carry());
  Bits carry_uk = Slice(uk, w.first_carry(), w.num_in());
  // Nothing of an unbounded loop can be saved, so the policy is to save nothing.
  staging::SplitJaxprs body;
  for (size_t round = 0; round <= w.num_carry; ++round) {
    const auto result = staging::SplitByPolicy(known.session(), w.body, Concat({body_uk, carry_uk}),
                                               Bits(w.body_consts + w.num_carry, true), carry_uk,
                                               Bits(w.num_carry, true), SaveNothing);
    if (!result.ok()) return fail(result.status());
    body = *result;
    if (body.unknown_outs == carry_uk) break;
    carry_uk = Or(carry_uk, body.unknown_outs);
  }
  const auto cond =
      staging::SplitByPolicy(known.session(), w.cond, Concat({cond_uk, carry_uk}),
                             Bits(w.cond_consts + w.num_carry, true), {false}, {true}, SaveNothing);
  if (!cond.ok()) return fail(cond.status());
  const bool all_staged = cond->unknown_outs[0];
  std::vector<Value> known_results;
  if (!all_staged) {
    std::vector<Value> ins;
    const Bits all_uk = Concat({cond_uk, body_uk, carry_uk});
    for (size_t i = 0; i < all_uk.size(); ++i) {
      if (!all_uk[i]) ins.push_back(a.operands[i].known);
    }
    known_results = known.Emit(a.op,
                               WhileParams(a.params, cond->known, w.cond_consts - Count(cond_uk),
                                           body.known, w.body_consts - Count(body_uk)),
                               ins);
  }
  const std::vector<Value> again = staged.Emit(a.op, a.params, staged_ins);
  if (!known.ok() || !staged.ok()) return {};
  std::vector<ir::SplitValue> out;
  size_t k = 0;
  for (size_t i = 0; i < w.num_carry; ++i) {
    ir::SplitValue v{all_staged || carry_uk[i], true, {}, again[i]};
    if (!v.unknown) v.known = known_results[k++];
    out.push_back(v);
  }
  return out;
}

std::vector<Value> TransposeWhile(Builder& b, const TransposeArgs&) {
  b.Fail(
      ValueError("Reverse-mode differentiation does not work for lax.while_loop or lax.fori_loop "
                 "with dynamic start/stop values. "
                 "Try using lax.scan, or using fori_loop with static start/stop."));
  return {};
}

// ---- batching ----

BatchResult BatchWhile(Builder& b, const BatchArgs& a) {
  const While w(a.params);
  ir::Session& session = b.session();
  const auto fail = [&](const Status& s) {
    b.Fail(s);
    return BatchResult();
  };
  const std::vector<int> dims(a.dims.begin(), a.dims.end());
  const std::vector<int> cond_dims = Slice(dims, 0, w.cond_consts);
  const std::vector<int> body_dims = Slice(dims, w.cond_consts, w.first_carry());
  const std::vector<int> init_dims = Slice(dims, w.first_carry(), w.num_in());
  const auto zero_if = [](const std::vector<int>& ds, const Bits& carry) {
    std::vector<int> out;
    for (const int d : ds) out.push_back(d == kUnmapped ? kUnmapped : 0);
    for (const bool m : carry) out.push_back(m ? 0 : kUnmapped);
    return out;
  };
  Bits carry;
  for (const int d : init_dims) carry.push_back(d != kUnmapped);
  for (size_t round = 0; round <= w.num_carry; ++round) {
    std::vector<batching::OutDim> dests(w.num_carry);
    for (size_t i = 0; i < w.num_carry; ++i) {
      if (carry[i]) dests[i] = {batching::OutDim::Kind::kAt, 0};
    }
    const auto result =
        batching::BatchJaxprTo(session, w.body, zero_if(body_dims, carry), a.axis, dests);
    if (!result.ok()) return fail(result.status());
    Bits next;
    for (const int d : result->out_dims) next.push_back(d != kUnmapped);
    if (next == carry) break;
    carry = Or(carry, next);
  }
  const auto pred = batching::BatchJaxprTo(session, w.cond, zero_if(cond_dims, carry), a.axis,
                                           {batching::OutDim{}});
  if (!pred.ok()) return fail(pred.status());
  const bool pred_batched = pred->out_dims[0] != kUnmapped;
  // A batched predicate batches the whole carry; otherwise the batch dimension comes after those of
  // the predicate.
  if (pred_batched) carry.assign(w.num_carry, true);
  const int carry_dim = pred_batched ? 0 : static_cast<int>(w.cond->aval(w.cond->outs()[0]).rank());
  std::vector<int> carry_dims;
  std::vector<batching::OutDim> dests;
  for (const bool m : carry) {
    carry_dims.push_back(m ? carry_dim : kUnmapped);
    dests.push_back(m ? batching::OutDim{batching::OutDim::Kind::kAt, carry_dim}
                      : batching::OutDim{batching::OutDim::Kind::kUnmapped, 0});
  }
  std::vector<int> body_in = body_dims;
  Append(&body_in, carry_dims);
  std::vector<int> cond_in = cond_dims;
  Append(&cond_in, carry_dims);
  const auto body = batching::BatchJaxprTo(session, w.body, body_in, a.axis, dests);
  if (!body.ok()) return fail(body.status());
  const auto cond = batching::BatchJaxprTo(
      session, w.cond, cond_in, a.axis,
      {pred_batched ? batching::OutDim{batching::OutDim::Kind::kAt, 0}
                    : batching::OutDim{batching::OutDim::Kind::kUnmapped, 0}});
  if (!cond.ok()) return fail(cond.status());
  std::vector<Value> operands = Slice(a.values, 0, w.first_carry());
  for (size_t i = 0; i < w.num_carry; ++i) {
    const Value v = a.values[w.first_carry() + i];
    operands.push_back(batching::MatchAxis(b, v, init_dims[i], carry_dims[i], a.axis.size));
  }
  BatchResult out;
  out.values =
      b.Emit(a.op, WhileParams(a.params, cond->jaxpr, w.cond_consts, body->jaxpr, w.body_consts),
             operands);
  out.dims = carry_dims;
  return out;
}

// ---- lowering ----

Status LowerWhile(lowering::LowerContext& c) {
  const While w(c.params());
  const Aval pred = w.cond->aval(w.cond->outs()[0]);
  using lowering::Values;
  using stablehlo::ValueId;
  const auto call = [&](const JaxprPtr& jaxpr, std::span<const ValueId> all, size_t first,
                        size_t count) {
    Values in(all.begin() + static_cast<int64_t>(first),
              all.begin() + static_cast<int64_t>(first + count));
    in.insert(in.end(), all.begin() + static_cast<int64_t>(w.first_carry()), all.end());
    return c.Inline(jaxpr, in);
  };
  const Values out = c.b().While(
      c.ins(),
      [&](std::span<const ValueId> args) {
        const Values result = call(w.cond, args, 0, w.cond_consts);
        if (pred.rank() == 0 || result.empty()) return result;
        // The loop goes on while any lane wants to.
        return c.Emit("reduce_or", result, {pred},
                      {{"axes", ParamValue::Ints(ir::Range(static_cast<int64_t>(pred.rank())))}});
      },
      [&](std::span<const ValueId> args) {
        Values next = call(w.body, args, w.cond_consts, w.body_consts);
        if (pred.rank() > 0 && next.size() == w.num_carry) {
          // Lanes that are done keep their values.
          const Values live = call(w.cond, args, 0, w.cond_consts);
          for (size_t i = 0; i < next.size() && !live.empty(); ++i) {
            const Shape shape = c.b().shape(next[i]);
            const ValueId mask =
                c.b().BroadcastInDim(live[0], shape, ir::Range(static_cast<int64_t>(pred.rank())));
            next.data()[i] = c.b().Select(mask, next[i], args[w.first_carry() + i]);
          }
        }
        Values all(args.begin(), args.begin() + static_cast<int64_t>(w.first_carry()));
        all.insert(all.end(), next.begin(), next.end());
        return all;
      });
  if (out.size() == w.num_in()) {
    for (size_t i = w.first_carry(); i < out.size(); ++i) c.Out(out[i]);
  }
  return OkStatus();
}

using Type = ParamSpec::Type;

constexpr ParamSpec kWhileParams[] = {
    {"body_jaxpr", Type::kJaxpr},
    {"body_nconsts", Type::kInt},
    {"cond_jaxpr", Type::kJaxpr},
    {"cond_nconsts", Type::kInt},
};

constexpr OpDef kOps[] = {
    {.name = "while",
     .results = -1,
     .params = kWhileParams,
     .type_rule = WhileType,
     .retype = RetypeWhile,
     .jvp = ir::JvpFull(JvpWhile),
     .partial_eval = PartialEvalWhile,
     .split = SplitWhile,
     .transpose = TransposeWhile,
     .batch = ir::BatchFull(BatchWhile),
     .lower = LowerWhile,
     .spec = "primitives.md#while"},
};

}  // namespace

std::span<const OpDef> WhileOps() { return kOps; }

}  // namespace megalith::ops
