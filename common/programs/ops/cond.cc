// cond: one of several branches, and platform_index, which picks the branch of this platform.
//
// Source: spec/transforms.md section 6. Operands: an i32 index, then the operands of the branches.
#include <map>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {
namespace {

using Jaxprs = std::vector<JaxprPtr>;

Jaxprs Branches(const Params& p) { return p["branches"].AsJaxprs(); }

Params WithBranches(const Params& base, const Jaxprs& branches) {
  Params p = base;
  p.Set("branches", ParamValue::SubJaxprs(branches));
  return p;
}

Types CondType(const TypeArgs& a) {
  const Jaxprs branches = Branches(a.params);
  if (branches.empty()) return TypeError("cond requires at least one branch function");
  if (a.operands.empty() || a.operands[0].dtype != DType::kI32 || a.operands[0].rank() != 0) {
    return TypeError(StrCat("cond called with index of type ",
                            a.operands.empty() ? "none" : a.operands[0].Text(),
                            " instead of int32"));
  }
  const std::vector<Aval> outs = branches[0]->OutAvals();
  for (size_t k = 0; k < branches.size(); ++k) {
    const ir::Jaxpr& branch = *branches[k];
    if (branch.invars().size() + 1 != a.operands.size()) {
      return TypeError(StrCat("cond called with ", a.operands.size() - 1,
                              " non-predicate operands, but branch ", k, " takes ",
                              branch.invars().size(), " inputs"));
    }
    for (size_t i = 0; i < branch.invars().size(); ++i) {
      if (!branch.aval(branch.invars()[i]).SameType(a.operands[i + 1])) {
        return TypeError(StrCat("cond branch ", k, " takes input types ",
                                AvalsText(branch.InAvals()), ", called with operands of type ",
                                AvalsText(a.operands.subspan(1))));
      }
    }
    const std::vector<Aval> these = branch.OutAvals();
    bool same = these.size() == outs.size();
    for (size_t i = 0; i < outs.size() && same; ++i) same = outs[i].SameType(these[i]);
    if (!same) {
      return TypeError(
          StrCat("cond branches must have equal output types but they differ. Branch 0 gives ",
                 AvalsText(outs), ", branch ", k, " gives ", AvalsText(these), "."));
    }
  }
  return outs;
}

// An output is weak only if it is in every branch.
Result<Params> RetypeCond(ir::TypeChecker& checker, const TypeArgs& a) {
  if (a.operands.empty()) return TypeError("cond requires an index operand");
  const std::vector<Aval> inputs(a.operands.begin() + 1, a.operands.end());
  Jaxprs branches = Branches(a.params);
  for (JaxprPtr& branch : branches) {
    ASSIGN_OR_RETURN(branch, checker.Check(branch, inputs));
  }
  return WithBranches(a.params, branches);
}

// ---- forward mode ----

JvpResult JvpCond(Builder& b, const JvpArgs& a) {
  const Jaxprs branches = Branches(a.params);
  const Bits nonzeros = Slice(autodiff::Nonzeros(a.tangents), 1, a.tangents.size());
  Bits out_nz(branches[0]->outs().size(), false);
  Jaxprs jvps;
  for (const bool final_round : {false, true}) {
    jvps.clear();
    for (const JaxprPtr& branch : branches) {
      const auto jvp =
          autodiff::JvpJaxpr(b.session(), branch, nonzeros, final_round ? out_nz : Bits());
      if (!jvp.ok()) {
        b.Fail(jvp.status());
        return {};
      }
      jvps.push_back(jvp->jaxpr);
      if (!final_round) out_nz = Or(out_nz, jvp->nonzero_out);
    }
  }
  std::vector<Value> operands(a.primals.begin(), a.primals.end());
  Append(&operands, Where(a.tangents.subspan(1), nonzeros));
  const std::vector<Value> results = b.Emit(a.op, WithBranches(a.params, jvps), operands);
  JvpResult out;
  if (!b.ok()) return out;
  out.primals = Slice(results, 0, out_nz.size());
  out.tangents = Spread(out_nz, Slice(results, out_nz.size(), results.size()));
  return out;
}

// ---- residuals of branches, joined ----

// Residual types of all branches merged: a type appears as often as the branch that has most of it.
struct MergedResiduals {
  std::vector<Aval> all;
  std::vector<std::vector<size_t>> index;  // per branch, position of each residual in `all`
};

MergedResiduals Merge(const std::vector<std::vector<Aval>>& per_branch) {
  MergedResiduals out;
  std::map<std::string, size_t> position;
  for (const std::vector<Aval>& residuals : per_branch) {
    std::map<std::string, int> counts;
    std::vector<size_t> index;
    for (const Aval& aval : residuals) {
      const std::string type = StrCat(aval.Text(), aval.weak_type ? "~" : "");
      const auto [it, fresh] = position.emplace(StrCat(type, " ", counts[type]++), out.all.size());
      if (fresh) out.all.push_back(aval);
      index.push_back(it->second);
    }
    out.index.push_back(std::move(index));
  }
  return out;
}

// [outputs, own residuals] -> [outputs, all residuals], zeros where the branch has none.
Result<JaxprPtr> JoinOutputs(ir::Session& session, const JaxprPtr& jaxpr, size_t num_outs,
                             const MergedResiduals& merged, const std::vector<size_t>& index) {
  Builder b(session);
  std::vector<Value> inputs;
  for (const ir::VarId v : jaxpr->invars()) inputs.push_back(b.Input(jaxpr->aval(v)));
  const std::vector<Value> results = b.Inline(*jaxpr, {}, inputs);
  RETURN_IF_ERROR(b.status());
  std::vector<Value> outs = Slice(results, 0, num_outs);
  std::vector<Value> residuals;
  for (const Aval& aval : merged.all) residuals.push_back(ir::Zeros(b, aval));
  for (size_t i = 0; i < index.size(); ++i) residuals[index[i]] = results[num_outs + i];
  Append(&outs, residuals);
  return b.Finish(outs);
}

// [own residuals, rest] -> takes all residuals and ignores those of other branches.
Result<JaxprPtr> JoinInputs(ir::Session& session, const JaxprPtr& jaxpr,
                            const MergedResiduals& merged, const std::vector<size_t>& index) {
  Builder b(session);
  std::vector<Value> all;
  for (const Aval& aval : merged.all) all.push_back(b.Input(aval));
  std::vector<Value> inputs;
  for (const size_t i : index) inputs.push_back(all[i]);
  for (size_t i = index.size(); i < jaxpr->invars().size(); ++i) {
    inputs.push_back(b.Input(jaxpr->aval(jaxpr->invars()[i])));
  }
  const std::vector<Value> outs = b.Inline(*jaxpr, {}, inputs);
  RETURN_IF_ERROR(b.status());
  return b.Finish(outs);
}

// Branches split into a first half that gives residuals and a second that takes them.
struct SplitBranches {
  Jaxprs first;
  Jaxprs second;
  size_t num_residuals = 0;
};

// `first` gives `num_outs` outputs, then the residuals that `second` takes first.
Result<SplitBranches> Join(ir::Session& session, const Jaxprs& first, const Jaxprs& second,
                           size_t num_outs) {
  std::vector<std::vector<Aval>> residuals;
  for (const JaxprPtr& j : first) {
    const std::vector<Aval> outs = j->OutAvals();
    residuals.push_back(Slice(outs, num_outs, outs.size()));
  }
  const MergedResiduals merged = Merge(residuals);
  SplitBranches out;
  out.num_residuals = merged.all.size();
  for (size_t k = 0; k < first.size(); ++k) {
    ASSIGN_OR_RETURN(JaxprPtr f, JoinOutputs(session, first[k], num_outs, merged, merged.index[k]));
    ASSIGN_OR_RETURN(JaxprPtr s, JoinInputs(session, second[k], merged, merged.index[k]));
    out.first.push_back(std::move(f));
    out.second.push_back(std::move(s));
  }
  return out;
}

JvpResult LinearizeCond(Builder& outer, Builder& linear, const ir::LinearizeArgs& a) {
  const Jaxprs branches = Branches(a.params);
  const auto fail = [&](const Status& s) {
    outer.Fail(s);
    return JvpResult();
  };
  const Bits nonzeros = Slice(autodiff::Nonzeros(a.tangents), 1, a.tangents.size());
  const Bits no_forward(nonzeros.size(), false);
  Bits out_nz(branches[0]->outs().size(), false);
  Jaxprs primals;
  Jaxprs tangents;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      const auto lin = autodiff::LinearizeJaxpr(outer.session(), branch, nonzeros,
                                                final_round ? out_nz : Bits(), no_forward,
                                                /*forward_constants=*/false);
      if (!lin.ok()) return fail(lin.status());
      if (!final_round) {
        out_nz = Or(out_nz, lin->nonzero_out);
      } else {
        primals.push_back(lin->primal);
        tangents.push_back(lin->tangent);
      }
    }
  }
  const auto joined = Join(outer.session(), primals, tangents, out_nz.size());
  if (!joined.ok()) return fail(joined.status());
  const std::vector<Value> results =
      outer.Emit(a.op, WithBranches(a.params, joined->first), a.primals);
  if (!outer.ok()) return {};
  std::vector<Value> operands = {a.primals[0]};
  Append(&operands, Slice(results, out_nz.size(), results.size()));
  Append(&operands, Where(a.tangents.subspan(1), nonzeros));
  const std::vector<Value> dots =
      linear.Emit(a.op, WithBranches(a.params, joined->second), operands);
  outer.Fail(linear.status());
  if (!outer.ok()) return {};
  return {Slice(results, 0, out_nz.size()), Spread(out_nz, dots)};
}

std::vector<Value> PartialEvalCond(Builder& known, Builder& unknown, const ir::PartialEvalArgs& a) {
  const Jaxprs branches = Branches(a.params);
  const auto fail = [&](const Status& s) {
    known.Fail(s);
    return std::vector<Value>();
  };
  if (unknown.Owns(a.operands[0])) return unknown.Emit(a.op, a.params, a.operands);
  Bits uk;
  for (const Value& v : a.operands.subspan(1)) uk.push_back(unknown.Owns(v));
  Bits out_uk(branches[0]->outs().size(), false);
  Jaxprs first;
  Jaxprs second;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      const auto parts =
          staging::PartialEval(known.session(), branch, uk, {}, final_round ? out_uk : Bits());
      if (!parts.ok()) return fail(parts.status());
      if (!final_round) {
        out_uk = Or(out_uk, parts->unknown_outs);
      } else {
        first.push_back(parts->known);
        second.push_back(parts->unknown);
      }
    }
  }
  const size_t known_outs = out_uk.size() - Count(out_uk);
  const auto joined = Join(known.session(), first, second, known_outs);
  if (!joined.ok()) return fail(joined.status());
  std::vector<Value> known_ins = {a.operands[0]};
  Append(&known_ins, Where(a.operands.subspan(1), Not(uk)));
  const std::vector<Value> known_results =
      known.Emit(a.op, WithBranches(a.params, joined->first), known_ins);
  if (!known.ok()) return {};
  std::vector<Value> unknown_ins = {a.operands[0]};
  Append(&unknown_ins, Slice(known_results, known_outs, known_results.size()));
  Append(&unknown_ins, Where(a.operands.subspan(1), uk));
  const std::vector<Value> unknown_results =
      unknown.Emit(a.op, WithBranches(a.params, joined->second), unknown_ins);
  if (!unknown.ok()) return {};
  std::vector<Value> out;
  size_t k = 0;
  size_t u = 0;
  for (const bool is_unknown : out_uk)
    out.push_back(is_unknown ? unknown_results[u++] : known_results[k++]);
  return out;
}

std::vector<ir::SplitValue> SplitCond(Builder& known, Builder& staged, const ir::SplitArgs& a) {
  const Jaxprs branches = Branches(a.params);
  const size_t num_outs = branches[0]->outs().size();
  const auto fail = [&](const Status& s) {
    known.Fail(s);
    return std::vector<ir::SplitValue>();
  };
  std::vector<Value> staged_ins;
  Bits uk;
  for (const ir::SplitValue& v : a.operands) {
    staged_ins.push_back(v.instantiated ? v.staged : v.known);
    uk.push_back(v.unknown);
  }
  std::vector<ir::SplitValue> out;
  if (uk[0]) {
    for (const Value& v : staged.Emit(a.op, a.params, staged_ins))
      out.push_back({true, true, {}, v});
    return out;
  }
  uk.erase(uk.begin());
  Bits out_uk(num_outs, false);
  Jaxprs first;
  Jaxprs second;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      const auto parts =
          staging::SplitByPolicy(known.session(), branch, uk, Bits(uk.size(), true),
                                 final_round ? out_uk : Bits(), Bits(num_outs, true), a.policy);
      if (!parts.ok()) return fail(parts.status());
      if (!final_round) {
        out_uk = Or(out_uk, parts->unknown_outs);
      } else {
        first.push_back(parts->known);
        second.push_back(parts->staged);
      }
    }
  }
  const size_t known_outs = num_outs - Count(out_uk);
  const auto joined = Join(known.session(), first, second, known_outs);
  if (!joined.ok()) return fail(joined.status());
  std::vector<Value> known_ins = {a.operands[0].known};
  for (size_t i = 0; i < uk.size(); ++i) {
    if (!uk[i]) known_ins.push_back(a.operands[i + 1].known);
  }
  const std::vector<Value> known_results =
      known.Emit(a.op, WithBranches(a.params, joined->first), known_ins);
  if (!known.ok()) return {};
  std::vector<Value> operands = {staged_ins[0]};
  Append(&operands, Slice(known_results, known_outs, known_results.size()));
  Append(&operands, Slice(staged_ins, 1, staged_ins.size()));
  const std::vector<Value> again =
      staged.Emit(a.op, WithBranches(a.params, joined->second), operands);
  if (!staged.ok()) return {};
  size_t k = 0;
  for (size_t i = 0; i < num_outs; ++i) {
    ir::SplitValue v{out_uk[i], true, {}, again[i]};
    if (!v.unknown) v.known = known_results[k++];
    out.push_back(v);
  }
  return out;
}

// ---- reverse mode ----

std::vector<Value> TransposeCond(Builder& b, const TransposeArgs& a) {
  const Jaxprs branches = Branches(a.params);
  if (!CheckKnown(b, a, 0)) return {};
  Bits linear;
  std::vector<Value> operands = {a.operands[0].value};
  for (const LinearOperand& x : a.operands.subspan(1)) {
    linear.push_back(x.linear);
    if (!x.linear) operands.push_back(x.value);
  }
  Bits nonzero_cts;
  for (const Value& ct : a.cotangents) {
    nonzero_cts.push_back(bool(ct));
    if (ct) operands.push_back(ct);
  }
  Bits out_nz(linear.size(), false);
  Jaxprs transposed;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      const auto t = autodiff::TransposeJaxpr(b.session(), branch, linear, nonzero_cts,
                                              final_round ? out_nz : Bits());
      if (!t.ok()) {
        b.Fail(t.status());
        return {};
      }
      if (!final_round) {
        out_nz = Or(out_nz, t->nonzero_out);
      } else {
        transposed.push_back(t->jaxpr);
      }
    }
  }
  const std::vector<Value> results = b.Emit(a.op, WithBranches(a.params, transposed), operands);
  std::vector<Value> out(1);
  if (!b.ok()) return out;
  Append(&out, Spread(out_nz, results));
  return out;
}

// ---- batching ----

// Every branch runs on all lanes; inputs of lanes that take another branch are cut off from
// differentiation.
BatchResult BatchAllBranches(Builder& b, const BatchArgs& a, const Jaxprs& branches) {
  std::vector<Value> operands;
  for (size_t i = 0; i < a.values.size(); ++i) {
    operands.push_back(ir::BatchAtFront(b, a.values[i], a.dims[i], a.axis.size));
  }
  const Value index = operands[0];
  const auto select = [&](std::vector<Value> which_and_cases) {
    Value& which = which_and_cases[0];
    if (which.rank() != which_and_cases[1].rank()) {
      which = ir::BroadcastInDim(b, which, which_and_cases[1].shape(), {0});
    }
    return b.Emit1("select_n", which_and_cases);
  };
  const size_t num_outs = branches[0]->outs().size();
  std::vector<std::vector<Value>> outs;
  std::vector<JaxprPtr> batched_branches;
  for (const JaxprPtr& branch : branches) {
    const auto batched = batching::BatchJaxprTo(
        b.session(), branch, std::vector<int>(branch->invars().size(), 0), a.axis,
        std::vector<batching::OutDim>(num_outs, {batching::OutDim::Kind::kAt, 0}));
    if (!batched.ok()) {
      b.Fail(batched.status());
      return {};
    }
    batched_branches.push_back(batched->jaxpr);
  }
  for (size_t k = 0; k < branches.size(); ++k) {
    const Value predicate =
        b.Emit1("eq", {index, ir::ScalarLike(b, index, static_cast<double>(k))});
    std::vector<Value> inputs;
    for (size_t i = 1; i < operands.size(); ++i) {
      const Value stopped = b.Emit1("stop_gradient", {operands[i]});
      inputs.push_back(select({predicate, stopped, operands[i]}));
    }
    outs.push_back(b.Inline(*batched_branches[k], {}, inputs));
    if (!b.ok()) return {};
  }
  BatchResult result;
  for (size_t o = 0; o < num_outs; ++o) {
    std::vector<Value> cases = {index};
    for (const std::vector<Value>& branch_outs : outs) cases.push_back(branch_outs[o]);
    result.values.push_back(select(std::move(cases)));
    result.dims.push_back(0);
  }
  return result;
}

BatchResult BatchCond(Builder& b, const BatchArgs& a) {
  const Jaxprs branches = Branches(a.params);
  Value index = a.values[0];
  if (a.dims[0] != kUnmapped) {
    const ParamValue& platforms = a.params["branches_platforms"];
    if (platforms.is_none()) return BatchAllBranches(b, a, branches);
    index = b.Emit1("platform_index", std::span<const Value>(), {{"platforms", platforms}});
  }
  std::vector<int> in_dims;
  std::vector<Value> operands = {index};
  for (size_t i = 1; i < a.values.size(); ++i) {
    in_dims.push_back(a.dims[i] == kUnmapped ? kUnmapped : 0);
    operands.push_back(a.dims[i] == kUnmapped ? a.values[i]
                                              : ir::MoveAxis(b, a.values[i], a.dims[i], 0));
  }
  std::vector<batching::OutDim> dests(branches[0]->outs().size());
  Jaxprs batched;
  std::vector<int> out_dims;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      const auto result = batching::BatchJaxprTo(b.session(), branch, in_dims, a.axis, dests);
      if (!result.ok()) {
        b.Fail(result.status());
        return {};
      }
      if (final_round) batched.push_back(result->jaxpr);
      out_dims = result->out_dims;
      for (size_t i = 0; i < dests.size() && !final_round; ++i) {
        if (result->out_dims[i] != kUnmapped) dests[i] = {batching::OutDim::Kind::kAt, 0};
      }
    }
  }
  return {b.Emit(a.op, WithBranches(a.params, batched), operands), out_dims};
}

// ---- dead code ----

Result<ir::DceResult> DceCond(ir::Session& session, const ir::Jaxpr&, const ir::Eqn& eqn,
                              const Bits& used_results) {
  const Jaxprs branches = Branches(*eqn.params);
  Bits used(eqn.num_operands - 1, false);
  Jaxprs shrunk;
  for (const bool final_round : {false, true}) {
    for (const JaxprPtr& branch : branches) {
      ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                       staging::Dce(session, branch, used_results, final_round ? used : Bits()));
      if (final_round) {
        shrunk.push_back(dce.jaxpr);
      } else {
        used = Or(used, dce.used_inputs);
      }
    }
  }
  ir::DceResult out;
  out.used_operands = Concat({Bits{true}, used});
  out.kept_results = used_results;
  out.params = std::make_shared<const Params>(WithBranches(*eqn.params, shrunk));
  return out;
}

// ---- lowering ----

// The branch of this platform: the one that names "megalith", else the default one.
int64_t PlatformBranch(const ParamValue& platforms) {
  int64_t fallback = 0;
  for (size_t i = 0; i < platforms.elements().size(); ++i) {
    const ParamValue& names = platforms.elements()[i];
    if (names.is_none()) fallback = static_cast<int64_t>(i);
    for (const ParamValue& n : names.elements()) {
      if (n.AsText() == "'megalith'") return static_cast<int64_t>(i);
    }
  }
  return fallback;
}

Status LowerCond(lowering::LowerContext& c) {
  const Jaxprs branches = Branches(c.params());
  const lowering::Values operands(c.ins().begin() + 1, c.ins().end());
  const ParamValue& platforms = c.params()["branches_platforms"];
  if (!platforms.is_none()) {
    const int64_t k = PlatformBranch(platforms);
    if (k >= static_cast<int64_t>(branches.size()))
      return TypeError("branches_platforms names no branch");
    // As JAX has it: the index is mapped to that of the only branch that is kept.
    const std::vector<stablehlo::RegionFn> kept(
        branches.size(), [&c](std::span<const stablehlo::ValueId>) {
          return stablehlo::Values{c.b().Scalar(DType::kI32, 0)};
        });
    const stablehlo::ValueId index = c.b().Case(c.in(0), kept)[0];
    const std::vector<stablehlo::RegionFn> only = {[&](std::span<const stablehlo::ValueId>) {
      return c.Inline(branches[static_cast<size_t>(k)], operands);
    }};
    c.Out(c.b().Case(index, only));
    return OkStatus();
  }
  std::vector<stablehlo::RegionFn> regions;
  for (const JaxprPtr& branch : branches) {
    regions.push_back([&c, &operands, branch](std::span<const stablehlo::ValueId>) {
      return c.Inline(branch, operands);
    });
  }
  c.Out(c.b().Case(c.in(0), regions));
  return OkStatus();
}

Types PlatformIndexType(const TypeArgs&) { return std::vector<Aval>{Aval{DType::kI32, false, {}}}; }

Status LowerPlatformIndex(lowering::LowerContext& c) {
  c.Out(c.b().Scalar(DType::kI32, PlatformBranch(c.params()["platforms"])));
  return OkStatus();
}

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kCondParams[] = {
    {"branches", Type::kJaxprs},
    {"branches_platforms", Type::kAny, Show::kUnlessDefault, "None"},
};
constexpr ParamSpec kPlatformParams[] = {{"platforms", Type::kTuple}};

constexpr OpDef kOps[] = {
    {.name = "cond",
     .results = -1,
     .params = kCondParams,
     .type_rule = CondType,
     .retype = RetypeCond,
     .jvp = ir::JvpFull(JvpCond),
     .linearize = LinearizeCond,
     .partial_eval = PartialEvalCond,
     .split = SplitCond,
     .transpose = TransposeCond,
     .batch = ir::BatchFull(BatchCond),
     .dce = DceCond,
     .lower = LowerCond,
     .spec = "primitives.md#cond"},
    {.name = "platform_index",
     .arity = 0,
     .params = kPlatformParams,
     .tier = 3,
     .type_rule = PlatformIndexType,
     .jvp = ir::JvpZero(),
     .lower = LowerPlatformIndex,
     .spec = "primitives.md#platform_index"},
};

}  // namespace

std::span<const OpDef> CondOps() { return kOps; }

}  // namespace megalith::ops
